"""Which plugin a path belongs to, and which are there: over renames, clashes, and files in odd states."""

from __future__ import annotations

import ast
import gc
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from owui_watch.files import reading as files
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import (
    BrokenPlugin,
    Diagnostic,
    Kind,
    Mention,
    NotPlugin,
    ParsedFile,
    Plugin,
    PluginKey,
    Space,
)
from owui_watch.plugins.source import digest
from owui_watch.plugins.tree import Tree
from tests.unit.plugins.compiling import compiled

FILTER = "class Filter:\n    def inlet(self, body): ...\n"
TOOL = "class Tools:\n    def add(self): ...\n"
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="links and FIFOs of POSIX")


class Folder:
    """A watched folder with a tree over it."""

    def __init__(self, base: Path, ids: Mapping[str, str] | None = None) -> None:
        self.base = base
        self.root = base / "plugins"
        self.root.mkdir(exist_ok=True)
        self.tree = Tree([self.root], Ignore(), ids or {}, base)

    def write(self, name: str, text: str = FILTER) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
        return path

    def save(self, name: str, text: str = FILTER) -> ParsedFile | None:
        return self.tree.refresh(self.write(name, text))

    def saved(self, name: str, text: str = FILTER) -> Plugin:
        reading = self.save(name, text)
        assert isinstance(reading, Plugin), reading
        return reading

    def keys(self) -> set[str]:
        return {key.id for key in self.tree.plugins()}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def function(id_: str) -> PluginKey:
    return PluginKey(Space.FUNCTIONS, id_)


def header(id_: str) -> str:
    return f'"""\nid: {id_}\n"""\n{FILTER}'


def the_diagnostic(reading: ParsedFile | None) -> Diagnostic:
    assert isinstance(reading, BrokenPlugin), reading
    [diagnostic] = reading.diagnostics
    return diagnostic


WAYS = pytest.mark.parametrize("named", [".", "plugins", "plugins/filters", "plugins/filters/my-rag/main.py"])


class TestIds:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("filters/async-context-compression/async_context_compression.py", "async_context_compression"),
            ("actions/deep-dive/deep_dive.py", "deep_dive"),
            ("actions/deep-dive/deep_dive_cn.py", "deep_dive_cn"),
            ("functions/pipes/my-rag/main.py", "my_rag"),
            ("filters/My.Filter.py", "my_filter"),
        ],
    )
    def test_follow_the_design(self, folder: Folder, path: str, expected: str) -> None:
        assert folder.saved(path).key == function(expected)

    @pytest.mark.parametrize("path", ["filters/main.py", "tools/3d.py"])
    def test_are_asked_for_where_none_can_be_found(self, folder: Folder, path: str) -> None:
        reading = folder.save(path)
        assert "add a line `id: my_plugin` to the header" in (the_diagnostic(reading).hint or "")
        assert folder.keys() == set()

    def test_never_come_from_the_watched_folder(self, folder: Folder) -> None:
        assert folder.base.name.isidentifier()
        assert isinstance(folder.save("main.py"), BrokenPlugin)

    @pytest.mark.parametrize("place", ["filters/foo.py", "plugins/filters/foo.py"])
    def test_of_settings_match_ends_of_paths(self, tmp_path: Path, place: str) -> None:
        folder = Folder(tmp_path, {place: "My_Own"})
        assert folder.saved("filters/foo.py", header("ignored")).key == function("my_own")
        assert folder.saved("foo.py").key == function("foo")
        assert folder.saved("plugins/foo.py", header("other")).inferred is False

    def test_of_settings_longest_path_decides(self, tmp_path: Path) -> None:
        folder = Folder(tmp_path, {"plugins/foo.py": "outer", "foo.py": "inner", "oo.py": "no whole name"})
        assert folder.saved("foo.py").id == "outer"
        assert folder.saved("deeper/foo.py").id == "inner"
        assert folder.saved("fo/oo.py", header("own")).inferred is False

    @WAYS
    @pytest.mark.parametrize("ids", [{}, {"filters/my-rag/main.py": "mine"}, {"main.py": "mine"}])
    def test_do_not_depend_on_the_named_path(self, tmp_path: Path, named: str, ids: dict[str, str]) -> None:
        path = Folder(tmp_path).write("filters/my-rag/main.py")
        tree = Tree([tmp_path / named], Ignore(), ids, tmp_path)
        expected = "mine" if ids else "my_rag"
        assert [reading.key and reading.key.id for reading in tree.scan()] == [expected]  # type: ignore[union-attr]
        assert tree.relative(path).as_posix() == "plugins/filters/my-rag/main.py"

    @WAYS
    def test_stop_at_the_base(self, tmp_path: Path, named: str) -> None:
        path = Folder(tmp_path).write("filters/my-rag/main.py")
        [reading] = Tree([tmp_path / named], Ignore(), {}, tmp_path / "other").scan()
        if named.endswith(".py"):
            error = "the file name main.py gives no id, and no folder above it does"
            assert the_diagnostic(reading).error == error
        else:
            assert (reading.path, isinstance(reading, Plugin) and reading.id) == (path, "my_rag")

    def test_unwatched_path_raises(self, folder: Folder) -> None:
        with pytest.raises(ValueError, match="does not lie below"):
            folder.tree.relative(folder.base / "other.py")


