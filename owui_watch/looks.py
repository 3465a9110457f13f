"""Looks at the server, begun early and shared: one save's look runs inside its quiet window, many saves share one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from owui_watch.answers import Absent, Answer, Remote
from owui_watch.openwebui import OpenWebUI
from owui_watch.plugin import Key

FRESH = 2.0
"""Seconds that an early look is good for. It is used within milliseconds; this bounds a save that was put off."""
SHARED_FRESH = 30.0
"""Seconds that a shared look is good for: as long as a storm of saves may take to go out."""
MOST_EARLY = 4
"""Looks begun early at once. More saves than that are better served by one shared look."""
SHARE_FROM = 4
"""Plugins from which one look at all is cheaper than a look each."""


@dataclass
class _Early:
    begun: float
    done: anyio.Event = field(default_factory=anyio.Event)
    seen: Remote | Answer | None = None


class Looks:
    """Reads plugins from the server, using what was read a moment ago.

    Nothing must be begun or shared for a plugin that is being sent: it would show what was there before.
    """

    def __init__(self, server: OpenWebUI, tasks: TaskGroup) -> None:
        self._server = server
        self._tasks = tasks
        self._early: dict[Key, _Early] = {}
        self._shared: dict[Key, tuple[float, Remote | Answer | None]] = {}

    def begin(self, key: Key) -> None:
        """Start to look at ``key`` now: a save of it has been seen and will be deployed in a moment."""
        now = anyio.current_time()
        # Some are never taken: that of a save whose file was gone when its turn came, say.
        self._early = {each: early for each, early in self._early.items() if now - early.begun < FRESH}
        if key not in self._early and len(self._early) < MOST_EARLY:
            self._early[key] = early = _Early(now)
            self._tasks.start_soon(self._fetch, key, early)

    async def share(self, keys: Iterable[Key]) -> None:
        """Read ``keys`` in one request a space where they are many. What that can't tell is looked at one by one."""
        wanted = {key for key in keys if key not in self._early and not self._was_shared(key)}
        if len(wanted) < SHARE_FROM:
            return
        for space in {key.space for key in wanted}:
            begun = anyio.current_time()
            there = await self._server.look_at_all(space)
            for key in wanted:
                if key.space is space:
                    # Plugins that are switched off as a whole list as nothing: an empty answer proves no absence.
                    seen = there.get(key, Absent()) if isinstance(there, dict) and there else None
                    self._shared[key] = begun, seen

    async def take(self, key: Key) -> Remote | Answer:
        """Give what the server holds for ``key``. Each look is used once."""
        begun, seen = self._shared.pop(key, (0.0, None))
        early = self._early.pop(key, None)
        if early is not None and anyio.current_time() - early.begun < FRESH:
            await early.done.wait()
            begun, seen = early.begun, early.seen
        if seen is not None and anyio.current_time() - begun < SHARED_FRESH:
            return seen
        return await self._server.look(key)

    def outdate(self, key: Key) -> None:
        """Throw away what a shared look told of ``key``: it was saved again since."""
        self._shared.pop(key, None)

    def forgo(self, key: Key) -> None:
        """Throw away the look that was begun for a save which came to nothing: the next save must not use it."""
        self._early.pop(key, None)

    def forget_all(self) -> None:
        """Throw everything away: the server went away, and what it holds when it is back must be looked at again."""
        self._early.clear()
        self._shared.clear()

    def _was_shared(self, key: Key) -> bool:
        begun, _ = self._shared.get(key, (-math.inf, None))
        return anyio.current_time() - begun < SHARED_FRESH

    async def _fetch(self, key: Key, early: _Early) -> None:
        try:
            early.seen = await self._server.look(key)
        finally:
            early.done.set()
