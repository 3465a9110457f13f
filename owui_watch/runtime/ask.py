"""``--ask``: after a deploy of a pipe, send a prompt through it and tell its answer. One at a time, the newest wins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio

from owui_watch.openwebui.client import OpenWebUI
from owui_watch.plugins.model import Kind
from owui_watch.plugins.source import decode, source_line
from owui_watch.reporting.events import Answer, AnswerFailed, Asking, Created, Event, Note, Saved, Stopped, Updated
from owui_watch.runtime.error_line import find_line

QUIET = 0.3
"""Seconds without another deploy before a pipe is asked: a change of many plugins is over by then."""
MOST = 5
"""Plugins deployed in one go of which a pipe is still asked; more are a branch switch, not a save."""
_HIDDEN = "Chat completion stream failed"


class Asker:
    """Asks the pipe that was deployed last. ``part`` gets the answer as it comes."""

    def __init__(
        self, server: OpenWebUI, prompt: str, report: Callable[[Event], None], part: Callable[[str], None]
    ) -> None:
        self._server = server
        self._prompt = prompt
        self._report = report
        self._part = part
        self._deployed: list[Created | Updated] = []
        self._stirred = anyio.Event()
        self._asking: anyio.CancelScope | None = None
        self._asked: Path | None = None
        self._done = anyio.Event()
        self._done.set()

    def heard(self, event: Event) -> None:
        """Take note of what was told. A pipe that is asked at the time is not waited for when another is deployed."""
        if self._asking is not None and self._overtaken(event):
            self._asking.cancel()
        if not isinstance(event, Created | Updated):
            return
        self._deployed.append(event)
        if self._done.is_set():
            self._done = anyio.Event()
        self._stirred.set()

    async def finished(self) -> None:
        """Wait until nothing is left to be asked."""
        await self._done.wait()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._stirred.wait()
            pipe = await self._newest()
            if pipe is not None:
                with anyio.CancelScope() as self._asking:
                    await self._ask(pipe)
                self._asking = None
            if not self._stirred.is_set():
                self._done.set()

    def _overtaken(self, event: Event) -> bool:
        """Return whether nobody waits for the answer any more: the file is saved anew, another pipe is live, or the end.

        A save counts at once, since a pipe that blocks its server while it answers would keep the new code waiting.
        """
        match event:
            case Saved():
                return event.path == self._asked
            case Created() | Updated():
                return event.kind == Kind.PIPE
            case _:
                return isinstance(event, Stopped)

    async def _newest(self) -> Created | Updated | None:
        """Wait until no more is deployed; give the last pipe, None where there is none or it was a bulk change."""
        while self._stirred.is_set():
            self._stirred = anyio.Event()
            with anyio.move_on_after(QUIET):
                await self._stirred.wait()
        deployed, self._deployed = self._deployed, []
        pipes = [event for event in deployed if event.kind == Kind.PIPE]
        if pipes and len({(event.kind, event.plugin) for event in deployed}) > MOST:
            self._report(Note("not asked: too many plugins were deployed at once"))
            return None
        return pipes[-1] if pipes else None

    async def _ask(self, pipe: Created | Updated) -> None:
        self._asked = pipe.path
        self._report(Asking(pipe.plugin, pipe.kind, self._prompt))
        began = anyio.current_time()
        completion = await self._server.ask(pipe.plugin, self._prompt, self._part)
        ms = round((anyio.current_time() - began) * 1000)
        if completion.error is None and completion.text:
            self._report(Answer(pipe.plugin, pipe.kind, pipe.path, completion.text, ms))
            return
        line, source = _blamed(pipe.path, completion.error) if completion.error else (None, None)
        error, hint = _explained(completion.error)
        self._report(AnswerFailed(pipe.plugin, pipe.kind, pipe.path, completion.text, ms, line, error, hint, source))


def _explained(error: str | None) -> tuple[str, str | None]:
    if error is None:
        return "its answer is empty", "pipe() returned nothing, or yielded nothing"
    hidden = _HIDDEN in error or "the connection broke off" in error
    return error, "it failed in the midst of its answer: the server's log has the error" if hidden else None


def _blamed(path: Path, error: str) -> tuple[int | None, str | None]:
    """Find the line that failed, in the file as it is now."""
    try:
        content = decode(path.read_bytes())
    except OSError:
        return None, None
    line = find_line(content, error) if isinstance(content, str) else None
    return line, source_line(content, line) if isinstance(content, str) else None