class TestScan:
    def test_reads_every_file_once(self, tmp_path: Path) -> None:
        folder = Folder(tmp_path)
        good, broken, other = (
            folder.write("a.py"),
            folder.write("b.py", "class Pipe(:\n"),
            folder.write("c.py", "x = 1\n"),
        )
        unnamed = folder.write("tools/3d.py", TOOL)
        tree = Tree([folder.root, folder.root / "tools", good], Ignore(), {}, tmp_path)
        readings = {reading.path: reading for reading in tree.scan()}
        assert len(list(tree.scan())) == 4
        assert {path: type(reading) for path, reading in readings.items()} == {
            good: Plugin,
            broken: BrokenPlugin,
            other: NotPlugin,
            unnamed: BrokenPlugin,
        }
        plugin = readings[good]
        assert isinstance(plugin, Plugin)
        assert plugin.content == FILTER
        assert tree.plugins() == {function("a"), function("b")}

    def test_path_leads_to_plugin_and_back(self, folder: Folder) -> None:
        path = folder.write("filters/a.py")
        assert folder.tree.key_of(path) is None
        folder.tree.refresh(path)
        assert folder.tree.key_of(path) == function("a")
        assert folder.tree.paths_of(function("a")) == [path]
        assert folder.tree.paths_of(function("b")) == []

    def test_digests_are_of_what_the_server_will_hold(self, folder: Folder) -> None:
        folder.save("a.py", f"from utils import x\n{FILTER}")
        folder.save("b.py", "class Filter(:\n")
        folder.save("c.py", header("d"))
        folder.save("d.py")
        assert folder.tree.digests() == {function("a"): digest(f"from open_webui.utils import x\n{FILTER}")}
        folder.save("a.py", f"{FILTER}# more\n")
        (folder.root / "c.py").unlink()
        folder.tree.refresh(folder.root / "c.py")
        assert folder.tree.digests() == {function("a"): digest(f"{FILTER}# more\n"), function("d"): digest(FILTER)}


