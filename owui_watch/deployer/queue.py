"""Which plugins are dirty, which a worker has, and which new ones wait to be admitted. State only; no I/O."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from operator import attrgetter

from owui_watch.plugins.model import PluginKey, Space

TOGETHER = 1.0
"""Seconds between two saves that belong to one bulk: a branch switch, a sync client, an archive."""
_FIRST = attrgetter("first")


@dataclass(frozen=True, slots=True)
class Dirty:
    """A plugin that the server may not hold as its file does.

    ``saved_at`` is the moment of the last write, in seconds of anyio's clock. ``admitted``: it may be created.
    ``insist``: somebody saved or named it, so its content is sent even if it has killed its connection before.
    ``follow_up``: nobody saved it; only older content of ours that came late is replaced.
    """

    key: PluginKey
    saved_at: float
    admitted: bool = False
    insist: bool = False
    follow_up: bool = False


@dataclass(slots=True, eq=False)
class _Bulk:
    """Dirty plugins saved together, in the order they were marked; the first save and the last one of them."""

    first: float
    last: float
    keys: dict[PluginKey, None] = field(default_factory=dict)


class Queue:
    """Dirty plugins, those of the newest bulk first: a save by hand does not wait for the thousands before it.

    In a bulk the order is that of the saves. A plugin that a worker has is not taken again until it is done. Every method
    but ``pending``, ``admit`` and ``is_bulk_known`` takes the same time however long the queue is.
    """

    def __init__(self) -> None:
        self._dirty: dict[PluginKey, Dirty] = {}
        self._bulks: list[_Bulk] = []
        self._bulk_of: dict[PluginKey, _Bulk] = {}
        self._dirty_in: Counter[Space] = Counter()
        self._taken: dict[PluginKey, Dirty] = {}
        self._new: dict[PluginKey, Dirty] = {}

    def mark(self, dirty: Dirty) -> None:
        """Add a plugin, or move its save time on. What it was allowed before it stays allowed while it is dirty."""
        self._add(_merged(dirty, self._dirty.get(dirty.key) or self._new.pop(dirty.key, None)))

    def next(self) -> PluginKey | None:
        """Return the first dirty plugin that no worker has; None if there is none."""
        return next((key for bulk in reversed(self._bulks) for key in bulk.keys if key not in self._taken), None)

    def take(self, key: PluginKey) -> Dirty:
        """Give the dirty plugin ``key`` to a worker."""
        self._dirty_in[key.space] -= 1
        self._leave_bulk(key)
        self._taken[key] = dirty = self._dirty.pop(key)
        return dirty

    def done(self, key: PluginKey) -> None:
        """Note that the worker is done with a plugin that it took."""
        self._taken.pop(key, None)

    def put_back(self, dirty: Dirty) -> None:
        """Make a plugin dirty again that could not be deployed now. A newer save of it stays, allowed as much."""
        newer = self._dirty.get(dirty.key)
        self._add(_merged(newer, dirty) if newer else dirty)

    def set_aside(self, dirty: Dirty) -> None:
        """Keep a plugin that isn't on the server until all that were saved together with it can be counted."""
        if dirty.key not in self._dirty:
            self._new[dirty.key] = dirty

    def admit(self, most: int, exists: Callable[[PluginKey], bool]) -> tuple[PluginKey, ...]:
        """Admit the new plugins. If more than ``most`` of those saved together exist, drop and return all of these.

        A plugin that doesn't ``exist`` any more does not count: its file was deleted or renamed at once.
        """
        new, self._new = self._new.values(), {}
        held: list[PluginKey] = []
        for group in _saved_together(new):
            there = [dirty for dirty in group if exists(dirty.key)]
            if len(there) > most:
                held += [dirty.key for dirty in there]
            else:
                for dirty in there:
                    self.mark(replace(dirty, admitted=True))
        return tuple(sorted(held))

    @property
    def new(self) -> Collection[PluginKey]:
        """New plugins that wait to be admitted."""
        return self._new.keys()

    @property
    def last_new(self) -> float:
        """When the last of the new plugins was saved. Raises ValueError if there is none."""
        return max(dirty.saved_at for dirty in self._new.values())

    @property
    def is_bulk_known(self) -> bool:
        """Whether every plugin saved together with the new ones has had its turn, so that the new ones can be counted.

        A plugin saved at another time, whose deploy may take minutes, does not keep new ones from being created.
        """
        moments = [dirty.saved_at for dirty in self._new.values()]
        first, last = min(moments, default=0.0) - TOGETHER, max(moments, default=0.0) + TOGETHER
        return not any(first <= dirty.saved_at <= last for dirty in (*self._dirty.values(), *self._taken.values()))

    def count(self, space: Space) -> int:
        """Return how many plugins of ``space`` are dirty, not counting new ones."""
        return self._dirty_in[space]

    def is_dirty(self, key: PluginKey) -> bool:
        """Return whether ``key`` is dirty, also if a worker has it and it was saved again since."""
        return key in self._dirty

    def is_pending(self, key: PluginKey) -> bool:
        """Return whether ``key`` is saved and not deployed."""
        return key in self._dirty or key in self._taken or key in self._new

    def pending(self) -> set[PluginKey]:
        """All plugins that are saved and not deployed: dirty, taken, or new."""
        return {*self._dirty, *self._taken, *self._new}

    @property
    def empty(self) -> bool:
        """Whether nothing is dirty, no worker has anything, and no new plugin waits."""
        return self.idle and not self._new

    @property
    def idle(self) -> bool:
        """Whether nothing is dirty and no worker has anything; new plugins may still wait."""
        return not self._dirty and not self._taken

    def _add(self, dirty: Dirty) -> None:
        self._dirty_in[dirty.key.space] += dirty.key not in self._dirty
        self._dirty[dirty.key] = dirty
        bulk = self._bulk_at(dirty.saved_at)
        if self._bulk_of.get(dirty.key) is not bulk:
            self._leave_bulk(dirty.key)
            self._bulk_of[dirty.key] = bulk
            bulk.keys[dirty.key] = None

    def _bulk_at(self, saved_at: float) -> _Bulk:
        """Return the bulk that a save at this moment belongs to, maybe a new one."""
        place = bisect_right(self._bulks, saved_at, key=_FIRST)
        before = self._bulks[place - 1] if place else None
        if before is None or saved_at - before.last > TOGETHER:
            before = _Bulk(saved_at, saved_at)
            self._bulks.insert(place, before)
        before.last = max(before.last, saved_at)
        return before

    def _leave_bulk(self, key: PluginKey) -> None:
        bulk = self._bulk_of.pop(key, None)
        if bulk is not None:
            del bulk.keys[key]
            if not bulk.keys:
                del self._bulks[bisect_left(self._bulks, bulk.first, key=_FIRST)]


def _merged(newer: Dirty, older: Dirty | None) -> Dirty:
    if older is None:
        return newer
    return replace(
        newer,
        admitted=newer.admitted or older.admitted,
        insist=newer.insist or older.insist,
        follow_up=newer.follow_up and older.follow_up,
    )


def _saved_together(new: Iterable[Dirty]) -> list[list[Dirty]]:
    """Split plugins into groups: each was saved within a second of another one of its group.

    Plugins that the last run left undone are never in one group with plugins saved in this run.
    """
    groups: list[list[Dirty]] = []
    for dirty in sorted(new, key=lambda dirty: (dirty.insist, dirty.saved_at)):
        before = groups[-1][-1] if groups else None
        if before and before.insist == dirty.insist and dirty.saved_at - before.saved_at <= TOGETHER:
            groups[-1].append(dirty)
        else:
            groups.append([dirty])
    return groups
