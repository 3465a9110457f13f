"""Errors of a bundle are reported at the author's file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from owui_watch.plugins.bundle.source_map import at_home, author_file, own_text
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import Diagnostic, Plugin
from owui_watch.plugins.tree import Tree

ENTRY = '"""\ntitle: Many\nrequirements: httpx\n"""\nfrom .helper import X\n\n\nclass Pipe:\n    def pipe(self, body):\n        return X\n'
HELPER = "import absent\n\nX = 1\n"


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    (tmp_path / "many").mkdir()
    (tmp_path / "many/main.py").write_text(ENTRY)
    (tmp_path / "many/helper.py").write_text(HELPER)
    parsed = Tree([tmp_path], Ignore(), {}, tmp_path).refresh(tmp_path / "many/main.py")
    assert isinstance(parsed, Plugin)
    return parsed


def line_of(plugin: Plugin, text: str) -> int:
    return plugin.content.splitlines().index(text) + 1


class TestAtHome:
    def test_a_line_in_a_helper(self, plugin: Plugin) -> None:
        sent = Diagnostic("No module named 'absent'", line_of(plugin, "import absent"))
        home = at_home(plugin, sent)
        assert (home.path, home.line, home.source) == (plugin.path.with_name("helper.py"), 1, "import absent")

    def test_a_line_in_the_plugins_own_file(self, plugin: Plugin) -> None:
        home = at_home(plugin, Diagnostic("bad", line_of(plugin, "        return X")))
        assert (home.path, home.line) == (None, 10)

    def test_a_syntax_error_that_only_the_server_finds(self, plugin: Plugin) -> None:
        home = at_home(plugin, Diagnostic("invalid syntax (helper.py, line 3)"))
        assert (home.error, home.path, home.line) == ("invalid syntax", plugin.path.with_name("helper.py"), 3)

    def test_requirements(self, plugin: Plugin) -> None:
        number = line_of(plugin, "requirements: httpx")
        home = at_home(plugin, Diagnostic("pip", number, source="requirements: httpx"))
        assert (home.path, home.line) == (None, 3)

    def test_the_loaders_lines_are_nobodys(self, plugin: Plugin) -> None:
        assert at_home(plugin, Diagnostic("bad", line_of(plugin, "class Version:"))).line is None

    def test_modules_are_named_as_their_author_knows_them(self, plugin: Plugin) -> None:
        error = "cannot import name 'Y' from 'owui_function_many_0123456789.many.helper'"
        assert at_home(plugin, Diagnostic(error)).error == "cannot import name 'Y' from 'many.helper'"

    def test_a_single_file_stays_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "one.py").write_text("class Pipe:\n    def pipe(self, body): ...\n")
        parsed = Tree([tmp_path], Ignore(), {}, tmp_path).refresh(tmp_path / "one.py")
        assert isinstance(parsed, Plugin)
        sent = Diagnostic("bad", 2)
        assert at_home(parsed, sent) is sent


class TestAuthorFile:
    def test_lies_beside_the_plugin_or_further_up(self, plugin: Plugin) -> None:
        assert author_file("many/helper.py", plugin.path) == plugin.path.with_name("helper.py")
        assert author_file("many/gone.py", plugin.path) == Path("many/gone.py")
        assert author_file("<string>", plugin.path) == Path("<string>")


class TestOwnText:
    def test_is_the_plugins_file(self, plugin: Plugin) -> None:
        assert own_text(plugin) == ENTRY
