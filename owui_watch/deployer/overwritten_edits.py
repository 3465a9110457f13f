"""Edits that a deploy overwrote: found in the plugin's history after the deploy, copied and reported."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from owui_watch.deployer.plan import Progress
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
MOST_SENT = 2 * MOST_VERSIONS
"""Digests of the contents sent last that are kept for each plugin: more than one page of a history shows."""
AT_ONCE = 4
"""Histories that are read at once."""


@dataclass(frozen=True, slots=True)
class _Update:
    """Updates of one plugin since the last check: the version that the first one replaced.

    ``ours`` are digests that an earlier run recorded for its updates; None if the updates are of this run.
    """

    kind: Kind
    replaced: str
    ours: tuple[str, ...] | None = None


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
        self._updates: dict[PluginKey, _Update] = {}
        self._sent: dict[PluginKey, tuple[str, ...]] = {}
        self._checking = anyio.Lock()

    def note(self, progress: Progress) -> None:
        """Note the content that was sent and, if it was an update, the version that the last look showed before it.

        Of several updates the first one's version is kept: the check begins there. Contents that earlier deploys sent stay
        noted, since the history may show them in the same second as the replaced version.
        """
        if progress.plugin is None:
            return
        sent = digest(progress.plugin.content)
        earlier = self._sent.get(progress.key, ())
        self._sent[progress.key] = (*(each for each in earlier if each != sent), sent)[-MOST_SENT:]
        if progress.replaced_version is not None:
            self._updates.setdefault(progress.key, _Update(progress.plugin.kind, progress.replaced_version))

    async def check(self) -> None:
        """Search the history of every plugin that was updated since the last check; wait for a check under way."""
        async with self._checking, anyio.create_task_group() as searches:
            for key, left in self._journal.unsearched().items():
                self._updates.setdefault(key, _Update(left.kind, left.version, left.ours))
            for _ in range(AT_ONCE):
                searches.start_soon(self._search)

    async def _search(self) -> None:
        while self._updates:
            key, update = self._updates.popitem()
            noted = self._journal.unsearched_of(key)
            versions = await self._server.list_versions(key, most=MOST_VERSIONS)
            if isinstance(versions, tuple):
                # Take this set now: a later deploy is not in this history, and only the newest digests are kept.
                ours = {*self._sent.get(key, ()), *(update.ours or ()), *self._journal.ours(key)}
                await self._copy_foreign(key, update.kind, _newer_than(update, versions), ours)
            elif isinstance(versions, Unavailable):
                self._updates.setdefault(key, update)
                return
            self._journal.searched(key, noted)

    async def _copy_foreign(self, key: PluginKey, kind: Kind, versions: list[Version], ours: set[str]) -> None:
        """Copy each of ``versions`` whose digest is not in ``ours``, and which was not copied yet and is not live."""
        for version in versions:
            snapshot = await self._server.read_version(key, version.id)
            if not isinstance(snapshot, Snapshot):
                continue
            found = digest(snapshot.content)
            if found in ours or found in self._journal.backed_up(key):
                continue
            live = await self._server.look(key)
            if isinstance(live, Remote) and live.digest == found:
                continue
            description = snapshot.meta.get("description")
            naming = Naming(snapshot.name, description if isinstance(description, str) else "")
            backup = self._journal.back_up(key, snapshot.content, naming, snapshot.meta)
            if backup is not None:
                self._report(BackedUp(key.id, kind, backup, "an edit made during the deploy"))
            else:
                error = "an edit made during the deploy was overwritten, and owui-watch could not write a copy of it"
                self._report(Warned(error, "the plugin's history in Open WebUI has it", key.id, kind))


def _newer_than(update: _Update, versions: tuple[Version, ...]) -> list[Version]:
    """Return the entries of a history that may be newer than the version that ``update`` replaced.

    There are none if that version isn't in the history. Times are whole seconds; entries of one second have no order.
    For an update of an earlier run only later seconds count: what that run sent within the same second is unknown.
    """
    times = [each.created_at for each in versions if each.id == update.replaced]
    least = times[0] + (update.ours is not None) if times else math.inf
    return [each for each in versions if each.created_at >= least and each.id != update.replaced]
