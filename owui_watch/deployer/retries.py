"""Plugins that wait for another try: one whose request may still run on the server, or one with trouble of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio
from anyio.abc import TaskGroup

from owui_watch.concurrency import Wakeup
from owui_watch.deployer.plan import Progress
from owui_watch.deployer.queue import Dirty, Queue
from owui_watch.deployer.recovery import backoff
from owui_watch.deployer.refusals import not_taken
from owui_watch.deployer.results import Troubled
from owui_watch.openwebui.responses import Delivery, Unavailable
from owui_watch.plugins.model import PluginKey
from owui_watch.reporting.events import Event, Warned, Working

UNDER_WAY_EVERY = 14.9
"""Seconds between two lines about a request that a proxy gave up waiting for."""
MOST_TOGETHER = 2
"""After so many losses of the server in a row over one plugin, each followed by its return, only that plugin waits."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A plugin that fails for a reason of its own: since when (seconds of anyio's clock), and how often."""

    since: float
    tries: int


class Retries:
    """Keeps dirty plugins out of ``queue`` until their pause is over; ``changed`` is notified then.

    ``waiting`` holds the plugins that are out of the queue now.
    """

    def __init__(self, queue: Queue, changed: Wakeup, report: Callable[[Event], None], patience: float) -> None:
        self._queue = queue
        self._changed = changed
        self._report = report
        self._patience = patience
        self._troubled: dict[PluginKey, _Trouble] = {}
        self._under_way: dict[PluginKey, tuple[float, float]] = {}
        self._losses: dict[PluginKey, int] = {}
        self.waiting: dict[PluginKey, Dirty] = {}

    def saved(self, dirty: Dirty) -> Dirty:
        """Return ``dirty``, a new save. It replaces a save that waits, and is allowed as much.

        A plugin that somebody saved or named (``insist``) begins anew, as if it had never failed.
        """
        before = self.waiting.pop(dirty.key, None)
        if before is not None:
            dirty = replace(dirty, admitted=dirty.admitted or before.admitted, insist=dirty.insist or before.insist)
        if dirty.insist:
            self._troubled.pop(dirty.key, None)
            self._losses.pop(dirty.key, None)
        return dirty

    def postpone(self, dirty: Dirty, progress: Progress, seconds: float, tasks: TaskGroup) -> None:
        """Try again in ``seconds``: the server may still be working on a request whose response nobody waits for."""
        now = anyio.current_time()
        since, said = self._under_way.get(dirty.key, (now, now))
        plugin = progress.plugin
        if now - said >= UNDER_WAY_EVERY and plugin is not None:
            said = now
            self._report(Working(plugin.id, plugin.kind, round(now - since), plugin.header.get("requirements") or None))
        self._under_way[dirty.key] = since, said
        self._wait(dirty, seconds, tasks)

    def note_loss(self, key: PluginKey, why: Unavailable) -> bool:
        """Note that the server was lost over ``key``; return whether that is the plugin's own trouble by now.

        An overloaded server says so of itself, and one that can't be reached got no request at all.
        """
        if why.delivery is Delivery.NOT_PROCESSED:
            return False
        self._losses[key] = self._losses.get(key, 0) + 1
        return self._losses[key] > MOST_TOGETHER

    def back_off(self, dirty: Dirty, tasks: TaskGroup, met: Troubled | None = None) -> None:
        """Try a plugin that failed for a reason of its own again, after growing pauses; report the first trouble."""
        trouble = self._troubled.get(dirty.key)
        if trouble is None and met is not None:
            plugin = met.progress.plugin
            kind = plugin.kind if plugin is not None else None
            self._report(Warned(not_taken(met.error), "owui-watch tries again", dirty.key.id, kind))
        trouble = trouble or _Trouble(anyio.current_time(), 0)
        self._troubled[dirty.key] = trouble = _Trouble(trouble.since, trouble.tries + 1)
        self._wait(dirty, backoff(trouble.tries), tasks)

    def is_patience_over(self, key: PluginKey) -> bool:
        """Return whether a plugin has failed for so long that it is rejected."""
        trouble = self._troubled.get(key)
        return trouble is not None and anyio.current_time() > trouble.since + self._patience

    def forget(self, key: PluginKey) -> None:
        """Forget the failures of a plugin: it is deployed or rejected."""
        self._troubled.pop(key, None)
        self._under_way.pop(key, None)
        self._losses.pop(key, None)

    def _wait(self, dirty: Dirty, seconds: float, tasks: TaskGroup) -> None:
        if self._queue.is_dirty(dirty.key):  # a newer save goes on at once, allowed as much as this one
            self._queue.put_back(dirty)
        else:
            self.waiting[dirty.key] = dirty
            tasks.start_soon(self._resume, dirty, seconds)

    async def _resume(self, dirty: Dirty, seconds: float) -> None:
        """Make a plugin dirty again, unless a newer save has done so."""
        await anyio.sleep(seconds)
        if self.waiting.get(dirty.key) is dirty:
            del self.waiting[dirty.key]
            self._queue.put_back(dirty)
            self._changed.notify()
