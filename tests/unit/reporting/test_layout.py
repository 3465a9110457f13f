"""Lines fit the terminal: wrapped at blanks, never within a word, source cut around its caret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.reporting.console import GLUE, Excerpt
from owui_watch.reporting.layout import cells, lay_out, source_lines

PREFIX = "14:02:31  warning   "
LONG = "the server's copy was edited elsewhere and is kept in a file that you can open"


def laid_out(*lines: str, width: int | None, margin: int = 0) -> list[str]:
    return lay_out(PREFIX, lines, margin=margin, width=width)


class TestWrapping:
    def test_none_in_a_pipe(self) -> None:
        assert laid_out(LONG * 5, LONG, width=None) == [PREFIX + LONG * 5, " " * 20 + LONG]

    def test_hangs_below_the_text(self) -> None:
        assert laid_out(LONG, LONG, width=80) == [
            "14:02:31  warning   the server's copy was edited elsewhere and is kept in a file",
            "                    that you can open",
            "                    the server's copy was edited elsewhere and is kept in a file",
            "                      that you can open",
        ]

    def test_hangs_below_the_id(self) -> None:
        assert laid_out("filter  mine  " + LONG, width=80, margin=8)[1].startswith(" " * 28 + "kept")

    def test_uses_the_width_of_a_narrow_terminal(self) -> None:
        assert laid_out(LONG, width=40, margin=8) == [
            "14:02:31  warning   the server's copy",
            "    was edited elsewhere and is kept in",
            "    a file that you can open",
        ]

    def test_long_first_word_gets_its_own_line(self) -> None:
        path = "plugins/filters/a_long_name.py:12"
        assert laid_out(path, width=40) == ["14:02:31  warning", f"    {path}"]

    def test_a_word_is_never_broken(self) -> None:
        url = "http://localhost:3000/admin/functions/edit?id=" + "x" * 80
        assert url in "\n".join(laid_out(f"see {url} please", width=40))

    def test_glued_words_stay_together(self) -> None:
        path = f"my{GLUE}plugins/two{GLUE}words.py"
        for width in range(30, 90):
            assert "my plugins/two words.py" in "\n".join(laid_out(f"saved in {path} now", width=width))

    @given(st.text(alphabet="ab 漢é"), st.integers(1, 130))
    def test_keeps_every_word(self, text: str, width: int) -> None:
        lines = laid_out(text, text, width=width)
        assert " ".join(" ".join(lines).split()) == " ".join(f"{PREFIX} {text} {text}".split())
        assert all(cells(line) <= max(width, 24) or len(line.split()) <= 3 for line in lines)


class TestSource:
    def test_caret_below_its_column(self) -> None:
        assert list(source_lines(Excerpt(7, 5, "ab = (1"), None)) == ["  7 │ ab = (1", "    │     ^"]

    def test_caret_below_wide_characters(self) -> None:
        line, caret = source_lines(Excerpt(1, 3, "漢字x"), None)
        assert cells(caret) - 1 == cells(line[: line.index("x")])

    def test_tabs_are_expanded(self) -> None:
        assert list(source_lines(Excerpt(1, 2, "\tx"), None)) == ["  1 │     x", "    │     ^"]

    @pytest.mark.parametrize("column", [1, 20, 150, 299, 300])
    @pytest.mark.parametrize("width", [20, 36, 60, 100])
    def test_is_cut_around_the_caret(self, width: int, column: int) -> None:
        source = "".join(chr(ord("a") + number % 26) for number in range(300))
        line, caret = source_lines(Excerpt(812, column, source), width)
        assert cells(line) <= width
        assert line[caret.index("^")] == source[column - 1]

    @given(st.text(alphabet="a漢\tb", max_size=300), st.integers(1, 320), st.integers(1, 130))
    def test_fits_whatever_it_holds(self, source: str, column: int, width: int) -> None:
        line, *_ = source_lines(Excerpt(3, column, source), width)
        assert cells(line) <= max(width, 6 + 12)
