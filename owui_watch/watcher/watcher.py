"""Settled paths: debounced events, and a periodic look that finds what no event told and mends what tells none."""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
from watchdog.observers.api import BaseObserver

from owui_watch.files.regular import Identity, Signature, folder_of, identity, is_folder
from owui_watch.plugins.ignore import Ignore
from owui_watch.watcher.debounce import Debouncer, Settled, Write
from owui_watch.watcher.observer import Observation, ObserverError, Wanted, make_observer
from owui_watch.watcher.snapshot import Snapshot

LOOK_EVERY = 1.0
"""Seconds between two periodic looks, at the least."""
LOOK_SHARE = 8000
"""A look that took 1 ms is followed by 8 s without one: it never costs more than 0.0125 % of a core."""
LONGEST_PAUSE = 60.0
"""Seconds between two looks, at the most, however large the tree is: only a look tells that a folder is gone."""
POLL_SHARE = 20
"""The same where no events come and the look is all there is: 5 % of a core at the most."""

Troubled = Callable[[str, str | None], None]
"""Takes what is wrong with the watch, in words for the user, and what to do."""


class Watcher:
    """Watches ``roots`` (absolute folders or single files) and gives out each save once it has settled.

    ``window`` is the quiet window in seconds. ``noticed`` is called with a path at every event of a save, and whether
    the event ends its first write: most likely the file is complete. ``poll``: seconds between two looks on a file
    system that tells no events; then no observer is started. ``renewed`` is the moment when a folder that went away, or
    another one in its place, was last begun to be watched, in seconds of anyio's clock. Runs on asyncio.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        ignore: Ignore,
        window: float,
        noticed: Callable[[Path, bool], None],
        *,
        troubled: Troubled = lambda _error, _hint: None,
        poll: float | None = None,
        observer: Callable[[Wanted], BaseObserver] = make_observer,
    ) -> None:
        self._roots = tuple(roots)
        self._folders = tuple(dict.fromkeys(map(folder_of, roots)))
        self._identities = self._identified()
        self._ignore = ignore
        self._noticed = noticed
        self._troubled = troubled
        self._poll = poll
        self._make_observer = observer
        self._snapshot = Snapshot(roots, ignore)
        self._debouncer = Debouncer(window, self._goes_on)
        self._observation: Observation | None = None
        self._events_come = False
        self._gone: list[Path] = []
        self._hastened = anyio.Event()
        self._looking = anyio.Lock()
        self._taken_care_of = anyio.Event()
        self._told: str | None = None
        self.renewed = -math.inf

    async def start(self) -> None:
        """Start the observer. When this returns, every save from now on is seen."""
        if self._poll is None:
            await self._observe()
        self._snapshot.begin(await anyio.to_thread.run_sync(self._snapshot.scan))

    async def stop(self) -> None:
        """Stop the observer and wait for its threads, off the loop."""
        observation, self._observation = self._observation, None
        if observation is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(observation.stop)

    async def settled(self) -> list[Settled]:
        """Wait for saves to settle. To ask again tells that those given out before are taken care of."""
        self._taken_care_of.set()
        settled = await self._debouncer.due()
        self._taken_care_of = anyio.Event()
        for each in settled:
            self._snapshot.refresh(each.path)
        # Of a renamed file the new path comes first, so that the line about the old one can name it.
        return sorted(settled, key=lambda each: self._snapshot.knows(each.path), reverse=True)

    async def quiet(self) -> None:
        """Wait until no save is on its way any more, and those given out are taken care of."""
        for _ in ("settled", "held back and settled"):
            await self._debouncer.emptied()
            await self._taken_care_of.wait()

    @property
    def unsettled(self) -> int:
        """How many saves are on their way."""
        return len(self._debouncer.waiting())

    async def waiting(self) -> set[Path]:
        """Return the paths whose save has not settled, once those given out are taken care of."""
        while not self._taken_care_of.is_set():
            await self._taken_care_of.wait()
        return set(self._debouncer.waiting())

    def _goes_on(self, path: Path) -> bool:
        """Return whether a save that seems complete is still under way, where only looks tell of it."""
        return not self._events_come and self._snapshot.refresh(path)

    def not_yet(self, settled: Settled) -> None:
        """Hold back a path whose content is bad: it may be half a save. It settles again after the full window."""
        self._debouncer.not_yet(settled)

    def is_gone(self, path: Path | None = None) -> bool:
        """Return whether a watched folder itself is gone (``path``'s, or any): then its files did not go one by one."""
        return any(path is None or path.is_relative_to(folder) for folder in self._gone_folders())

    def _gone_folders(self) -> list[Path]:
        return [folder for folder in self._folders if not is_folder(folder) or self._is_bare(folder)]

    def _is_bare(self, folder: Path) -> bool:
        """Return whether ``folder`` is what remains where a disk was unmounted: on another device, and without a file."""
        known, now = self._identities[folder], identity(folder)
        if known is None or now is None or known[0] == now[0]:
            return False
        return not any(self._snapshot.holds(root) for root in self._roots if root.is_relative_to(folder))

    def _identified(self) -> dict[Path, Identity | None]:
        return {folder: identity(folder) for folder in self._folders}

    async def look(self) -> float:
        """Find what no event has told, and mend the watch; give the processor time that it took, in seconds."""
        async with self._looking:  # the last look of all may fall into a periodic one
            await self._mend()
            now, cost = await anyio.to_thread.run_sync(self._scanned)
            began = time.thread_time()
            for path in self._snapshot.compare(now, self._gone_folders()):
                if not self._debouncer.waits(path):
                    self._note(path, Write.UNTOLD)
            return cost + time.thread_time() - began

    def _scanned(self) -> tuple[dict[str, Signature | None], float]:
        began = time.thread_time()
        return self._snapshot.scan(), time.thread_time() - began

    async def look_now_and_then(self) -> None:
        """Find what no event told, until cancelled: lost events, file systems without any, a watch that broke."""
        cost = 0.0
        while True:
            with anyio.move_on_after(self._pause(cost)):
                await self._hastened.wait()
            self._hastened = anyio.Event()
            cost = await self.look()

    def _pause(self, cost: float) -> float:
        if self._events_come:
            return max(LOOK_EVERY, min(cost * LOOK_SHARE, LONGEST_PAUSE))
        return max(self._poll or LOOK_EVERY, cost * POLL_SHARE)

    async def _mend(self) -> None:
        """Notice that a watched folder went away or came back, and watch what is there now."""
        gone = self._gone_folders()
        for folder in gone:
            if folder not in self._gone:
                self._troubled(
                    f"{folder} is gone: deleted, renamed or unmounted; nothing on the server changes",
                    "it is watched again as soon as it is back",
                )
        was_gone, self._gone = bool(self._gone), gone
        if gone:
            return
        now, observation = self._identified(), self._observation
        others = was_gone or now != self._identities  # a disk that is mounted again may have the same identity
        if observation is not None and (others or not await anyio.to_thread.run_sync(observation.sound)):
            others = True
            await self.stop()
            await self._observe()
        if others:
            self._identities = now
            self.renewed = anyio.current_time()

    async def _observe(self) -> None:
        loop = asyncio.get_running_loop()
        # The observer's threads have contexts of their own, in which anyio knows no event loop.
        hop = partial(loop.call_soon_threadsafe, context=contextvars.copy_context())
        arrivals: deque[tuple[Path, Write, bool]] = deque()

        def deliver(path: Path, write: Write, is_folder: bool) -> None:
            arrivals.append((path, write, is_folder))
            if len(arrivals) == 1:  # one thread delivers, so with more the loop is on its way to them already
                hop(take_in)

        def take_in() -> None:
            try:
                for _ in range(len(arrivals)):
                    self._arrived(*arrivals.popleft())
            finally:  # no flood keeps the loop from all else, and no event that fails the others from being seen
                if arrivals:
                    loop.call_soon(take_in)

        self._observation = observation = Observation(
            self._roots,
            self._relevant,
            deliver,
            lambda: hop(self._hasten),
            self._make_observer,
        )
        try:
            await anyio.to_thread.run_sync(observation.start)
            self._events_come = True
            self._told = None
        except ObserverError as error:
            self._events_come = False
            if self._told != str(error):
                self._troubled(f"{error}; every file is looked at every {LOOK_EVERY:g} s instead", error.hint)
            self._told = str(error)

    def _relevant(self, path: Path, is_folder: bool) -> bool:
        """Return whether an event can matter. Called in the observer's thread, so it only looks at names."""
        if path in self._roots:
            return True
        for root in self._roots:
            if path.is_relative_to(root):
                relative = path.relative_to(root)
                return not (self._ignore.folder(relative) if is_folder else self._ignore.file(relative))
        return False

    def _arrived(self, path: Path, write: Write, is_folder: bool) -> None:
        if not is_folder or (path.suffix == ".py" and path not in self._roots):
            self._note(path, Write.UNTOLD if is_folder else write)
        for each in self._snapshot.below(path) if is_folder else ():
            self._note(each, Write.UNTOLD)

    def _note(self, path: Path, write: Write) -> None:
        self._noticed(path, self._debouncer.note(path, write) == 1 and write is Write.ENDED)

    def _hasten(self) -> None:
        self._hastened.set()
