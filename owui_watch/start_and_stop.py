"""``owui-watch PATH…``: starts the daemon, goes on with what the last run left, and ends it on a signal.

A start owns the tree, so that no second watch works on it, and reports ``watching``. A stop finishes what is saved,
within the setting ``drain``, and reports what is left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from owui_watch.concurrency import Signals, guarded, signals, supervise
from owui_watch.daemon import Daemon
from owui_watch.deployer.sync import left_by_last_run
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import BrokenPlugin, Plugin, PluginKey
from owui_watch.reporting.events import Event, Skipped, Stopped, Stopping, Warned, Watching
from owui_watch.settings import Settings
from owui_watch.state import Owned, own
from owui_watch.watcher import REAL_PLATFORM, Platform

FIRST_RESPONSE = 1.0
"""Seconds that ``watching`` waits for the server's first response, so that it can name its version."""
LAST_LOOK = 1.0
"""Seconds that the last look at the files may take after a signal."""
STOPPING_AFTER = 0.5
"""Seconds after a signal before a line says what is still to be deployed."""

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
            run = Run(settings, session, owned, report, tasks, platform)
            tasks.start_soon(run.start, signalled.arrive)
            if ended is not None:
                tasks.start_soon(_arrive_after, ended, signalled)
            await signalled.wait()
            tasks.start_soon(_cancel_after, signalled, tasks)
            code = await run.stop()
            tasks.cancel_scope.cancel()
        await session.server.close()
    return code


async def _arrive_after(ended: Callable[[], Awaitable[None]], signalled: Signals) -> None:
    await ended()
    signalled.arrive()


async def _cancel_after(signalled: Signals, tasks: TaskGroup) -> None:
    await signalled.wait()
    tasks.cancel_scope.cancel()


class Run:
    """One run of a daemon, from its start to its end. ``reporter`` gets ``watching`` first."""

    def __init__(
        self,
        settings: Settings,
        session: Session,
        owned: Owned,
        reporter: Report,
        tasks: TaskGroup,
        platform: Platform,
    ) -> None:
        self._settings = settings
        self._session = session
        self._owned = owned
        self._journal = owned.journal
        self._reporter = reporter
        self._tasks = tasks
        self._platform = platform
        self._before_watching: list[Event] | None = []
        self._daemon = Daemon(settings, session, owned.journal, self._report, tasks, platform)
        self._availability = self._daemon.deployer.availability

    async def start(self, stop: Callable[[], None]) -> None:
        """Report ``watching``, and handle saves until cancelled. ``stop`` is called if another run asks for it."""
        daemon, sync = self._daemon, self._settings.sync
        self._supervise("waiting for the server", self._availability.run)
        await daemon.watcher.start()
        for passed_over in await self._platform.in_thread(daemon.tree.survey):
            self._report(Skipped(passed_over.path, passed_over.explanation))
        with anyio.move_on_after(FIRST_RESPONSE):
            await self._availability.wait_probed()
        self._report_watching()
        for key in daemon.tree.plugins() if sync else left_by_last_run(daemon.tree, self._journal):
            self._resume(key)
            await anyio.lowlevel.checkpoint()
        self._supervise("comparing the files with the server", partial(daemon.sync.run, deploy=sync))
        self._supervise(
            "taking requests of other runs", partial(daemon.sync.serve_requests, self._owned.requests, stop)
        )
        daemon.deployer.look_later(self._tasks)
        self._supervise("deploying", partial(daemon.deployer.run, self._tasks))
        self._supervise("looking for changes", daemon.watcher.run)
        await supervise("taking saves", daemon.take_saves, daemon.report_problem)

    def _supervise(self, what: str, run: Callable[[], Awaitable[None]]) -> None:
        self._tasks.start_soon(supervise, what, run, self._daemon.report_problem)

    def _resume(self, key: PluginKey) -> None:
        """Report a broken plugin at the start; deploy one that the last run left unfinished, or that changed since."""
        for path in self._daemon.tree.paths_of(key):
            parsed = self._daemon.tree.refresh(path)
            if isinstance(parsed, BrokenPlugin):
                self._daemon.deploy_or_reject(parsed, anyio.current_time())
        if not self._settings.sync or key in self._journal.unfinished():
            self._daemon.deployer.mark(key, anyio.current_time(), insist=False)

    async def stop(self) -> int:
        """Deploy what is saved, within ``drain`` seconds; report what is left. Return the exit code."""
        self._availability.retry_now()
        with anyio.move_on_after(LAST_LOOK), guarded("looking for changes", self._daemon.report_problem):
            await self._daemon.watcher.look()
        with anyio.move_on_after(self._settings.drain):
            await self._daemon.watcher.quiet()
            with anyio.move_on_after(STOPPING_AFTER):
                await self._idle()
            if pending := self._pending():
                self._report(Stopping(tuple(sorted(pending)), self._settings.drain))
            await self._idle()
            await self._daemon.deployer.finish()
        await self._daemon.watcher.stop()
        await self._daemon.watcher.handled()
        pending = self._pending() | self._unhandled()
        self._journal.flush()
        self._report_watching()
        self._report(Stopped(tuple(sorted(pending))))
        return 1 if pending else 0

    async def _idle(self) -> None:
        """Wait until there is nothing to deploy or to switch off."""
        if self._settings.sync:
            await self._daemon.sync.compared.wait()
        await self._daemon.removals.idle()
        await self._daemon.deployer.idle()

    def _pending(self) -> set[str]:
        """Return the ids of plugins that are saved and not deployed."""
        uncompared = (
            self._daemon.tree.plugins() if self._settings.sync and not self._daemon.sync.compared.is_set() else set()
        )
        return {key.id for key in self._daemon.deployer.pending() | self._daemon.removals.pending | uncompared}

    def _unhandled(self) -> set[str]:
        """Leave saves that have not settled to the next run; return their plugins' ids, or file names without one."""
        names = set()
        for path in self._daemon.unhandled:
            with guarded(f"reading {path}", self._daemon.report_problem):
                parsed = self._daemon.tree.refresh(path)
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
        roots, plugins = self._settings.roots, len(self._daemon.tree.plugins())
        self._report(Watching(self._session.url, roots, plugins, release.version if release else None))
        for event in early:
            self._report(event)
        troubles = filter(None, [self._journal.trouble()])
        for warning in (*self._owned.warnings, *troubles):
            self._report(Warned(warning))

    def _report(self, event: Event) -> None:
        """Pass an event on; before ``watching`` is reported, keep it for later."""
        if self._before_watching is None:
            self._reporter(event)
        else:
            self._before_watching.append(event)
