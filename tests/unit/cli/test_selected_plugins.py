"""A path that the user named is a plugin, or the command says why not, what to do, and exits with 1."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from owui_watch.cli.selected_plugins import plugin_files
from owui_watch.plugins.model import BrokenPlugin, NotPlugin
from tests.unit.cli.runs import FILTER, Run

FILES = {
    "helper.py": ("x = 1\n", "not a plugin: "),
    "empty.py": ("", "not a plugin: the file is empty"),
    "README.md": ("# Title\n", "not a plugin: its name does not end in .py"),
    "export.json": ("[]", "not a plugin: its name does not end in .py"),
    "pipeline.py": ("class Pipeline:\n    def pipe(self): pass\n", "not a plugin: "),
}
EVERY = pytest.mark.parametrize("name", FILES)


@pytest.fixture(autouse=True)
def _files(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENWEBUI_API_KEY", "sk-0123456789abcdef")
    for name, (content, _) in FILES.items():
        Path(name).write_text(content)
        Path("plugins", name).write_text(content)


@EVERY
class TestCheck:
    def test_says_why_not_and_what_to_do(self, run: Run, name: str) -> None:
        code, out, err = run("check", name)
        assert (code, err) == (1, "")
        assert f"{name}: error: {FILES[name][1]}" in out
        assert "\n  hint: " in out
        assert out.endswith("0 plugins, 1 error, 0 warnings\n")

    def test_has_it_in_json(self, run: Run, name: str) -> None:
        code, out, _ = run("check", "--json", "plugins/filters/foo.py", name)
        assert code == 1
        found = {entry["path"]: entry["faults"] for entry in json.loads(out)}
        assert found["plugins/filters/foo.py"] == []
        assert found[name][0]["error"].startswith(FILES[name][1])


@EVERY
class TestWatch:
    def test_does_not_start(self, run: Run, name: str) -> None:
        code, out, err = run(name, "--url", "http://localhost:1")
        assert (code, err) == (1, "")
        assert out[10:].startswith(f"rejected  {FILES[name][1]}")
        assert f"\n                    {name}" in out

    def test_says_so_among_others(self, run: Run, name: str) -> None:
        code, out, _ = run("plugins/filters/foo.py", name, "--url", "http://localhost:1")
        assert code == 1
        assert "foo" not in out


class TestFolders:
    def test_may_hold_files_that_are_no_plugins(self, run: Run) -> None:
        code, out, _ = run("check", "plugins")
        assert (code, out.splitlines()[-1]) == (0, "2 plugins, 0 errors, 0 warnings")

    def test_an_export_names_the_command_that_unpacks_it(self, run: Run) -> None:
        shown = run("check", "export.json")[1]
        path = Path("export.json").resolve()
        assert f"hint: an export of Open WebUI is unpacked by `owui-watch pull {path}`\n" in shown

    def test_only_named_files_are_answered_for(self) -> None:
        helper, other = NotPlugin(Path("/w/a.py"), "no class", "add one"), NotPlugin(Path("/w/b.py"), "no class")
        [answer] = plugin_files([helper, other], [Path("/w/a.py")])
        assert isinstance(answer, BrokenPlugin)
        assert (answer.path, answer.diagnostics[0].hint) == (Path("/w/a.py"), "add one")

    def test_a_plugin_is_itself(self, run: Run) -> None:
        Path("one.py").write_text(FILTER)
        assert run("check", "one.py")[0] == 0


class TestCopies:
    @pytest.mark.parametrize("name", ["one - Copy.py", "one_LOCAL_4711.py", "one.bak.py"])
    def test_named_one_is_answered_for(self, run: Run, name: str) -> None:
        Path("plugins", name).write_text(FILTER)
        code, out, _ = run("check", f"plugins/{name}")
        assert (code, "error: not a plugin: " in out) == (1, True)
        assert run("check", "plugins")[0] == 0


class TestFoldersWithoutPlugins:
    @pytest.fixture(autouse=True)
    def _folders(self) -> None:
        for name in ("empty", "docs", "notes/deep"):
            Path(name).mkdir(parents=True)
        Path("docs", "README.md").write_text("# Title\n")
        Path("notes", "deep", "helper.py").write_text("x = 1\n")

    @pytest.mark.parametrize("name", ["empty", "docs", "notes", "notes/deep"])
    def test_is_answered_for_by_check(self, run: Run, name: str) -> None:
        code, out, err = run("check", name)
        assert (code, err) == (1, "")
        assert out.startswith(f"{name}: error: no plugin in this folder\n  hint: a plugin is a .py file")

    def test_is_answered_for_beside_a_folder_with_plugins(self, run: Run) -> None:
        code, out, _ = run("check", "plugins", "empty")
        assert (code, out.splitlines()[-1]) == (1, "2 plugins, 1 error, 0 warnings")

    def test_current_folder_is_fine_if_nothing_is_named(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir("empty")
        assert run("check")[0] == 0
        assert run("check", ".")[0] == 1


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
class TestLinks:
    def check(self, run: Run, *arguments: str) -> list[tuple[str, str]]:
        _, out, _ = run("check", "--json", *arguments)
        return [(entry["path"], entry["plugin"]) for entry in json.loads(out) if entry["plugin"]]

    @pytest.mark.parametrize("folder", [".hidden", "__pycache__", "node_modules", ".venv/lib"])
    def test_to_an_ignored_file_is_the_plugin(self, run: Run, folder: str) -> None:
        real = Path("plugins", folder, "real.py")
        real.parent.mkdir(parents=True)
        real.write_text(FILTER)
        Path("plugins", "alias.py").symlink_to(real.resolve())
        expected = ("plugins/alias.py", "alias")
        assert self.check(run, "plugins/alias.py") == [expected]
        assert expected in self.check(run, "plugins")

    def test_leads_to_the_file_that_is_the_plugin(self, run: Run) -> None:
        Path("plugins", "alias.py").symlink_to("filters/foo.py")
        assert self.check(run, "plugins/alias.py") == [("plugins/filters/foo.py", "foo")]

    def test_leads_to_a_file_that_settings_ignore(self, run: Run) -> None:
        Path("owui-watch.toml").write_text('ignore = ["filters"]\n')
        Path("plugins", "alias.py").symlink_to("filters/foo.py")
        assert self.check(run, "plugins/alias.py") == [("plugins/alias.py", "alias")]


class TestPassedOver:
    def test_plugin_named_like_a_test_is_a_warning(self, run: Run) -> None:
        path = Path("plugins", "speed_test.py")
        path.write_text('"""\ntitle: Speed\n"""\nclass Tools:\n    def measure(self): ...\n')
        code, out, err = run("check", "plugins")
        assert (code, err) == (0, "")
        assert "plugins/speed_test.py: warning: not deployed: its name is that of a test\n" in out
        assert "  hint: rename it if it should be deployed\n" in out

    def test_test_without_a_plugin_is_not_mentioned(self, run: Run) -> None:
        Path("plugins", "test_x.py").write_text("from x import Tools\n\ndef test_x(): ...\n")
        code, out, _ = run("check", "plugins")
        assert (code, "test_x.py" in out) == (0, False)
