"""Looks at the server after a deploy: for older content that comes late, and for edits that the deploy overwrote."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import anyio
from anyio.abc import TaskGroup

from owui_watch.deployer.plan import Progress
from owui_watch.deployer.recovery import LATE_LOOKS
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.remote import Snapshot, Version
from owui_watch.openwebui.responses import Unavailable
from owui_watch.plugins.content import digest
from owui_watch.plugins.model import Kind, PluginKey
from owui_watch.reporting.events import BackedUp, Event, Warned
from owui_watch.state.journal import Journal, Naming

MOST_VERSIONS = 20
"""Newest entries of a history that are searched for what a deploy overwrote: one page."""


@dataclass(frozen=True, slots=True)
class _Update:
    """Updates of one plugin: the version that the first one replaced, and the digests of all that was ``sent``."""

    kind: Kind
    replaced: str
    sent: frozenset[str] = frozenset()


class LateContent:
    """Looks whether an older request, which the server may still carry out, has replaced the newest content.

    One series of looks per plugin; a newer deploy begins another one. ``is_pending`` returns whether a plugin is dirty
    anyway, ``look`` makes it dirty for a look alone, ``changed`` waits until something becomes dirty or is done.
    """

    def __init__(
        self,
        journal: Journal,
        is_pending: Callable[[PluginKey], bool],
        look: Callable[[PluginKey], None],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._is_pending = is_pending
        self._look = look
        self._changed = changed
        self._series: dict[PluginKey, object] = {}

    def begin(self, key: PluginKey, tasks: TaskGroup) -> None:
        """Look at ``key`` again and again until no older request can be under way."""
        self._series[key] = series = object()
        tasks.start_soon(self._run, key, series)

    async def _run(self, key: PluginKey, series: object) -> None:
        began = anyio.current_time()
        for seconds in LATE_LOOKS:
            await anyio.sleep(began + seconds - anyio.current_time())
            if self._series.get(key) is not series:
                return
            if not self._is_pending(key):
                self._look(key)
        while self._is_pending(key):  # the last look itself
            await self._changed()
        if self._series.get(key) is series:
            del self._series[key]
            self._journal.expect_nothing_late(key)


class Overwritten:
    """Finds edits made between the last look and the update, in the plugin's history (Open WebUI 0.12 and newer).

    An update can't be made conditional: an edit that arrives in these milliseconds is replaced. The history still has
    it; it is copied to the backups and reported.
    """

    def __init__(self, server: OpenWebUI, journal: Journal, report: Callable[[Event], None]) -> None:
        self._server = server
        self._journal = journal
        self._report = report
        self._updates: dict[PluginKey, _Update] = {}

    def note(self, progress: Progress) -> None:
        """Remember an update, and which version it replaced as far as the look showed: the oldest one counts."""
        if progress.replaced_version is None or progress.plugin is None:
            return
        sent = digest(progress.plugin.content)
        update = self._updates.get(progress.key, _Update(progress.plugin.kind, progress.replaced_version))
        self._updates[progress.key] = replace(update, sent=update.sent | {sent})

    async def check(self) -> None:
        """Search the history of every plugin that was updated since the last check."""
        while self._updates:
            key, update = self._updates.popitem()
            versions = await self._server.list_versions(key, most=MOST_VERSIONS)
            if isinstance(versions, tuple):
                await self._copy_foreign(key, update, _newer_than(update.replaced, versions))
            elif isinstance(versions, Unavailable):
                self._updates.setdefault(key, update)
                return

    async def _copy_foreign(self, key: PluginKey, update: _Update, versions: list[Version]) -> None:
        """Copy each of ``versions`` whose content was neither sent by us nor copied yet; the first is the live one."""
        for version in versions[1:]:
            snapshot = await self._server.read_version(key, version.id)
            if not isinstance(snapshot, Snapshot):
                continue
            if digest(snapshot.content) in update.sent | self._journal.backed_up(key):
                continue
            description = snapshot.meta.get("description")
            naming = Naming(snapshot.name, description if isinstance(description, str) else "")
            backup = self._journal.back_up(key, snapshot.content, naming, snapshot.meta)
            if backup is not None:
                self._report(BackedUp(key.id, update.kind, backup, "an edit made during the deploy"))
            else:
                error = "an edit made during the deploy was overwritten, and its copy could not be written"
                self._report(Warned(error, "the plugin's history in Open WebUI has it", key.id, update.kind))


def _newer_than(version: str, versions: tuple[Version, ...]) -> list[Version]:
    """Return the entries of a history, newest first, that came after ``version``; none if it isn't among them."""
    ids = [each.id for each in versions]
    return list(versions[: ids.index(version)]) if version in ids else []
