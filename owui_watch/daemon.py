"""``owui-watch PATH…``: every save goes live, until a signal.

The product on one page: the watcher reports a settled path, the tree reads which plugins the save changed (none, one or
many), and the deployer's queue brings the server up to date with them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from owui_watch.concurrency import Signals, guarded, signals, supervise
from owui_watch.deployer import create_deployer
from owui_watch.deployer.removals import DISABLE_AFTER, Removals
from owui_watch.deployer.sync import Sync, left_by_last_run
from owui_watch.files import is_link
from owui_watch.openwebui.session import Session
from owui_watch.plugins.changes import Change, read_change
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import BrokenPlugin, Mention, NotPlugin, Plugin, PluginKey
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.events import (
    Affected,
    Created,
    Event,
    Note,
    Rejection,
    Saved,
    Skipped,
    Stopped,
    Stopping,
    Unchanged,
    Updated,
    Warned,
    Watching,
)
from owui_watch.settings import OnDelete, Settings
from owui_watch.state import Owned, own
from owui_watch.watcher import CAP, REAL_PLATFORM, Platform, Settled, Watcher

FIRST_RESPONSE = 1.0
"""Seconds that ``watching`` waits for the server's first response, so that it can name its version."""
READ_AHEAD_AFTER = 0.003
"""Seconds from the start of a look at the server to the reading of the file: time to send the request."""
MOST_AHEAD = 4
"""Saves under way, and plugins that one of them is part of, up to which files are read ahead. In a storm, reading ahead
would delay the first request."""
LAST_LOOK = 1.0
"""Seconds that the last look at the files may take after a signal."""
STOPPING_AFTER = 0.5
"""Seconds after a signal before a line says what is still to be deployed."""
LONGEST_RETRY = 60.0
"""Seconds between two attempts to handle a save that met a bug of ours, at most."""

Report = Callable[[Event], None]


async def watch(
    settings: Settings,
    session: Session,
    report: Report,
    ended: Callable[[], Awaitable[None]] | None = None,
    *,
    platform: Platform = REAL_PLATFORM,
    take_signals: Callable[[], AbstractContextManager[Signals]] = signals,
) -> int:
    """Watch until SIGINT or SIGTERM, finish what is saved, and return the exit code; 130 after a second signal.

    ``ended`` returns when the server is gone for good, which counts as a signal.
    """
    code = 130
    with take_signals() as signalled, own(settings, session.url) as owned:
        async with anyio.create_task_group() as tasks:
            daemon = Daemon(settings, session, owned, report, tasks, platform)
            tasks.start_soon(daemon.run, signalled.arrive)
            if ended is not None:
                tasks.start_soon(_arrive_after, ended, signalled)
            await signalled.wait()
            tasks.start_soon(_cancel_after, signalled, tasks)
            code = await daemon.stop()
            tasks.cancel_scope.cancel()
        await session.server.close()
    return code


async def _arrive_after(ended: Callable[[], Awaitable[None]], signalled: Signals) -> None:
    await ended()
    signalled.arrive()


async def _cancel_after(signalled: Signals, tasks: TaskGroup) -> None:
    await signalled.wait()
    tasks.cancel_scope.cancel()


