"""The server's copies of plugins, read from JSON that may hold anything."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.openwebui.json_stream import Unreadable
from owui_watch.openwebui.listing import Listing
from owui_watch.openwebui.remote import (
    ListedPlugin,
    Remote,
    Snapshot,
    Version,
    is_other_entry,
    read_plugin,
    read_snapshot,
    read_version,
    without_content,
)
from owui_watch.plugins.model import Kind, PluginKey, Space
from owui_watch.plugins.source import digest

META = {"description": "d", "manifest": {"title": "T", "version": "1.2", "openwebui_id": "u", "icon_url": "data:…"}}
FUNCTION = {
    "id": "mine",
    "type": "filter",
    "name": "My Filter",
    "content": "class Filter: ...",
    "meta": META,
    "is_active": True,
    "is_global": False,
    "user_id": "ignored",
    "updated_at": 1_700_000_000,
    "version_id": "v1",
}
TOOL = {"id": "mine", "name": "My Tool", "content": "class Tools: ...", "meta": None}


def read(space: Space = Space.FUNCTIONS, **fields: Any) -> Remote | ListedPlugin | Unreadable:
    base = FUNCTION if space is Space.FUNCTIONS else TOOL
    return read_plugin(space, {**base, **fields})


class TestPlugin:
    def test_function_with_content(self) -> None:
        remote = read()
        assert remote == Remote(
            key=PluginKey(Space.FUNCTIONS, "mine"),
            kind=Kind.FILTER,
            name="My Filter",
            content="class Filter: ...",
            meta=META,
            active=True,
            is_global=False,
            updated_at=1_700_000_000,
            version_id="v1",
        )
        assert isinstance(remote, Remote)
        assert (remote.version, remote.title, remote.openwebui_id, remote.description) == ("1.2", "T", "u", "d")
        assert remote.digest == digest("class Filter: ...")

    def test_function_without_content(self) -> None:
        listed = read(content=None)
        assert isinstance(listed, ListedPlugin)
        assert listed.digest is None
        assert listed.with_content("class Filter: ...") == read()

    def test_tool_has_no_flags_and_keeps_its_sharing(self) -> None:
        remote = read(Space.TOOLS, access_control={"read": {"user_ids": ["u"]}})
        assert isinstance(remote, Remote)
        assert (remote.kind, remote.active, remote.is_global) == (Kind.TOOL, None, None)
        assert (remote.meta, remote.access) == ({}, {"read": {"user_ids": ["u"]}})

    @pytest.mark.parametrize(
        ("space", "fields", "sharing"),
        [
            (Space.FUNCTIONS, {"is_global": True}, "global"),
            (Space.FUNCTIONS, {}, None),
            (Space.TOOLS, {"access_control": None}, "public"),
            (Space.TOOLS, {"access_control": {}}, "private"),
            (Space.TOOLS, {"access_control": {"read": {}}}, "shared"),
            (Space.TOOLS, {"access_grants": []}, "private"),
            (Space.TOOLS, {"access_grants": [{"principal_id": "*"}]}, "public"),
            (Space.TOOLS, {"access_grants": [{"principal_id": "u"}]}, "shared"),
            (Space.TOOLS, {}, None),
        ],
    )
    def test_sharing_is_read_in_each_form(self, space: Space, fields: dict[str, Any], sharing: str | None) -> None:
        remote = read(space, **fields)
        assert isinstance(remote, Remote)
        assert remote.sharing == sharing

    @pytest.mark.parametrize("manifest", [None, {}, [], "x", {"version": 1.5, "title": ["x"], "openwebui_id": ""}])
    def test_odd_header_values_count_as_missing(self, manifest: object) -> None:
        remote = read(meta={"manifest": manifest, "description": 5})
        assert isinstance(remote, Remote)
        assert (remote.version, remote.title, remote.openwebui_id, remote.description) == (None, None, None, "")

    def test_content_is_not_shown_for_debugging(self) -> None:
        assert "canary" not in repr(read(content="canary", meta={"x": "canary"}))


class TestOddFields:
    @pytest.mark.parametrize(
        ("field", "value", "described"),
        [
            ("id", ["p"], "a list"),
            ("id", None, "missing"),
            ("id", 5, "a number"),
            ("id", "", "a text that does not fit"),
            ("id", "../../etc/passwd", "a text that does not fit"),
            ("id", "x" * 300, "a text that does not fit"),
            ("type", [], "a list"),
            ("type", None, "missing"),
            ("type", "tool", "a text that does not fit"),
            ("name", None, "missing"),
            ("name", {}, "an object"),
            ("name", "x" * 5_000, "a text that does not fit"),
            ("name", "\ud800", "a text that does not fit"),
            ("content", 5, "a number"),
            ("content", "\ud800", "a text that does not fit"),
            ("meta", [], "a list"),
            ("meta", {"x": "\ud800"}, "an object"),
            ("is_active", 1, "a number"),
            ("is_active", None, "missing"),
            ("is_global", "no", "a text that does not fit"),
            ("updated_at", True, "a boolean"),
            ("updated_at", 1.5, "a number"),
            ("version_id", 7, "a number"),
        ],
    )
    def test_odd_field_is_named_without_its_value(self, field: str, value: Any, described: str) -> None:
        assert read(**{field: value}) == Unreadable(f"`{field}` is {described}")

    @pytest.mark.parametrize("field", ["id", "type", "name", "is_active", "is_global"])
    def test_missing_field_is_named(self, field: str) -> None:
        row = {name: value for name, value in FUNCTION.items() if name != field}
        assert read_plugin(Space.FUNCTIONS, row) == Unreadable(f"`{field}` is missing")

    @pytest.mark.parametrize("row", [None, 5, True, "x", [], ["id"]])
    def test_row_that_is_no_object(self, row: Any) -> None:
        assert isinstance(read_plugin(Space.FUNCTIONS, row), Unreadable)

    def test_deep_metadata_can_not_be_sent_back(self) -> None:
        deep: Any = {}
        for _ in range(100_000):
            deep = {"x": deep}
        assert read(meta=deep) == Unreadable("`meta` is an object")

    def test_access_control_of_a_tool(self) -> None:
        assert read(Space.TOOLS, access_control=[]) == Unreadable("`access_control` is a list")

    @given(
        st.dictionaries(
            st.sampled_from([*FUNCTION, "access_control", "access_grants"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
        ),
        st.sampled_from(Space),
    )
    def test_any_fields_are_read_without_an_error(self, fields: dict[str, Any], space: Space) -> None:
        plugin = read(space, **fields)
        if not isinstance(plugin, Unreadable):
            json.dumps(dict(plugin.meta), allow_nan=False).encode()
            assert plugin.key.id.isidentifier()


class TestLists:
    @pytest.mark.parametrize(
        ("space", "row", "other"),
        [
            (Space.TOOLS, {"id": "server:0"}, True),
            (Space.TOOLS, {"id": "server:mcp:x", "name": "m"}, True),
            (Space.TOOLS, TOOL, False),
            (Space.FUNCTIONS, {**FUNCTION, "type": "later_kind"}, True),
            (Space.FUNCTIONS, {**FUNCTION, "type": []}, False),
            (Space.FUNCTIONS, FUNCTION, False),
            (Space.FUNCTIONS, None, False),
        ],
    )
    def test_entries_of_other_kinds(self, space: Space, row: Any, other: bool) -> None:
        assert is_other_entry(space, row) is other

    def test_list_keeps_digest_and_not_content(self) -> None:
        remote = read()
        assert isinstance(remote, Remote)
        listed = without_content(remote)
        assert (listed.digest, listed.version, listed.title, listed.openwebui_id) == (remote.digest, "1.2", "T", "u")
        assert listed.meta == {"description": "d", "manifest": {"title": "T", "version": "1.2", "openwebui_id": "u"}}
        assert (listed.active, listed.updated_at, listed.version_id) == (True, 1_700_000_000, "v1")

    def test_absence_is_proved_by_a_full_list_only(self) -> None:
        listed = read(content=None)
        assert isinstance(listed, ListedPlugin)
        assert Listing({listed.key: listed}).proves_absence
        assert not Listing({listed.key: listed}, skipped=1).proves_absence
        assert not Listing({}).proves_absence


class TestHistory:
    ENTRY: ClassVar = {
        "id": "v1",
        "function_id": "x",
        "created_at": 7,
        "parent_id": "v0",
    }

    def test_entry_is_read_as_a_version(self) -> None:
        assert read_version(self.ENTRY) == Version("v1", 7, "v0")
        assert read_version({**self.ENTRY, "parent_id": None}) == Version("v1", 7, None)

    @pytest.mark.parametrize("body", [None, [], {}, {"id": 5, "created_at": 7}, {"id": "x", "created_at": "7"}])
    def test_odd_entry_is_unreadable(self, body: Any) -> None:
        assert isinstance(read_version(body), Unreadable)

    def test_snapshot_has_name_content_and_metadata(self) -> None:
        body = {**self.ENTRY, "snapshot": {"name": "N", "content": "c", "meta": {"description": "d"}}}
        assert read_snapshot(body) == Snapshot("N", "c", {"description": "d"})

    @pytest.mark.parametrize("snapshot", [None, [], {}, {"name": "N", "content": None, "meta": {}}])
    def test_odd_snapshot_is_unreadable(self, snapshot: Any) -> None:
        assert isinstance(read_snapshot({**self.ENTRY, "snapshot": snapshot}), Unreadable)
