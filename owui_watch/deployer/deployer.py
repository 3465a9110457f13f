"""Workers that empty the queue of dirty plugins: several at once, one plugin never twice, always the newest content."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from owui_watch.concurrency import Wakeup, guarded, supervise
from owui_watch.deployer.attempt import Attempts, Files
from owui_watch.deployer.availability import Availability
from owui_watch.deployer.follow_up import FollowUp
from owui_watch.deployer.overwritten_edits import MOST_UPDATES
from owui_watch.deployer.prefetch import Prefetch
from owui_watch.deployer.queue import TOGETHER, Dirty, Queue
from owui_watch.deployer.reconcile_context import ReconcileContext
from owui_watch.deployer.recovery import PATIENCE
from owui_watch.deployer.results import (
    InSync,
    LooksLikeCopy,
    NotAdmitted,
    Postponed,
    Rejected,
    Result,
    ServerAway,
    Troubled,
)
from owui_watch.deployer.retries import Retries
from owui_watch.plugins.duplicate_files import copy_reason
from owui_watch.plugins.model import Plugin, PluginKey
from owui_watch.reporting.events import Event, Held, Queued, Skipped, Warned

WRITE_EVERY = 0.5
"""Seconds between two writes of the journal while more plugins are dirty."""
MOST_BUGS = 100
"""Different bugs that one run reports."""
MOST_NAMED = 8
"""Ids that a line about many plugins names."""
WORKERS = 4
"""Plugins deployed at once. Open WebUI processes updates one after the other. More than one plugin keeps it busy while
another one is read, looked at or reported: a storm of 200 took 1.02 to 1.33 times as long as a raw loop with two, 1.12
to 1.15 times with four."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When new plugins are admitted: after ``quiet`` seconds without a save, and at most ``max_new`` at once.

    A plugin with trouble of its own is rejected after ``patience`` seconds.
    """

    quiet: float
    max_new: int
    patience: float = PATIENCE


class Deployer:
    """The queue of dirty plugins and the workers that empty it.

    ``reload_key`` reads the API key again if the files that hold it have changed; it returns whether the key did.
    """

    def __init__(
        self,
        files: Files,
        context: ReconcileContext,
        availability: Availability,
        limits: Limits,
        reload_key: Callable[[], bool] = lambda: False,
    ) -> None:
        self.availability = availability
        self._files = files
        self._prefetch: Prefetch = context.prefetch
        self._journal = context.journal
        self._limits = limits
        self._reload_key = reload_key
        self._report: Callable[[Event], None] = context.report
        self._queue = Queue()
        self._changed = Wakeup()
        self._retries = Retries(self._queue, self._changed, self._report, limits.patience)
        self._workers = anyio.CapacityLimiter(WORKERS)
        self._last_mark = -math.inf
        self._disk_trouble: str | None = None
        self._written = -math.inf
        self._follows_up = False
        self._bugs: set[str] = set()
        self._follow_up = FollowUp(
            context.server,
            self._journal,
            is_pending=self.is_pending,
            look=self._mark_follow_up,
            changed=self._changed.wait,
            report=self._report,
            report_problem=self._report_problem,
        )
        self._attempts = Attempts(files, context, self._retries, self._follow_up.note)

    def prefetch(self, key: PluginKey) -> None:
        """Look at the server while the file of ``key`` settles: a save of it has begun."""
        if self.availability.available:
            self._prefetch.start(key)

    def mark(self, key: PluginKey, saved_at: float, *, admitted: bool = False, insist: bool = True) -> None:
        """Make ``key`` dirty: its file was saved at ``saved_at`` (seconds of anyio's clock).

        ``admitted``: it may be created. Without ``insist`` (nobody saved or named the plugin) content that has killed
        its connection before is not sent again.
        """
        if self._reload_key():
            self._prefetch.clear()  # the old key may have lacked a right
        self._prefetch.saved(key)
        if self.availability.waiting and not self.is_pending(key):
            self._report(Queued(key.id))
        self._queue.mark(self._retries.saved(Dirty(key, saved_at, admitted, insist)))
        self._last_mark = anyio.current_time()
        self.availability.retry_now()
        self._changed.notify()

    def disable(self, key: PluginKey) -> None:
        """Have the server's copy of ``key`` switched off, unless its file is back when its turn comes."""
        self._attempts.disable_if_gone(key)
        self.mark(key, anyio.current_time())

    def pending(self) -> set[PluginKey]:
        """Plugins saved and not deployed."""
        return self._queue.pending() | self._retries.waiting.keys()

    def is_pending(self, key: PluginKey) -> bool:
        """Return whether ``key`` is saved and not deployed."""
        return self._queue.is_pending(key) or key in self._retries.waiting

    @property
    def is_idle(self) -> bool:
        """Whether every dirty plugin is deployed, rejected or held."""
        return self._queue.empty and not self._retries.waiting

    async def idle(self) -> None:
        """Wait until every dirty plugin is deployed, rejected or held."""
        await self._changed.until(lambda: self.is_idle)

    async def finish(self) -> None:
        """Do what the last deploys still need: search for overwritten edits, refresh the list of models."""
        await self._follow_up.finish()

    def look_later(self, tasks: TaskGroup) -> None:
        """Look again, in ``tasks``, at functions that were deployed some time ago. A deploy that runs once does not."""
        self._follow_up.start(tasks)

    async def run(self, tasks: TaskGroup) -> None:
        """Deploy dirty plugins until cancelled. Workers run in ``tasks``."""
        if not self._follows_up:  # this method is started anew after a bug
            self._follows_up = True
            what = "searching for edits that the last run overwrote"
            tasks.start_soon(supervise, what, self._check_overwritten, self._report_problem)
        while True:
            if not self.availability.available:
                await self.availability.wait()
                self._prefetch.clear()
                self._follow_up.reverted.expect()
            await self._workers.acquire_on_behalf_of(token := object())
            dirty = None
            try:
                dirty = await self._next()
            finally:
                if dirty is None:
                    self._workers.release_on_behalf_of(token)
            if dirty is not None:
                tasks.start_soon(self._work, dirty, token, tasks)
            elif self.availability.available:
                await self._rest()

    async def _next(self) -> Dirty | None:
        """Take the next plugin from the queue, prepared for its turn; None if there is none now."""
        key = self._queue.next()
        if key is None:
            return None
        with guarded("listing the server's plugins", self._report_problem):
            await self._prefetch.prepare(key, self._queue.count(key.space))
        return self._queue.take(key) if self.availability.available and self._queue.is_dirty(key) else None

    async def _work(self, dirty: Dirty, token: object, tasks: TaskGroup) -> None:
        """Deploy one plugin, and free the worker that ``token`` stands for."""
        ended = False
        try:
            with guarded(f"deploying {dirty.key.id}", self._report_problem) as outcome:
                self._settle(dirty, await self._attempts.deploy(dirty), tasks)
            if outcome.error is not None:
                self._retries.back_off(dirty, tasks)
            ended = True
        finally:
            if not ended:
                self._queue.put_back(dirty)
            self._queue.done(dirty.key)
            self._prefetch.done(dirty.key)
            self._workers.release_on_behalf_of(token)
            self._changed.notify()
        with guarded("writing down what was deployed", self._report_problem):
            await self._after_work()

    def _settle(self, dirty: Dirty, result: Result | None, tasks: TaskGroup) -> None:
        """Keep a plugin dirty, or set it aside, if ``result`` says that it could not be deployed now."""
        match result:
            case ServerAway(why=why):
                self._queue.put_back(dirty)
                self.availability.lost(why)
            case Postponed(progress=progress, seconds=seconds):
                self._retries.postpone(dirty, progress, seconds, tasks)
            case Troubled() as trouble:
                self._retries.back_off(dirty, tasks, trouble)
            case NotAdmitted():
                self._queue.set_aside(dirty)
            case LooksLikeCopy(plugin=plugin, original=original):
                self._journal.release(dirty.key)  # the next start need not say so again
                self._report(Skipped(plugin.path, copy_reason(original.name)))
            case InSync() | Rejected():
                self._retries.forget(dirty.key)
                self.availability.confirm()
                if isinstance(result, InSync) and self._journal.is_late_expected(dirty.key) and not dirty.follow_up:
                    self._follow_up.late_content.begin(dirty.key, tasks)
            case None:
                self._retries.forget(dirty.key)

    def is_deployed(self, key: PluginKey, held: str | None, wanted: str) -> bool:
        """Return whether content with the digest ``held`` on the server is the same plugin as ``wanted``."""
        return self._journal.is_deployed(key, held, wanted)

    async def _rest(self) -> None:
        """Wait for something to do. Once all that was saved with them is known, admit or hold the new plugins."""
        if not self._queue.new or not self._queue.is_bulk_known:
            await self._changed.wait()
            return
        complete_at = max(self._last_mark + self._limits.quiet, self._queue.last_new + TOGETHER)
        with anyio.CancelScope(deadline=complete_at):
            await self._changed.wait()
            return
        held = self._queue.admit(self._limits.max_new, self._exists)
        if held:
            for key in held:
                self._journal.release(key)
            self._journal.flush()
            self._report(Held(tuple(key.id for key in held)))
        self._end_outage()
        self._changed.notify()

    def _exists(self, key: PluginKey) -> bool:
        return isinstance(self._files.newest(key), Plugin)

    def _mark_follow_up(self, key: PluginKey) -> None:
        self._queue.mark(Dirty(key, anyio.current_time(), follow_up=True))
        self._changed.notify()

    async def _after_work(self) -> None:
        self._end_outage()
        self._write_journal()
        if self._follow_up.overwritten.is_urgent and self.availability.available:
            await self._follow_up.overwritten.check(MOST_UPDATES)
        if self.is_idle and self.availability.available:
            await self._follow_up.finish()
            self._write_journal()
            if reverted := await self._follow_up.reverted.check():
                names = ", ".join(sorted(key.id for key in reverted)[:MOST_NAMED])
                error = f"the server holds older content again: {names}" + ("…" if len(reverted) > MOST_NAMED else "")
                self._report(Warned(error, "was it restored from a backup? owui-watch deploys the files again"))
                for key in reverted:
                    self.mark(key, anyio.current_time(), admitted=True, insist=False)

    async def _check_overwritten(self) -> None:
        await self.availability.wait()
        await self._follow_up.overwritten.check()
        self._write_journal()

    def _end_outage(self) -> None:
        """End the outage if no dirty plugin is left whose deploy could fail again."""
        if self.is_idle:
            self._prefetch.clear_listings()
            self.availability.confirm()

    def _report_problem(self, error: str, hint: str | None) -> None:
        """Report a bug of ours, once."""
        if error not in self._bugs and len(self._bugs) < MOST_BUGS:
            self._bugs.add(error)
            self._report(Warned(error, hint))

    def _write_journal(self) -> None:
        """Write the journal at once, but in a storm only now and then: the log of intents has what it lacks."""
        if not self._queue.idle and anyio.current_time() < self._written + WRITE_EVERY:
            return
        self._written = anyio.current_time()
        self._journal.flush()
        before, self._disk_trouble = self._disk_trouble, self._journal.trouble()
        if self._disk_trouble is not None and self._disk_trouble != before:
            hint = "deploys go on, but owui-watch forgets them when it ends"
            self._report(Warned(self._disk_trouble, hint))
