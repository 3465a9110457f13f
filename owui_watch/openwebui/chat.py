"""A pipe's answer: the events of a streamed chat completion."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from owui_watch.openwebui.json_stream import parse
from owui_watch.openwebui.responses import Received, Unavailable, shortened

MAX_TEXT = 1_000_000
"""Characters of an answer that are kept."""
MAX_LINE = 2**20
"""Bytes of one event; a longer one is dropped."""
_MAX_ERROR = 4_000
_PREFIX = b"data:"


@dataclass(frozen=True, slots=True)
class Completion:
    """The outcome of a question: the ``text`` of the answer and, if it failed, the ``error`` in the server's words."""

    text: str
    error: str | None = None


class CompletionStream:
    """Reads a streamed completion. ``on_text`` is called with each part of the text as it arrives."""

    content_type = "event-stream"

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._line = bytearray()
        self._dropping = False
        self.text = ""
        self.error: str | None = None

    def feed(self, data: bytes) -> bool:
        """Take the next part of the stream; return whether more is wanted: not after an error."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._add(line)
            self._take(bytes(self._line))
            self._line.clear()
            self._dropping = False
            if self.error is not None:
                return False
        self._add(rest)
        return True

    def _add(self, data: bytes) -> None:
        self._dropping = self._dropping or len(self._line) + len(data) > MAX_LINE
        if self._dropping:
            self._line.clear()
        else:
            self._line += data

    def _take(self, line: bytes) -> None:
        event = read_event(line)
        if event.text:
            self.text += event.text
            self._on_text(event.text)
        self.error = event.error
        if self.error is None and len(self.text) > MAX_TEXT:
            self.error = f"the answer is longer than {MAX_TEXT:,} characters"

    def completion(self, received: Received | Unavailable) -> Completion:
        """Return the outcome, given what the request returned: the answer may not have been streamed at all."""
        if self.error is not None:
            return Completion(self.text, self.error)
        if isinstance(received, Unavailable):
            return Completion(self.text, received.error)
        if received.body is None:
            return Completion(self.text)
        whole = read_completion(received.body)
        return (
            whole if whole.error or received.status == 200 else Completion("", f"the server answers {received.status}")
        )


def read_event(line: bytes) -> Completion:
    """Read one line of the stream; an empty completion if it holds neither text nor error. Never raises."""
    line = line.strip()
    return read_completion(parse(line.removeprefix(_PREFIX))) if line.startswith(_PREFIX) else Completion("")


def read_completion(body: Any) -> Completion:
    """Read a completion, whole or a chunk of one, as pipes and servers write them. Never raises."""
    if not isinstance(body, dict):
        return Completion("")
    if error := body.get("error") or body.get("detail"):
        return Completion("", _words(error))
    match body.get("choices"):
        case [{"delta": {"content": str(text)}}, *_] | [{"message": {"content": str(text)}}, *_]:
            return Completion(text)
    return Completion("")


def _words(error: Any) -> str:
    """Find the words in an error, which may be a text, or an object that holds one."""
    while isinstance(error, dict):
        error = error.get("detail") or error.get("message") or error.get("error") or json.dumps(error)
    return shortened(str(error), _MAX_ERROR)
