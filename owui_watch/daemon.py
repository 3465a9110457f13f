"""The product on one page: a settled path → the plugins that its file is part of (none, one, many) → the deployer's queue.

The watcher reports a settled path, the tree reads which plugins the save changed, and the deployer brings the server up
to date with them. ``start_and_stop`` runs this between a start and a signal.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from owui_watch.concurrency import guarded
from owui_watch.deployer import create_deployer
from owui_watch.deployer.removals import DISABLE_AFTER, Removals
from owui_watch.deployer.sync import Sync
from owui_watch.files import is_link
from owui_watch.openwebui.session import Session
from owui_watch.plugins.changes import Change, read_change
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import BrokenPlugin, Mention, NotPlugin, Plugin
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.events import (
    Affected,
    Created,
    Event,
    Note,
    Rejection,
    Saved,
    Skipped,
    Unchanged,
    Updated,
    Warned,
)
from owui_watch.settings import OnDelete, Settings
from owui_watch.state import Journal
from owui_watch.watcher import CAP, Platform, Settled, Watcher

READ_AHEAD_AFTER = 0.003
"""Seconds from the start of a look at the server to the reading of the file: time to send the request."""
MOST_AHEAD = 4
"""Saves under way, and plugins that one of them is part of, up to which files are read ahead. In a storm, reading ahead
would delay the first request."""
LONGEST_RETRY = 60.0
"""Seconds between two attempts to handle a save that met a bug of ours, at most."""


class Daemon:
    """Takes saves. ``tree``, ``watcher``, ``deployer``, ``sync`` and ``removals`` are wired to each other here."""

    def __init__(
        self,
        settings: Settings,
        session: Session,
        journal: Journal,
        report: Callable[[Event], None],
        tasks: TaskGroup,
        platform: Platform,
    ) -> None:
        self._journal = journal
        self._reporter = report
        self._tasks = tasks
        self._taking = False
        self._failures: dict[Path, int] = {}
        self.tree = Tree.of(settings, watching=True, is_managed=journal.is_managed, has_deployed=journal.has_deployed)
        self.deployer = create_deployer(settings, session, journal, self.tree, self._report, tasks)
        self.sync = Sync(session, self.tree, self.deployer, self._report)
        self.watcher = Watcher(
            self.tree.watched(),
            Ignore(settings.ignore),
            settings.debounce,
            report=self.report_problem,
            expect=self._prepare,
            poll=settings.poll,
            data_files=self.tree.data_files,
            platform=platform,
        )
        # A file that takes the place of a deleted one may settle as late as this.
        delay = max(DISABLE_AFTER, (CAP + 1) * settings.debounce)
        self.removals = Removals(
            self.tree,
            journal,
            tasks,
            delay=delay if settings.on_delete is OnDelete.DISABLE else None,
            was_away=self.watcher.was_away,
            live=self.sync.live,
            disable=self.deployer.disable,
            editor=session.server.editor,
            report=self._report,
        )

    async def take_saves(self) -> None:
        """Handle every save, until cancelled."""
        self._taking = True
        waiting: list[Settled] = []
        while True:
            settled = self.watcher.settled_meanwhile() if waiting else await self.watcher.settled()
            waiting += reversed(settled)  # taken from the end: a save by hand overtakes the thousands before it
            self._take(waiting.pop())
            await anyio.lowlevel.checkpoint()  # hundreds at once must not keep the first from being sent
            if not waiting:
                self._journal.flush()

    def _take(self, settled: Settled) -> None:
        """Handle one save; after a bug of ours, once more after a pause."""
        path = settled.path
        with guarded(f"handling a save of {path}", self._report_first(path)) as outcome:
            self._handle(settled)
        if outcome.error is None:
            self._failures.pop(path, None)
        else:
            self._failures[path] = self._failures.get(path, 0) + 1
            self._tasks.start_soon(self._handle_later, settled, min(2.0 ** self._failures[path], LONGEST_RETRY))

    def _handle(self, settled: Settled) -> None:
        """Read a saved file; deploy or reject the plugins that the save concerns."""
        change = read_change(self.tree, settled.path)
        if settled.provisional and change.looks_bad:
            # Editors truncate, then write: this may be half a save.
            self.watcher.recheck(settled)
            return
        self._report(Saved(path=change.path))
        match change.parsed:
            case Plugin() | BrokenPlugin() as parsed:
                self.deploy_or_reject(parsed, settled.last_event)
            case NotPlugin(mention=Mention.ALWAYS) as passed_over:
                self._report(Skipped(change.path, passed_over.explanation))
            case NotPlugin(mention=Mention.WHEN_SAVED, reason=reason) if not change.is_part:
                self._report(Skipped(change.path, f"{reason}, and no plugin imports it"))
            case NotPlugin(mention=Mention.NEVER, reason=reason):
                self._report(Note(path=change.path, text=f"not deployed: {reason}"))
            case None if is_link(change.path):
                self._report(Skipped(change.path, "it is a symlink that leads nowhere"))
        for other in change.others:
            self.deploy_or_reject(other, settled.last_event)
        if change.unread:
            self._report(Affected(change.path, len(change.others) + len(change.unread)))
            self._tasks.start_soon(self._handle_dependents, change, settled.last_event)
        self.removals.note(change)

    async def _handle_dependents(self, change: Change, saved_at: float) -> None:
        """Deploy or reject the other plugins that a saved file is part of, however many they are."""
        for path in change.unread:
            await anyio.lowlevel.checkpoint()  # thousands must not keep the first from being sent
            with guarded(f"reading {path}", self.report_problem):
                parsed = self.tree.refresh(path, through=change.path)
                if isinstance(parsed, Plugin | BrokenPlugin):
                    self.deploy_or_reject(parsed, saved_at)
        self._journal.flush()

    def deploy_or_reject(self, parsed: Plugin | BrokenPlugin, saved_at: float) -> None:
        """Put a plugin into the deployer's queue, or report what is wrong with it."""
        if parsed.key is not None:
            self._journal.manage(parsed.key)  # if the server stays away until the end, the next run goes on
        if isinstance(parsed, Plugin):
            self.deployer.mark(parsed.key, saved_at)
        else:
            self._report(Rejection.of(parsed, parsed.diagnostics, self.sync.live_name(parsed.key)))

    def _prepare(self, path: Path) -> None:
        """Look at the server, and read the files, while a save settles."""
        if not self._taking:
            return  # the tree may still be read, in a thread
        for part in self.tree.parts(path)[:MOST_AHEAD]:
            key = self.tree.key_of(part)
            if key is not None:
                self.deployer.prefetch(key)
        if len(self.watcher.unsettled) <= MOST_AHEAD:
            self._tasks.start_soon(self._read_ahead, path)

    async def _read_ahead(self, path: Path) -> None:
        await anyio.sleep(READ_AHEAD_AFTER)
        if path in self.watcher.unsettled:
            with guarded(f"reading {path}", lambda _error, _hint: None):  # the save meets the same bug, and reports it
                for part in self.tree.parts(path)[:MOST_AHEAD]:
                    self.tree.read_ahead(part)

    async def _handle_later(self, settled: Settled, pause: float) -> None:
        await anyio.sleep(pause)
        self.watcher.recheck(settled)

    @property
    def unhandled(self) -> set[Path]:
        """Saved files that have not settled, or that met a bug of ours."""
        return {*self.watcher.unsettled, *self._failures}

    def report_problem(self, error: str, hint: str | None) -> None:
        """Report a problem as a warning."""
        self._report(Warned(error, hint))

    def _report(self, event: Event) -> None:
        if isinstance(event, Created | Updated | Unchanged):
            self.sync.deployed(event)
        self._reporter(event)
        if isinstance(event, Created | Updated | Unchanged):
            self.removals.deployed(event)

    def _report_first(self, path: Path) -> Callable[[str, str | None], None]:
        """Return how to report a bug in handling ``path``: once until a save of it is handled without one."""
        return self.report_problem if path not in self._failures else lambda _error, _hint: None
