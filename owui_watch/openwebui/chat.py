"""What a pipe answers: the events of a streamed chat completion, read one line at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_PREFIX = "data:"


@dataclass(frozen=True, slots=True)
class Completion:
    """What came of a question: the ``text`` of the answer and, where it failed, the ``error`` in the server's words."""

    text: str
    error: str | None = None


def read_event(line: str) -> Completion:
    """Read one line of the stream; what holds neither text nor error is an empty completion. Never raises."""
    try:
        body = json.loads(line.removeprefix(_PREFIX)) if line.startswith(_PREFIX) else None
    except ValueError:  # [DONE]
        body = None
    return read_body(body)


def read_body(body: Any) -> Completion:
    """Read a completion, whole or a chunk of one, as pipes and servers write them."""
    if not isinstance(body, dict):
        return Completion("")
    if error := body.get("error") or body.get("detail"):
        return Completion("", _told(error))
    match body.get("choices"):
        case [{"delta": {"content": str(text)}}, *_] | [{"message": {"content": str(text)}}, *_]:
            return Completion(text)
    return Completion("")


def _told(error: Any) -> str:
    """Find the words in an error, which may be a text, or an object that holds one."""
    while isinstance(error, dict):
        error = error.get("detail") or error.get("message") or error.get("error") or json.dumps(error)
    return str(error)
