"""``owui-watch PATH…``: every save goes live, until told to stop. Wires the rooms; each hop of a save is one method."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from owui_watch.concurrency import supervise
from owui_watch.concurrency.signals import Signals, signals
from owui_watch.deployer import create_deployer
from owui_watch.deployer.removals import DISABLE_AFTER, Removals
from owui_watch.deployer.sync import Sync
from owui_watch.files.regular import exists, is_link
from owui_watch.openwebui.session import Session
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import BrokenPlugin, NotPlugin, ParsedFile, Plugin, PluginKey
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.events import (
    Affected,
    Created,
    Event,
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
from owui_watch.watcher import CAP, Settled, Watcher

PATIENCE = 1.0
"""Seconds that ``watching`` waits for the server's first answer, so that it can name its version."""
READ_AHEAD_AFTER = 0.003
"""Seconds from the end of a write to reading it ahead: time to send the request that runs meanwhile."""
MOST_AHEAD = 4
"""Saves on their way up to which they are read ahead. In a storm that would only keep the first from being sent."""
SAY_STOPPING_AFTER = 0.5
"""Seconds after Ctrl-C before a line says what it still waits for."""
Report = Callable[[Event], None]
Ended = Callable[[], Awaitable[None]]


async def watch(settings: Settings, session: Session, report: Report, ended: Ended | None = None) -> int:
    """Watch until the first SIGINT or SIGTERM; give the exit code. A second signal ends everything at once (130).

    ``ended`` returns where the server is gone for good: that counts as a signal.
    """
    code = 130
    with own(settings, session.url) as owned:
        async with anyio.create_task_group() as tasks:
            with signals() as signalled:
                running = _Watch(settings, session, owned, report, tasks, signalled.arrive)
                tasks.start_soon(running.run)
                async with anyio.create_task_group() as until_told:
                    if ended is not None:
                        until_told.start_soon(_end_with, ended, signalled)
                    await signalled.wait()
                    until_told.cancel_scope.cancel()
                tasks.start_soon(_second, signalled, tasks)
                code = await running.stop()
            tasks.cancel_scope.cancel()
        await session.server.close()
    return code


async def _end_with(ended: Ended, signalled: Signals) -> None:
    await ended()
    signalled.arrive()


async def _second(signalled: Signals, tasks: TaskGroup) -> None:
    await signalled.wait()
    tasks.cancel_scope.cancel()


