"""``--ask``: after a deploy of pipes, send a prompt through each of them and report the answers, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import anyio

from owui_watch.concurrency import Wakeup, guarded
from owui_watch.openwebui.chat import Chat
from owui_watch.plugins.bundle.bundle import without_package
from owui_watch.plugins.model import Kind
from owui_watch.reporting.events import Created, Event, Saved, Stopped, Updated, as_warnings
from owui_watch.reporting.runtime_events import Answer, AnswerFailed, Asking
from owui_watch.runtime.error_location import find_place

QUIET = 0.3
"""Seconds without another deploy before pipes are asked: a change of many plugins is over by then."""
_HIDDEN = "Chat completion stream failed"


class Asker:
    """Asks every pipe that was deployed, and each model of a pipe that has several. ``part`` gets an answer as it comes.

    ``texts_of`` returns the files that the plugin at a path is made of, its own first, and their texts.
    ``sandboxed``: what the pipe raises is reported anyway, with its traceback.
    """

    def __init__(
        self,
        chat: Chat,
        prompt: str,
        report: Callable[[Event], None],
        part: Callable[[str], None],
        texts_of: Callable[[Path], Mapping[Path, str]],
        *,
        sandboxed: bool = False,
    ) -> None:
        self._chat = chat
        self._prompt = prompt
        self._report = report
        self._part = part
        self._texts_of = texts_of
        self._sandboxed = sandboxed
        self._waiting: dict[str, Created | Updated] = {}
        self._asking: anyio.CancelScope | None = None
        self._asked: Mapping[Path, str] = {}
        self._deployed = False
        self._busy = False
        self._changed = Wakeup()

    def heard(self, event: Event) -> None:
        """Take an event. A pipe that is being asked is given up if another one is deployed."""
        if self._asking is not None and self._overtaken(event):
            self._asking.cancel()
        if not isinstance(event, Created | Updated):
            return
        if event.kind == Kind.PIPE:
            self._waiting.pop(event.plugin, None)
            self._waiting[event.plugin] = event
        self._deployed = self._busy = True
        self._changed.notify()

    async def finished(self) -> None:
        """Wait until nothing is left to be asked."""
        await self._changed.until(lambda: not self._busy)

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._changed.until(lambda: self._deployed)
            await self._quiet()
            while self._waiting and not self._deployed:
                pipe = self._waiting.pop(next(iter(self._waiting)))
                with guarded(f"asking {pipe.plugin}", as_warnings(self._report)):
                    with anyio.CancelScope() as self._asking:
                        await self._ask(pipe)
                self._asking = None
            if not self._deployed:
                self._busy = False
                self._changed.notify()

    def _overtaken(self, event: Event) -> bool:
        """Return whether nobody waits for the answer any more: the file is saved anew, another pipe is live, or the end.

        A save counts at once: by the time of its deploy the old answer no longer occupies the server, unless it blocks it.
        """
        match event:
            case Saved():
                return event.path in self._asked
            case Created() | Updated():
                return event.kind == Kind.PIPE
            case _:
                return isinstance(event, Stopped)

    async def _quiet(self) -> None:
        """Wait until no more is deployed."""
        while self._deployed:
            self._deployed = False
            with anyio.move_on_after(QUIET):
                await self._changed.until(lambda: self._deployed)

    async def _ask(self, pipe: Created | Updated) -> None:
        self._asked = self._texts_of(pipe.path)
        models = await self._chat.models_of(pipe.plugin)
        for model in models if len(models) > 1 else [None]:
            await self._ask_model(pipe, model)

    async def _ask_model(self, pipe: Created | Updated, model: str | None) -> None:
        """Ask one model of a pipe, or the pipe itself."""
        self._report(Asking(pipe.plugin, pipe.kind, self._prompt, model))
        began = anyio.current_time()
        completion = await self._chat.ask(model or pipe.plugin, self._prompt, self._part)
        ms = round((anyio.current_time() - began) * 1000)
        if completion.error is None and completion.text:
            self._report(Answer(pipe.plugin, pipe.kind, pipe.path, completion.text, ms, model=model))
            return
        place = find_place(self._asked, completion.error) if completion.error else None
        path, line, source = place or (pipe.path, None, None)
        error, hint = self._explained(completion.error)
        self._report(AnswerFailed(pipe.plugin, pipe.kind, path, completion.text, ms, line, error, hint, source, model))

    def _explained(self, error: str | None) -> tuple[str, str | None]:
        if error is None:
            return "its answer is empty", "pipe() returned nothing, or yielded nothing"
        hidden = (_HIDDEN in error or "the connection broke off" in error) and not self._sandboxed
        return without_package(error), _WHERE if hidden else None


_WHERE = "only the server's log has the error: --server-log FILE reports it; a sandbox (--sandbox) always does"
