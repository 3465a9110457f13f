"""The line that says how far a run is, as a terminal gets it."""

from __future__ import annotations

from owui_watch.reporting.progress import ProgressLine
from tests.unit.reporting.outputs import Recorded


def screen(text: str) -> list[str]:
    """Return the lines that a terminal shows after ``text``."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_makes_room_for_lines() -> None:
    output = Recorded(80)
    progress = ProgressLine(output, wanted=True)
    progress.show("deploying 1 of 10")
    progress.clear()
    output.write("a line\n")
    progress.show("deploying 10 of 10")
    progress.show("deploying 2")
    assert screen(output.text()) == ["a line", "deploying 2"]
    progress.end()
    progress.show("deploying 3")
    assert screen(output.text()) == ["a line", ""]


def test_is_never_wrapped() -> None:
    output = Recorded(10)
    ProgressLine(output, wanted=True).show("deploying 1,000 of 10,000")
    assert output.text() == "deploying"


def test_is_not_written_again_if_nothing_changed() -> None:
    output = Recorded(80)
    progress = ProgressLine(output, wanted=True)
    for _ in range(3):
        progress.show("reading plugins")
    assert output.text() == "reading plugins"


def test_is_left_out_of_a_pipe() -> None:
    output = Recorded(None)
    ProgressLine(output, wanted=False).show("deploying 1 of 10")
    assert output.text() == ""
