"""Settled paths: debounced events, and a periodic look that finds what no event reported and repairs the observer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from owui_watch.concurrency import Post, ReportProblem, RunInThread, Wakeup, guarded, in_thread, post_to_loop
from owui_watch.plugins.ignore import Ignore
from owui_watch.watcher.debounce import Debouncer, Settled, Write
from owui_watch.watcher.observer import MakeObserver, Observation, ObserverError, make_observer
from owui_watch.watcher.snapshot import DataFiles, Scan, Snapshot
from owui_watch.watcher.watched_folders import Found, WatchedFolders

BATCH = 200
"""Events that are processed before the event loop turns to something else."""
STOP_SECONDS = 1.0
"""Seconds to wait for the observer's threads. On a slow file system they may be busy for long; they end by themselves."""
MOST_FOLDERS = 50
"""New, moved or deleted folders that are looked at one by one. If there are more, everything is looked at."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to look at every file.

    ``shortest`` and ``longest`` bound the pause between two looks, in seconds. The pause is ``share`` times the processor
    time of a look, so that looks cost 0.0125 % of a core at most, or 5 % (``poll_share``) while no events come.
    """

    shortest: float = 1.0
    longest: float = 60.0
    share: float = 8000
    poll_share: float = 20


@dataclass(frozen=True, slots=True)
class Platform:
    """What a watcher needs of the platform; tests replace it."""

    observer: MakeObserver = make_observer
    in_thread: RunInThread = in_thread
    post: Callable[[], Post] = post_to_loop


REAL_PLATFORM = Platform()


