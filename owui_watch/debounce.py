"""When is a save complete? A quiet window per path, a cap for endless streams, a short cut for finished writes."""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from dataclasses import replace
from pathlib import Path

import anyio

from owui_watch.value import Value

SHORTEST = 0.015
"""Seconds that a finished write waits for another one. In trials 10 ms let a burst of ten writes through in three or
four deploys, and 15 ms in one."""
TOGETHER = 0.002
"""Seconds by which paths may be early to be given out with another one: both names of a renamed file, say."""
CAP = 10
"""Quiet windows after which a path that never falls quiet is let through all the same."""


class Settled(Value):
    """A path whose save seems complete.

    ``last`` is the moment of its last event, in seconds of anyio's clock. ``early`` is true where only the shortest
    window has passed: bad content may be half a save, and is read again after the full window (``not_yet``).
    """

    path: Path
    last: float
    early: bool


class _Pending(Value):
    first: float
    last: float
    finished: int
    full: bool

    def due(self, window: float, shortest: float) -> float:
        quiet = window if self.full else shortest
        return min(self.last + quiet, self.first + window * CAP)


class Debouncer:
    """Collects events and gives each path out once it is quiet.

    ``window`` is the quiet window in seconds. A path that was closed after writing, or moved into place, waits only
    ``SHORTEST``, unless that happens twice: then it is a burst and waits the full window. ``goes_on`` is asked of a
    path that fell quiet whether its file has changed all the same: then it waits for another window.
    """

    def __init__(self, window: float, goes_on: Callable[[Path], bool] = lambda _: False) -> None:
        self.window = window
        self._goes_on = goes_on
        self._shortest = min(SHORTEST, window)
        self._pending: dict[Path, _Pending] = {}
        self._changed = anyio.Event()
        self._given_out = anyio.Event()

    def note(self, path: Path, *, finished: bool) -> int:
        """Take in an event. ``finished``: the write is complete. Gives how many finished writes the save has by now."""
        now = anyio.current_time()
        before = self._pending.get(path)
        count = (before.finished if before else 0) + finished
        full = not finished or count > 1
        self._pending[path] = _Pending(before.first if before else now, now, count, full)
        self._changed.set()
        return count

    def waits(self, path: Path) -> bool:
        """Tell whether a save of ``path`` is on its way already."""
        return path in self._pending

    def waiting(self) -> Set[Path]:
        """Give all paths of which a save is on its way."""
        return self._pending.keys()

    def not_yet(self, settled: Settled) -> None:
        """Hold a path back for the rest of the full window after its last event."""
        if settled.path not in self._pending:
            self._pending[settled.path] = _Pending(settled.last, settled.last, finished=1, full=True)
            self._changed.set()

    async def emptied(self) -> None:
        """Wait until no path waits to be quiet."""
        while self._pending:
            await self._given_out.wait()

    def _quiet(self, at: float) -> dict[Path, _Pending]:
        return {path: p for path, p in self._pending.items() if p.due(self.window, self._shortest) <= at}

    async def due(self) -> list[Settled]:
        """Wait until at least one path is quiet; give all that are."""
        while True:
            now = anyio.current_time()
            quiet = self._quiet(now) and self._quiet(now + TOGETHER)
            late = now - self.window * CAP
            due = {path: p for path, p in quiet.items() if p.first <= late or not self._goes_on(path)}
            self._pending |= {path: replace(quiet[path], last=now, full=True) for path in quiet.keys() - due.keys()}
            if due:
                for path in due:
                    del self._pending[path]
                given_out, self._given_out = self._given_out, anyio.Event()
                given_out.set()
                return [Settled(path, p.last, early=not p.full) for path, p in due.items()]
            self._changed = anyio.Event()
            next_due = min((p.due(self.window, self._shortest) for p in self._pending.values()), default=math.inf)
            with anyio.CancelScope(deadline=next_due):
                await self._changed.wait()
