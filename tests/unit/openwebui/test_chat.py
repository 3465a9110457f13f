"""A streamed answer, line by line, as pipes and servers write it (measured on 0.6.5 and 0.12.4)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.openwebui.chat import Completion, read_body, read_event
from owui_watch.reporting.events import Answer, Asking
from owui_watch.reporting.log import start_reporting
from owui_watch.reporting.redaction import Secrets
from owui_watch.reporting.streaming import StreamedAnswer
from tests.unit.reporting.outputs import Recorded


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ('data: {"choices":[{"index":0,"finish_reason":null,"delta":{"content":"one"}}]}', Completion("one")),
        ('data: {"choices":[{"finish_reason":"stop","delta":{}}]}', Completion("")),
        ('data:{"choices":[{"message":{"content":"whole"}}]}', Completion("whole")),
        ('data: {"error": {"detail": "name \'nope\' is not defined"}}', Completion("", "name 'nope' is not defined")),
        (
            'data: {"error":{"message":"Chat completion stream failed"}}',
            Completion("", "Chat completion stream failed"),
        ),
        ('data: {"error": "in words"}', Completion("", "in words")),
        ('data: {"detail":"Model not found"}', Completion("", "Model not found")),
        ("data: [DONE]", Completion("")),
        (": ping", Completion("")),
        ("", Completion("")),
    ],
)
def test_a_line_of_the_stream(line: str, reply: Completion) -> None:
    assert read_event(line) == reply


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["choices", "delta", "error", "content"]), inner),
)


@given(JSON)
def test_whatever_comes_is_read_without_an_error(body: object) -> None:
    assert isinstance(read_body(body), Completion)
    assert read_event(f"data: {json.dumps(body)}") == read_body(body)


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
