"""The only room that knows watchdog: events, and a periodic look at what no event told, become settled paths."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import anyio.to_thread
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver

from owui_watch.debounce import Debouncer, Settled
from owui_watch.ignore import Ignore
from owui_watch.snapshot import Snapshot

# Without open and close-no-write: our own reads would come back as events.
EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]
LOOK_EVERY = 1.0
"""Seconds between two periodic looks, at the least."""
LOOK_SHARE = 2500
"""A look that took 1 ms is followed by 2.5 s without one: it never costs more than 0.04 % of a core."""
PAIRING = 0.02
"""Seconds that watchdog may hold a move out of the tree back, and all events behind it, to find where it went. Its own
0.5 s would make every save late that renames the old file to a backup folder elsewhere; no pair is needed here."""


def make_observer() -> BaseObserver:
    """Give this platform's observer; on Linux one that also tells moves into and out of the tree as moves."""
    if sys.platform == "linux":
        from watchdog.observers.inotify import InotifyObserver  # noqa: PLC0415
        from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper  # noqa: PLC0415

        InotifyMoveEventGrouper.delay = PAIRING
        return InotifyObserver(generate_full_events=True)
    else:  # noqa: RET505 - mypy checks one platform a run, and this is the other one
        from watchdog.observers import Observer  # noqa: PLC0415

        return Observer()


class Watcher:
    """Watches ``roots`` (absolute folders or single files) and gives out each save once it has settled.

    ``window`` is the quiet window in seconds. ``begun`` is called with a path as soon as the first event of a save
    names it. Runs on asyncio.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        ignore: Ignore,
        window: float,
        begun: Callable[[Path], None],
        observer: Callable[[], BaseObserver] = make_observer,
    ) -> None:
        self._roots = tuple(roots)
        self._ignore = ignore
        self._begun = begun
        self._debouncer = Debouncer(window)
        self._snapshot = Snapshot(roots, ignore)
        self._make_observer = observer
        self._observer: BaseObserver | None = None
        self._hastened = anyio.Event()

    async def start(self) -> None:
        """Start the observer. When this returns, every save from now on is seen."""
        loop = asyncio.get_running_loop()
        silence_watchdog(lambda: loop.call_soon_threadsafe(self._hasten))
        # The observer's thread has a context of its own, in which anyio knows no event loop.
        context = contextvars.copy_context()

        def hop(path: Path, finished: bool, is_folder: bool) -> None:
            loop.call_soon_threadsafe(self._arrived, path, finished, is_folder, context=context)

        handler = _Handler(self._relevant, hop)
        await anyio.to_thread.run_sync(self._observe, handler)
        self._snapshot.compare(await anyio.to_thread.run_sync(self._snapshot.scan))

    async def stop(self) -> None:
        """Stop the observer and wait for its threads, off the loop."""
        if (observer := self._observer) is not None:
            self._observer = None
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_end, observer)

    async def settled(self) -> list[Settled]:
        """Wait for saves to settle."""
        settled = await self._debouncer.due()
        for each in settled:
            self._snapshot.refresh(each.path)
        return settled

    async def quiet(self) -> None:
        """Wait until no save is on its way any more."""
        await self._debouncer.emptied()

    def not_yet(self, settled: Settled) -> None:
        """Hold back a path whose content is bad: it may be half a save. It settles again after the full window."""
        self._debouncer.not_yet(settled)

    async def look_now_and_then(self) -> None:
        """Find what no event told, until cancelled: lost events, file systems without any."""
        cost = 0.0
        while True:
            with anyio.move_on_after(max(LOOK_EVERY, cost * LOOK_SHARE)):
                await self._hastened.wait()
            self._hastened = anyio.Event()
            began = time.perf_counter()
            now = await anyio.to_thread.run_sync(self._snapshot.scan)
            for path in self._snapshot.compare(now):
                self._note(path, finished=False)
            cost = time.perf_counter() - began

    def _observe(self, handler: FileSystemEventHandler) -> None:
        self._observer = self._make_observer()
        for root in self._roots:
            folder = root if root.is_dir() else root.parent
            self._observer.schedule(handler, str(folder), recursive=root.is_dir(), event_filter=EVENTS)
        self._observer.start()

    def _relevant(self, path: Path, is_folder: bool) -> bool:
        """Tell whether an event can matter. Called in the observer's thread, so it only looks at names."""
        if path in self._roots:
            return True
        for root in self._roots:
            if path.is_relative_to(root):
                relative = path.relative_to(root)
                return not (self._ignore.folder(relative) if is_folder else self._ignore.file(relative))
        return False

    def _arrived(self, path: Path, finished: bool, is_folder: bool) -> None:
        for each in self._snapshot.below(path) if is_folder else [path]:
            self._note(each, finished=finished and not is_folder)

    def _note(self, path: Path, *, finished: bool) -> None:
        if self._debouncer.note(path, finished=finished):
            self._begun(path)

    def _hasten(self) -> None:
        self._hastened.set()


class _Handler(FileSystemEventHandler):
    """Drops what can't matter and delivers the rest. An exception here would kill the observer's thread."""

    def __init__(self, relevant: Callable[[Path, bool], bool], deliver: Callable[[Path, bool, bool], object]) -> None:
        self._relevant = relevant
        self._deliver = deliver

    def dispatch(self, event: FileSystemEvent) -> None:
        moved = isinstance(event, FileMovedEvent | DirMovedEvent)
        is_folder = event.is_directory
        self._pass_on(event.src_path, finished=isinstance(event, FileClosedEvent), is_folder=is_folder)
        if moved:
            self._pass_on(event.dest_path, finished=True, is_folder=is_folder)

    def _pass_on(self, name: str | bytes, *, finished: bool, is_folder: bool) -> None:
        try:
            if name and self._relevant(path := Path(str(name)), is_folder):
                self._deliver(path, finished, is_folder)
        except (RuntimeError, ValueError):
            # The loop is closed (we are stopping), or the name is none that a path can have.
            pass


class _Overflow(logging.Handler):
    """Watchdog tells lost events only to its log: then a look finds what they would have told."""

    def __init__(self, hasten: Callable[[], object]) -> None:
        super().__init__(logging.WARNING)
        self._hasten = hasten

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            with contextlib.suppress(RuntimeError):
                self._hasten()


def silence_watchdog(overflowed: Callable[[], object]) -> None:
    """Keep watchdog's log records and warnings off the terminal; call ``overflowed`` where it lost events."""
    log = logging.getLogger("watchdog")
    log.handlers = [_Overflow(overflowed)]
    log.propagate = False
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="watchdog")


def _end(observer: BaseObserver) -> None:
    observer.stop()
    if observer.is_alive():
        observer.join()
