"""Which files are modules of plugins, and therefore no plugins of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from owui_watch.plugins.index import Dependencies, Entries
from owui_watch.plugins.model import NotPlugin, ParsedFile, PluginKey
from owui_watch.plugins.paths import WatchedPaths


class LocalModules:
    """The files of a tree that plugins import, as they were last read.

    ``has_deployed`` returns whether a plugin was deployed: then its file stays a plugin even if others import it.
    """

    def __init__(
        self,
        entries: Entries,
        dependencies: Dependencies,
        paths: WatchedPaths,
        has_deployed: Callable[[PluginKey], bool],
    ) -> None:
        self._entries = entries
        self._dependencies = dependencies
        self._paths = paths
        self._has_deployed = has_deployed

    def as_module(self, parsed: ParsedFile) -> NotPlugin | None:
        """Return a file as a module of another plugin; None if it may be a plugin of its own.

        A module may well have a class ``Pipe``, as a base or a client. It is a module if a plugin imports it, its header
        names nothing but requirements, and it was neither named by the user nor deployed before. Of two files that
        import each other only one with a title is certainly a plugin.
        """
        path = parsed.path
        if isinstance(parsed, NotPlugin) or parsed.header.keys() - {"requirements"}:
            return None
        if path in self._paths.roots or self._paths.assigned(path) is not None:
            return None
        importers = self._importers(path)
        if not importers:
            return None
        shares_id = any(entry.key == parsed.key for each in importers if (entry := self._entries.get(each)))
        if parsed.key is not None and self._has_deployed(parsed.key) and not shares_id:
            return None
        place = self._paths.relative(importers[0]).as_posix()
        reason = f"it has no header and is a module of {place}, which imports it"
        return NotPlugin(path, reason, "add a header if it should be deployed as a plugin of its own as well")

    def dependents(self, path: Path) -> list[Path]:
        """Return the files of the plugins that ``path``, another file, is part of."""
        return [plugin for plugin in self._dependencies.plugins(path) if plugin != path]

    def _importers(self, path: Path) -> list[Path]:
        """Return the files of the plugins that import the module at ``path`` and are no modules of its own."""
        own = self._dependencies.files(path)
        return [
            plugin
            for plugin in self.dependents(path)
            if (entry := self._entries.get(plugin)) is not None and (plugin not in own or entry.title)
        ]
