"""A streamed answer, as pipes and servers write it (measured on 0.6.5 and 0.12.4)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.openwebui.chat import MAX_LINE, Completion, CompletionStream, read_completion, read_event
from owui_watch.openwebui.json_stream import Unreadable
from owui_watch.openwebui.responses import Received, Unavailable

STREAMED = Received(200, "text/event-stream", None)


def chunk(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


def streamed(data: bytes, size: int = 0) -> tuple[Completion, list[str]]:
    parts: list[str] = []
    stream = CompletionStream(parts.append)
    for start in range(0, len(data), size or len(data)):
        if not stream.feed(data[start : start + (size or len(data))]):
            break
    return stream.completion(STREAMED), parts


class TestEvent:
    @pytest.mark.parametrize(
        ("line", "completion"),
        [
            ('data: {"choices":[{"index":0,"finish_reason":null,"delta":{"content":"one"}}]}', Completion("one")),
            ('data: {"choices":[{"finish_reason":"stop","delta":{}}]}', Completion("")),
            ('data:{"choices":[{"message":{"content":"whole"}}]}', Completion("whole")),
            (
                'data: {"error": {"detail": "name \'nope\' is not defined"}}',
                Completion("", "name 'nope' is not defined"),
            ),
            (
                'data: {"error":{"message":"Chat completion stream failed"}}',
                Completion("", "Chat completion stream failed"),
            ),
            ('data: {"error": "in words"}', Completion("", "in words")),
            ('data: {"detail":"Model not found"}', Completion("", "Model not found")),
            ("data: [DONE]", Completion("")),
            ("data: " + "[" * 200_000, Completion("")),
            (": ping", Completion("")),
            ("", Completion("")),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_one_line(self, line: str, completion: Completion) -> None:
        assert read_event(line.encode()) == completion

    def test_long_error_is_cut(self) -> None:
        completion = read_completion({"error": "x" * 1_000_000})
        assert completion.error is not None
        assert len(completion.error) < 4_100

    JSON = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["choices", "delta", "error", "content"]), inner)
        ),
        max_leaves=8,
    )

    @given(JSON)
    def test_any_json(self, body: object) -> None:
        assert isinstance(read_completion(body), Completion)
        assert read_event(f"data: {json.dumps(body)}".encode()) == read_completion(body)


class TestStream:
    @pytest.mark.parametrize("size", [0, 1, 7])
    def test_text_arrives_in_parts(self, size: int) -> None:
        completion, parts = streamed(chunk("eins ") + chunk("zwei €") + b"data: [DONE]\n\n", size)
        assert (completion, parts) == (Completion("eins zwei €"), ["eins ", "zwei €"])

    def test_error_ends_the_answer(self) -> None:
        completion, parts = streamed(chunk("half") + b'data: {"error": "broke"}\n\n' + chunk("never"))
        assert (completion, parts) == (Completion("half", "broke"), ["half"])

    def test_oversized_event_is_dropped(self) -> None:
        completion, _ = streamed(chunk("a") + b"data: " + b"x" * (MAX_LINE + 1) + b"\n" + chunk("b"), 65_536)
        assert completion == Completion("ab")

    def test_answer_without_end_is_cut(self) -> None:
        completion, _ = streamed(chunk("x" * 100_000) * 20)
        assert completion.error == "the answer is longer than 1,000,000 characters"
        assert len(completion.text) < 1_200_000

    @given(st.binary(max_size=300), st.integers(1, 50))
    def test_any_bytes(self, data: bytes, size: int) -> None:
        streamed(data, size)


class TestOutcome:
    @pytest.mark.parametrize(
        ("received", "completion"),
        [
            (STREAMED, Completion("")),
            (Unavailable("connection refused"), Completion("", "connection refused")),
            (Received(200, "application/json", {"choices": [{"message": {"content": "hi"}}]}), Completion("hi")),
            (Received(400, "application/json", {"detail": "Model not found"}), Completion("", "Model not found")),
            (Received(502, "text/html", Unreadable("no JSON")), Completion("", "the server answers 502")),
        ],
    )
    def test_answer_that_is_not_streamed(self, received: Received | Unavailable, completion: Completion) -> None:
        assert CompletionStream(lambda _: None).completion(received) == completion