class Watcher:
    """Watches ``roots`` (absolute folders or single files) and reports each save once it has settled.

    ``window`` is the quiet window in seconds. ``expect`` is called with a path shortly before it settles, or as soon as
    it is complete. ``report`` takes problems, in words for the user. ``poll``: seconds between two looks on a file
    system that sends no events; then no observer is started. ``data_files`` is that of ``Snapshot``. It is called in
    threads, so it must return a mapping that nobody changes.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        ignore: Ignore,
        window: float,
        *,
        report: ReportProblem,
        expect: Callable[[Path], object] = lambda _: None,
        poll: float | None = None,
        data_files: DataFiles = dict,
        pace: Pace = Pace(),
        platform: Platform = REAL_PLATFORM,
    ) -> None:
        self._roots = tuple(roots)
        self._ignore = ignore
        self._report = report
        self._poll = poll
        self._data_files = data_files
        self._pace = pace
        self._platform = platform
        self._snapshot = Snapshot(roots, ignore, data_files=data_files)
        self._folders = WatchedFolders(roots, self._snapshot.holds)
        self._debouncer = Debouncer(window, partial(self._expect, expect), self._is_still_changing)
        self._observation: Observation | None = None
        self._started = False
        self._events_come = False
        self._reported: str | None = None
        self._changed_folders: set[Path] = set()
        self._events_lost = False
        self._look_wanted = Wakeup()
        self._looking = anyio.Lock()
        self._handling = False
        self._handled = Wakeup()

    async def start(self) -> None:
        """Start the observer. When this returns, no later save is missed."""
        if self._poll is None:
            await self._observe()
        self._snapshot.begin(await self._platform.in_thread(self._snapshot.scan))
        self._started = True

    async def run(self) -> None:
        """Look for changes that no event reported, until cancelled: now and then, and after events of whole folders."""
        pause = self._pause(0.0)
        while True:
            with anyio.move_on_after(pause) as waiting:
                await self._look_wanted.until(lambda: self._events_lost or bool(self._changed_folders))
            folders = _outermost(self._changed_folders)
            if waiting.cancelled_caught or self._events_lost or len(folders) > MOST_FOLDERS:
                pause = self._pause(await self.look())
            else:
                await self._look_into(folders)

    async def stop(self) -> None:
        """Stop the observer and wait for its threads, off the loop; for ``STOP_SECONDS`` if they are stuck."""
        observation, self._observation = self._observation, None
        if observation is not None:
            with anyio.move_on_after(STOP_SECONDS, shield=True):
                await self._platform.in_thread(observation.stop)

    async def settled(self) -> list[Settled]:
        """Wait for saves to settle; return them. The next call says that all have been handled."""
        self._handling = False
        self._handled.notify()
        settled = await self._debouncer.settled()
        self._handling = True
        return self._noted(settled)

    def settled_meanwhile(self) -> list[Settled]:
        """Return the saves that have settled since, while earlier ones are still to be handled."""
        return self._noted(self._debouncer.settled_now())

    def _noted(self, settled: list[Settled]) -> list[Settled]:
        for each in settled:
            self._snapshot.refresh(each.path)
        # Of a renamed file the new path comes first, so that the report about the old one can name it.
        return sorted(settled, key=lambda each: self._snapshot.knows(each.path), reverse=True)

    def recheck(self, settled: Settled) -> None:
        """Let a path with bad content settle once more: it may be half a save."""
        self._debouncer.recheck(settled)

    @property
    def unsettled(self) -> Collection[Path]:
        """Paths with a save under way."""
        return self._debouncer.pending

    async def quiet(self) -> None:
        """Wait until no save is under way and all that have settled are handled."""
        while self._debouncer.pending or self._handling:
            await self._debouncer.empty()
            await self.handled()

    async def handled(self) -> None:
        """Wait until all saves that have settled are handled."""
        await self._handled.until(lambda: not self._handling)

    def is_gone(self, path: Path) -> bool:
        """Return whether the watched folder of ``path`` is gone now: then its files were not deleted one by one."""
        return self._folders.is_gone(path)

    def was_away(self, path: Path, since: float) -> bool:
        """Return whether the watched folder of ``path`` is gone, or came back or was replaced after ``since``.

        ``since`` is a moment in seconds of anyio's clock.
        """
        return self._folders.is_gone(path) or self._folders.renewed_since(path, since)

    async def look(self) -> float:
        """Find changes that no event reported, and repair the observer. Return the processor time it took in seconds.

        Before ``start`` has returned there is nothing to compare with, so nothing is found.
        """
        if not self._started:
            return 0.0
        async with self._looking:  # the last look of all may fall into a periodic one
            self._events_lost = False
            self._changed_folders.clear()
            found, scan, cost = await self._platform.in_thread(self._find_and_scan)
            began = time.thread_time()
            changes = self._folders.update(found, anyio.current_time())
            self._report_gone(changes.gone)
            self._note_changes(scan)
            cost += time.thread_time() - began
            if self._observation is not None and (changes.renewed or not self._observation.works(self._present())):
                await self.stop()
                await self._observe()
                await self._scan()  # for what happened meanwhile
            return cost

    async def _look_into(self, folders: Collection[Path]) -> None:
        async with self._looking:
            await self._scan(folders)

    async def _scan(self, within: Collection[Path] | None = None) -> None:
        self._changed_folders.clear()
        scan = await self._platform.in_thread(partial(self._snapshot.scan, within))
        self._note_changes(scan, within)

    def _find_and_scan(self) -> tuple[Found, Scan, float]:
        began = time.thread_time()
        return self._folders.find(), self._snapshot.scan(), time.thread_time() - began

    def _note_changes(self, scan: Scan, within: Collection[Path] | None = None) -> None:
        for path in self._snapshot.compare(scan, gone=self._folders.gone, within=within):
            if path not in self._debouncer.pending:
                self._debouncer.note(path, Write.UNKNOWN)

    def _report_gone(self, folders: Collection[Path]) -> None:
        for folder in folders:
            self._report(
                f"{folder} is gone: deleted, renamed or unmounted. Nothing on the server changes",
                "owui-watch goes on as soon as the folder is back",
            )

    def _present(self) -> list[Path]:
        return [folder for folder in self._folders.recursive if folder not in self._folders.gone]

    def _pause(self, cost: float) -> float:
        if self._events_come:
            return max(self._pace.shortest, min(cost * self._pace.share, self._pace.longest))
        return max(self._poll or self._pace.shortest, cost * self._pace.poll_share)

    async def _observe(self) -> None:
        """Start an observer over the watched folders that are there."""
        post = self._platform.post()
        arrived: deque[tuple[Path, Write, bool]] = deque()

        def deliver(path: Path, write: Write, is_folder: bool) -> None:
            arrived.append((path, write, is_folder))
            if len(arrived) == 1:  # one thread delivers; if there were more, the loop is about to take them in
                post(take_in)

        def take_in() -> None:
            for _ in range(min(len(arrived), BATCH)):
                path, write, is_folder = arrived.popleft()
                with guarded(f"taking in an event of {path}", self._report):
                    self._take_in(path, write, is_folder)
            if arrived:
                post(take_in)

        recursive = self._folders.recursive
        self._observation = observation = Observation(
            {folder: recursive[folder] for folder in self._present()},
            self._is_relevant,
            deliver,
            lambda: post(self._lose_events),
            make=self._platform.observer,
        )
        try:
            await self._platform.in_thread(observation.start)
            self._events_come = True
            self._reported = None
        except ObserverError as error:
            self._events_come = False
            if self._reported != str(error):
                self._report(
                    f"{error}. owui-watch checks every file every {self._pace.shortest:g} s instead", error.hint
                )
            self._reported = str(error)

    def _is_relevant(self, path: Path, is_folder: bool) -> bool:
        """Return whether an event can matter. Called in the observer's thread, so it only looks at names."""
        if path in self._roots or (not is_folder and path in self._data_files()):
            return True
        for root in self._roots:
            if path.is_relative_to(root):
                relative = path.relative_to(root)
                return not (self._ignore.folder(relative) if is_folder else self._ignore.file(relative))
        return False

    def _take_in(self, path: Path, write: Write, is_folder: bool) -> None:
        if is_folder:
            self._changed_folders.add(path)
            self._look_wanted.notify()
        if not is_folder or self._is_newly_named_like_a_plugin(path):
            self._debouncer.note(path, Write.UNKNOWN if is_folder else write)

    def _is_newly_named_like_a_plugin(self, folder: Path) -> bool:
        """Return whether a new folder has the name of a plugin's file, which is reported once."""
        return folder.suffix == ".py" and folder not in self._roots and not self._snapshot.knows(folder)

    def _lose_events(self) -> None:
        self._events_lost = True
        self._look_wanted.notify()

    def _is_still_changing(self, path: Path) -> bool:
        """Return whether a save that is about to settle still goes on, if no events come that could say so."""
        return not self._events_come and self._snapshot.refresh(path)

    def _expect(self, expect: Callable[[Path], object], path: Path) -> None:
        with guarded(f"preparing for a save of {path}", self._report):
            expect(path)


def _outermost(folders: Collection[Path]) -> list[Path]:
    """Return the ``folders`` that lie in no other one of them."""
    return [folder for folder in folders if not any(parent in folders for parent in folder.parents)]