class TestClash:
    def test_both_files_are_refused_naming_each_other(self, folder: Folder) -> None:
        folder.write("filters/a.py")
        folder.write("old/a.py")
        diagnostics = {
            reading.path.relative_to(folder.root).as_posix(): the_diagnostic(reading) for reading in folder.tree.scan()
        }
        hint = (
            'the two files are alike: ignore one of them (`ignore = ["old/"]`), or '
            "give one of them an id of its own: a line `id: other_name` in its header"
        )
        assert diagnostics == {
            "filters/a.py": Diagnostic("plugins/old/a.py has the same id, a", hint=hint, rule="id-clash"),
            "old/a.py": Diagnostic("plugins/filters/a.py has the same id, a", hint=hint, rule="id-clash"),
        }
        for name, diagnostic in diagnostics.items():
            reading = folder.tree.refresh(folder.root / name)
            assert the_diagnostic(reading) == diagnostic
            assert isinstance(reading, BrokenPlugin)
            assert (reading.key, reading.kind) == (function("a"), Kind.FILTER)
        assert the_diagnostic(folder.tree.newest(function("a"))) == diagnostics["filters/a.py"]
        assert folder.tree.digests() == {}

    @pytest.mark.parametrize("built", [FILTER, 'SOURCES = {"helper": "x = 1"}\n' + FILTER])
    def test_built_file_is_the_one_to_ignore(self, folder: Folder, built: str) -> None:
        folder.write("src/a/helper.py", "x = 1\n")
        folder.write("src/a/main.py", f"from .helper import x\n{FILTER}")
        folder.write("built/a.py", built)
        refused = [reading for reading in folder.tree.scan() if isinstance(reading, BrokenPlugin)]
        assert sorted(reading.path.name for reading in refused) == ["a.py", "main.py"]
        assert {the_diagnostic(reading).hint for reading in refused} == {
            "if built/a.py is built from the other file and its modules, ignore the built file "
            '(`ignore = ["built/a.py"]`): owui-watch makes one file of them itself. Otherwise '
            "give one of them an id of its own: a line `id: other_name` in its header"
        }

    @pytest.mark.parametrize("copy", ["build/lib/a.py", "archive/2025/a.py", "worktrees/fix/src/a.py"])
    def test_hint_names_an_ignore_that_ends_it(self, folder: Folder, copy: str) -> None:
        folder.save("src/a.py")
        hint = the_diagnostic(folder.save(copy)).hint or ""
        pattern = hint.partition('ignore = ["')[2].partition('"]')[0]
        tree = Tree([folder.root], Ignore([pattern]), {}, folder.base)
        [plugin] = tree.scan()
        assert plugin.path == folder.root / "src" / "a.py"

    def test_hint_for_different_files_asks_for_an_id(self, folder: Folder) -> None:
        folder.save("src/a.py")
        hint = the_diagnostic(folder.save("b/a.py", FILTER.replace("inlet", "outlet"))).hint
        assert hint == "give one of them an id of its own: a line `id: other_name` in its header"

    def test_one_id_in_both_spaces_is_none(self, folder: Folder) -> None:
        folder.saved("filters/a.py")
        folder.saved("tools/a.py", TOOL)
        assert folder.tree.plugins() == {function("a"), PluginKey(Space.TOOLS, "a")}

    def test_broken_file_clashes_too(self, folder: Folder) -> None:
        folder.save("old/a.py", "class Filter(:\n")
        assert "old/a.py has the same id" in the_diagnostic(folder.save("a.py")).error

    @pytest.mark.parametrize("is_read", [True, False], ids=["read again", "not read again"])
    @pytest.mark.parametrize("how", ["deleted", "renamed", "given an id", "a plugin no more", "a folder's file"])
    def test_ends_when_one_file_goes_or_changes_id(self, folder: Folder, how: str, is_read: bool) -> None:
        folder.saved("a.py")
        assert isinstance(folder.save("b/a.py"), BrokenPlugin)
        other = folder.root / "b" / "a.py"
        match how:
            case "deleted":
                other.unlink()
            case "renamed":
                other.rename(other.with_name("c.py"))
            case "given an id":
                folder.write("b/a.py", header("other"))
            case "a plugin no more":
                folder.write("b/a.py", f'"""\nid: other\n"""\n{TOOL}')
            case _:
                other.unlink()
                other.parent.rmdir()
                other.parent.touch()
        if is_read:
            folder.tree.refresh(other)
            assert folder.tree.paths_of(function("a")) == [folder.root / "a.py"]
            assert isinstance(folder.tree.newest(function("a")), Plugin)
        assert isinstance(folder.tree.refresh(folder.root / "a.py"), Plugin)
        assert isinstance(folder.tree.newest(function("a")), Plugin)

    @pytest.mark.parametrize("text", ["", "x = 1\n", "class Filter(:\n", "\0", "class Filter(Base): ...\nexit()\n"])
    def test_lasts_while_the_other_file_is_broken(self, folder: Folder, text: str) -> None:
        folder.saved("a.py")
        folder.save("b/a.py")
        folder.save("b/a.py", text)
        assert the_diagnostic(folder.save("a.py")).error == "plugins/b/a.py has the same id, a"

    def test_swapped_ids_are_none(self, folder: Folder) -> None:
        folder.saved("a.py", header("one"))
        folder.saved("b.py", header("two"))
        folder.write("b.py", header("one"))
        assert folder.saved("a.py", header("two")).id == "two"
        reading = folder.tree.refresh(folder.root / "b.py")
        assert isinstance(reading, Plugin)
        assert reading.id == "one"
        assert folder.keys() == {"one", "two"}

    def test_check_leaves_unsettled_changes_alone(self, folder: Folder) -> None:
        folder.saved("a.py")
        folder.save("b/a.py")
        other = folder.root / "b" / "a.py"
        other.unlink()
        folder.tree.refresh(folder.root / "a.py")
        assert folder.tree.key_of(other) == function("a")


