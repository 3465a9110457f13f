"""Workers that empty the queue of dirty plugins: several at once, one plugin never twice, always the newest content."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from owui_watch.concurrency import Wakeup
from owui_watch.deployer.availability import Availability
from owui_watch.deployer.follow_up import FollowUps
from owui_watch.deployer.prefetch import Prefetch
from owui_watch.deployer.queue import Dirty, Queue
from owui_watch.deployer.reconcile import (
    Context,
    InSync,
    NotAdmitted,
    Postponed,
    Reconciler,
    Rejected,
    Result,
    ServerAway,
)
from owui_watch.deployer.results import deployed, version_warnings, warning
from owui_watch.openwebui.remote import Remote
from owui_watch.openwebui.responses import Denied, Unavailable
from owui_watch.plugins.content import digest
from owui_watch.plugins.model import Diagnostic, ParsedFile, Plugin, PluginKey
from owui_watch.reporting.events import Disabled, Event, Held, Queued, Rejection, Warned
from owui_watch.reporting.runtime_events import Sending

WRITE_EVERY = 0.5
"""Seconds between two writes of the journal while more plugins are dirty."""
WORKERS = 4
"""Plugins deployed at once. Open WebUI processes updates one after the other; some more keep it busy while one is
looked at, read and reported: a storm of 200 took 1.02 to 1.33 times a raw loop with two, 1.12 to 1.15 with four."""


class Files(Protocol):
    """Where the deployer finds the newest content: the tree."""

    def newest(self, key: PluginKey) -> ParsedFile | None:
        """Read the plugin's file as it is now; None if it is gone or not the only one of its id."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When new plugins are admitted: once the tree was still for ``quiet`` seconds, ``max_new`` at once at most."""

    quiet: float
    max_new: int


