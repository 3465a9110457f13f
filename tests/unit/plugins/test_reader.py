"""From one file's bytes to what it is: what a plugin carries, and what decides between the three outcomes."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest

from owui_watch.plugins.model import BrokenPlugin, Kind, NotPlugin, Plugin, PluginKey, Severity, Space
from owui_watch.plugins.not_a_plugin import NO_CLASS
from owui_watch.plugins.reader import read_plugin

PATH = Path("/w/plugins/filters/My-Filter.py")
RELATIVE = PurePath("filters/My-Filter.py")


class TestPlugin:
    def test_carries_all_that_is_sent_and_shown(self) -> None:
        text = '"""\r\ntitle: Mine\r\nversion: 1.2\r\n"""\r\nclass Filter:\r\n    inlet = 1\r\n'
        assert read_plugin(b"\xef\xbb\xbf" + text.encode(), PATH, RELATIVE) == Plugin(
            key=PluginKey(Space.FUNCTIONS, "my_filter"),
            kind=Kind.FILTER,
            path=PATH,
            content=text,
            header={"title": "Mine", "version": "1.2"},
            inferred=True,
            warnings=(),
        )

    @pytest.mark.parametrize(
        ("kind", "space"),
        [
            (Kind.PIPE, Space.FUNCTIONS),
            (Kind.FILTER, Space.FUNCTIONS),
            (Kind.ACTION, Space.FUNCTIONS),
            (Kind.EVENT, Space.FUNCTIONS),
            (Kind.TOOL, Space.TOOLS),
        ],
    )
    def test_kind_decides_the_space(self, kind: Kind, space: Space) -> None:
        reading = read_plugin(
            f"class {kind.class_name}:\n    pipe = inlet = action = run\n    def event(self): ...\n".encode(),
            PATH,
            RELATIVE,
        )
        assert isinstance(reading, Plugin)
        assert (reading.kind, reading.key) == (kind, PluginKey(space, "my_filter"))

    def test_repr_leaves_out_content(self) -> None:
        reading = read_plugin(b"class Filter:\n    inlet = 'canary'\n", PATH, RELATIVE)
        assert isinstance(reading, Plugin)
        assert "canary" not in repr(reading)

    @pytest.mark.parametrize(
        ("header", "assigned", "id_", "inferred"),
        [
            ("title: x", None, "my_filter", True),
            ("id: Other", None, "other", False),
            ("id: Other", "From.Settings", "from_settings", False),
        ],
    )
    def test_id_comes_from_settings_header_or_path(
        self, header: str, assigned: str | None, id_: str, inferred: bool
    ) -> None:
        reading = read_plugin(f'"""\n{header}\n"""\nclass Filter(Base): ...\n'.encode(), PATH, RELATIVE, assigned)
        assert isinstance(reading, Plugin)
        assert (reading.id, reading.inferred) == (id_, inferred)

    @pytest.mark.parametrize("version", ["", "version:", "version:   "])
    def test_version_needs_a_value(self, version: str) -> None:
        reading = read_plugin(f'"""\n{version}\n"""\nclass Filter(Base): ...\n'.encode(), PATH, RELATIVE)
        assert isinstance(reading, Plugin)
        assert reading.version is None

    def test_warnings_are_dropped_beside_errors(self) -> None:
        text = "'''\ntitle: x\n'''\nfrom configparser import x\nclass Filter: inlet = 1\n"
        reading = read_plugin(text.encode(), PATH, RELATIVE)
        assert isinstance(reading, Plugin)
        assert [(diagnostic.line, diagnostic.severity) for diagnostic in reading.warnings] == [
            (4, Severity.WARNING),
            (1, Severity.WARNING),
        ]
        broken = read_plugin(f"{text}exit()\n".encode(), PATH, RELATIVE)
        assert isinstance(broken, BrokenPlugin)
        assert [(diagnostic.line, diagnostic.severity) for diagnostic in broken.diagnostics] == [(6, Severity.ERROR)]
        assert (broken.key, broken.kind) == (PluginKey(Space.FUNCTIONS, "my_filter"), Kind.FILTER)


class TestBroken:
    def test_keeps_the_id_of_its_header(self) -> None:
        reading = read_plugin(b'"""\nid: other\n"""\nclass Tools:\n    x = (\n', PATH, RELATIVE)
        assert isinstance(reading, BrokenPlugin)
        assert (reading.key, reading.kind) == (PluginKey(Space.TOOLS, "other"), Kind.TOOL)

    def test_without_id_has_a_kind(self) -> None:
        reading = read_plugin(b"class Pipe(Base): ...\n", Path("/w/main.py"), PurePath("main.py"))
        assert isinstance(reading, BrokenPlugin)
        assert (reading.key, reading.kind) == (None, Kind.PIPE)
        [diagnostic] = reading.diagnostics
        assert diagnostic.error == "the file name main.py gives no id, and no folder above it does"
        assert diagnostic.hint == "add a line `id: my_plugin` to the header, or give the file a name of its own"

    def test_name_that_is_not_utf8_makes_no_id(self) -> None:
        name = b"gr\xfcn.py".decode("utf-8", "surrogateescape")
        reading = read_plugin(b"class Pipe(Base): ...\n", Path("/w") / name, PurePath(name))
        assert isinstance(reading, BrokenPlugin)
        assert "can't be an id" in reading.diagnostics[0].error


class TestNotPlugin:
    def test_needs_no_id(self) -> None:
        assert read_plugin(b"x = 1\n", Path("/w/3d.py"), PurePath("3d.py")) == NotPlugin(
            Path("/w/3d.py"), NO_CLASS, "define one of these classes, or name another file"
        )
