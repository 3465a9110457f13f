"""Tables, diffs and pages, as a terminal and a pipe get them."""

from __future__ import annotations

import pytest

from owui_watch.reporting.redaction import Secrets
from owui_watch.reporting.tables import Drawing
from tests.unit.reporting.outputs import Recorded

HEADS = ("plugin", "state")
LONG = "a_plugin_with_a_very_long_id_that_nobody_breaks"


def drawn(width: int | None, *, colours: bool = False) -> tuple[Recorded, Drawing]:
    output = Recorded(width)
    return output, Drawing(output, colours=colours, clean=Secrets(["hidden words"]).hide)


@pytest.mark.parametrize("width", [None, 40, 60, 80])
def test_ids_are_never_folded(width: int | None) -> None:
    output, drawing = drawn(width)
    drawing.table(HEADS, [((LONG, ""), ("differs, disabled, renamed", "yellow"))])
    assert LONG in output.text()
    assert all(line == line.rstrip() for line in output.text().splitlines())


def test_a_pipe_gets_no_colours() -> None:
    output, drawing = drawn(None)
    drawing.table(HEADS, [(("x", "red"), ("y", "green"))])
    drawing.diff(["--- a", "+++ b", "@@ -1 +1 @@", "-x", "+y"])
    drawing.line("done", "red")
    assert "\x1b" not in output.text()


def test_a_terminal_gets_colours() -> None:
    output, drawing = drawn(80, colours=True)
    drawing.diff(["-x", "+y"])
    assert output.text() == "\x1b[31m-x\x1b[0m\n\x1b[32m+y\x1b[0m\n"


def test_texts_are_printable_and_hide_secrets() -> None:
    output, drawing = drawn(80)
    drawing.line("a\x1b[2Jb hidden words")
    drawing.table(HEADS, [(("hidden words", ""), ("\x07", ""))])
    assert "\x1b" not in output.text()
    assert "\x07" not in output.text()
    assert "hidden words" not in output.text()
    assert output.text().startswith("a\ufffd[2Jb ***\n")


def test_a_page_is_rendered() -> None:
    output, drawing = drawn(60, colours=True)
    drawing.page("# Events\n\nA `word` and more.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n")
    assert "# Events" not in output.text()
    assert "Events" in output.text()
    assert "| --- |" not in output.text()
