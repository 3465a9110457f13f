"""In a sandbox, interrupt a plugin that blocks the server (``time.sleep`` in a pipe) while a save waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio

from owui_watch.concurrency import Wakeup
from owui_watch.reporting.events import Created, Event, Rejection, Saved, Unchanged, Updated

BLOCKED_AFTER = 1.0
"""Seconds that a save waits for its deploy before the plugin that may block the server is interrupted."""


class BlockedSaves:
    """Saves that wait for their deploy. Calls ``interrupt`` if one waits too long.

    The interrupt affects only a plugin that does block the server.
    """

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._waiting: set[Path | None] = set()
        self._changed = Wakeup()

    def heard(self, event: Event) -> None:
        """Take note of a save, or of what became of it."""
        match event:
            case Saved():
                self._waiting.add(event.path)
            case Created() | Updated() | Unchanged() | Rejection():
                self._waiting.clear()  # the server answers
        self._changed.notify()

    async def finished(self) -> None:
        """Return at once: nothing is left to be done."""

    async def run(self) -> None:
        """Watch over saves until cancelled."""
        while True:
            await self._changed.until(lambda: bool(self._waiting))
            with anyio.move_on_after(BLOCKED_AFTER):
                await self._changed.until(lambda: not self._waiting)
            if self._waiting:
                self._waiting.clear()
                self._interrupt()
