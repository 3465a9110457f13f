"""A pipe's answer on the terminal while it arrives: indented, and without secrets."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from owui_watch.reporting.events import Answer, Asking
from owui_watch.reporting.log import start_reporting
from owui_watch.reporting.redaction import Secrets
from owui_watch.reporting.streaming import StreamedAnswer
from tests.unit.reporting.outputs import Recorded

SECRET = "sk-3f1c9a7be2d84c6fa05b1d7e9c2a4f68"


@given(st.lists(st.text(alphabet="sk-3f\n ") | st.just(SECRET)), st.integers(1, 5))
def test_no_secret_comes_through_in_parts(texts: list[str], size: int) -> None:
    stream = Recorded()
    secrets = Secrets([SECRET])
    reporter = start_reporting(stream, json=False, colours=False, threshold=20, cwd=Path("/"), secrets=secrets)
    spoken = StreamedAnswer(stream, reporter)
    whole = "".join(texts)
    for start in range(0, len(whole), size):
        spoken.part(whole[start : start + size])
    spoken.report(Asking("parrot", "pipe", "hi"))
    assert SECRET not in stream.text()


def test_an_answer_is_set_in_and_other_lines_begin_on_their_own() -> None:
    stream = Recorded()
    reporter = start_reporting(stream, json=False, colours=False, threshold=20, cwd=Path("/"))
    spoken = StreamedAnswer(stream, reporter)
    spoken.report(Asking("parrot", "pipe", "two\nlines"))
    for part in ("on", "e\ntw", "o\x1b[31m", "\n\n", "three"):
        spoken.part(part)
    spoken.report(Answer("parrot", "pipe", Path("/parrot.py"), "one\ntwo\n\nthree", 1200))
    first, *text, last = stream.text().splitlines()
    assert first.endswith("asking    pipe    parrot  “two lines”")
    assert text == [f"{'':20}one", f"{'':20}two\ufffd[31m", "", f"{'':20}three"]
    assert last.endswith("answer    pipe    parrot   1.2 s")
