"""What is sent: only what the author's file says, and nothing that an update must not touch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.openwebui.payloads import (
    MergedNaming,
    Naming,
    header_naming,
    merge_naming,
    put_back_form,
    update_form,
)
from owui_watch.openwebui.releases import release
from owui_watch.openwebui.remote import Remote, without_content
from owui_watch.plugins.frontmatter import parse_header
from owui_watch.plugins.model import Kind, Plugin, PluginKey

OLD, MIDDLE, GRANTS, HISTORY = (release(version) for version in ("0.3.35", "0.7.2", "0.11.4", "0.12.4"))
RELEASES = pytest.mark.parametrize("at", [OLD, MIDDLE, GRANTS, HISTORY], ids=lambda at: at.version)
FULL = "title: Mine\ndescription: What it does\nversion: 1.2"


def plugin(header: str = FULL, kind: Kind = Kind.FILTER, path: str = "/w/plugins/filters/my_filter.py") -> Plugin:
    content = f'"""\n{header}\n"""\nclass {kind.class_name}: ...\r\n'
    return Plugin(PluginKey(kind.space, "my_filter"), kind, Path(path), content, parse_header(content), inferred=True)


def remote(kind: Kind = Kind.FILTER, access: Any = None, name: str = "Their Name", **meta: Any) -> Remote:
    flag = None if kind is Kind.TOOL else True
    key = PluginKey(kind.space, "my_filter")
    return Remote(key, kind, name, "# theirs\r\n", meta, active=flag, is_global=flag, access=access)


class TestForm:
    @RELEASES
    def test_content_is_sent_as_it_is(self, at: Any) -> None:
        for there in (None, remote()):
            form = update_form(plugin(), there, at)
            assert (form["id"], form["content"]) == ("my_filter", plugin().content)

    @RELEASES
    @pytest.mark.parametrize("kind", list(Kind))
    def test_nothing_that_an_update_must_not_touch(self, kind: Kind, at: Any) -> None:
        allowed = {"id", "name", "content", "meta", "access_control", "commit_message"}
        for there in (None, remote(kind)):
            assert set(update_form(plugin(kind=kind), there, at)) <= allowed
        assert set(put_back_form(remote(kind), at)) <= allowed

    def test_other_metadata_is_carried_over(self) -> None:
        there = remote(description="d", tags=[1], i18n={"de": "x"}, manifest={"title": "old"}, toggle=True)
        expected = {"description": "What it does", "tags": [1], "i18n": {"de": "x"}}
        assert update_form(plugin(), there, GRANTS)["meta"] == expected
        assert update_form(plugin(), without_content(there), GRANTS)["meta"] == expected
        assert put_back_form(there, GRANTS)["meta"] == {**expected, "description": "d"}
        assert there.meta["toggle"] is True

    def test_any_folder_name_can_be_sent(self) -> None:
        form = update_form(plugin(path=os.fsdecode(b"/w/gr\xfcn/my_filter.py")), None, HISTORY)
        assert json.dumps(form, ensure_ascii=False).encode()
        assert form["commit_message"].endswith("/my_filter.py, owui-watch)")

    def test_put_back_sends_the_old_plugin(self) -> None:
        form = put_back_form(remote(Kind.TOOL, description="d"), GRANTS)
        assert form == {
            "id": "my_filter",
            "name": "Their Name",
            "content": "# theirs\r\n",
            "meta": {"description": "d"},
        }


class TestNaming:
    """Name and description by the same rule, from: the header deployed last, the header now, the server."""

    BASE: ClassVar = Naming("Mine", "What it does")

    @staticmethod
    def merged(base: Naming, header: str, name: str, description: str) -> MergedNaming:
        return merge_naming(plugin(header), remote(name=name, description=description), base)

    def test_only_the_header_changed(self) -> None:
        merged = self.merged(self.BASE, "title: New\ndescription: New text", "Mine", "What it does")
        assert merged == MergedNaming("New", "New text")

    def test_only_the_server_changed(self) -> None:
        merged = self.merged(self.BASE, FULL, "Theirs", "Their text")
        assert merged == MergedNaming("Theirs", "Their text", kept=Naming("Theirs", "Their text"))

    def test_both_changed_and_the_header_wins(self) -> None:
        merged = self.merged(self.BASE, "title: New\ndescription: New text", "Theirs", "Their text")
        assert merged == MergedNaming("New", "New text", overridden=Naming("Theirs", "Their text"))

    def test_both_changed_alike(self) -> None:
        assert self.merged(self.BASE, "title: New\ndescription: x", "New", "x") == MergedNaming("New", "x")

    def test_nothing_changed(self) -> None:
        assert self.merged(self.BASE, FULL, "Mine", "What it does") == MergedNaming("Mine", "What it does")

    def test_first_contact_and_the_header_wins(self) -> None:
        merged = self.merged(Naming(), FULL, "Theirs", "Their text")
        assert merged == MergedNaming("Mine", "What it does", overridden=Naming("Theirs", "Their text"))

    def test_empty_description_of_the_server_needs_no_backup(self) -> None:
        merged = self.merged(Naming(), FULL, "Mine", "")
        assert merged == MergedNaming("Mine", "What it does")

    def test_each_field_by_itself(self) -> None:
        merged = self.merged(self.BASE, "title: New\ndescription: What it does", "Mine", "Their text")
        assert merged == MergedNaming("New", "Their text", kept=Naming(None, "Their text"))

    def test_silent_header_leaves_the_server_alone(self) -> None:
        for base in (Naming(), self.BASE):
            assert self.merged(base, "title:\ndescription:", "Theirs", "Their text") == MergedNaming(
                "Theirs", "Their text"
            )

    def test_kept_name_survives_the_next_save(self) -> None:
        merged = self.merged(self.BASE, FULL, "Theirs", "Their text")
        again = self.merged(header_naming(plugin(FULL)), FULL, merged.name, merged.description)
        assert again == merged

    def test_new_plugin_has_its_header(self) -> None:
        assert merge_naming(plugin(), None, Naming()) == MergedNaming("Mine", "What it does")

    def test_new_plugin_without_title_takes_its_id(self) -> None:
        assert merge_naming(plugin("version: 1"), None, Naming()) == MergedNaming("My Filter", "")

    def test_form_holds_what_was_merged(self) -> None:
        there = remote(name="Theirs", description="Their text", tags=[1])
        form = update_form(plugin(), there, HISTORY, self.BASE)
        assert (form["name"], form["meta"]) == ("Theirs", {"description": "Their text", "tags": [1]})
        form = update_form(plugin(), there, HISTORY)
        assert (form["name"], form["meta"]) == ("Mine", {"description": "What it does", "tags": [1]})

    @given(st.none() | st.sampled_from("ab"), st.none() | st.sampled_from("abc"), st.sampled_from("abcd"))
    def test_no_value_of_the_server_is_lost_silently(self, base: str | None, header: str | None, server: str) -> None:
        merged = merge_naming(plugin(f"title: {header or ''}"), remote(name=server), Naming(base))
        assert merged.name in {header, server}
        if server not in {merged.name, base}:
            assert merged.overridden.name == server


PUBLIC, PRIVATE, SHARED = None, {}, {"read": {"group_ids": ["g"], "user_ids": []}}  # type: ignore[var-annotated]


class TestSharing:
    @pytest.mark.parametrize("access", [PUBLIC, PRIVATE, SHARED], ids=["public", "private", "shared"])
    def test_access_control_is_sent_back(self, access: Any) -> None:
        there = remote(Kind.TOOL, access)
        for form in (update_form(plugin(kind=Kind.TOOL), there, MIDDLE), put_back_form(there, MIDDLE)):
            assert "access_control" in form
            assert form["access_control"] == access

    def test_new_tool_is_private(self) -> None:
        assert update_form(plugin(kind=Kind.TOOL), None, MIDDLE)["access_control"] == {}

    @pytest.mark.parametrize("at", [OLD, GRANTS, HISTORY], ids=lambda at: at.version)
    def test_left_out_if_that_keeps_it(self, at: Any) -> None:
        there = remote(Kind.TOOL, SHARED)
        for form in (update_form(plugin(kind=Kind.TOOL), there, at), put_back_form(there, at)):
            assert not {"access_control", "access_grants"} & set(form)

    def test_function_has_none(self) -> None:
        assert "access_control" not in update_form(plugin(), remote(), MIDDLE)


class TestCommitMessage:
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
    def test_versions_and_file(self, header: str, manifest: dict[str, str], message: str) -> None:
        there = remote(manifest=manifest)
        assert update_form(plugin(header), there, HISTORY)["commit_message"] == message
        for at in (OLD, MIDDLE, GRANTS):
            assert "commit_message" not in update_form(plugin(header), there, at)
