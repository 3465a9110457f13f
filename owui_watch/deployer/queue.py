"""Which plugins are dirty, which a worker has, and which new ones wait to be admitted. State only; no I/O."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from owui_watch.plugins.model import PluginKey


@dataclass(frozen=True, slots=True)
class Dirty:
    """A plugin that the server may not hold as its file does.

    ``saved_at`` is the moment of the last write, in seconds of anyio's clock. ``admitted``: it may be created.
    ``follow_up``: nobody saved it; only older content of ours that came late is replaced.
    """

    key: PluginKey
    saved_at: float
    admitted: bool = False
    follow_up: bool = False


class Queue:
    """Dirty plugins in the order they were saved. A plugin that a worker has is not taken again until it is done."""

    def __init__(self) -> None:
        self._dirty: dict[PluginKey, Dirty] = {}
        self._taken: set[PluginKey] = set()
        self._new: dict[PluginKey, Dirty] = {}

    def mark(self, dirty: Dirty) -> None:
        """Add a plugin, or move its save time on. Once admitted it stays so while it is dirty."""
        before = self._dirty.get(dirty.key) or self._new.pop(dirty.key, None)
        admitted = dirty.admitted or (before is not None and before.admitted)
        self._dirty[dirty.key] = replace(dirty, admitted=admitted)

    def take(self) -> Dirty | None:
        """Return the first dirty plugin that no worker has; None if there is none."""
        key = next((key for key in self._dirty if key not in self._taken), None)
        if key is None:
            return None
        self._taken.add(key)
        return self._dirty.pop(key)

    def done(self, key: PluginKey) -> None:
        """Note that the worker is done with a plugin that it took."""
        self._taken.discard(key)

    def put_back(self, dirty: Dirty) -> None:
        """Make a plugin dirty again that could not be deployed now; a newer save of it stays, admitted as this one."""
        newer = self._dirty.get(dirty.key, dirty)
        self._dirty[dirty.key] = replace(newer, admitted=newer.admitted or dirty.admitted)

    def set_aside(self, dirty: Dirty) -> None:
        """Keep a plugin that isn't on the server until the tree is quiet and all such plugins can be counted."""
        if dirty.key not in self._dirty:
            self._new[dirty.key] = dirty

    def admit(self, most: int) -> tuple[PluginKey, ...]:
        """Admit the new plugins; if there are more than ``most``, drop and return them all."""
        new, self._new = self._new, {}
        if len(new) > most:
            return tuple(sorted(new))
        for dirty in new.values():
            self.mark(replace(dirty, admitted=True))
        return ()

    @property
    def new(self) -> Collection[PluginKey]:
        """New plugins that wait to be admitted."""
        return self._new.keys()

    def ready(self) -> set[PluginKey]:
        """Dirty plugins that no worker has, without the new ones."""
        return set(self._dirty) - self._taken

    def waiting(self) -> Collection[PluginKey]:
        """Dirty plugins, including those that a worker has and that were saved again since."""
        return self._dirty.keys()

    def pending(self) -> set[PluginKey]:
        """All plugins that are saved and not deployed: dirty, taken, or new."""
        return set(self._dirty) | self._taken | set(self._new)

    @property
    def idle(self) -> bool:
        """Whether nothing is dirty and no worker has anything; new plugins may still wait."""
        return not self._dirty and not self._taken
