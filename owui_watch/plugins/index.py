"""Which file holds which plugin and is part of which others, as they were last read.

Looked up by path, plugin, content and title without a walk over all files.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Hashable, ItemsView, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from owui_watch.files import Signature
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
        self._by_title: dict[tuple[str, str], tuple[Path, ...]] = {}

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
        return [(path, self._entries[path]) for path in sorted(self._by_title.get((str(folder), title), ()))]

    def put(self, path: Path, entry: TreeEntry) -> None:
        """Set the entry of a file."""
        self.remove(path)
        self._entries[path] = entry
        _add(self._by_key, entry.key, path)
        if entry.digest is not None:
            _add(self._by_digest, entry.digest, path)
        if entry.title:
            _add(self._by_title, (sys.intern(str(path.parent)), entry.title), path)  # thousands lie in one folder

    def remove(self, path: Path) -> None:
        """Drop the entry of a file, if it has one."""
        entry = self._entries.pop(path, None)
        if entry is None:
            return
        _drop(self._by_key, entry.key, path)
        if entry.digest is not None:
            _drop(self._by_digest, entry.digest, path)
        if entry.title:
            _drop(self._by_title, (str(path.parent), entry.title), path)


def _add(index: dict[K, tuple[Path, ...]], key: K, path: Path) -> None:
    index[key] = (*index.get(key, ()), path)


def _drop(index: dict[K, tuple[Path, ...]], key: K, path: Path) -> None:
    index[key] = tuple(other for other in index[key] if other != path)
    if not index[key]:
        del index[key]


class Dependencies:
    """The files that each plugin of many files was made from when it was last read, looked up from either side.

    A path counts even if nothing is there, for example a missing module whose appearance repairs the plugin.
    ``unwatched`` are the paths for which ``is_watched`` returns false: the watcher must look for their saves by name.
    Each has its signature from before a plugin first read the file, so that a comparison with a later one misses no
    save.
    """

    def __init__(self, is_watched: Callable[[Path], bool]) -> None:
        self._is_watched = is_watched
        self._files: dict[Path, frozenset[Path]] = {}
        self._plugins: defaultdict[Path, set[Path]] = defaultdict(set)
        self.unwatched: Mapping[Path, Signature | None] = {}

    def note(self, plugin: Path, signatures: Mapping[Path, Signature | None]) -> None:
        """Remember what the plugin at ``plugin`` depends on now; nothing, for a plugin of one file."""
        files = frozenset(signatures) - {plugin}
        before = self._files.pop(plugin, frozenset())
        for file in before - files:
            self._plugins[file].discard(plugin)
            if not self._plugins[file]:
                del self._plugins[file]
        for file in files - before:
            self._plugins[file].add(plugin)
        if files:
            self._files[plugin] = files
        if not all(map(self._is_watched, before ^ files)):
            # The oldest signature counts: another plugin may have been read then.
            seen = {**signatures, **self.unwatched}
            self.unwatched = {file: seen[file] for file in self._plugins if not self._is_watched(file)}

    def files(self, plugin: Path) -> frozenset[Path]:
        """Return all paths whose change may change the plugin at ``plugin``, its own left out."""
        return self._files.get(plugin, frozenset())

    def plugins(self, file: Path) -> list[Path]:
        """Return the files of the plugins that a change of ``file`` may change, in a fixed order."""
        return sorted(self._plugins.get(file, ()))