class Deployer:
    """The queue of dirty plugins and the workers that empty it."""

    def __init__(self, files: Files, context: Context, availability: Availability, limits: Limits) -> None:
        self.availability = availability
        self._files = files
        self._context = context
        self._prefetch: Prefetch = context.prefetch
        self._journal = context.journal
        self._limits = limits
        self._report: Callable[[Event], None] = context.report
        self._queue = Queue()
        self._changed = Wakeup()
        self._workers = anyio.CapacityLimiter(WORKERS)
        self._last_mark = -math.inf
        self._trouble: str | None = None
        self._written = -math.inf
        self._to_disable: set[PluginKey] = set()
        self._postponed: dict[PluginKey, Dirty] = {}
        self._warned: dict[PluginKey, tuple[Diagnostic, ...]] = {}
        self._follow_ups = FollowUps(self._journal, self._is_pending, self._mark_follow_up, self._changed.wait)

    def prefetch(self, key: PluginKey) -> None:
        """Look at the server while the file of ``key`` settles: a save of it has begun."""
        if self.availability.available:
            self._prefetch.start(key)

    def discard_prefetch(self, key: PluginKey | None) -> None:
        """Drop the look that was begun for a save of ``key``: it is of no use."""
        if key is not None:
            self._prefetch.discard(key)

    def mark(self, key: PluginKey, saved_at: float, *, admitted: bool = False) -> None:
        """Make ``key`` dirty: its file was saved at ``saved_at`` (seconds of anyio's clock)."""
        self._prefetch.invalidate(key)
        if self.availability.waiting and key not in self.pending():
            self._report(Queued(key.id))
        before = self._postponed.pop(key, None)
        self._queue.mark(Dirty(key, saved_at, admitted or (before is not None and before.admitted)))
        self._last_mark = anyio.current_time()
        self.availability.retry_now()
        self._changed.notify()

    def disable(self, key: PluginKey) -> None:
        """Have the server's copy of ``key`` switched off, unless its file is back when its turn comes."""
        self._to_disable.add(key)
        self.mark(key, anyio.current_time())

    def pending(self) -> set[PluginKey]:
        """Plugins saved and not deployed."""
        return self._queue.pending() | self._postponed.keys()

    async def idle(self) -> None:
        """Wait until every dirty plugin is deployed, rejected or held."""
        await self._changed.until(lambda: not self.pending())

    async def run(self, tasks: TaskGroup) -> None:
        """Deploy dirty plugins until cancelled. Workers run in ``tasks``."""
        while True:
            if not self.availability.available:
                await self.availability.wait()
                self._prefetch.clear()
            await self._workers.acquire_on_behalf_of(token := object())
            await self._prefetch.share(self._queue.ready())
            dirty = self._queue.take() if self.availability.available else None
            if dirty is not None:
                tasks.start_soon(self._work, dirty, token, tasks)
                continue
            self._workers.release_on_behalf_of(token)
            if self.availability.available:
                await self._rest()

    async def _work(self, dirty: Dirty, token: object, tasks: TaskGroup) -> None:
        """Deploy one plugin, and free the worker that ``token`` stands for."""
        try:
            self._settle(dirty, await self._deploy(dirty, tasks), tasks)
        except BaseException:
            self._queue.put_back(dirty)
            raise
        finally:
            self._queue.done(dirty.key)
            self._prefetch.done(dirty.key)
            self._workers.release_on_behalf_of(token)
            self._changed.notify()
        self._end_outage()
        self._write_journal()

    def _settle(self, dirty: Dirty, result: Result | None, tasks: TaskGroup) -> None:
        """Keep a plugin dirty, or set it aside, if ``result`` says that it could not be deployed now."""
        match result:
            case ServerAway(why=why):
                self._queue.put_back(dirty)
                self.availability.lost(why)
            case Postponed(seconds=seconds):
                if dirty.key in self._queue.waiting():  # a newer save goes on at once, admitted as this one
                    self._queue.put_back(dirty)
                else:
                    self._postponed[dirty.key] = dirty
                    tasks.start_soon(self._resume_postponed, dirty, seconds)
            case NotAdmitted():
                self._queue.set_aside(dirty)

    async def _resume_postponed(self, dirty: Dirty, seconds: float) -> None:
        """Make a postponed plugin dirty again, unless a newer save has done so."""
        await anyio.sleep(seconds)
        if self._postponed.get(dirty.key) is dirty:
            del self._postponed[dirty.key]
            self._queue.put_back(dirty)
            self._changed.notify()

    async def _deploy(self, dirty: Dirty, tasks: TaskGroup) -> Result | None:
        """Deploy one plugin and report the result. None if there was nothing to do."""
        plugin = self._files.newest(dirty.key)
        if plugin is None and dirty.key in self._to_disable:
            result = await self._disable(dirty.key)
            if isinstance(result, ServerAway):
                return result
        self._to_disable.discard(dirty.key)
        if not isinstance(plugin, Plugin):
            # The watch reports what is wrong with the file; only an interrupted request is repaired.
            return await self._repair(dirty.key) if self._journal.intent(dirty.key) is not None else None
        self._journal.manage(dirty.key)
        if dirty.follow_up:
            look = await self._prefetch.take(plugin.key)
            if isinstance(look, Unavailable | Denied):
                return ServerAway(look)
            if not self._is_older_content(plugin, look):
                return None
        result = await self._reconcile(plugin, dirty)
        if isinstance(result, InSync) and self._journal.is_late_expected(dirty.key) and not dirty.follow_up:
            self._follow_ups.begin(dirty.key, tasks)
        if isinstance(result, InSync | Rejected):
            self.availability.confirm()
        return result

    async def _reconcile(self, plugin: Plugin, dirty: Dirty) -> Result:
        may_create = dirty.admitted and not dirty.follow_up
        self._report(Sending(path=plugin.path, plugin=plugin.id, kind=plugin.kind))
        result = await Reconciler(self._context, plugin.key, plugin, may_create=may_create).run()
        match result:
            case InSync(progress=progress, release=release):
                self._journal.commit(plugin.key, digest(plugin.content))
                self._warn(plugin, (*plugin.warnings, *version_warnings(plugin, progress.first, release.version)))
                ms = round((anyio.current_time() - dirty.saved_at) * 1000)
                self._report(deployed(progress, plugin, ms, self._context.server.editor(plugin.key)))
            case Rejected(progress=progress, diagnostic=diagnostic):
                if not progress.damaged:
                    self._journal.abandon(plugin.key)
                self._warn(plugin, plugin.warnings)
                live = progress.remote.live_name if progress.remote and not progress.damaged else None
                self._report(Rejection.of(plugin, [diagnostic], live, stage="server"))
        return result

    def _is_older_content(self, plugin: Plugin, look: object) -> bool:
        """Return whether the server holds content of ours that is not the newest; foreign content stays."""
        held = digest(look.content or "") if isinstance(look, Remote) else None
        return held is not None and held in self._journal.ours(plugin.key) - {digest(plugin.content)}

    async def _repair(self, key: PluginKey) -> Result:
        """Finish what was begun for a plugin whose file can't be sent now."""
        result = await Reconciler(self._context, key, None, may_create=False).run()
        if not isinstance(result, Rejected):
            return result
        progress = result.progress
        if progress.damaged:
            if progress.remote is not None:
                diagnostic = result.diagnostic
                self._report(Warned(diagnostic.error, diagnostic.hint, key.id, progress.remote.kind))
        elif progress.sent and progress.intent is not None:
            self._journal.commit(key, progress.intent.sent)
        else:
            self._journal.abandon(key)
        return result

    async def _disable(self, key: PluginKey) -> Result | None:
        """Switch a function off whose file was deleted."""
        reconciler = Reconciler(self._context, key, None, may_create=False)
        result = await reconciler.disable()
        remote = reconciler.progress.remote
        if result is True and remote is not None:
            self._report(Disabled(key.id, remote.kind, self._context.server.editor(key)))
        if isinstance(result, Rejected):
            self._report(Warned(result.diagnostic.error, result.diagnostic.hint, key.id))
        return None if isinstance(result, bool) else result

    def _warn(self, plugin: Plugin, diagnostics: tuple[Diagnostic, ...]) -> None:
        """Report the warnings about this content, unless the last save had the same ones."""
        if self._warned.get(plugin.key) != diagnostics:
            self._warned[plugin.key] = diagnostics
            for diagnostic in diagnostics:
                self._report(warning(plugin, diagnostic))

    async def _rest(self) -> None:
        """Wait for something to do. Once the tree is quiet and nothing else is dirty, admit or hold the new plugins."""
        if not self._queue.idle or not self._queue.new:
            await self._changed.wait()
            return
        with anyio.CancelScope(deadline=self._last_mark + self._limits.quiet):
            await self._changed.wait()
            return
        held = self._queue.admit(self._limits.max_new)
        if held:
            for key in held:
                self._journal.release(key)
            self._journal.flush()
            self._report(Held(tuple(key.id for key in held)))
            self._end_outage()
            self._changed.notify()

    def _is_pending(self, key: PluginKey) -> bool:
        return key in self.pending()

    def _mark_follow_up(self, key: PluginKey) -> None:
        self._queue.mark(Dirty(key, anyio.current_time(), follow_up=True))
        self._changed.notify()

    def _end_outage(self) -> None:
        """Once nothing is left that could fail again, the outage is over."""
        if not self.pending():
            self._prefetch.clear_listings()
            self.availability.confirm()

    def _write_journal(self) -> None:
        """Write the journal at once, in a storm now and then: until then the log of intents stands in for it."""
        if not self._queue.idle and anyio.current_time() < self._written + WRITE_EVERY:
            return
        self._written = anyio.current_time()
        self._journal.flush()
        before, self._trouble = self._trouble, self._journal.trouble()
        if self._trouble is not None and self._trouble != before:
            self._report(Warned(self._trouble, "deploys go on; what was done is remembered only until owui-watch ends"))
