"""Looks at the server, begun early and shared: a save's look runs in its quiet window, many saves share one listing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from owui_watch.deployer.remote_duplicates import TwinIndex
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.listing import Listing
from owui_watch.openwebui.remote import AnyCopy, ListedPlugin
from owui_watch.openwebui.responses import Absent, Response
from owui_watch.plugins.model import PluginKey, Space

LOOK_AGE = 0.05
"""Seconds for which an update may rely on a look, from its response on. An edit made in that time goes unnoticed."""
LISTING_AGE = 0.5
LISTING_FACTOR = 20
"""The same for a listing that many plugins share: half a second from its start, or twenty times as long as the listing
took if that is more. So listings of a large server take at most a twentieth of the time."""
EARLY_AGE = 2.0
"""Seconds after which a look that was begun early is not used at all. It is used within milliseconds, unless its save
was put off."""
USED_WITHIN = 0.04
"""Seconds from the start of an early look to its use, as a rule. One that is too old by then is begun anew."""
ABSENCE_AGE = 30.0
"""Seconds for which a listing is used to find twins and absent plugins. A create needs no newer look: the server
refuses an id that is taken."""
MOST_EARLY = 4
"""Looks begun early at once. More saves than that are better served by one listing."""
SHARE_FROM = 4
"""If so many plugins of one space are dirty, one listing is cheaper than a look at each."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the server held for a plugin; an update relies on it until ``good_until`` (seconds of anyio's clock)."""

    response: AnyCopy | Response
    good_until: float


class _EarlyLook:
    """A look that is under way: ``look`` is its result once ``done`` is set, None if our code failed."""

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.done = anyio.Event()
        self.look: Look | None = None


@dataclass(frozen=True, slots=True)
class _SharedListing:
    """All that a space held between ``begun`` and ``ended``."""

    begun: float
    ended: float
    listing: Listing
    twins: TwinIndex

    @property
    def good_until(self) -> float:
        return self.begun + max(LISTING_AGE, LISTING_FACTOR * (self.ended - self.begun))

    def look(self, key: PluginKey) -> Look | None:
        """Return what the listing shows of ``key``; None if it is too old, or can't tell."""
        now = anyio.current_time()
        plugin = self.listing.plugins.get(key)
        if plugin is None and key in self.listing.keys_only:
            return None
        if plugin is not None and plugin.digest is not None:
            return Look(plugin, self.good_until) if now < self.good_until else None
        is_absent = plugin is None and self.listing.proves_absence
        return Look(Absent(), math.inf) if is_absent and now < self.begun + ABSENCE_AGE else None


class Prefetch:
    """Reads plugins from the server, using what was read a moment ago.

    From ``take`` to ``done`` a request may change the plugin. What is read of it in that time is not used, since it may
    show the state before the request. If ``is_settled`` accepts a listed plugin, the listing keeps only its key, to save
    memory in a deploy of thousands.
    """

    def __init__(
        self, server: OpenWebUI, tasks: TaskGroup, is_settled: Callable[[ListedPlugin], bool] = lambda _: False
    ) -> None:
        self._server = server
        self._tasks = tasks
        self._is_settled = is_settled
        self._early: dict[PluginKey, _EarlyLook] = {}
        self._listings: dict[Space, _SharedListing] = {}
        self._listing = {space: anyio.Lock() for space in Space}
        self._list_again_at: dict[Space, float] = {}
        self._sent: dict[PluginKey, float] = {}
        self._saved: dict[PluginKey, float] = {}

    def start(self, key: PluginKey) -> None:
        """Start to look at ``key`` now: a save of it has been seen and will be deployed in a moment."""
        now = anyio.current_time()
        # Some looks are never taken, for example because the file was gone when its turn came.
        self._early = {each: early for each, early in self._early.items() if now - early.begun < EARLY_AGE}
        early = self._early.get(key)
        if early is not None and early.look is not None and early.look.good_until < now + USED_WITHIN:
            del self._early[key]
        if key not in self._early and not self._may_be_sent(key) and len(self._early) < MOST_EARLY:
            self._early[key] = early = _EarlyLook(now)
            self._tasks.start_soon(self._fetch, key, early)

    async def prepare(self, key: PluginKey, dirty: int) -> None:
        """List the space of ``key``, which is taken next, if that is cheaper than ``dirty`` looks."""
        space = key.space
        if dirty < SHARE_FROM or key in self._early or anyio.current_time() < self._list_again_at.get(space, -math.inf):
            return
        await self._list(space, lambda shared: shared.look(key) is not None)

    async def take(self, key: PluginKey) -> Look:
        """Return what the server holds for ``key``, which may be sent from now on. An early look is used once."""
        sent, self._sent[key] = self._sent.get(key, -math.inf), math.inf
        early = self._early.pop(key, None)
        if early is not None and anyio.current_time() - early.begun < EARLY_AGE:
            await early.done.wait()
            if early.look is not None:
                return early.look
        shared = self._listings.get(key.space)
        if shared is not None and sent < shared.begun and self._saved.get(key, 0.0) <= shared.ended + LISTING_AGE:
            return shared.look(key) or await self.look(key)
        return await self.look(key)

    async def look(self, key: PluginKey) -> Look:
        """Look at ``key`` now."""
        response = await self._server.look(key)
        return Look(response, anyio.current_time() + LOOK_AGE)

    async def twins(self, key: PluginKey) -> TwinIndex | Response:
        """Return all that the space of ``key`` holds, read since its save: plugins saved together share it."""
        oldest = max(self._saved.get(key, math.inf), anyio.current_time() - ABSENCE_AGE)
        listed = await self._list(key.space, lambda shared: shared.begun >= oldest)
        return listed.twins if isinstance(listed, _SharedListing) else listed

    def done(self, key: PluginKey) -> None:
        """Note that nothing is sent for ``key`` any more."""
        self._sent[key] = anyio.current_time()

    def saved(self, key: PluginKey) -> None:
        """Note that ``key`` was saved."""
        self._saved[key] = anyio.current_time()

    def clear_listings(self) -> None:
        """Drop what was listed for a storm that is over."""
        self._listings.clear()
        self._list_again_at.clear()

    def clear(self) -> None:
        """Drop everything: the server went away, and must be looked at anew when it is back."""
        self._early.clear()
        self.clear_listings()

    async def _list(self, space: Space, serves: Callable[[_SharedListing], bool]) -> _SharedListing | Response:
        """Return a listing that ``serves``: the last one, or a new one. Only one is read, and kept, at a time."""
        async with self._listing[space]:
            if space in self._listings and serves(self._listings[space]):
                return self._listings[space]
            self._listings.pop(space, None)  # free the old listing first: with thousands of plugins it takes megabytes
            begun = anyio.current_time()
            listing = await self._server.list_digests(space, lambda listed: not self._is_settled(listed))
            ended = anyio.current_time()
            if not isinstance(listing, Listing):
                self._list_again_at[space] = ended + EARLY_AGE  # each plugin would ask for a listing that is refused
                return listing
            shared = _SharedListing(begun, ended, listing, TwinIndex(listing.plugins, listing.keys_only))
            self._listings[space] = shared
            self._list_again_at[space] = shared.good_until
            return shared

    def _may_be_sent(self, key: PluginKey) -> bool:
        return self._sent.get(key, -math.inf) == math.inf

    async def _fetch(self, key: PluginKey, early: _EarlyLook) -> None:
        try:
            early.look = await self.look(key)
        except Exception:
            early.look = None  # the worker looks itself, and reports the same bug with its plugin
        finally:
            early.done.set()
