"""Copies of plugin files: by their names, and by their lines."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from owui_watch.plugins.copies import are_alike, copy_reason, is_copy_name, likelier_copy

TEXT = "".join(f"line_{number} = {number}\n" for number in range(100))


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            *(f"x_{side}_4711.py" for side in ("LOCAL", "REMOTE", "BASE", "BACKUP")),
            "x.LOCAL.4711.py",
            "x.sync-conflict-20260101-120000-ABCDEFG.py",
            "x.sync-conflict-20260101-120000.py",
            "x (conflicted copy 2026-01-01 120000).py",
            "x (Jo's conflicted copy 2026-01-01).py",
            "x (SFConflict jo@example.com 2026-01-01-12-00-00).py",
            "x_conflict-20260101-120000.py",
            "x.Conflict.py",
            "x - Copy.py",
            "x - Copy (2).py",
            "x - Kopie.py",
            "x copy.py",
            "x copy 2.py",
            "x Kopie.py",
            "x copie 2.py",
            "Copy of x.py",
            "Kopie von x.py",
            "x (copy).py",
            "x (another copy).py",
            "x (3rd copy).py",
            "x.backup.py",
            "x.bak.py",
            "x.orig.py",
        ],
    )
    def test_that_programs_give_to_copies(self, name: str) -> None:
        assert is_copy_name(name)

    @pytest.mark.parametrize(
        "name",
        [
            *("x.py", "copy.py", "my_copy.py", "backup.py", "chat_backup.py", "x_local.py", "conflict.py", "x (1).py"),
            *(
                "x_LOCAL.py",
                "copywriter.py",
                "Copy office.py",
                "photocopy.py",
                "merge_conflict-helper.py",
                "x.backup.v2.py",
                ".backup.py",
            ),
        ],
    )
    def test_of_plugins_are_no_copies(self, name: str) -> None:
        assert not is_copy_name(name)


class TestLines:
    def test_nine_tenths_make_a_copy(self) -> None:
        lines = TEXT.splitlines(keepends=True)
        assert are_alike(TEXT, TEXT)
        assert are_alike("".join([*lines[:90], "x = 1\n" * 10]), TEXT)
        assert not are_alike("".join([*lines[:89], "x = 1\n" * 11]), TEXT)

    def test_order_blank_lines_and_line_ends_do_not_count(self) -> None:
        assert are_alike("\r\n\r\n".join(reversed(TEXT.splitlines())) + "  ", TEXT)

    def test_repeated_lines_count_once_each(self) -> None:
        assert not are_alike("x = 1\n", "x = 1\n" * 10)

    def test_reason_says_what_to_do(self) -> None:
        assert copy_reason("x.py") == "looks like a copy of x.py: give it a title or an `id:` of its own"


class TestLikelierCopy:
    @pytest.mark.parametrize(
        ("one", "other", "glob"),
        [
            ("src/x.py", "build/lib/x.py", "build/"),
            ("filters/x.py", "archive/2025/x.py", "archive/"),
            ("x.py", "worktrees/fix/x.py", "worktrees/"),
            ("plugins/x.py", "plugins/old/x.py", "plugins/old/"),
            ("a/x.py", "a/deeper/x.py", "a/deeper/"),
            ("x.py", "y/x.py", "y/"),
        ],
    )
    def test_is_in_the_folder_of_copies_or_deeper(self, one: str, other: str, glob: str) -> None:
        for pair in ((one, other), (other, one)):
            assert likelier_copy(*map(PurePosixPath, pair)) == glob
