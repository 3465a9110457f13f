"""Edits that a deploy overwrote: found in the plugin's history after the deploy, copied and reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import anyio

from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.remote import Remote, Snapshot, Version
from owui_watch.openwebui.responses import Unavailable
from owui_watch.plugins.model import Kind, PluginKey
from owui_watch.plugins.source import digest
from owui_watch.reporting.events import BackedUp, Event, Warned
from owui_watch.state.journal import Journal
from owui_watch.state.record import Naming

MOST_VERSIONS = 20
"""Newest entries of a history that are searched for what a deploy overwrote: one page."""
MOST_UPDATES = 10
"""Updates of one plugin after which its history is searched although other plugins are dirty: with more, the page would
not reach back to the version that the first of them replaced."""
AT_ONCE = 4
"""Histories that are read at once."""


class OverwrittenEdits:
    """Finds edits made between the last look and the update, in the plugin's history (Open WebUI 0.12 and newer).

    An update can't be made conditional: it replaces an edit that arrives in these milliseconds. The history still has
    the edit, so it can be copied to the backups and reported. The journal remembers which updates are still to be
    checked, so that the next run can check those of a killed one.
    """

    def __init__(self, server: OpenWebUI, journal: Journal, report: Callable[[Event], None]) -> None:
        self._server = server
        self._journal = journal
        self._report = report
        self._updates: Counter[PluginKey] = Counter()
        self.is_urgent = False
        """A plugin was updated so often since the last search that the next one can't wait."""
        self._checking = anyio.Lock()

    def note(self, key: PluginKey) -> None:
        """Count a deploy of ``key``, if the history is to be searched after it."""
        if self._journal.unsearched_of(key) is not None:
            self._updates[key] += 1
            self.is_urgent = self.is_urgent or self._updates[key] >= MOST_UPDATES

    async def check(self, least: int = 0) -> None:
        """Search the history of each plugin that was updated ``least`` times or more since its last search.

        Wait for a check that is under way.
        """
        async with self._checking, anyio.create_task_group() as searches:
            self.is_urgent = False
            left = [key for key in self._journal.unsearched() if self._updates[key] >= least]
            for _ in range(AT_ONCE):
                searches.start_soon(self._search, left)

    async def _search(self, left: list[PluginKey]) -> None:
        while left:
            key = left.pop()
            replaced = self._journal.unsearched_of(key)
            if replaced is None:  # it is being updated again
                continue
            found = await self._read_newer(key, replaced.version)
            if isinstance(found, Unavailable):
                left.clear()
                return
            sent = {*replaced.sent, *self._journal.sent_since(key)}  # the history may have a later update
            for snapshot in _overwritten(found, sent, replaced.version):
                if digest(snapshot.content) not in self._journal.ours(key):
                    await self._copy(key, replaced.kind, snapshot)
            if self._journal.searched(key, replaced):
                del self._updates[key]

    async def _read_newer(self, key: PluginKey, replaced: str) -> dict[Version, Snapshot] | Unavailable:
        """Read the versions that were made from the version ``replaced``, directly or not."""
        versions = await self._server.list_versions(key, most=MOST_VERSIONS)
        if not isinstance(versions, tuple):
            return versions if isinstance(versions, Unavailable) else {}
        found = {}
        for version in versions:
            if _path(replaced, version, versions):
                snapshot = await self._server.read_version(key, version.id)
                if isinstance(snapshot, Unavailable):
                    return snapshot
                if isinstance(snapshot, Snapshot):
                    found[version] = snapshot
        return found

    async def _copy(self, key: PluginKey, kind: Kind, snapshot: Snapshot) -> None:
        """Copy a version and report it, unless it is live or copied already."""
        found = digest(snapshot.content)
        if found in self._journal.backed_up(key):
            return
        live = await self._server.look(key)
        if isinstance(live, Remote) and live.digest == found:
            return
        description = snapshot.meta.get("description")
        naming = Naming(snapshot.name, description if isinstance(description, str) else "")
        backup = self._journal.back_up(key, snapshot.content, naming, snapshot.meta)
        if backup is not None:
            self._report(BackedUp(key.id, kind, backup, "an edit made during the deploy"))
        else:
            error = "an edit made during the deploy was overwritten, and owui-watch could not write a copy of it"
            self._report(Warned(error, "the plugin's history in Open WebUI has it", key.id, kind))


def _overwritten(found: Mapping[Version, Snapshot], sent: set[str], replaced: str) -> list[Snapshot]:
    """Return what others saved after the version ``replaced`` and before an update with a digest of ``sent``."""
    ours = [version for version, snapshot in found.items() if digest(snapshot.content) in sent]
    older = {each.id for version in ours for each in _path(replaced, version, found)}
    return [found[version] for version in found if version.id in older and version not in ours]


def _path(replaced: str, version: Version, versions: Iterable[Version]) -> list[Version]:
    """Return ``version`` and those that it was made from, back to ``replaced``; nothing if that isn't among them.

    The times of versions are whole seconds, so they do not show which of two is older.
    """
    parents = {each.id: each for each in versions}
    path = [version]
    while path[-1].parent != replaced:
        parent = parents.get(path[-1].parent or "")
        if parent is None or parent in path:
            return []
        path.append(parent)
    return path
