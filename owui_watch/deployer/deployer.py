"""Takes dirty plugins and deploys them: several at once, one never twice, always the newest content."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from owui_watch.deployer.availability import Gate
from owui_watch.deployer.deployment import Deployment
from owui_watch.deployer.means import NewPluginError, PostponedError, TryLaterError
from owui_watch.deployer.prefetch import Looks
from owui_watch.deployer.queue import Dirty, Queue
from owui_watch.plugins.model import ParsedFile, Plugin, PluginKey
from owui_watch.reporting.events import Event, Held, Queued, Warned
from owui_watch.state.journal import Journal

WRITE_EVERY = 0.5
"""Seconds between two writes of what was done, while more waits to be done."""
MAKE_SURE_AFTER = (10.0, 60.0, 300.0)
"""Seconds after a deploy at which the server is looked at again, where it may still have been at an older content of
the same plugin: that would end up over the newer one."""
AT_ONCE = 4
"""Plugins deployed at once. Open WebUI works updates off one after the other; some more keep it busy while one is
looked at, read and told of: a storm of 200 took 1.02 to 1.33 times a raw loop with two, 1.12 to 1.15 with four."""


class Source(Protocol):
    """Where the deployer finds the newest content: the tree."""

    def newest(self, key: PluginKey) -> ParsedFile | None:
        """Read the plugin's file as it is now; None where it is gone or not the only one of its id."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How new plugins are let in: once the tree was still for ``quiet`` seconds, ``max_new`` at once at the most."""

    quiet: float
    max_new: int


