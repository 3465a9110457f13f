"""Which plugins are dirty, which are at work, and which new ones wait to be let in. State only; no I/O."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from owui_watch.plugins.model import PluginKey


@dataclass(frozen=True, slots=True)
class Dirty:
    """A plugin that the server may not hold as its file has it.

    ``saved_at`` is the moment of the last write, in seconds of anyio's clock. ``admitted``: it may be created.
    ``doubted``: nobody saved it; it is only made sure that the server holds it still.
    """

    key: PluginKey
    saved_at: float
    admitted: bool = False
    doubted: bool = False


class Queue:
    """Dirty plugins in the order they were saved. A plugin at work is not given out again until it is done."""

    def __init__(self) -> None:
        self._dirty: dict[PluginKey, Dirty] = {}
        self._busy: set[PluginKey] = set()
        self._new: dict[PluginKey, Dirty] = {}

    def mark(self, dirty: Dirty) -> None:
        """Add a plugin, or move its save time on. Once admitted it stays so while it is dirty."""
        before = self._dirty.get(dirty.key) or self._new.pop(dirty.key, None)
        admitted = dirty.admitted or (before is not None and before.admitted)
        self._dirty[dirty.key] = replace(dirty, admitted=admitted)

    def take(self) -> Dirty | None:
        """Return out the first dirty plugin that is not at work; None where there is none."""
        key = next((key for key in self._dirty if key not in self._busy), None)
        if key is None:
            return None
        self._busy.add(key)
        return self._dirty.pop(key)

    def done(self, key: PluginKey) -> None:
        """Tell that the work on a plugin that was given out has ended."""
        self._busy.discard(key)

    def put_back(self, dirty: Dirty) -> None:
        """Make a plugin dirty again that could not be deployed now; a newer save of it stays, admitted as this one."""
        newer = self._dirty.get(dirty.key, dirty)
        self._dirty[dirty.key] = replace(newer, admitted=newer.admitted or dirty.admitted)

    def hold(self, dirty: Dirty) -> None:
        """Set a plugin aside that isn't on the server, until the tree is quiet and its company can be counted."""
        if dirty.key not in self._dirty:
            self._new[dirty.key] = dirty

    def admit(self, most: int) -> tuple[PluginKey, ...]:
        """Let the new plugins in, or where there are more than ``most``, drop and return them all."""
        new, self._new = self._new, {}
        if len(new) > most:
            return tuple(sorted(new))
        for dirty in new.values():
            self.mark(replace(dirty, admitted=True))
        return ()

    @property
    def new(self) -> Collection[PluginKey]:
        """New plugins that wait to be let in."""
        return self._new.keys()

    def ready(self) -> set[PluginKey]:
        """Plugins waiting for their turn that are not at work, new ones aside."""
        return set(self._dirty) - self._busy

    def waiting(self) -> Collection[PluginKey]:
        """Plugins waiting for their turn, those included that are at work."""
        return self._dirty.keys()

    def pending(self) -> set[PluginKey]:
        """All that is saved and not deployed: waiting, at work, or new."""
        return set(self._dirty) | self._busy | set(self._new)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is at work; new plugins may still be set aside."""
        return not self._dirty and not self._busy
