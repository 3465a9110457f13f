"""Looks at the server, begun early and shared: a save's look runs in its quiet window, many saves share one listing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.remote import Remote
from owui_watch.openwebui.responses import Absent, Response
from owui_watch.plugins.model import PluginKey, Space

FRESH = 2.0
"""Seconds for which an early look, or a listing, may be used. An early look is used within milliseconds; this bounds a
save that was put off."""
SHARED_FRESH = 5.0
"""Seconds for which a shared look may be used: an edit made during a long storm of saves must not be overwritten."""
MOST_EARLY = 4
"""Looks begun early at once. More saves than that are better served by one listing."""
SHARE_FROM = 4
"""Plugins from which one listing is cheaper than a look each."""


class _EarlyLook:
    """A look that is under way: ``response`` is its result once ``done`` is set."""

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.done = anyio.Event()
        self.response: Remote | Response | None = None


@dataclass(frozen=True, slots=True)
class _Listing:
    """All that a space held when it was read."""

    begun: float
    remotes: dict[PluginKey, Remote] | Response


class Prefetch:
    """Reads plugins from the server, using what was read a moment ago.

    From ``take`` to ``done`` a plugin may be sent: what is read of it meanwhile is not used, since it would show what
    was there before.
    """

    def __init__(self, server: OpenWebUI, tasks: TaskGroup) -> None:
        self._server = server
        self._tasks = tasks
        self._early: dict[PluginKey, _EarlyLook] = {}
        self._shared: dict[PluginKey, tuple[float, Remote | Response]] = {}
        self._listings: dict[Space, _Listing] = {}
        self._sent: dict[PluginKey, float] = {}
        self._saved: dict[PluginKey, float] = {}

    def start(self, key: PluginKey) -> None:
        """Start to look at ``key`` now: a save of it has been seen and will be deployed in a moment."""
        now = anyio.current_time()
        # Some are never taken: the file was gone when its turn came, say.
        self._early = {each: early for each, early in self._early.items() if now - early.begun < FRESH}
        if key not in self._early and not self._may_be_sent(key) and len(self._early) < MOST_EARLY:
            self._early[key] = early = _EarlyLook(now)
            self._tasks.start_soon(self._fetch, key, early)

    async def share(self, keys: Iterable[PluginKey]) -> None:
        """Read ``keys`` in one request per space if they are many. The others are looked at one by one."""
        oldest = anyio.current_time() - SHARED_FRESH
        wanted = {key for key in keys if key not in self._early and self._shared_at(key) <= oldest}
        for space in {key.space for key in wanted}:
            left = self._from_listing(key for key in wanted if key.space is space)
            if len(left) >= SHARE_FROM and not self._listed_lately(space) and isinstance(await self._list(space), dict):
                self._from_listing(left)

    async def listing(self, key: PluginKey) -> dict[PluginKey, Remote] | Response:
        """Return all that the space of ``key`` holds, read since its save: many plugins saved at once share it."""
        known = self._listings.get(key.space)
        if known is not None and _is_fresh(known) and known.begun >= self._saved.get(key, math.inf):
            return known.remotes
        return await self._list(key.space)

    async def take(self, key: PluginKey) -> Remote | Response:
        """Return what the server holds for ``key``, which may be sent from now on. Each look is used once."""
        self._sent[key] = math.inf
        begun, response = self._shared.pop(key, (-math.inf, None))
        early = self._early.pop(key, None)
        if early is not None and anyio.current_time() - early.begun < FRESH:
            await early.done.wait()
            begun, response = early.begun, early.response
        if response is not None and anyio.current_time() - begun < SHARED_FRESH:
            return response
        return await self._server.look(key)

    def done(self, key: PluginKey) -> None:
        """Note that nothing is sent for ``key`` any more."""
        self._sent[key] = anyio.current_time()

    def invalidate(self, key: PluginKey) -> None:
        """Drop what a shared look showed of ``key``: it was saved again since."""
        self._shared.pop(key, None)
        self._saved[key] = anyio.current_time()

    def discard(self, key: PluginKey) -> None:
        """Drop the look that was begun for a save which is not deployed: the next save must not use it."""
        self._early.pop(key, None)

    def clear_listings(self) -> None:
        """Drop what was listed for a storm that is over."""
        self._shared.clear()
        self._listings.clear()

    def clear(self) -> None:
        """Drop everything: the server went away, and must be looked at anew when it is back."""
        self._early.clear()
        self.clear_listings()

    async def _list(self, space: Space) -> dict[PluginKey, Remote] | Response:
        begun = anyio.current_time()
        remotes = await self._server.list_plugins(space)
        self._listings[space] = _Listing(begun, remotes)
        return remotes

    def _listed_lately(self, space: Space) -> bool:
        known = self._listings.get(space)
        return known is not None and _is_fresh(known)

    def _from_listing(self, keys: Iterable[PluginKey]) -> set[PluginKey]:
        """Note what a fresh listing shows of each of ``keys``, all of one space; return those it can't show."""
        left = set(keys)
        listing = self._listings.get(next(iter(left)).space)
        # Functions that are switched off as a whole list as nothing: an empty response proves no absence.
        if listing is None or not isinstance(listing.remotes, dict) or not listing.remotes or not _is_fresh(listing):
            return left
        shown = {key for key in left if not self._may_be_sent(key, since=listing.begun)}
        self._shared |= {key: (listing.begun, listing.remotes.get(key, Absent())) for key in shown}
        return left - shown

    def _may_be_sent(self, key: PluginKey, *, since: float = math.inf) -> bool:
        """Return whether something may be sent for ``key`` now, or may have been since then."""
        return self._sent.get(key, -math.inf) >= since

    def _shared_at(self, key: PluginKey) -> float:
        begun, _ = self._shared.get(key, (-math.inf, None))
        return begun

    async def _fetch(self, key: PluginKey, early: _EarlyLook) -> None:
        try:
            early.response = await self._server.look(key)
        finally:
            early.done.set()


def _is_fresh(listing: _Listing) -> bool:
    return anyio.current_time() - listing.begun < FRESH
