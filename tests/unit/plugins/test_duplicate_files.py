"""Two files that hold one plugin: their lines, and which of them is the copy."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from owui_watch.plugins.duplicate_files import are_alike, copy_reason, likelier_copy

TEXT = "".join(f"line_{number} = {number}\n" for number in range(100))


class TestLines:
    def test_nine_tenths_make_a_copy(self) -> None:
        lines = TEXT.splitlines(keepends=True)
        assert are_alike(TEXT, TEXT)
        assert are_alike("".join([*lines[:90], "x = 1\n" * 10]), TEXT)
        assert not are_alike("".join([*lines[:89], "x = 1\n" * 11]), TEXT)

    def test_order_blanks_and_line_ends_do_not_count(self) -> None:
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