class TestNewest:
    @pytest.mark.parametrize("how", ["rewritten", "replaced", "replaced with the same times"])
    def test_is_what_the_file_holds_now(self, folder: Folder, how: str) -> None:
        saved = folder.saved("a.py", f"{FILTER}x = 1\n")
        text = f"{FILTER}x = 2\n" if how.startswith("replaced") else f"{FILTER}x = 20\n"
        if how == "rewritten":
            folder.write("a.py", text)
        else:
            status = saved.path.stat()
            fresh = folder.write("a.py.tmp", text)
            if how.endswith("times"):
                os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns))
            fresh.replace(saved.path)
        newest = folder.tree.newest(saved.key)
        assert isinstance(newest, Plugin)
        assert newest.content == text
        assert folder.tree.digests() == {saved.key: digest(text)}

    def test_of_a_file_that_is_gone_is_none(self, folder: Folder) -> None:
        saved = folder.saved("a.py")
        saved.path.unlink()
        assert folder.tree.newest(saved.key) is None
        assert folder.tree.key_of(saved.path) == saved.key
        assert folder.tree.refresh(saved.path) is None
        assert folder.tree.key_of(saved.path) is None
        assert folder.tree.plugins() == set()
        assert folder.tree.newest(saved.key) is None

    def test_is_never_another_plugin(self, folder: Folder) -> None:
        saved = folder.saved("a.py")
        folder.write("a.py", header("other"))
        assert folder.tree.newest(saved.key) is None
        assert folder.saved("a.py", header("other")).id == "other"
        assert folder.keys() == {"other"}

    @pytest.mark.parametrize("text", ["", "class Filter(:\n", "x = 1\n"])
    def test_of_a_broken_file_is_no_plugin(self, folder: Folder, text: str) -> None:
        saved = folder.saved("a.py")
        folder.write("a.py", text)
        assert isinstance(folder.tree.newest(saved.key), BrokenPlugin | NotPlugin)
        assert folder.tree.key_of(saved.path) == saved.key

    def test_of_an_unknown_plugin_is_none(self, folder: Folder) -> None:
        assert folder.tree.newest(function("a")) is None


class TestNoLongerPlugin:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "the file is empty"),
            ("x = 1\n", "no class named Pipe, Filter, Action, Event or Tools"),
            (
                "class Pipeline: ...\n",
                "it is a plugin for a Pipelines server (class Pipeline), which Open WebUI itself",
            ),
        ],
    )
    def test_is_refused_under_its_id(self, folder: Folder, text: str, reason: str) -> None:
        folder.saved("a.py")
        reading = folder.save("a.py", text)
        diagnostic = the_diagnostic(reading)
        assert diagnostic.error.startswith(f"no plugin any more: {reason}")
        assert diagnostic.hint == "put its class back, or delete the file if the plugin is done with"
        assert isinstance(reading, BrokenPlugin)
        assert (reading.key, reading.kind) == (function("a"), Kind.FILTER)
        assert folder.saved("a.py").key == function("a")

    def test_syntax_error_is_reported_as_such(self, folder: Folder) -> None:
        folder.saved("a.py", f"from mine import Filter\n{header('other')}")
        reading = folder.save("a.py", "from mine import Filter\nx = (\n")
        assert isinstance(reading, BrokenPlugin)
        assert (the_diagnostic(reading).error, the_diagnostic(reading).line) == ("'(' was never closed", 2)
        assert (reading.key, reading.kind) == (function("a"), Kind.FILTER)

    def test_file_that_never_was_one_is_skipped(self, folder: Folder) -> None:
        assert isinstance(folder.save("a.py", "x = 1\n"), NotPlugin)
        assert isinstance(folder.save("a.py", "x = 2\n"), NotPlugin)
        assert folder.keys() == set()

    def test_function_turned_tool_is_another_plugin(self, folder: Folder) -> None:
        folder.saved("a.py")
        assert folder.saved("a.py", TOOL).key == PluginKey(Space.TOOLS, "a")
        assert folder.tree.plugins() == {PluginKey(Space.TOOLS, "a")}

    def test_bad_id_line_keeps_the_old_id(self, folder: Folder) -> None:
        folder.saved("a.py", header("one"))
        reading = folder.save("a.py", header("1"))
        assert "can't be an id" in the_diagnostic(reading).error
        assert folder.tree.key_of(folder.root / "a.py") == function("one")


