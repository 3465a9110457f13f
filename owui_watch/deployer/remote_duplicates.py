"""Twins: is a plugin on the server already, under another id? Open WebUI's own editor makes ids from titles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from owui_watch.files import exists
from owui_watch.openwebui.remote import AnyCopy
from owui_watch.plugins.model import Diagnostic, Kind, Plugin, PluginKey, Space


class TwinIndex:
    """The plugins of a server by what tells twins: their ``openwebui_id``, and their kind with title or name."""

    def __init__(self, others: Iterable[AnyCopy]) -> None:
        self._by_community_id: defaultdict[tuple[Space, str], list[tuple[int, AnyCopy]]] = defaultdict(list)
        self._by_title: defaultdict[tuple[Space, Kind, str], list[tuple[int, AnyCopy]]] = defaultdict(list)
        self._keys: set[PluginKey] = set()
        for place, other in enumerate(others):
            self._keys.add(other.key)
            if other.openwebui_id:
                self._by_community_id[other.key.space, other.openwebui_id].append((place, other))
            for title in {other.title, other.name}:
                if title:
                    self._by_title[other.key.space, other.kind, title].append((place, other))

    def __contains__(self, key: PluginKey) -> bool:
        return key in self._keys

    def find(self, plugin: Plugin, files_of: Callable[[PluginKey], Sequence[Path]]) -> AnyCopy | None:
        """Return the first plugin with the same ``openwebui_id``, or the same kind and title.

        An id that the author wrote is taken at its word: such a plugin has no twin. A plugin with a file of its own, as
        ``files_of`` lists them, is no twin either: ``plugin`` is a copy of that file then.
        """
        if not plugin.inferred:
            return None
        title, community_id = plugin.header.get("title"), plugin.header.get("openwebui_id")
        found = self._by_title.get((plugin.key.space, plugin.kind, title), []) if title else []
        if community_id:
            found = found + self._by_community_id.get((plugin.key.space, community_id), [])
        for _, other in sorted(found, key=lambda placed: placed[0]):
            # A file that was just renamed may still be known by its old name.
            if other.key != plugin.key and not any(map(exists, files_of(other.key))):
                return other
        return None


def twin_found(plugin: Plugin, other: AnyCopy) -> Diagnostic:
    """Say that the plugin seems to be on the server under another id, and which line decides."""
    return Diagnostic(
        f"the server seems to have this plugin already, as {other.key.id} (“{other.name}”)",
        hint=f"add `id: {other.key.id}` to the header to update that one, or `id: {plugin.id}` to create a second one",
        rule="twin",
    )
