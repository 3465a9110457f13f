"""When is a save complete? A quiet window per path, a cap on waiting, and a shorter window for finished writes."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Set
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

import anyio

from owui_watch.concurrency.wakeup import Wakeup

SHORTEST_WINDOW = 0.015
"""Seconds that a finished write waits for another one. In trials, 10 ms turned a burst of ten writes into three or four
deploys, 15 ms into one."""
CAP = 10
"""Quiet windows after which a path settles even though its events go on, or its file is still open."""
TOGETHER = 0.002
"""Seconds by which a path may settle early, together with one that is due, such as the other name of a renamed file."""
NOTICE = 0.040
"""Seconds before the expected settling at which ``expect`` is called: time for one request to the server."""


class Write(enum.Enum):
    """What an event says about the write of a file."""

    STARTED = "started; an event will come when the file is closed"
    FINISHED = "finished: the file was closed after writing, or moved into place"
    UNKNOWN = "no event will tell when it is finished"


@dataclass(frozen=True, slots=True)
class Settled:
    """A path whose save seems complete.

    ``first_event`` and ``last_event`` are moments in seconds of anyio's clock. A ``provisional`` path may still hold
    half a save, or the next save may just have begun: if its content is bad, call ``recheck`` instead of reporting the
    error. ``late``: seconds by which the process, suspended or busy, missed the end of a window.
    ``first_event`` is moved forward by as many.
    """

    path: Path
    first_event: float
    last_event: float
    provisional: bool
    late: float = 0.0


@dataclass(slots=True)
class _Pending:
    """A save under way. It settles when ``due``, and at ``limit`` at the latest. All moments are in seconds."""

    first: float
    last: float
    due: float
    limit: float
    finished: int = 0
    provisional: bool = True
    late: float = 0.0
    expected_at: float = -math.inf
    alarm: float = math.inf

    def next_alarm(self) -> float:
        """Return the next moment at which to call ``expect`` or to settle the path."""
        notice = self.due - NOTICE
        return notice if self.expected_at < notice else self.due


class Debouncer:
    """Collects the events of each path until the path has settled.

    ``window`` is the quiet window in seconds. A path whose write is finished waits only ``SHORTEST_WINDOW``; a second
    finished write makes it a burst, which waits the full window. A path whose write has started waits for the end of
    the write, however long its writer pauses: half a file may well be a valid plugin. Nothing waits longer than ``CAP``
    windows.

    ``expect`` is called with a path ``NOTICE`` seconds before it settles, or at its event if that is later. It is
    called again if more events put the settling off. ``still_changing`` is asked about a path that is due; if it
    returns true, the path waits for another window.
    """

    def __init__(
        self,
        window: float,
        expect: Callable[[Path], object] = lambda _: None,
        still_changing: Callable[[Path], bool] = lambda _: False,
    ) -> None:
        self._window = window
        self._shortest = min(SHORTEST_WINDOW, window)
        self._cap = window * CAP
        self._expect = expect
        self._still_changing = still_changing
        self._pending: dict[Path, _Pending] = {}
        self._alarms: list[tuple[float, int, Path]] = []
        self._serial = count()
        self._earlier_alarm = Wakeup()
        self._emptied = Wakeup()

    @property
    def pending(self) -> Set[Path]:
        """Paths with a save under way."""
        return self._pending.keys()

    def note(self, path: Path, write: Write) -> None:
        """Take in an event that happens now."""
        now = anyio.current_time()
        pending = self._pending.get(path)
        if pending is None:
            pending = self._pending[path] = _Pending(now, now, now, limit=now + self._cap)
        pending.finished += write is Write.FINISHED
        pending.last = now
        pending.due = min(now + self._quiet(write, pending.finished), pending.limit)
        if now < pending.first + self._cap:
            pending.provisional = True
        self._set_alarm(path, pending, now)

    def _quiet(self, write: Write, finished: int) -> float:
        match write:
            case Write.STARTED:
                return self._cap
            case Write.FINISHED if finished == 1:
                return self._shortest
            case _:
                return self._window

    def recheck(self, settled: Settled) -> None:
        """Let a path with bad content settle once more: a full window after its last event, or the shortest from now.

        Seconds in which the process was suspended or busy are not counted.
        If a save began while the path was read, its first event arrives within the shortest window. After an event the
        path is provisional again, until the cap counted from the first event: a file that is broken as long as it is
        being written is reported in the end.
        """
        now = anyio.current_time()
        pending = self._pending.get(settled.path)
        if pending is None:
            due = max(settled.last_event + settled.late + self._window, now + self._shortest)
            pending = _Pending(settled.first_event, settled.last_event, due, math.inf, finished=1, provisional=False)
            self._pending[settled.path] = pending
        pending.first = settled.first_event
        pending.limit = max(pending.first + self._cap, now + self._shortest)
        pending.due = min(pending.due, pending.limit)
        pending.provisional = pending.provisional and now < pending.first + self._cap
        self._set_alarm(settled.path, pending, now)

    async def settled(self) -> list[Settled]:
        """Wait until at least one path has settled; return all that have."""
        while not (settled := self.settled_now()):
            with anyio.CancelScope(deadline=self._alarms[0][0] if self._alarms else math.inf):
                await self._earlier_alarm.wait()
        return settled

    def settled_now(self) -> list[Settled]:
        """Return all paths that have settled by now."""
        now = anyio.current_time()
        settled = self._take_due(now)
        if settled:
            settled += self._take_due(now + TOGETHER)
            self._emptied.notify()
        return settled

    async def empty(self) -> None:
        """Wait until no save is under way."""
        await self._emptied.until(lambda: not self._pending)

    def _set_alarm(self, path: Path, pending: _Pending, now: float) -> None:
        """Call ``expect`` if it is time, and set the alarm that wakes ``settled`` for the next step of ``path``."""
        if pending.expected_at < pending.due - NOTICE <= now:
            pending.expected_at = now
            self._expect(path)
        alarm = pending.next_alarm()
        if alarm < pending.alarm:  # a later one is set when the earlier one goes off
            pending.alarm = alarm
            heappush(self._alarms, (alarm, next(self._serial), path))
            if self._alarms[0][2] is path:
                self._earlier_alarm.notify()

    def _take_due(self, until: float) -> list[Settled]:
        """Handle all alarms up to ``until``; remove and return the paths that have settled."""
        settled = []
        while self._alarms and self._alarms[0][0] <= until:
            alarm, _, path = heappop(self._alarms)
            pending = self._pending.get(path)
            if pending is None or pending.alarm != alarm:
                continue  # an earlier alarm took its place
            pending.alarm = math.inf
            self._note_late(pending)
            if pending.due > until or self._is_put_off(path, pending):
                self._set_alarm(path, pending, max(alarm, anyio.current_time()))
                continue
            del self._pending[path]
            settled.append(Settled(path, pending.first, pending.last, pending.provisional, pending.late))
        return settled

    def _note_late(self, pending: _Pending) -> None:
        """Do not count seconds in which the process was suspended or busy.

        After more than a window of them the path waits anew, once: events of a save under way may not be read yet.
        """
        now = anyio.current_time()
        late = max(0.0, now - pending.due)
        pending.first += late
        pending.limit += late
        if late > self._window >= pending.late:
            pending.due = now + pending.due - pending.last
        pending.late += late

    def _is_put_off(self, path: Path, pending: _Pending) -> bool:
        """Return whether a path that is due is still changing. If so, it waits for another window."""
        now = anyio.current_time()
        if now >= pending.first + self._cap or not self._still_changing(path):
            return False
        pending.last, pending.provisional = now, True
        pending.due = min(now + self._window, pending.limit)
        return True
