"""Asks the server's models, after a refresh of their list, and reads the streamed answer event by event."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from owui_watch.openwebui.connection import Connection
from owui_watch.openwebui.json_stream import JsonRows, parse
from owui_watch.openwebui.responses import Accepted, Received, Response, Unavailable, shortened

ANSWER_SECONDS = 300.0
"""Seconds that a pipe may think before its answer begins, and between two parts of it."""
MODEL_LIST_ROUNDS = 4
"""Rounds of a refresh and a question: behind a balancer each instance needs its own refresh to know a new pipe."""
MAX_TEXT = 1_000_000
"""Characters of an answer that are kept."""
MAX_LINE = 2**20
"""Bytes of one event; a longer one is dropped."""
_MAX_ERROR, _MAX_MODEL = 4_000, 1_000
_NO_MODEL = "Model not found"
_PREFIX = b"data:"


@dataclass(frozen=True, slots=True)
class Completion:
    """The outcome of a question: the ``text`` of the answer and, if it failed, the ``error`` in the server's words."""

    text: str
    error: str | None = None


class Chat:
    """Asks the models of one Open WebUI. ``list_models`` lets the server list them anew, row by row."""

    def __init__(self, connection: Connection, list_models: Callable[[JsonRows], Awaitable[Response]]) -> None:
        self._connection = connection
        self._list_models = list_models

    async def refresh_models(self, *, times: int = 4) -> Response:
        """Let the server list its models anew, which a new pipe needs; return the last response.

        Without Redis each instance behind a balancer needs a refresh of its own: ``times`` reaches that many.
        """
        response, _ = await self._models()
        for _ in range(times - 1):
            if not isinstance(response, Accepted):
                break
            response, _ = await self._models()
        return response

    async def models_of(self, pipe: str) -> list[str]:
        """Return the models of a pipe: its own id, or those of a pipe that has several; empty if there are none."""
        _, names = await self._models()
        return [name for name in names if name == pipe or name.startswith(f"{pipe}.")]

    async def ask(self, pipe: str, prompt: str, on_text: Callable[[str], None]) -> Completion:
        """Send ``prompt`` through a pipe, the first of its models if it has several.

        ``on_text`` is called with each part of the answer.
        """
        completion = await self._ask(pipe, prompt, on_text)
        for refreshes in range(1, MODEL_LIST_ROUNDS + 1):
            if completion.error != _NO_MODEL:
                break
            # A pipe with several models has none under its own id. Where instances take turns, one more refresh each
            # round makes the question reach an instance that knows the pipe.
            for _ in range(refreshes):
                _, models = await self._models()
            model = next((name for name in models if name == pipe or name.startswith(f"{pipe}.")), None)
            if model is not None:
                completion = await self._ask(model, prompt, on_text)
        return completion

    async def complete(
        self, form: Mapping[str, Any], headers: Mapping[str, str], on_text: Callable[[str], None]
    ) -> Completion:
        """Send a whole request for a streamed completion. ``on_text`` is called with each part of the answer."""
        stream = CompletionStream(on_text)
        received = await self._connection.request(
            "POST", "/api/chat/completions", form, sink=stream, silence=ANSWER_SECONDS, headers=headers
        )
        return stream.completion(received)

    async def _ask(self, model: str, prompt: str, on_text: Callable[[str], None]) -> Completion:
        messages = [{"role": "user", "content": prompt}]
        return await self.complete({"model": model, "stream": True, "messages": messages}, {}, on_text)

    async def _models(self) -> tuple[Response, list[str]]:
        names: list[str] = []

        def add(row: Any) -> None:
            if isinstance(row, dict) and isinstance(name := row.get("id"), str):
                names.append(name[:_MAX_MODEL])

        return await self._list_models(JsonRows(add)), names


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
        """Take the next part of the stream; return whether more is wanted, which is false after an error."""
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
