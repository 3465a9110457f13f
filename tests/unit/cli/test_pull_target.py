"""Where a server's plugin may be written: never outside, never under a name that gives it another id or content."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.cli.commands.pull_target import Ground, Place, find_place
from owui_watch.openwebui.remote import Remote
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import BrokenPlugin, Diagnostic, Kind, Plugin, PluginKey, Space
from owui_watch.plugins.reader import read_plugin
from tests.live.samples import source


def remote(name: str, kind: Kind = Kind.FILTER, content: str | None = None) -> Remote:
    return Remote(
        PluginKey(kind.space, name), kind, name, source(kind) if content is None else content, {}, True, False
    )


def place(
    plugin: Remote,
    *,
    taken: frozenset[str] = frozenset(),
    ignore: tuple[str, ...] = (),
    ids: dict[str, str] | None = None,
) -> Place | Diagnostic:
    assigned = ids or {}
    return find_place(
        plugin,
        Ground(
            Ignore(ignore),
            lambda relative: relative.as_posix() in taken,
            lambda relative: assigned.get(relative.as_posix()),
        ),
    )


def path(found: Place | Diagnostic) -> str:
    assert isinstance(found, Place), found
    return found.relative.as_posix()


OUTSIDE = ["../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "..", ".", "", "a.b", "C:x", "x\0"]
NO_IDS = ["-", "3d", "a b", "x\n", "Upper", "ﬁlter", "İ"]


class TestPath:
    @pytest.mark.parametrize("kind", list(Kind))
    def test_lies_in_a_folder_of_its_kind(self, kind: Kind) -> None:
        assert path(place(remote("my_id", kind))) == f"{kind}s/my_id.py"

    @pytest.mark.parametrize("name", [*OUTSIDE, *NO_IDS])
    def test_never_comes_from_a_malformed_id(self, name: str) -> None:
        found = place(remote(name))
        assert isinstance(found, Diagnostic)
        assert found.hint == "in Open WebUI, save a copy under another id"

    @pytest.mark.parametrize("name", ["n" * 201, "ö" * 101])
    def test_never_has_a_name_that_is_too_long(self, name: str) -> None:
        found = place(remote(name))
        assert isinstance(found, Diagnostic)
        assert found.error == "its id has more than 200 bytes, too many for a file's name"

    def test_that_would_be_ignored_gets_a_folder(self) -> None:
        assert path(place(remote("test_me"))) == "filters/test_me/filter.py"
        assert path(place(remote("draft"), ignore=("draft.py",))) == "filters/draft/filter.py"
        assert isinstance(place(remote("draft"), ignore=("filters",)), Diagnostic)

    def test_that_is_taken_is_left_alone(self) -> None:
        assert path(place(remote("x"), taken=frozenset({"filters/x.py"}))) == "filters/x/filter.py"
        found = place(remote("x"), taken=frozenset({"filters/x.py", "filters/x/filter.py", "filters/x_filter.py"}))
        assert isinstance(found, Diagnostic)
        assert "filters/x.py is another file" in found.error


class TestIdInTheSettings:
    @pytest.mark.parametrize("name", ["con", "prn", "aux", "nul", "com1", "lpt9"])
    def test_is_needed_for_a_name_that_windows_reserves(self, name: str) -> None:
        found = place(remote(name))
        assert isinstance(found, Diagnostic)
        assert found.hint == f'add under [ids] in owui-watch.toml: "filters/{name}_filter.py" = "{name}"'
        assert path(place(remote(name), ids={f"filters/{name}_filter.py": name})) == f"filters/{name}_filter.py"

    def test_is_needed_if_the_header_names_another(self) -> None:
        plugin = remote("mine", content=source(Kind.FILTER, header="id: another"))
        found = place(plugin)
        assert isinstance(found, Diagnostic)
        assert found.hint == 'add under [ids] in owui-watch.toml: "filters/mine.py" = "mine"'
        assert path(place(plugin, ids={"filters/mine.py": "mine"})) == "filters/mine.py"


IDS = st.from_regex(re.compile(r"[a-z_][a-z0-9_]{0,12}", re.ASCII), fullmatch=True) | st.sampled_from(
    [
        "main",
        "plugin",
        "filters",
        "filter",
        "tests",
        "conftest",
        "a_test",
        "test_a",
        "con",
        "src",
        "__init__",
        "_x",
        "größe",
    ]
)


class TestContent:
    @pytest.mark.parametrize("content", ["", "x = 1\n", "class Tools:\n    pass\n", "\ud800"])
    def test_that_makes_no_such_plugin_is_not_written(self, content: str) -> None:
        assert isinstance(place(remote("x", content=content)), Diagnostic)

    def test_that_would_read_differently_is_not_written(self) -> None:
        assert isinstance(place(remote("x", content="\ufeff\ufeff" + source(Kind.FILTER))), Diagnostic)

    def test_with_an_error_is_pulled_all_the_same(self) -> None:
        assert path(place(remote("x", content="class Filter(\n"))) == "filters/x.py"

    @given(IDS, st.sampled_from(list(Kind)), st.sampled_from(["\n", "\r\n", "\r"]), st.text(max_size=20))
    def test_that_is_written_reads_as_the_same_plugin(self, name: str, kind: Kind, end: str, text: str) -> None:
        comment = "".join(f"# {line}\n" for line in text.replace("\ufeff", "").splitlines())
        content = (source(kind) + comment).replace("\n", end)
        found = place(remote(name, kind, content))
        if isinstance(found, Diagnostic):
            return
        assert not found.relative.is_absolute()
        assert ".." not in found.relative.parts
        assert not Ignore(()).file(found.relative)
        reading = read_plugin(found.raw, Path(found.relative), PurePath(found.relative))
        assert isinstance(reading, Plugin | BrokenPlugin)
        assert reading.key == PluginKey(Space.TOOLS if kind is Kind.TOOL else Space.FUNCTIONS, name)
        if isinstance(reading, Plugin):
            assert reading.content == content
