"""The whole way from a command line to its lines and exit code, for what needs no server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from owui_watch.cli import main

FILTER = "class Filter:\n    pass\n"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in a folder with plugins; gives the exit code, stdout and stderr."""
    (tmp_path / "plugins" / "filters" / "my-rag").mkdir(parents=True)
    (tmp_path / "plugins" / "filters" / "my-rag" / "main.py").write_text(FILTER)
    (tmp_path / "plugins" / "filters" / "foo.py").write_text(FILTER)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def checked(run: Run, *paths: str) -> Sequence[tuple[str, str]]:
    code, out, _ = run("check", "--json", *paths)
    assert code == 0
    return [(finding["path"], finding["plugin"]) for finding in json.loads(out)]


@pytest.mark.parametrize("key", ["plugins/filters/foo.py", "filters/foo.py", "foo.py"])
def test_check_gives_a_file_the_same_id_by_every_path(run: Run, key: str) -> None:
    Path("owui-watch.toml").write_text(f'[ids]\n"{key}" = "my_id"\n')
    foo, rag = ("plugins/filters/foo.py", "my_id"), ("plugins/filters/my-rag/main.py", "my_rag")
    assert checked(run) == checked(run, ".") == checked(run, "plugins/filters") == [foo, rag]
    assert checked(run, foo[0]) == [foo]
    assert checked(run, rag[0]) == checked(run, "plugins/filters/my-rag") == [rag]
    assert checked(run, rag[0], foo[0]) == [foo, rag]