class _Watch:
    """One run. A save goes ``_settle`` → tree → deployer; what the deployer can't know is told here."""

    def __init__(
        self,
        settings: Settings,
        session: Session,
        owned: Owned,
        report: Report,
        tasks: TaskGroup,
        stop: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._session = session
        self._reporter = report
        self._tasks = tasks
        self._expected: set[Path] = set()
        self._before_watching: list[Event] | None = []
        self._tree = Tree.of(settings, watching=True)
        self._journal = owned.journal
        self._deployer = create_deployer(settings, session, self._journal, self._tree, self._report, tasks)
        self._availability = self._deployer.availability
        self._sync = Sync(session, self._tree, self._deployer, self._report)
        self._heed = partial(self._sync.serve_requests, owned.requests, stop)
        self._watcher = Watcher(
            self._tree.watched(),
            Ignore(settings.ignore),
            settings.debounce,
            report=self._report_problem,
            expect=self._expect,
            poll=settings.poll,
            data_files=self._tree.data_files,
        )
        # What takes the place of a deleted file may be written meanwhile.
        delay = max(DISABLE_AFTER, (CAP + 1) * settings.debounce)
        self._removals = Removals(
            self._tree,
            self._journal,
            tasks,
            was_away=self._watcher.was_away,
            delay=delay if settings.on_delete is OnDelete.DISABLE else None,
            live=self._sync.live,
            disable=self._deployer.disable,
            editor=session.server.editor,
            report=self._report,
        )

    async def run(self) -> None:
        """Start, say so, and take saves until cancelled."""
        self._tasks.start_soon(self._availability.run)
        await self._watcher.start()
        self._tree.survey()
        with anyio.move_on_after(PATIENCE):
            await self._availability.wait_probed()
        release = self._session.server.release if self._availability.available else None
        version = release.version if release else None
        early, self._before_watching = self._before_watching or [], None
        self._report(Watching(self._session.url, self._settings.roots, len(self._tree.plugins()), version))
        for event in early:
            self._report(event)
        gc.freeze()  # no collection looks through all that was imported while a save is on its way
        gc.enable()
        if trouble := self._journal.trouble():
            self._report(Warned(trouble))
        for key in self._tree.plugins() if self._settings.sync else self._unfinished():
            self._take_up(key)
        self._tasks.start_soon(partial(self._sync.run, deploy=self._settings.sync))
        self._tasks.start_soon(self._heed)
        self._tasks.start_soon(self._deployer.run, self._tasks)
        self._tasks.start_soon(supervise, "looking for changes", self._watcher.run, self._report_problem)
        while True:
            for settled in await self._watcher.settled():
                self._settle(settled)
                await anyio.lowlevel.checkpoint()  # hundreds at once must not keep the first from being sent
            self._journal.flush()

    async def stop(self) -> int:
        """Deploy what is saved already, within ``drain`` seconds, and say what is left."""
        self._availability.retry_now()
        await self._watcher.look()
        with anyio.move_on_after(self._settings.drain):
            await self._watcher.quiet()
            with anyio.move_on_after(SAY_STOPPING_AFTER):
                await self._idle()
            if pending := self._pending():
                self._report(Stopping(tuple(sorted(pending)), self._settings.drain))
            await self._idle()
        await self._watcher.stop()
        await self._watcher.handled()
        pending = self._pending() | set(filter(None, map(self._set_aside, tuple(self._watcher.unsettled))))
        self._journal.flush()
        self._report(Stopped(tuple(sorted(pending))))
        return 1 if pending else 0

    async def _idle(self) -> None:
        """Wait until nothing is left to deploy or to switch off."""
        if self._settings.sync:
            await self._sync.compared.wait()
        await self._removals.idle()
        await self._deployer.idle()

    def _pending(self) -> set[str]:
        unseen = self._tree.plugins() if self._settings.sync and not self._sync.compared.is_set() else set()
        return {key.id for key in self._deployer.pending() | self._removals.pending | unseen}

    def _set_aside(self, path: Path) -> str | None:
        """Leave a save that has not settled to the next run; give the plugin's id, or the file's name without one."""
        match self._tree.refresh(path):
            case Plugin(key=key):
                self._journal.manage(key)
                return key.id
            case BrokenPlugin(key=key):
                return key.id if key else path.name
            case _:
                return None

    def _report(self, event: Event) -> None:
        """Say it, and remember what is live now. The first thing said is that the watch has begun."""
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

    def _expect(self, path: Path) -> None:
        """Begin a look at the server for a file that is about to settle, and to read it."""
        for each in self._tree.parts(path)[:MOST_AHEAD]:
            key = self._tree.key_of(each)
            if key is not None:
                self._deployer.prefetch(key)
            self._tree.cool(each)
        if len(self._watcher.unsettled) <= MOST_AHEAD:
            self._expected.add(path)
            self._tasks.start_soon(self._read_ahead, path)

    async def _read_ahead(self, path: Path) -> None:
        """Read and compile what was written, once the look at the server is on its way: both take their time."""
        await anyio.sleep(READ_AHEAD_AFTER)
        if path in self._expected:
            self._expected.discard(path)
            for each in self._tree.parts(path)[:MOST_AHEAD]:
                self._tree.warm(each)

    def _take_up(self, key: PluginKey) -> None:
        """Read a plugin at the start: refuse it, or deploy it where it is unfinished."""
        for path in self._tree.paths_of(key):
            if isinstance(reading := self._tree.look(path), BrokenPlugin):
                self._reject(reading)
        if not self._settings.sync or key in self._journal.unfinished():
            self._deployer.mark(key, anyio.current_time())

    def _settle(self, settled: Settled) -> None:
        """Read what was saved, and every plugin that it is part of, and hand them on or say why not."""
        path = settled.path
        before = self._tree.key_of(path)
        dependents = self._tree.dependents(path)
        digests = {} if exists(path) else self._tree.digests()
        reading = self._tree.refresh(path)
        first = [self._tree.refresh(each, through=path) for each in dependents[:MOST_AHEAD]]
        is_module = isinstance(reading, NotPlugin) and bool(dependents)
        if settled.provisional and any(_looks_bad(each) for each in (*first, *(() if is_module else (reading,)))):
            # Editors truncate, then write: what looks bad now may be half a save, which may have begun this moment.
            self._watcher.recheck(settled)
            return
        self._report(Saved(path=path))
        if self._session.reload_key_if_changed():
            self._availability.retry_now()  # it looks for a new key by itself, and would find this one known already
            self._deployer.discard_prefetch(before)  # the look was begun with a key that lacks a right, say
        if not (isinstance(reading, Plugin) and reading.key == before):
            self._deployer.discard_prefetch(before)
        match reading:
            case None if before is not None and not self._watcher.is_gone(path):
                self._removals.gone(before, path, digests.get(before))
            case None if is_link(path):
                self._report(Skipped(path, "it is a symlink that leads nowhere"))
            case NotPlugin() if not is_module:
                self._report(Skipped(path, f"{reading.reason}, and no plugin imports it"))
            case _:
                self._hand_on(reading, settled)
        self._follow_id(before, path, settled)
        for dependent in first:
            self._hand_on(dependent, settled)
        if rest := dependents[MOST_AHEAD:]:
            self._report(Affected(path, len(dependents)))
            self._tasks.start_soon(self._settle_others, rest, settled)

    def _follow_id(self, before: PluginKey | None, path: Path, settled: Settled) -> None:
        """Take care of the plugin that ``path`` held ``before``, if it holds another one now."""
        now = self._tree.key_of(path)
        if before is not None and before != now and self._tree.paths_of(before):
            # The other file of a clash has its id to itself now.
            self._deployer.mark(before, settled.last_event)
        elif before is not None and now is not None and before != now:
            self._removals.changed(before, now, path)
        if now is not None and before != now:
            self._removals.appeared(now, path)

    async def _settle_others(self, dependents: Sequence[Path], settled: Settled) -> None:
        """Hand on the plugins that a saved file is part of as well, however many they are."""
        for dependent in dependents:
            await anyio.lowlevel.checkpoint()  # thousands must not keep the first from being sent
            self._hand_on(self._tree.refresh(dependent, through=settled.path), settled)
        self._journal.flush()

    def _hand_on(self, reading: ParsedFile | None, settled: Settled) -> None:
        """Make a plugin dirty, or refuse it."""
        match reading:
            case Plugin():
                self._journal.manage(reading.key)  # the server may be away until we end: the next run goes on from here
                self._deployer.mark(reading.key, settled.last_event)
            case BrokenPlugin():
                self._reject_all(reading)

    def _reject_all(self, rejected: BrokenPlugin) -> None:
        """Refuse this file, and the one it clashes with: either may be the one that must change."""
        self._reject(rejected)
        if rejected.key is None:
            return
        self._journal.manage(rejected.key)
        self._journal.flush()
        for path in self._tree.paths_of(rejected.key):
            if path != rejected.path and isinstance(other := self._tree.refresh(path), BrokenPlugin):
                self._reject(other)

    def _reject(self, rejected: BrokenPlugin) -> None:
        self._report(Rejection.of(rejected, rejected.diagnostics, self._sync.live_name(rejected.key)))

    def _unfinished(self) -> set[PluginKey]:
        """Plugins that were sent without an answer, and managed ones whose file changed while nobody watched."""
        changed = {
            key
            for key, held in self._tree.digests().items()
            if key in self._journal.managed() and self._journal.record(key).digest != held
        }
        return changed | self._journal.unfinished()


def _looks_bad(reading: ParsedFile | None) -> bool:
    return reading is not None and not isinstance(reading, Plugin)
