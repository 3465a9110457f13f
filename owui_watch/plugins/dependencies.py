"""Which plugins a file is part of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from owui_watch.files.regular import Signature


class Dependencies:
    """The files that each plugin of many files was made from when it was last read, looked up from either side.

    A path counts also if nothing is there: a module that an import misses, say, whose appearance mends the plugin.
    ``unwatched`` are the paths among them that ``is_watched`` denies: saves of them must be looked for by name. Each has
    the signature from before a plugin first read the file: whoever compares it with a later one misses no save.
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
            seen = {
                **signatures,
                **self.unwatched,
            }  # the oldest signature counts: another plugin may have been read then
            self.unwatched = {file: seen[file] for file in self._plugins if not self._is_watched(file)}

    def files(self, plugin: Path) -> frozenset[Path]:
        """Return all paths whose change may change the plugin at ``plugin``, its own left out."""
        return self._files.get(plugin, frozenset())

    def plugins(self, file: Path) -> list[Path]:
        """Return the files of the plugins that a change of ``file`` may change, in a fixed order."""
        return sorted(self._plugins.get(file, ()))
