"""What becomes of the server's copy when a plugin's file goes, or has another id: a line, or it is switched off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from owui_watch.concurrency import Wakeup
from owui_watch.plugins.changes import Change
from owui_watch.plugins.model import Kind, NotPlugin, PluginKey, Space
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.events import Created, Event, Missing, Renamed, Unchanged, Updated, Warned
from owui_watch.state.journal import Journal

DISABLE_AFTER = 2.0
"""Seconds that a file must stay away before its function is switched off (``on_delete = "disable"``)."""


class Removals:
    """Reports copies on the server that have no file any more, and switches them off if the settings say so.

    ``delay`` is how long (seconds) a file must stay away before its function is switched off; None: never. ``was_away``
    returns whether the watched folder of a path is gone, or was gone at any time since a moment. ``live`` is what the
    server is known to hold; ``disable`` has a function switched off; ``editor`` returns a plugin's address.
    """

    def __init__(
        self,
        tree: Tree,
        journal: Journal,
        tasks: TaskGroup,
        *,
        delay: float | None,
        was_away: Callable[[Path, float], bool],
        live: Mapping[PluginKey, str | None],
        disable: Callable[[PluginKey], None],
        editor: Callable[[PluginKey], str],
        report: Callable[[Event], None],
    ) -> None:
        self._tree = tree
        self._journal = journal
        self._was_away = was_away
        self._tasks = tasks
        self._delay = delay
        self._live = live
        self._disable = disable
        self._editor = editor
        self._report = report
        self._other_space: dict[PluginKey, PluginKey] = {}
        self._renamed: dict[PluginKey, PluginKey] = {}
        self._one_done = Wakeup()
        self._deletions: dict[PluginKey, object] = {}

    @property
    def pending(self) -> set[PluginKey]:
        """Functions that are about to be switched off."""
        return set(self._deletions)

    def note(self, change: Change) -> None:
        """Report a copy on the server that has no file any more because of ``change``, and what became of the file."""
        before, now = change.before, change.now
        if before == now or isinstance(change.parsed, NotPlugin):
            return  # a file that is no plugin now is there all the same, as a module of another plugin
        if before is not None and not self._tree.paths_of(before):
            if now is not None:
                self._note_other_id(before, now, change.path)
            elif not self._was_away(change.path, anyio.current_time()):
                self._note_gone(before, change.path, change.digest)
        if now is not None:  # the file may have had another name a moment ago
            self._renamed |= dict.fromkeys(self._tree.moved_from(change.path) - {now}, now)

    def _note_gone(self, key: PluginKey, path: Path, digest: str | None) -> None:
        live, renamed = key in self._live, self._renamed.pop(key, None)
        self._report(Missing(key.id, path, live, moved_to=renamed.id if live and renamed else None))
        if self._delay is not None and key.space is Space.FUNCTIONS and renamed is None:
            self._deletions[key] = deletion = object()
            self._tasks.start_soon(self._disable_later, key, deletion, path, digest, self._tree.plugins(), self._delay)

    def _note_other_id(self, before: PluginKey, now: PluginKey, path: Path) -> None:
        """Report that the plugin in a file has another id; a change of space is reported once the new one is live."""
        if before.space is not now.space:
            self._other_space[now] = before
        elif self._is_on_server(before):
            self._report(Renamed(before.id, path, live=True, moved_to=now.id))

    def deployed(self, event: Created | Updated | Unchanged) -> None:
        """Report the copy that is left if a function became a tool, or the other way round."""
        key = PluginKey(Kind(event.kind).space, event.plugin)
        self._renamed.pop(key, None)
        before = self._other_space.pop(key, None)
        if before is None and isinstance(event, Created):  # it may have become one while nobody watched
            twin = PluginKey(Space.TOOLS if key.space is Space.FUNCTIONS else Space.FUNCTIONS, key.id)
            before = twin if self._journal.record(twin).digest is not None else None
        if before is not None and self._is_on_server(before) and before not in self._tree.plugins():
            error = f"the old copy is still on the server, among the {before.space}: {self._editor(before)}"
            self._report(Warned(error, "delete it there if you no longer need it", key.id))

    async def idle(self) -> None:
        """Wait until no function is about to be switched off."""
        await self._one_done.until(lambda: not self.pending)

    def _is_on_server(self, key: PluginKey) -> bool:
        """Return whether the server is known to have a copy, whoever put it there."""
        return key in self._live or self._journal.record(key).digest is not None

    async def _disable_later(
        self, key: PluginKey, deletion: object, path: Path, held: str | None, others: set[PluginKey], delay: float
    ) -> None:
        """Switch off a function whose content stays away while one of ``others`` beside it stays.

        So neither a checkout nor the loss of the whole tree switches anything off. Only the last ``deletion`` of a
        plugin counts.
        """
        went_with_its_folder = anyio.current_time() - delay
        await anyio.sleep(delay)
        if self._deletions[key] is not deletion:
            return
        away = self._was_away(path, went_with_its_folder)
        digests = self._tree.digests()
        back = key in self._tree.plugins() or held in {digests[new] for new in digests.keys() - others}
        if not away and not back and others & self._tree.beside(path):
            self._disable(key)
        del self._deletions[key]
        self._one_done.notify()
