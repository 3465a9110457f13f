"""What is sent: only what the author's file says, and nothing that an update must not touch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from owui_watch.openwebui.payloads import put_back_form, update_form
from owui_watch.openwebui.releases import release
from owui_watch.openwebui.remote import Remote
from owui_watch.plugins.frontmatter import parse_header
from owui_watch.plugins.model import Kind, Plugin, PluginKey

OLD, MIDDLE, GRANTS, HISTORY = (release(version) for version in ("0.3.35", "0.7.2", "0.11.4", "0.12.4"))
RELEASES = pytest.mark.parametrize("at", [OLD, MIDDLE, GRANTS, HISTORY], ids=lambda at: at.version)
FULL = "title: Mine\ndescription: What it does\nversion: 1.2"


def plugin(header: str = FULL, kind: Kind = Kind.FILTER, path: str = "/w/plugins/filters/my_filter.py") -> Plugin:
    content = f'"""\n{header}\n"""\nclass {kind.class_name}: ...\r\n'
    return Plugin(PluginKey(kind.space, "my_filter"), kind, Path(path), content, parse_header(content), inferred=True)


def remote(kind: Kind = Kind.FILTER, access: Any = None, **meta: Any) -> Remote:
    flag = None if kind is Kind.TOOL else True
    key = PluginKey(kind.space, "my_filter")
    return Remote(key, kind, "Their Name", "# theirs\r\n", meta, active=flag, is_global=flag, access=access)


@RELEASES
def test_the_content_is_sent_as_it_is(at: Any) -> None:
    for there in (None, remote()):
        form = update_form(plugin(), there, at)
        assert (form["id"], form["content"]) == ("my_filter", plugin().content)


@RELEASES
@pytest.mark.parametrize("kind", list(Kind))
def test_a_form_holds_nothing_that_an_update_must_not_touch(kind: Kind, at: Any) -> None:
    allowed = {"id", "name", "content", "meta", "access_control", "commit_message"}
    for there in (None, remote(kind)):
        assert set(update_form(plugin(kind=kind), there, at)) <= allowed
    assert set(put_back_form(remote(kind), at)) <= allowed


def test_the_header_decides_name_and_description() -> None:
    for there in (None, remote(description="Theirs")):
        form = update_form(plugin(), there, HISTORY)
        assert (form["name"], form["meta"]["description"]) == ("Mine", "What it does")


def test_where_the_header_is_silent_what_stands_on_the_server_stays() -> None:
    form = update_form(plugin("title:\ndescription:"), remote(description="Theirs"), HISTORY)
    assert (form["name"], form["meta"]["description"]) == ("Their Name", "Theirs")


def test_a_new_plugin_without_a_title_is_named_after_its_id_in_words() -> None:
    form = update_form(plugin("version: 1"), None, HISTORY)
    assert (form["name"], form["meta"]) == ("My Filter", {"description": ""})


def test_all_else_in_meta_is_sent_back_but_what_the_server_makes_itself() -> None:
    there = remote(description="d", tags=[1], i18n={"de": "x"}, manifest={"title": "old"}, toggle=True)
    expected = {"description": "What it does", "tags": [1], "i18n": {"de": "x"}}
    assert update_form(plugin(), there, GRANTS)["meta"] == expected
    assert put_back_form(there, GRANTS)["meta"] == {**expected, "description": "d"}
    assert there.meta["toggle"] is True


PUBLIC, PRIVATE, SHARED = None, {}, {"read": {"group_ids": ["g"], "user_ids": []}}  # type: ignore[var-annotated]


@pytest.mark.parametrize("access", [PUBLIC, PRIVATE, SHARED], ids=["public", "private", "shared"])
def test_a_tools_sharing_is_echoed_where_leaving_it_out_would_make_it_public(access: Any) -> None:
    there = remote(Kind.TOOL, access)
    for form in (update_form(plugin(kind=Kind.TOOL), there, MIDDLE), put_back_form(there, MIDDLE)):
        assert "access_control" in form
        assert form["access_control"] == access


def test_a_new_tool_is_private() -> None:
    assert update_form(plugin(kind=Kind.TOOL), None, MIDDLE)["access_control"] == {}


@pytest.mark.parametrize("at", [OLD, GRANTS, HISTORY], ids=lambda at: at.version)
def test_a_tools_sharing_is_left_out_where_that_keeps_it(at: Any) -> None:
    there = remote(Kind.TOOL, SHARED)
    for form in (update_form(plugin(kind=Kind.TOOL), there, at), put_back_form(there, at)):
        assert not {"access_control", "access_grants"} & set(form)


def test_a_function_has_no_sharing() -> None:
    assert "access_control" not in update_form(plugin(), remote(), MIDDLE)


@pytest.mark.parametrize(
    ("header", "manifest", "message"),
    [
        ("version: 1.2", {"version": "1.1"}, "1.1 → 1.2 (filters/my_filter.py, owui-watch)"),
        ("version: 1.2", {"version": "1.2"}, "1.2 (filters/my_filter.py, owui-watch)"),
        ("version: 1.2", {}, "1.2 (filters/my_filter.py, owui-watch)"),
        ("title: x", {"version": "1.1"}, "saved (filters/my_filter.py, owui-watch)"),
        ("title: x", {}, "saved (filters/my_filter.py, owui-watch)"),
    ],
)
def test_the_history_says_what_changed_and_who_did_it(header: str, manifest: dict[str, str], message: str) -> None:
    there = remote(manifest=manifest)
    assert update_form(plugin(header), there, HISTORY)["commit_message"] == message
    for at in (OLD, MIDDLE, GRANTS):
        assert "commit_message" not in update_form(plugin(header), there, at)


def test_a_form_can_be_sent_whatever_the_folder_is_called() -> None:
    form = update_form(plugin(path=os.fsdecode(b"/w/gr\xfcn/my_filter.py")), None, HISTORY)
    assert json.dumps(form, ensure_ascii=False).encode()
    assert form["commit_message"].endswith("/my_filter.py, owui-watch)")


def test_what_is_put_back_is_what_stood_there() -> None:
    there = remote(Kind.TOOL, description="d")
    form = put_back_form(there, GRANTS)
    assert form == {
        "id": "my_filter",
        "name": "Their Name",
        "content": "# theirs\r\n",
        "meta": {"description": "d"},
    }
