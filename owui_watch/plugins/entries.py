"""Which file holds which plugin, looked up by path, plugin, content and title without a walk over all files."""

from __future__ import annotations

from collections.abc import Hashable, ItemsView
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from owui_watch.plugins.model import Kind, PluginKey

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """The plugin in a file when it was last read. ``digest`` is that of its content, None if that can't be sent."""

    key: PluginKey
    kind: Kind | None
    title: str
    inferred: bool
    digest: str | None


class Entries:
    """The entries of a tree's files. Each lookup takes the same time in a tree of any size."""

    def __init__(self) -> None:
        self._entries: dict[Path, TreeEntry] = {}
        self._by_key: dict[PluginKey, tuple[Path, ...]] = {}
        self._by_digest: dict[str, tuple[Path, ...]] = {}
        self._by_title: dict[tuple[Path, str], tuple[Path, ...]] = {}

    def __contains__(self, path: Path) -> bool:
        return path in self._entries

    def get(self, path: Path) -> TreeEntry | None:
        """Return the entry of a file; None if it holds no plugin."""
        return self._entries.get(path)

    def items(self) -> ItemsView[Path, TreeEntry]:
        """Return all files with their entries."""
        return self._entries.items()

    def keys(self) -> set[PluginKey]:
        """Return all plugins."""
        return set(self._by_key)

    def has(self, key: PluginKey) -> bool:
        """Return whether any file holds plugin ``key``."""
        return key in self._by_key

    def with_key(self, key: PluginKey) -> tuple[Path, ...]:
        """Return the files that hold plugin ``key``."""
        return self._by_key.get(key, ())

    def with_digest(self, digest: str) -> tuple[Path, ...]:
        """Return the files whose content has this digest."""
        return self._by_digest.get(digest, ())

    def titled(self, folder: Path, title: str) -> list[tuple[Path, TreeEntry]]:
        """Return the files in ``folder`` itself whose plugin has this title, in the order of their names."""
        return [(path, self._entries[path]) for path in sorted(self._by_title.get((folder, title), ()))]

    def put(self, path: Path, entry: TreeEntry) -> None:
        """Set the entry of a file."""
        self.remove(path)
        self._entries[path] = entry
        _add(self._by_key, entry.key, path)
        if entry.digest is not None:
            _add(self._by_digest, entry.digest, path)
        if entry.title:
            _add(self._by_title, (path.parent, entry.title), path)

    def remove(self, path: Path) -> None:
        """Drop the entry of a file, if it has one."""
        entry = self._entries.pop(path, None)
        if entry is None:
            return
        _drop(self._by_key, entry.key, path)
        if entry.digest is not None:
            _drop(self._by_digest, entry.digest, path)
        if entry.title:
            _drop(self._by_title, (path.parent, entry.title), path)


def _add(index: dict[K, tuple[Path, ...]], key: K, path: Path) -> None:
    index[key] = (*index.get(key, ()), path)


def _drop(index: dict[K, tuple[Path, ...]], key: K, path: Path) -> None:
    index[key] = tuple(other for other in index[key] if other != path)
    if not index[key]:
        del index[key]
