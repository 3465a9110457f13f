"""A folder with two plugins, and owui-watch run in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from owui_watch.cli.main import main
from tests.unit.cli.runs import FILTER, Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in a folder with plugins."""
    (tmp_path / "plugins" / "filters" / "my-rag").mkdir(parents=True)
    (tmp_path / "plugins" / "filters" / "my-rag" / "main.py").write_text(FILTER)
    (tmp_path / "plugins" / "filters" / "foo.py").write_text(FILTER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENWEBUI_API_KEY", raising=False)
    monkeypatch.delenv("OPENWEBUI_URL", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
