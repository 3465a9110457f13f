"""An answer that arrives in parts fits the terminal and stays apart from other lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.reporting.log import start_reporting
from owui_watch.reporting.runtime_events import Asking
from owui_watch.reporting.streaming import StreamedAnswer
from tests.unit.reporting.outputs import Recorded


def streamed(*parts: str, width: int | None) -> str:
    output = Recorded(width)
    reporter = start_reporting(output, json=False, colours=False, threshold=20, cwd=Path("/"))
    answer = StreamedAnswer(output, reporter)
    for part in parts:
        answer.part(part)
    answer.report(Asking("parrot", "pipe", "next"))
    return output.text().partition("asking")[0][:-10]


def test_words_wrap_below_the_first() -> None:
    assert streamed("one two three", " four", " five", width=40) == "    one two three four five\n"
    assert streamed("a" * 30, " ", "b" * 9, " c", width=40) == f"    {'a' * 30}\n    {'b' * 9} c\n"


def test_a_pipe_is_never_wrapped() -> None:
    assert streamed("word " * 50, width=None) == " " * 20 + ("word " * 50).rstrip() + "\n"


def test_line_ends_are_kept() -> None:
    assert streamed("one\r\n\ntwo", width=80) == f"{' ' * 20}one\n\n{' ' * 20}two\n"


@pytest.mark.parametrize("width", [40, 80])
@given(parts=st.lists(st.text(alphabet="ab \n", max_size=30)))
def test_every_word_arrives(parts: list[str], width: int) -> None:
    text = streamed(*parts, width=width)
    assert text.split() == "".join(parts).split()
