"""When is a save complete? A quiet window per path, a cap for endless streams, a short cut for finished writes."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

SHORTEST = 0.015
"""Seconds that a finished write waits for another one. In trials 10 ms let a burst of ten writes through in three or
four deploys, and 15 ms in one."""
TOGETHER = 0.002
"""Seconds by which paths may be early to be given out with another one: both names of a renamed file, say."""
CAP = 10
"""Quiet windows after which a path that never falls quiet, or is never closed, is let through all the same."""


class Write(enum.Enum):
    """How far an event shows the write of a file to be."""

    BEGUN = "begun: that it ends will be told"
    ENDED = "ended: the file was closed after writing, or moved into place"
    UNTOLD = "nothing tells whether more is to come"


@dataclass(frozen=True, slots=True)
class Settled:
    """A path whose save seems complete.

    ``last`` is the moment of its last event, in seconds of anyio's clock. Bad content may be half a save, also of one
    that begins just now: it is read again (``not_yet``), and what settles then was ``held`` back.
    """

    path: Path
    last: float
    held: bool = False


@dataclass(frozen=True, slots=True)
class _Pending:
    first: float
    last: float
    ended: int
    quiet: float
    held: bool = False

    def due(self, window: float) -> float:
        return min(self.last + self.quiet, self.first + window * CAP)


class Debouncer:
    """Collects events and gives each path out once it is quiet.

    ``window`` is the quiet window in seconds. A path whose write has ended waits only ``SHORTEST``, unless that happens
    twice: then it is a burst and waits the full window. One whose write has begun waits for its end, however long its
    writer pauses, up to the cap: half a file may well be a plugin. ``goes_on`` is asked of a path that fell quiet
    whether its file has changed all the same: then it waits for another window.
    """

    def __init__(self, window: float, goes_on: Callable[[Path], bool] = lambda _: False) -> None:
        self.window = window
        self._goes_on = goes_on
        self._shortest = min(SHORTEST, window)
        self._patience = {Write.BEGUN: window * CAP, Write.ENDED: window, Write.UNTOLD: window}
        self._pending: dict[Path, _Pending] = {}
        self._changed = anyio.Event()
        self._given_out = anyio.Event()

    def note(self, path: Path, write: Write) -> int:
        """Take in an event. Gives how many writes have ended in this save by now."""
        now = anyio.current_time()
        before = self._pending.get(path)
        ended = (before.ended if before else 0) + (write is Write.ENDED)
        quiet = self._shortest if write is Write.ENDED and ended == 1 else self._patience[write]
        self._pending[path] = _Pending(before.first if before else now, now, ended, quiet)
        self._changed.set()
        return ended

    def waits(self, path: Path) -> bool:
        """Return whether a save of ``path`` is on its way already."""
        return path in self._pending

    def waiting(self) -> Set[Path]:
        """Return all paths of which a save is on its way."""
        return self._pending.keys()

    def not_yet(self, settled: Settled) -> None:
        """Hold a path back for the rest of the full window after its last event, or for the shortest one at least.

        That is enough for the first event of a save to arrive that began while the path was read.
        """
        if settled.path not in self._pending:
            now = anyio.current_time()
            quiet = max(self.window, now + self._shortest - settled.last)
            self._pending[settled.path] = _Pending(now, settled.last, 1, quiet, held=True)
            self._changed.set()

    async def emptied(self) -> None:
        """Wait until no path waits to be quiet."""
        while self._pending:
            await self._given_out.wait()

    def _quiet(self, at: float) -> dict[Path, _Pending]:
        return {path: p for path, p in self._pending.items() if p.due(self.window) <= at}

    async def due(self) -> list[Settled]:
        """Wait until at least one path is quiet; give all that are."""
        while True:
            now = anyio.current_time()
            quiet = self._quiet(now) and self._quiet(now + TOGETHER)
            late = now - self.window * CAP
            due = {path: p for path, p in quiet.items() if p.first <= late or not self._goes_on(path)}
            for path in quiet.keys() - due.keys():
                self._pending[path] = replace(quiet[path], last=now, quiet=self.window, held=False)
            if due:
                for path in due:
                    del self._pending[path]
                given_out, self._given_out = self._given_out, anyio.Event()
                given_out.set()
                return [Settled(path, p.last, p.held) for path, p in due.items()]
            self._changed = anyio.Event()
            next_due = min((p.due(self.window) for p in self._pending.values()), default=math.inf)
            with anyio.CancelScope(deadline=next_due):
                await self._changed.wait()