class TestOddFiles:
    def test_missing_file_is_none(self, folder: Folder) -> None:
        assert folder.tree.refresh(folder.root / "never.py") is None
        assert folder.tree.refresh(folder.write("file") / "below.py") is None

    @posix_only
    def test_fifo_does_not_block(self, folder: Folder) -> None:
        fifo = folder.root / "fifo.py"
        os.mkfifo(fifo)
        assert folder.tree.refresh(fifo) == NotPlugin(fifo, "it is not a regular file")

    @posix_only
    def test_fifo_appearing_late_does_not_block(self, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
        path = folder.write("a.py")
        real = os.open

        def late(name: Path, flags: int) -> int:
            path.unlink()
            os.mkfifo(path)
            return real(name, flags)

        monkeypatch.setattr(os, "open", late)
        assert isinstance(folder.tree.refresh(path), NotPlugin)

    def test_folder_named_like_a_plugin_is_none(self, folder: Folder) -> None:
        path = folder.root / "x.py"
        path.mkdir()
        assert folder.tree.refresh(path) == NotPlugin(path, "it is not a regular file")
        saved = folder.saved("x.py/y.py")
        assert saved.id == "y"

    def test_unreadable_plugin_is_refused_under_its_id(self, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
        saved = folder.saved("a.py")
        other = folder.write("b.py")

        def denied(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", denied)
            for path, key, kind in ((saved.path, saved.key, Kind.FILTER), (other, None, None)):
                reading = folder.tree.refresh(path)
                assert reading == BrokenPlugin(
                    path,
                    (
                        Diagnostic(
                            "cannot be read: Permission denied",
                            hint="make it readable for your user and save it again",
                            rule="unreadable",
                        ),
                    ),
                    key,
                    kind,
                )
        assert isinstance(folder.tree.refresh(saved.path), Plugin)

    @pytest.mark.parametrize("grows_by", [1, 100, 20 * 1024 * 1024])
    def test_growing_file_is_read_up_to_the_limit(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch, grows_by: int
    ) -> None:
        path = folder.write("a.py")
        opened = os.open

        def grown(*arguments: Any) -> int:
            with path.open("ab") as file:
                file.write(b"\n" * grows_by)
            monkeypatch.setattr(os, "open", opened)
            return opened(*arguments)

        monkeypatch.setattr(os, "open", grown)
        reading = folder.tree.refresh(path)
        if grows_by > files.LARGEST:
            assert the_diagnostic(reading).error == "the file is larger than 640 kB"
        else:
            assert isinstance(reading, Plugin)
            assert reading.content == FILTER + "\n" * grows_by

    @posix_only
    @pytest.mark.parametrize("name", ["größe.py", "名前.py", "x" * 250 + ".py", "a b.py"])
    def test_odd_names_make_ids(self, folder: Folder, name: str) -> None:
        assert folder.saved(name).key == function(name.removesuffix(".py").replace(" ", "_"))

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such name")
    def test_name_that_is_not_utf8_is_refused(self, folder: Folder) -> None:
        folder.write(os.fsdecode(b"gr\xfcn.py"))
        [reading] = folder.tree.scan()
        assert the_diagnostic(reading).error.endswith("and no digit at the start")


class TestLinks:
    @posix_only
    def test_leading_out_is_not_followed(self, folder: Folder) -> None:
        outside = folder.base / "outside.py"
        outside.write_text(FILTER)
        link = folder.root / "link.py"
        link.symlink_to(outside)
        assert folder.tree.refresh(link) == NotPlugin(
            link,
            "it is a symlink that leads out of the watched folder",
            "put the file itself there, or watch its folder",
            Mention.ALWAYS,
        )
        assert [reading.path for reading in folder.tree.scan()] == [link]
        assert folder.keys() == set()

    @posix_only
    def test_replacing_a_plugin_may_not_lead_out(self, folder: Folder) -> None:
        saved = folder.saved("a.py")
        outside = folder.base / "outside.py"
        outside.write_text(FILTER)
        saved.path.unlink()
        saved.path.symlink_to(outside)
        assert "a symlink that leads out" in the_diagnostic(folder.tree.refresh(saved.path)).error

    @posix_only
    def test_real_file_is_the_plugin(self, folder: Folder) -> None:
        real = folder.write("versions/v2.py", header("mine"))
        link = folder.root / "mine.py"
        link.symlink_to(real)
        reason = "it is a symlink to plugins/versions/v2.py, which is deployed from there"
        assert folder.tree.refresh(link) == NotPlugin(link, reason)
        assert folder.tree.refresh(real) is not None
        assert folder.tree.paths_of(function("mine")) == [real]

    @posix_only
    def test_watched_folder_may_be_one(self, folder: Folder) -> None:
        folder.write("a.py")
        link = folder.base / "link"
        link.symlink_to(folder.root)
        tree = Tree([link], Ignore(), {}, folder.base)
        assert [type(reading) for reading in tree.scan()] == [Plugin]
        assert tree.paths_of(function("a")) == [link / "a.py"]

    @posix_only
    def test_to_itself_is_refused(self, folder: Folder) -> None:
        loop = folder.root / "loop.py"
        loop.symlink_to(loop)
        diagnostic = the_diagnostic(folder.tree.refresh(loop))
        assert diagnostic.error.startswith("cannot be read: ")
        assert [type(reading) for reading in folder.tree.scan()] == [BrokenPlugin]

    @posix_only
    def test_to_nowhere_is_none(self, folder: Folder) -> None:
        link = folder.root / "link.py"
        link.symlink_to(folder.root / "nowhere.py")
        assert folder.tree.refresh(link) is None


class TestOneParse:
    def test_serves_reading_ahead_the_save_and_the_deploy(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parsed: list[str] = []
        original = ast.parse

        def counting(text: str) -> ast.Module:
            parsed.append(text)
            return original(text)

        monkeypatch.setattr(ast, "parse", counting)
        text = f"{FILTER}# of this test alone: results are remembered by the text\n"
        path = folder.write("a.py", text)
        folder.tree.read_ahead(path)
        saved = folder.tree.refresh(path)
        assert isinstance(saved, Plugin)
        assert folder.tree.newest(saved.key) == saved
        assert parsed == [text]

    def test_is_not_needed_by_a_survey(self, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(5):
            folder.write(f"a{number}.py", f'"""\ntitle: {number}\n"""\n{FILTER}')
        folder.write("helper.py", "def f(): ...\n")
        monkeypatch.setattr(ast, "parse", lambda _: pytest.fail("it was parsed"))
        assert folder.tree.survey() == []
        assert folder.keys() == {f"a{number}" for number in range(5)}

    @pytest.mark.parametrize(
        "text",
        [
            *(FILTER, TOOL, header("other"), "", "x = 1\n", "class Filter(:\n", "\0", "class Filter:\n    pass\n"),
            *(
                "from logging import Filter\n",
                f"from logging import Filter\n{TOOL}",
                "if x:\n    class Pipe(Base): ...\n",
            ),
            *('"""\ntitle: x\n"""\nclass Filter:\n    toggle = 1\n', '"""\ntitle: x\n"""\nTools = make()\n'),
            *(
                f"class Filter(dict): ...\n{TOOL}",
                "class Event:\n    def event(self): ...\n",
                "class Event(Base): ...\n",
            ),
            *(FILTER.replace("\n", "\r\n"), FILTER.replace("\n", "\r"), f"\ufeff{FILTER}", "class Pipeline: ...\n"),
        ],
    )
    def test_finds_the_plugins_that_a_survey_finds(self, folder: Folder, text: str) -> None:
        folder.write("a.py", text)
        folder.tree.survey()
        surveyed = folder.tree.plugins()
        other = Tree([folder.root], Ignore(), {}, folder.base)
        list(other.scan())
        assert surveyed == other.plugins()


class TestPassedOver:
    @pytest.mark.parametrize("name", ["speed_test.py", "test_speed.py"])
    def test_plugin_named_like_a_test_is_mentioned_once(self, folder: Folder, name: str) -> None:
        path = folder.write(name, f'"""\ntitle: Speed\n"""\n{TOOL}')
        expected = NotPlugin(path, "its name is that of a test", "rename it if it should be deployed", Mention.ALWAYS)
        assert folder.tree.survey() == [expected]
        assert folder.tree.refresh(path) == replace(expected, mention=Mention.NEVER)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("test_speed.py", f"from speed import Tools\n{TOOL}"),
            ("test_speed.py", '"""\ntitle: x\n"""\nfrom speed import Tools\n'),
            ("x_LOCAL_4711.py", f'"""\ntitle: x\n"""\n{TOOL}'),
            ("x copy.py", f'"""\ntitle: x\n"""\n{TOOL}'),
            ("conftest.py", "x = 1\n"),
        ],
    )
    def test_tests_and_copies_are_not_mentioned(self, folder: Folder, name: str, text: str) -> None:
        path = folder.write(name, text)
        assert folder.tree.survey() == []
        passed_over = folder.tree.refresh(path)
        assert isinstance(passed_over, NotPlugin)
        assert passed_over.mention is Mention.NEVER
        assert folder.keys() == set()

    def test_test_that_the_user_named_is_a_plugin(self, folder: Folder) -> None:
        path = folder.write("speed_test.py", TOOL)
        assert isinstance(Tree([path], Ignore(), {}, folder.base).refresh(path), Plugin)

    @pytest.mark.parametrize(
        ("name", "text", "reason", "hint"),
        [
            ("README.md", "# Hello\n", "its name does not end in .py", "name a Python file or a folder"),
            (
                "tool.json",
                '[{"id": "x", "content": "y"}]',
                "its name does not end in .py",
                "an export of Open WebUI is unpacked by `owui-watch pull {folder}/tool.json`",
            ),
            (
                "export.py",
                '[{"id": "x", "content": "y", "meta": {}}]',
                "it is a JSON export of Open WebUI, and no Python file",
                "rename it to export.json, then unpack it: `owui-watch pull {folder}/export.json`",
            ),
            (
                "export.py",
                '{"id": "x", "content": "y", "is_active": true, "is_global": null}\n',
                "it is a JSON export of Open WebUI, and no Python file",
                "rename it to export.json, then unpack it: `owui-watch pull {folder}/export.json`",
            ),
            (
                "pipeline.py",
                "class Pipeline:\n    def pipe(self): ...\n",
                "it is a plugin for a Pipelines server (class Pipeline), which Open WebUI itself does not load",
                "upload it to the Pipelines server: Admin Panel, Settings, Pipelines",
            ),
            (
                "x copy.py",
                TOOL,
                "its name is that of a copy which a merge, a sync client or a file manager made",
                "rename it if it should be deployed",
            ),
            (
                "h.py",
                "def f(): ...\n",
                "no class named Pipe, Filter, Action, Event or Tools",
                "define one of these classes, or name another file",
            ),
        ],
    )
    def test_named_file_is_answered_for(self, folder: Folder, name: str, text: str, reason: str, hint: str) -> None:
        path = folder.write(name, text)
        [parsed] = Tree([path], Ignore(), {}, folder.base).scan()
        assert isinstance(parsed, NotPlugin)
        assert (parsed.reason, parsed.hint) == (reason, hint.replace("{folder}", str(path.parent)))


@posix_only
class TestSeveralLinks:
    def test_to_an_ignored_file_are_one_plugin(self, folder: Folder) -> None:
        real = folder.write(".versions/v2.py")
        links = [folder.root / name for name in ("a.py", "b.py")]
        for link in links:
            link.symlink_to(real)
        parsed = {each.path.name: each for each in folder.tree.scan()}
        assert isinstance(parsed["a.py"], Plugin)
        reason = "it is a symlink to the same file as plugins/a.py, which is deployed"
        assert parsed["b.py"] == NotPlugin(links[1], reason)
        links[0].unlink()
        folder.tree.refresh(links[0])
        assert isinstance(folder.tree.refresh(links[1]), Plugin)

    def test_to_one_plugin_are_no_clash(self, folder: Folder) -> None:
        folder.write("real/a.py")
        for name in ("a.py", "other/a.py"):
            link = folder.root / name
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(folder.root / "real" / "a.py")
        plugins = [each for each in folder.tree.scan() if not isinstance(each, NotPlugin)]
        assert [each.path for each in plugins] == [folder.root / "real" / "a.py"]
        assert isinstance(plugins[0], Plugin)


class TestManaged:
    @pytest.mark.parametrize("text", ["class Filter:\n    pass\n", "from logging import Filter\n", "Filter = make()\n"])
    def test_plugin_that_loses_its_method_stays_one(self, folder: Folder, text: str) -> None:
        assert isinstance(folder.save("a.py", text), NotPlugin)
        folder.saved("a.py")
        assert folder.saved("a.py", text).key == function("a")
        managed = Tree([folder.root], Ignore(), {}, folder.base, is_managed=lambda key: key == function("a"))
        managed.survey()
        assert managed.plugins() == {function("a")}


BODY = "".join(f"    def f{number}(self): ...\n" for number in range(20))
TITLED = f'"""\ntitle: Mine\n"""\n{TOOL}{BODY}'


class TestCopies:
    def original(self, folder: Folder, name: str, known: Collection[str] = ()) -> str | None:
        parsed = folder.tree.refresh(folder.root / name)
        assert isinstance(parsed, Plugin)
        found = folder.tree.original_of(parsed, lambda key: key.id in known)
        return found.relative_to(folder.root).as_posix() if found else None

    @pytest.mark.parametrize(
        "text", [TITLED, f"{TITLED}# more\n", TITLED.replace("f1(", "g1("), TITLED.replace("\n", "\r\n")]
    )
    def test_longer_of_two_new_names_is_the_copy(self, folder: Folder, text: str) -> None:
        folder.save("mine.py", TITLED)
        folder.save("mine2.py", text)
        assert self.original(folder, "mine2.py") == "mine.py"
        assert self.original(folder, "mine.py") is None

    def test_original_is_the_likeliest_one(self, folder: Folder) -> None:
        for name in ("mine_two.py", "mine_b.py", "mine_three.py", "mine.py"):
            folder.save(name, TITLED)
        assert self.original(folder, "mine_three.py") == "mine.py"
        assert self.original(folder, "mine_two.py") == "mine.py"
        assert self.original(folder, "mine_two.py", ["mine_three"]) == "mine_three.py"

    def test_known_plugin_is_the_original(self, folder: Folder) -> None:
        folder.save("mine_long.py", TITLED)
        folder.save("a.py", TITLED)
        assert self.original(folder, "a.py", ["mine_long"]) == "mine_long.py"
        assert self.original(folder, "mine_long.py", ["mine_long"]) is None
        assert self.original(folder, "mine_long.py", ["mine_long", "a"]) is None

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("mine2.py", TITLED.replace("Mine", "Other")),
            ("mine2.py", TITLED.replace("title: Mine", "id: own\ntitle: Mine")),
            ("mine2.py", TITLED.replace(BODY, "".join(BODY.splitlines(keepends=True)[:15]))),
            ("mine2.py", TITLED.replace("title: Mine", "author: me")),
            ("other/mine2.py", TITLED),
            ("mine2.py", TITLED.replace("class Tools", "class Filter").replace("f1(", "inlet(")),
        ],
    )
    def test_need_title_kind_folder_and_lines(self, folder: Folder, name: str, text: str) -> None:
        folder.save("mine.py", TITLED)
        folder.save(name, text)
        assert self.original(folder, name) is None

    @pytest.mark.parametrize(("named", "original"), [("mine2.py", "mine.py"), ("mine.py", None)])
    def test_of_a_file_beside_a_named_one(self, folder: Folder, named: str, original: str | None) -> None:
        for name in ("mine.py", "mine2.py"):
            folder.write(name, TITLED)
        folder.tree = Tree([folder.root / named], Ignore(), {}, folder.base)
        folder.tree.survey()
        assert self.original(folder, named) == original

    @pytest.mark.parametrize("other", ["mine copy.py", "test_mine.py", ".mine.py", "ignored.py", "mine.txt"])
    def test_of_a_file_outside_the_tree_are_none(self, folder: Folder, other: str) -> None:
        for name in (other, "my_longer_name.py"):
            folder.write(name, TITLED)
        folder.tree = Tree([folder.root / "my_longer_name.py"], Ignore(["ignored.py"]), {}, folder.base)
        folder.tree.survey()
        assert self.original(folder, "my_longer_name.py") is None

    @posix_only
    def test_of_a_fifo_are_none(self, folder: Folder) -> None:
        os.mkfifo(folder.root / "a.py")
        folder.write("mine.py", TITLED)
        folder.tree = Tree([folder.root / "mine.py"], Ignore(), {}, folder.base)
        folder.tree.survey()
        assert self.original(folder, "mine.py") is None

    def test_renamed_file_is_none(self, folder: Folder) -> None:
        folder.save("mine.py", TITLED)
        (folder.root / "mine.py").rename(folder.root / "mine2.py")
        assert self.original(folder, "mine2.py") is None


class TestCost:
    def test_each_content_is_parsed_once(self, tmp_path: Path) -> None:
        folder = Folder(tmp_path)
        text = f"from .part import VALUE\nHERE = __file__\n{FILTER}"
        path = folder.write("many/main.py", text)
        part = folder.write("many/part.py", "VALUE = 1\n")

        with compiled() as sources:
            for _ in range(3):
                assert isinstance(folder.tree.refresh(path), Plugin)

        assert sorted(sources) == sorted([text, part.read_text()])

    def test_garbage_is_not_collected_during_a_parse(self, tmp_path: Path) -> None:
        folder = Folder(tmp_path)
        path = folder.write("x.py", FILTER + "".join(f"a{number} = [{number}, (b, c)]\n" for number in range(5_000)))
        collections = []

        def note(phase: str, _info: object) -> None:
            collections.append(phase)

        gc.callbacks.append(note)
        try:
            folder.tree.refresh(path)
        finally:
            gc.callbacks.remove(note)

        assert collections.count("start") <= 2  # 70 and more with the collector on
        assert gc.isenabled()
