"""Secrets and control characters: what is hidden, and what is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.reporting.redaction import Secrets, in_all_texts, printable, printable_lines

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpZCI6ImNhbmFyeSJ9.c2lnbmF0dXJl"


class TestSecrets:
    @pytest.mark.parametrize(
        "text",
        [
            "sk-proj-abc123DEF456",
            "sk-0123456789abcdef",
            JWT,
            "Bearer abcdef0123456789",
            "bearer  a1b2c3d4e5f6",
        ],
    )
    def test_what_looks_like_a_key_is_hidden(self, text: str) -> None:
        for before, after in ((f'KEY = "{text}"', 'KEY = "***"'), (f"?key={text}&x", "?key=***&x"), (text, "***")):
            assert Secrets().hide(before) == after

    @pytest.mark.parametrize(
        "text",
        [
            "task-management-for-everyone",
            "disk-full-on-device-sda1",
            "a_plugin_with_a_very_long_name_of_version_2",
            "sk-learn",
            "no bearer authentication here",
            "d41d8cd98f00b204e9800998ecf8427e",
            "eyJ is how it begins",
        ],
    )
    def test_other_words_stay(self, text: str) -> None:
        assert Secrets().hide(text) == text

    def test_short_ones_are_ignored(self) -> None:
        assert Secrets(["", "abc"]).hide("abcd") == "abcd"

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("it is zk-12345678", "it is ***"),
            ("it is zk-12345…", "it is ***"),
            ("it is zk-1234", "it is zk-1234"),
            ("zk-12345 is another", "zk-12345 is another"),
        ],
    )
    def test_secret_that_was_cut_is_hidden(self, text: str, shown: str) -> None:
        assert Secrets(["zk-123456789"]).hide(text) == shown

    def test_unfinished_counts_the_beginning_of_a_secret(self) -> None:
        secrets = Secrets(["zk-123456"])
        assert [secrets.unfinished(text) for text in ("", "a", "az", "azk-12345", "zk-123456")] == [0, 0, 1, 8, 0]


class TestPrintable:
    def test_tabs_become_blanks_in_a_line(self) -> None:
        assert printable("a\tb\x1b[2J\x00\u202e") == "a   b\ufffd[2J\ufffd\ufffd"

    def test_lines_keep_tabs_and_line_ends(self) -> None:
        assert printable_lines("a\tb\r\nc\x0bd\x07") == "a\tb\nc\nd\ufffd"

    @given(st.text())
    def test_no_text_keeps_a_control_character(self, text: str) -> None:
        assert printable(text).isprintable()
        assert all(line.replace("\t", "").isprintable() for line in printable_lines(text).split("\n"))


class TestNestedValues:
    def test_are_changed_in_all_texts(self) -> None:
        value = {"a": "x", "b": ("x", ["x", 1, None]), "c": {"x": "x"}}
        assert in_all_texts(value, str.upper) == {"a": "X", "b": ("X", ["X", 1, None]), "c": {"x": "X"}}