class Daemon:
    """One run: watcher, tree and deployer, wired to each other."""

    def __init__(
        self,
        settings: Settings,
        session: Session,
        owned: Owned,
        report: Report,
        tasks: TaskGroup,
        platform: Platform,
    ) -> None:
        self._settings = settings
        self._session = session
        self._warnings = owned.warnings
        self._requests = owned.requests
        self._journal = owned.journal
        self._reporter = report
        self._tasks = tasks
        self._platform = platform
        self._before_watching: list[Event] | None = []
        self._failures: dict[Path, int] = {}
        self._tree = Tree.of(settings, watching=True, is_managed=self._journal.is_managed)
        self._deployer = create_deployer(settings, session, self._journal, self._tree, self._report, tasks)
        self._availability = self._deployer.availability
        self._sync = Sync(session, self._tree, self._deployer, self._report)
        self._watcher = Watcher(
            self._tree.watched(),
            Ignore(settings.ignore),
            settings.debounce,
            report=self._report_problem,
            expect=self._prepare,
            poll=settings.poll,
            data_files=self._tree.data_files,
            platform=platform,
        )
        # A file that takes the place of a deleted one may settle as late as this.
        delay = max(DISABLE_AFTER, (CAP + 1) * settings.debounce)
        self._removals = Removals(
            self._tree,
            self._journal,
            tasks,
            delay=delay if settings.on_delete is OnDelete.DISABLE else None,
            was_away=self._watcher.was_away,
            live=self._sync.live,
            disable=self._deployer.disable,
            editor=session.server.editor,
            report=self._report,
        )

    async def run(self, stop: Callable[[], None]) -> None:
        """Start, report ``watching``, and handle saves until cancelled. ``stop`` is called if another run asks for it."""
        self._supervise("waiting for the server", self._availability.run)
        await self._watcher.start()
        for passed_over in await self._platform.in_thread(self._tree.survey):
            self._report(Skipped(passed_over.path, passed_over.explanation))
        with anyio.move_on_after(FIRST_RESPONSE):
            await self._availability.wait_probed()
        self._report_watching()
        for key in self._tree.plugins() if self._settings.sync else left_by_last_run(self._tree, self._journal):
            self._resume(key)
            await anyio.lowlevel.checkpoint()
        self._supervise("comparing the files with the server", partial(self._sync.run, deploy=self._settings.sync))
        self._supervise("taking requests of other runs", partial(self._sync.serve_requests, self._requests, stop))
        self._supervise("deploying", partial(self._deployer.run, self._tasks))
        self._supervise("looking for changes", self._watcher.run)
        await supervise("taking saves", self._take_saves, self._report_problem)

    def _supervise(self, what: str, run: Callable[[], Awaitable[None]]) -> None:
        self._tasks.start_soon(supervise, what, run, self._report_problem)

    async def _take_saves(self) -> None:
        while True:
            for settled in await self._watcher.settled():
                self._take(settled)
                await anyio.lowlevel.checkpoint()  # hundreds at once must not keep the first from being sent
            self._journal.flush()

    def _take(self, settled: Settled) -> None:
        """Handle one save; after a bug of ours, once more after a pause."""
        path = settled.path
        with guarded(f"handling a save of {path}", self._report_first(path)) as outcome:
            self._handle(settled)
        if outcome.error is None:
            self._failures.pop(path, None)
        else:
            self._failures[path] = self._failures.get(path, 0) + 1
            self._tasks.start_soon(self._handle_later, settled, min(2.0 ** self._failures[path], LONGEST_RETRY))

    def _handle(self, settled: Settled) -> None:
        """Read a saved file; deploy or reject the plugins that the save concerns."""
        change = read_change(self._tree, settled.path)
        if settled.provisional and change.looks_bad:
            # Editors truncate, then write: this may be half a save.
            self._watcher.recheck(settled)
            return
        self._report(Saved(path=change.path))
        match change.parsed:
            case Plugin() | BrokenPlugin() as parsed:
                self._deploy_or_reject(parsed, settled.last_event)
            case NotPlugin(mention=Mention.ALWAYS) as passed_over:
                self._report(Skipped(change.path, passed_over.explanation))
            case NotPlugin(mention=Mention.WHEN_SAVED, reason=reason) if not change.is_part:
                self._report(Skipped(change.path, f"{reason}, and no plugin imports it"))
            case NotPlugin(mention=Mention.NEVER, reason=reason):
                self._report(Note(path=change.path, text=f"not deployed: {reason}"))
            case None if is_link(change.path):
                self._report(Skipped(change.path, "it is a symlink that leads nowhere"))
        for other in change.others:
            self._deploy_or_reject(other, settled.last_event)
        if change.unread:
            self._report(Affected(change.path, len(change.others) + len(change.unread)))
            self._tasks.start_soon(self._handle_dependents, change, settled.last_event)
        self._removals.note(change)

    async def _handle_dependents(self, change: Change, saved_at: float) -> None:
        """Deploy or reject the other plugins that a saved file is part of, however many they are."""
        for path in change.unread:
            await anyio.lowlevel.checkpoint()  # thousands must not keep the first from being sent
            with guarded(f"reading {path}", self._report_problem):
                parsed = self._tree.refresh(path, through=change.path)
                if isinstance(parsed, Plugin | BrokenPlugin):
                    self._deploy_or_reject(parsed, saved_at)
        self._journal.flush()

    def _deploy_or_reject(self, parsed: Plugin | BrokenPlugin, saved_at: float) -> None:
        """Put a plugin into the deployer's queue, or report what is wrong with it."""
        if parsed.key is not None:
            self._journal.manage(parsed.key)  # if the server stays away until the end, the next run goes on
        if isinstance(parsed, Plugin):
            self._deployer.mark(parsed.key, saved_at)
        else:
            self._report(Rejection.of(parsed, parsed.diagnostics, self._sync.live_name(parsed.key)))

    def _prepare(self, path: Path) -> None:
        """Look at the server, and read the files, while a save settles."""
        if self._before_watching is not None:
            return  # the tree may still be read, in a thread
        for part in self._tree.parts(path)[:MOST_AHEAD]:
            key = self._tree.key_of(part)
            if key is not None:
                self._deployer.prefetch(key)
        if len(self._watcher.unsettled) <= MOST_AHEAD:
            self._tasks.start_soon(self._read_ahead, path)

    async def _read_ahead(self, path: Path) -> None:
        await anyio.sleep(READ_AHEAD_AFTER)
        if path in self._watcher.unsettled:
            with guarded(f"reading {path}", lambda _error, _hint: None):  # the save meets the same bug, and reports it
                for part in self._tree.parts(path)[:MOST_AHEAD]:
                    self._tree.read_ahead(part)

    async def _handle_later(self, settled: Settled, pause: float) -> None:
        await anyio.sleep(pause)
        self._watcher.recheck(settled)

    def _resume(self, key: PluginKey) -> None:
        """Report a broken plugin at the start; deploy one that the last run left unfinished, or that changed since."""
        for path in self._tree.paths_of(key):
            parsed = self._tree.refresh(path)
            if isinstance(parsed, BrokenPlugin):
                self._deploy_or_reject(parsed, anyio.current_time())
        if not self._settings.sync or key in self._journal.unfinished():
            self._deployer.mark(key, anyio.current_time(), insist=False)

    async def stop(self) -> int:
        """Deploy what is saved, within ``drain`` seconds; report what is left. Return the exit code."""
        self._availability.retry_now()
        with anyio.move_on_after(LAST_LOOK), guarded("looking for changes", self._report_problem):
            await self._watcher.look()
        with anyio.move_on_after(self._settings.drain):
            await self._watcher.quiet()
            with anyio.move_on_after(STOPPING_AFTER):
                await self._idle()
            if pending := self._pending():
                self._report(Stopping(tuple(sorted(pending)), self._settings.drain))
            await self._idle()
            await self._deployer.finish()
        await self._watcher.stop()
        await self._watcher.handled()
        pending = self._pending() | self._unhandled()
        self._journal.flush()
        self._report_watching()
        self._report(Stopped(tuple(sorted(pending))))
        return 1 if pending else 0

    async def _idle(self) -> None:
        """Wait until there is nothing to deploy or to switch off."""
        if self._settings.sync:
            await self._sync.compared.wait()
        await self._removals.idle()
        await self._deployer.idle()

    def _pending(self) -> set[str]:
        """Return the ids of plugins that are saved and not deployed."""
        uncompared = self._tree.plugins() if self._settings.sync and not self._sync.compared.is_set() else set()
        return {key.id for key in self._deployer.pending() | self._removals.pending | uncompared}

    def _unhandled(self) -> set[str]:
        """Leave saves that have not settled to the next run; return their plugins' ids, or file names without one."""
        names = set()
        for path in {*self._watcher.unsettled, *self._failures}:
            with guarded(f"reading {path}", self._report_problem):
                parsed = self._tree.refresh(path)
                if isinstance(parsed, Plugin):
                    self._journal.manage(parsed.key)
                if isinstance(parsed, Plugin | BrokenPlugin):
                    names.add(parsed.key.id if parsed.key else path.name)
        return names

    def _report_watching(self) -> None:
        """Report ``watching``, then everything that was reported before it."""
        early, self._before_watching = self._before_watching, None
        if early is None:
            return
        release = self._session.server.release if self._availability.available else None
        roots, plugins = self._settings.roots, len(self._tree.plugins())
        self._report(Watching(self._session.url, roots, plugins, release.version if release else None))
        for event in early:
            self._report(event)
        troubles = filter(None, [self._journal.trouble()])
        for warning in (*self._warnings, *troubles):
            self._report(Warned(warning))

    def _report(self, event: Event) -> None:
        if self._before_watching is not None:
            self._before_watching.append(event)
            return
        if isinstance(event, Created | Updated | Unchanged):
            self._sync.deployed(event)
        self._reporter(event)
        if isinstance(event, Created | Updated | Unchanged):
            self._removals.deployed(event)

    def _report_problem(self, error: str, hint: str | None) -> None:
        self._report(Warned(error, hint))

    def _report_first(self, path: Path) -> Callable[[str, str | None], None]:
        """Return how to report a bug in handling ``path``: once until a save of it is handled without one."""
        return self._report_problem if path not in self._failures else lambda _error, _hint: None
