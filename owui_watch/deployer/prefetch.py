"""Looks at the server, begun early and shared: one save's look runs inside its quiet window, many saves share one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.responses import Absent, Remote, Response
from owui_watch.plugins.model import PluginKey, Space

FRESH = 2.0
"""Seconds that an early look, or a listing, is good for. An early look is used within milliseconds; this bounds a save
that was put off."""
SHARED_FRESH = 5.0
"""Seconds that a shared look is good for: in a longer storm of saves an edit made meanwhile must not be overwritten."""
MOST_EARLY = 4
"""Looks begun early at once. More saves than that are better served by one shared look."""
SHARE_FROM = 4
"""Plugins from which one look at all is cheaper than a look each."""


class _Early:
    """A look that is under way: ``seen`` holds what it told once ``done`` is set."""

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.done = anyio.Event()
        self.seen: Remote | Response | None = None


@dataclass(frozen=True, slots=True)
class _Listing:
    """All that stood in a space when it was read."""

    begun: float
    there: dict[PluginKey, Remote] | Response


class Looks:
    """Reads plugins from the server, using what was read a moment ago.

    From ``take`` to ``done`` a plugin may be sent: what is read of it meanwhile is not used, since it would show what
    was there before.
    """

    def __init__(self, server: OpenWebUI, tasks: TaskGroup) -> None:
        self._server = server
        self._tasks = tasks
        self._early: dict[PluginKey, _Early] = {}
        self._shared: dict[PluginKey, tuple[float, Remote | Response]] = {}
        self._listings: dict[Space, _Listing] = {}
        self._sent: dict[PluginKey, float] = {}
        self._saved: dict[PluginKey, float] = {}

    def begin(self, key: PluginKey) -> None:
        """Start to look at ``key`` now: a save of it has been seen and will be deployed in a moment."""
        now = anyio.current_time()
        # Some are never taken: that of a save whose file was gone when its turn came, say.
        self._early = {each: early for each, early in self._early.items() if now - early.begun < FRESH}
        if key not in self._early and not self._may_be_sent(key) and len(self._early) < MOST_EARLY:
            self._early[key] = early = _Early(now)
            self._tasks.start_soon(self._fetch, key, early)

    async def share(self, keys: Iterable[PluginKey]) -> None:
        """Read ``keys`` in one request a space where they are many. What that can't tell is looked at one by one."""
        oldest = anyio.current_time() - SHARED_FRESH
        wanted = {key for key in keys if key not in self._early and self._shared_at(key) <= oldest}
        for space in {key.space for key in wanted}:
            left = self._from_listing(key for key in wanted if key.space is space)
            if len(left) >= SHARE_FROM and not self._asked_lately(space) and isinstance(await self._list(space), dict):
                self._from_listing(left)

    async def neighbours(self, key: PluginKey) -> dict[PluginKey, Remote] | Response:
        """Return all that stands in the space of ``key``, read since its save: many that were saved at once share it."""
        known = self._listings.get(key.space)
        if known is not None and _is_fresh(known) and known.begun >= self._saved.get(key, math.inf):
            return known.there
        return await self._list(key.space)

    async def take(self, key: PluginKey) -> Remote | Response:
        """Return what the server holds for ``key``, which may be sent from now on. Each look is used once."""
        self._sent[key] = math.inf
        begun, seen = self._shared.pop(key, (-math.inf, None))
        early = self._early.pop(key, None)
        if early is not None and anyio.current_time() - early.begun < FRESH:
            await early.done.wait()
            begun, seen = early.begun, early.seen
        if seen is not None and anyio.current_time() - begun < SHARED_FRESH:
            return seen
        return await self._server.look(key)

    def done(self, key: PluginKey) -> None:
        """Tell that nothing is sent for ``key`` any more."""
        self._sent[key] = anyio.current_time()

    def outdate(self, key: PluginKey) -> None:
        """Throw away what a shared look told of ``key``: it was saved again since."""
        self._shared.pop(key, None)
        self._saved[key] = anyio.current_time()

    def forgo(self, key: PluginKey) -> None:
        """Throw away the look that was begun for a save which came to nothing: the next save must not use it."""
        self._early.pop(key, None)

    def forget_listings(self) -> None:
        """Throw away what was listed for a storm that is over."""
        self._shared.clear()
        self._listings.clear()

    def forget_all(self) -> None:
        """Throw everything away: the server went away, and what it holds when it is back must be looked at again."""
        self._early.clear()
        self.forget_listings()

    async def _list(self, space: Space) -> dict[PluginKey, Remote] | Response:
        begun = anyio.current_time()
        there = await self._server.list_plugins(space)
        self._listings[space] = _Listing(begun, there)
        return there

    def _asked_lately(self, space: Space) -> bool:
        known = self._listings.get(space)
        return known is not None and _is_fresh(known)

    def _from_listing(self, keys: Iterable[PluginKey]) -> set[PluginKey]:
        """Note for each of ``keys``, all of one space, what a fresh listing tells; give those that it can't tell of."""
        left = set(keys)
        listing = self._listings.get(next(iter(left)).space)
        # Plugins that are switched off as a whole list as nothing: an empty answer proves no absence.
        if listing is None or not isinstance(listing.there, dict) or not listing.there or not _is_fresh(listing):
            return left
        told = {key for key in left if not self._may_be_sent(key, since=listing.begun)}
        self._shared |= {key: (listing.begun, listing.there.get(key, Absent())) for key in told}
        return left - told

    def _may_be_sent(self, key: PluginKey, *, since: float = math.inf) -> bool:
        """Return whether something may be sent for ``key`` now, or may have been ``since`` then."""
        return self._sent.get(key, -math.inf) >= since

    def _shared_at(self, key: PluginKey) -> float:
        begun, _ = self._shared.get(key, (-math.inf, None))
        return begun

    async def _fetch(self, key: PluginKey, early: _Early) -> None:
        try:
            early.seen = await self._server.look(key)
        finally:
            early.done.set()


def _is_fresh(listing: _Listing) -> bool:
    return anyio.current_time() - listing.begun < FRESH
