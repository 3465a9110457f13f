"""Twins: is a plugin on the server already, under another id? Open WebUI's own editor makes ids from titles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from owui_watch.files import exists
from owui_watch.openwebui.remote import AnyCopy
from owui_watch.plugins.model import Diagnostic, Kind, Plugin, PluginKey, Space


class TwinIndex:
    """The plugins of a server by what tells twins: their ``openwebui_id``, and their kind with title or name.

    ``others`` are plugins that are on the server but can't be twins, because they have a file of their own.
    """

    def __init__(self, remotes: Mapping[PluginKey, AnyCopy], others: Collection[PluginKey] = frozenset()) -> None:
        self._remotes = remotes
        self._others = others
        self._by_community_id: defaultdict[tuple[Space, str], list[PluginKey]] = defaultdict(list)
        self._by_title: defaultdict[tuple[Kind, str], list[PluginKey]] = defaultdict(list)
        for key, remote in remotes.items():
            if remote.openwebui_id:
                self._by_community_id[key.space, remote.openwebui_id].append(key)
            for title in {remote.title, remote.name}:
                if title:
                    self._by_title[remote.kind, title].append(key)

    def __contains__(self, key: PluginKey) -> bool:
        return key in self._remotes or key in self._others

    def find(self, plugin: Plugin, files_of: Callable[[PluginKey], Sequence[Path]]) -> AnyCopy | None:
        """Return the first plugin with the same ``openwebui_id``; if there is none, the first of the same kind and title.

        An id that the author wrote is taken at its word: such a plugin has no twin. A plugin with a file of its own, as
        ``files_of`` lists them, is no twin either: ``plugin`` is a copy of that file then.
        """
        if not plugin.inferred:
            return None
        title, community_id = plugin.header.get("title", ""), plugin.header.get("openwebui_id", "")
        alike = self._by_community_id.get((plugin.key.space, community_id), [])
        for key in (*alike, *self._by_title.get((plugin.kind, title), [])):
            # A file that was just renamed may still be known by its old name.
            if key != plugin.key and not any(map(exists, files_of(key))):
                return self._remotes[key]
        return None


def twin_found(plugin: Plugin, other: AnyCopy) -> Diagnostic:
    """Say that the plugin seems to be on the server under another id, and which line decides."""
    return Diagnostic(
        f"the server seems to have this plugin already, as {other.key.id} (“{other.name}”)",
        hint=f"add `id: {other.key.id}` to the header to update that one, or `id: {plugin.id}` to create a second one",
        rule="twin",
    )