class Deployer:
    """The queue of dirty plugins and the workers that empty it."""

    def __init__(
        self,
        source: Source,
        deployment: Deployment,
        looks: Looks,
        journal: Journal,
        gate: Gate,
        *,
        limits: Limits,
        report: Callable[[Event], None],
    ) -> None:
        self._source = source
        self._deployment = deployment
        self._looks = looks
        self._journal = journal
        self._gate = gate
        self._limits = limits
        self._report = report
        self._queue = Queue()
        self._changed = anyio.Event()
        self._workers = anyio.CapacityLimiter(AT_ONCE)
        self._stirred = -math.inf
        self._trouble: str | None = None
        self._written = -math.inf
        self._retiring: set[PluginKey] = set()
        self._postponed: dict[PluginKey, Dirty] = {}
        self._making_sure: dict[PluginKey, object] = {}

    def anticipate(self, key: PluginKey) -> None:
        """Look at the server while the file of ``key`` settles: a save of it has begun."""
        if self._gate.is_open:
            self._looks.begin(key)

    def forgo(self, key: PluginKey | None) -> None:
        """Tell that what was looked at for the save of ``key`` is of no use."""
        if key is not None:
            self._looks.forgo(key)

    def mark(self, key: PluginKey, saved_at: float, *, admitted: bool = False) -> None:
        """Make ``key`` dirty: its file was saved at ``saved_at`` (seconds of anyio's clock)."""
        self._looks.outdate(key)
        if self._gate.is_waiting and key not in self.pending():
            self._report(Queued(key.id))
        before = self._postponed.pop(key, None)
        self._queue.mark(Dirty(key, saved_at, admitted or (before is not None and before.admitted)))
        self._stirred = anyio.current_time()
        self._gate.hurry()
        self._announce()

    def retire(self, key: PluginKey) -> None:
        """Have the server's copy of ``key`` switched off, unless its file is back when its turn comes."""
        self._retiring.add(key)
        self.mark(key, anyio.current_time())

    def pending(self) -> set[PluginKey]:
        """Plugins saved and not deployed."""
        return self._queue.pending() | self._postponed.keys()

    async def idle(self) -> None:
        """Wait until all that is dirty is deployed, refused or held."""
        while self.pending():
            await self._change()

    async def run(self, tasks: TaskGroup) -> None:
        """Deploy what is dirty until cancelled. Work is begun in ``tasks``."""
        while True:
            if not self._gate.is_open:
                await self._gate.passage()
                self._looks.forget_all()
            await self._workers.acquire_on_behalf_of(token := object())
            await self._looks.share(self._queue.ready())
            dirty = self._queue.take() if self._gate.is_open else None
            if dirty is not None:
                tasks.start_soon(self._work, dirty, token, tasks)
                continue
            self._workers.release_on_behalf_of(token)
            if self._gate.is_open:
                await self._rest()

    async def _work(self, dirty: Dirty, token: object, tasks: TaskGroup) -> None:
        try:
            await self._deploy(dirty, tasks)
        except TryLaterError as later:
            self._queue.put_back(dirty)
            self._gate.close(later.why)
        except PostponedError as later:
            if dirty.key in self._queue.waiting():  # a newer save goes on at once, admitted as this one
                self._queue.put_back(dirty)
            else:
                self._postponed[dirty.key] = dirty
                tasks.start_soon(self._take_up_again, dirty, later.seconds)
        except NewPluginError:
            self._queue.hold(dirty)
        except BaseException:
            self._queue.put_back(dirty)
            raise
        finally:
            self._queue.done(dirty.key)
            self._looks.done(dirty.key)
            self._workers.release_on_behalf_of(token)
            self._announce()
        self._relieve()
        self._write_journal()

    async def _take_up_again(self, dirty: Dirty, seconds: float) -> None:
        """Make a postponed plugin dirty again, unless a newer save has done so."""
        await anyio.sleep(seconds)
        if self._postponed.get(dirty.key) is dirty:
            del self._postponed[dirty.key]
            self._queue.put_back(dirty)
            self._announce()

    async def _make_sure(self, key: PluginKey, series: object) -> None:
        """Look now and then whether the server still holds the newest content, until nothing can be under way.

        A newer deploy begins another ``series``.
        """
        began = anyio.current_time()
        for seconds in MAKE_SURE_AFTER:
            await anyio.sleep(began + seconds - anyio.current_time())
            if self._making_sure.get(key) is not series:
                return
            if key not in self.pending():
                self._queue.mark(Dirty(key, anyio.current_time(), doubted=True))
                self._announce()
        while key in self.pending():  # the last look itself
            await self._change()
        if self._making_sure.get(key) is series:
            del self._making_sure[key]
            self._journal.trust(key)

    async def _deploy(self, dirty: Dirty, tasks: TaskGroup) -> None:
        plugin = self._source.newest(dirty.key)
        if plugin is None and dirty.key in self._retiring:
            await self._deployment.retire(dirty.key)
        self._retiring.discard(dirty.key)
        if not isinstance(plugin, Plugin):
            # The watch has told, or will tell, what is wrong with the file; only what was begun before is mended.
            if self._journal.intent(dirty.key) is not None:
                await self._deployment.mend(dirty.key)
            return
        self._journal.manage(dirty.key)
        if dirty.doubted:
            await self._deployment.make_sure(plugin, dirty.saved_at)
            return
        deployed = await self._deployment.deploy(plugin, dirty.saved_at, may_create=dirty.admitted)
        if deployed and self._journal.doubted(dirty.key):
            self._making_sure[dirty.key] = series = object()
            tasks.start_soon(self._make_sure, dirty.key, series)
        self._gate.proven()

    async def _rest(self) -> None:
        """Wait for something to do. Once the tree is quiet and all else is done, the new plugins are let in or held."""
        if not self._queue.idle or not self._queue.new:
            await self._change()
            return
        with anyio.CancelScope(deadline=self._stirred + self._limits.quiet):
            await self._change()
            return
        held = self._queue.admit(self._limits.max_new)
        if held:
            for key in held:
                self._journal.release(key)
            self._journal.flush()
            self._report(Held(tuple(key.id for key in held)))
            self._relieve()
            self._announce()

    def _relieve(self) -> None:
        """With nothing left that could fail again, what was said of the server is over."""
        if not self.pending():
            self._looks.forget_listings()
            self._gate.proven()

    async def _change(self) -> None:
        await self._changed.wait()

    def _announce(self) -> None:
        """Wake everyone who waits for a change; each waits for the next one on a new event, so that none is lost."""
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def _write_journal(self) -> None:
        """Write what was done: at once, or in a storm now and then (until then the intents stand in for it)."""
        if not self._queue.idle and anyio.current_time() < self._written + WRITE_EVERY:
            return
        self._written = anyio.current_time()
        self._journal.flush()
        before, self._trouble = self._trouble, self._journal.trouble()
        if self._trouble is not None and self._trouble != before:
            self._report(Warned(self._trouble, "deploys go on; what was done is remembered only until owui-watch ends"))
