"""What a save changed: the plugin in the saved file, and the plugins of other files that the save concerns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from owui_watch.plugins.model import BrokenPlugin, NotPlugin, ParsedFile, Plugin, PluginKey
from owui_watch.plugins.tree import Tree

AT_ONCE = 4
"""Plugins that are read together with a saved module of theirs. A shared module may belong to thousands."""


@dataclass(frozen=True, slots=True)
class Change:
    """The file at ``path`` held plugin ``before``, with content of the digest ``digest``, and holds ``now`` (None: none).

    ``parsed`` is what the file turned out to be, None if it is gone. ``others`` are plugins of other files that must be
    deployed or rejected because of it, ``unread`` the files of more of them.
    """

    path: Path
    before: PluginKey | None
    digest: str | None
    now: PluginKey | None
    parsed: ParsedFile | None
    others: tuple[Plugin | BrokenPlugin, ...]
    unread: tuple[Path, ...]

    @property
    def is_part(self) -> bool:
        """Whether the file is no plugin, but a module or data file of one."""
        return isinstance(self.parsed, NotPlugin) and bool(self.others)

    @property
    def looks_bad(self) -> bool:
        """Whether the content may be half a save: something that the save concerns can't be deployed."""
        read = self.others if self.is_part or self.parsed is None else (self.parsed, *self.others)
        return any(not isinstance(parsed, Plugin) for parsed in read)


def read_change(tree: Tree, path: Path) -> Change:
    """Read a saved file, the plugins that it is part of, and the files that share an id with it, or did before."""
    before, digest, dependents = tree.key_of(path), tree.digest_of(path), tree.dependents(path)
    parsed = tree.refresh(path)
    now = tree.key_of(path)
    others = tuple(_clashing(tree, path, {before, now})) if now != before or isinstance(parsed, BrokenPlugin) else ()
    read = tuple(_dependents(tree, path, dependents[:AT_ONCE]))
    return Change(path, before, digest, now, parsed, (*others, *read), tuple(dependents[AT_ONCE:]))


def _clashing(tree: Tree, path: Path, keys: set[PluginKey | None]) -> Iterator[Plugin | BrokenPlugin]:
    """Read the other files with these ids: they clash with ``path``, or have their id to themselves now."""
    for key in keys:
        for other in tree.paths_of(key) if key is not None else ():
            if other != path and isinstance(parsed := tree.refresh(other), Plugin | BrokenPlugin):
                yield parsed


def _dependents(tree: Tree, path: Path, files: Iterable[Path]) -> Iterator[Plugin | BrokenPlugin]:
    for file in files:
        if isinstance(parsed := tree.refresh(file, through=path), Plugin | BrokenPlugin):
            yield parsed
