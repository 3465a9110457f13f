"""What stays on the server when a plugin's file goes, or holds another plugin now: it is said, or switched off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from owui_watch.deployer.assembly import Assembly, Report
from owui_watch.plugins.model import Kind, PluginKey, Space
from owui_watch.reporting.events import Created, Missing, Renamed, Unchanged, Updated, Warned
from owui_watch.settings import OnDelete, Settings
from owui_watch.watcher.debounce import CAP
from owui_watch.watcher.watcher import Watcher

RETIRE_AFTER = 2.0
"""Seconds that a file must stay away before its function is switched off (``on_delete = "disable"``)."""


class Departures:
    """Tells of copies that no file stands for any more.

    ``live`` is what the server is known to hold; ``editor`` gives a plugin's address there.
    """

    def __init__(
        self,
        settings: Settings,
        rooms: Assembly,
        watcher: Watcher,
        tasks: TaskGroup,
        *,
        live: Mapping[PluginKey, str | None],
        editor: Callable[[PluginKey], str],
        report: Report,
    ) -> None:
        self._disables = settings.on_delete is OnDelete.DISABLE
        self._delay = max(RETIRE_AFTER, (CAP + 1) * settings.debounce)  # what takes its place may be written meanwhile
        self._tree, self._journal, self._deployer = rooms.tree, rooms.journal, rooms.deployer
        self._watcher = watcher
        self._tasks = tasks
        self._live = live
        self._editor = editor
        self._report = report
        self._turned: dict[PluginKey, PluginKey] = {}
        self._renamed: dict[PluginKey, PluginKey] = {}
        self._retired = anyio.Event()
        self._deletions: dict[PluginKey, object] = {}

    @property
    def retiring(self) -> set[PluginKey]:
        """Functions that are about to be switched off."""
        return set(self._deletions)

    def came(self, key: PluginKey, path: Path) -> None:
        """Take note of a file that holds ``key`` from now on: it may be one that had another name a moment ago."""
        self._renamed |= dict.fromkeys(self._tree.moved_from(path) - {key}, key)

    def gone(self, key: PluginKey, path: Path, held: str | None) -> None:
        """Say that the file of ``key``, whose content has the digest ``held``, is gone, and what became of it."""
        if key in self._tree.plugins():
            return
        live, renamed = key in self._live, self._renamed.pop(key, None)
        self._report(Missing(key.id, path, live, moved_to=renamed.id if live and renamed else None))
        if self._disables and key.space is Space.FUNCTIONS and renamed is None:
            self._deletions[key] = deletion = object()
            self._tasks.start_soon(self._retire, key, deletion, path, held, self._tree.plugins())

    def changed(self, before: PluginKey, now: PluginKey, path: Path) -> None:
        """Say that the plugin in a file has another id now; that it is of another space is said once it is live."""
        if before.space is not now.space:
            self._turned[now] = before
        elif self._stands(before):
            self._report(Renamed(before.id, path, live=True, moved_to=now.id))

    def deployed(self, event: Created | Updated | Unchanged) -> None:
        """Say where a function that became a tool, or the other way round, still stands as what it was."""
        key = PluginKey(Kind(event.kind).space, event.plugin)
        self._renamed.pop(key, None)
        before = self._turned.pop(key, None)
        if before is None and isinstance(event, Created):  # it may have become one while nobody watched
            twin = PluginKey(Space.TOOLS if key.space is Space.FUNCTIONS else Space.FUNCTIONS, key.id)
            before = twin if self._journal.put(twin) is not None else None
        if before is not None and self._stands(before) and before not in self._tree.plugins():
            error = f"what it was before still stands among the {before.space}: {self._editor(before)}"
            self._report(Warned(error, "delete it there if it is done with", key.id))

    async def idle(self) -> None:
        """Wait until no function is about to be switched off."""
        while self.retiring:
            await self._retired.wait()

    def _stands(self, key: PluginKey) -> bool:
        """Return whether the server is known to have a copy, whoever put it there."""
        return key in self._live or self._journal.put(key) is not None

    async def _retire(
        self, key: PluginKey, deletion: object, path: Path, held: str | None, others: set[PluginKey]
    ) -> None:
        """Switch off a function whose content stays away while one of ``others`` beside it stays.

        So nothing is switched off in a checkout, nor with the whole tree. Only the last ``deletion`` of it counts.
        """
        went_with_its_folder = anyio.current_time() - self._delay
        await anyio.sleep(self._delay)
        if self._deletions[key] is not deletion:
            return
        away = self._watcher.was_away(path, went_with_its_folder)
        there = self._tree.digests()
        back = key in self._tree.plugins() or held in {there[new] for new in there.keys() - others}
        if not away and not back and others & self._tree.beside(path):
            self._deployer.retire(key)
        del self._deletions[key]
        retired, self._retired = self._retired, anyio.Event()
        retired.set()
