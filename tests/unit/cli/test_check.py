"""``owui-watch check``: what it finds, and what it never shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.cli.runs import CANARY, JWT, Run


def checked(run: Run, *paths: str) -> Sequence[tuple[str, str]]:
    code, out, _ = run("check", "--json", *paths)
    assert code == 0
    return [(finding["path"], finding["plugin"]) for finding in json.loads(out)]


class TestPluginIds:
    @pytest.mark.parametrize("key", ["plugins/filters/foo.py", "filters/foo.py", "foo.py"])
    def test_are_the_same_by_every_path(self, run: Run, key: str) -> None:
        Path("owui-watch.toml").write_text(f'[ids]\n"{key}" = "my_id"\n')
        foo, rag = ("plugins/filters/foo.py", "my_id"), ("plugins/filters/my-rag/main.py", "my_rag")
        assert checked(run) == checked(run, ".") == checked(run, "plugins/filters") == [foo, rag]
        assert checked(run, foo[0]) == [foo]
        assert checked(run, rag[0]) == checked(run, "plugins/filters/my-rag") == [rag]
        assert checked(run, rag[0], foo[0]) == [foo, rag]

    def test_without_a_file_are_named(self, run: Run) -> None:
        Path("other").mkdir()
        Path("other/far.py").touch()
        Path("owui-watch.toml").write_text(
            '[ids]\n"filters/fooo.py" = "a"\n"gone.py" = "b"\n"foo.py" = "c"\n"other/far.py" = "d"\n'
        )
        told = (
            "owui-watch.toml: warning: [ids]: there is no file filters/fooo.py\n"
            "  hint: did you mean plugins/filters/foo.py?\n"
            "owui-watch.toml: warning: [ids]: there is no file gone.py\n"
            "  hint: remove the line if the file is gone for good\n"
            "plugins/filters/foo.py: filter c\n"
            "plugins/filters/my-rag/main.py: filter my_rag\n"
            "2 plugins, 0 errors, 2 warnings\n"
        )
        assert run("check") == run("check", "plugins") == (0, told, "")
        for part in ("plugins/filters", "plugins/filters/foo.py"):
            assert "0 warnings" in run("check", part)[1]


class TestServerKey:
    def test_need_not_be_valid(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        Path(".env").write_text("OPENWEBUI_API_KEY=two words\nOPENWEBUI_URL=nonsense\n")
        assert len(checked(run)) == 2
        monkeypatch.setenv("OPENWEBUI_API_KEY", "two words")
        assert len(checked(run)) == 2


class TestKeysInPlugins:
    BROKEN = 'class Filter:\n    key = "{key}"; call(\n    def inlet(self, body): return body\n'

    @pytest.mark.parametrize("form", ["text", "json", "github"])
    @pytest.mark.parametrize("key", [CANARY, JWT, "Bearer abc123DEF456ghi"])
    def test_are_not_shown(self, run: Run, key: str, form: str) -> None:
        Path("plugins/odd.py").write_text(f'"""\ntitle: {key}\n"""\n' + self.BROKEN.format(key=key))
        code, out, err = run("check", "--format", form)
        assert code == 1
        assert key.rsplit(maxsplit=1)[-1][:12] not in out + err
        assert "odd" in out

    def test_of_the_environment_are_not_shown(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENWEBUI_API_KEY", "plain-words-of-mine")
        Path("plugins/odd.py").write_text(self.BROKEN.format(key="plain-words-of-mine"))
        code, out, _ = run("check")
        assert code == 1
        assert "plain-words" not in out

    def test_leave_the_source_line_and_no_caret(self, run: Run) -> None:
        Path("plugins/odd.py").write_text(self.BROKEN.format(key=CANARY))
        _, out, _ = run("check", "plugins/odd.py")
        assert '  2 │     key = "***"; call(\n  hint:' in out
