"""Deploys a tree once: every plugin that differs from the server, until nothing is pending."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from owui_watch.cli.errors import unreachable
from owui_watch.cli.selected_plugins import answered, chosen, passed_over
from owui_watch.cli.terminal import Terminal
from owui_watch.deployer import create_deployer
from owui_watch.openwebui.listing import Listing
from owui_watch.openwebui.remote import ListedPlugin
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import BrokenPlugin, NotPlugin, ParsedFile, Plugin, PluginKey, Space
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.command_events import Finished
from owui_watch.reporting.console import MOST_NAMED, named
from owui_watch.reporting.events import (
    Created,
    Event,
    Reachable,
    Rejection,
    Skipped,
    Unchanged,
    Updated,
    Waiting,
    Warned,
)
from owui_watch.reporting.progress import ProgressLine
from owui_watch.settings import Settings
from owui_watch.state import Journal

PATIENCE = 30.0
"""Seconds that a server which went away during the deploy, or keeps failing over one plugin, has to come back."""
MANY = 5
"""Files from which one listing of the server is cheaper than a look at each plugin. What it shows to be in sync is not
even parsed."""


@dataclass(frozen=True, slots=True)
class View:
    """What the user sees: ``every`` event, or only those that changed something; how far the deploy is (``progress``).

    ``live``: parts of the output may change in place.
    """

    every: bool
    live: bool
    progress: bool
    terminal: Terminal


async def deploy_once(
    only: Sequence[str] | None,
    settings: Settings,
    session: Session,
    journal: Journal,
    report: Callable[[Event], None],
    view: View,
) -> DeployOnce:
    """Deploy all files, or the ids ``only``. Raises CommandError and SettingsError as ``DeployOnce.run`` does."""
    async with anyio.create_task_group() as tasks:
        once = DeployOnce(settings, session, journal, report, tasks, view)
        await once.run(only)
        tasks.cancel_scope.cancel()
    return once


class DeployOnce:
    """One deploy of the files of a tree, with the deployer of a watch."""

    def __init__(
        self,
        settings: Settings,
        session: Session,
        journal: Journal,
        report: Callable[[Event], None],
        tasks: TaskGroup,
        view: View,
    ) -> None:
        self._report_event = report
        self._view = view
        self._tasks = tasks
        self._journal = journal
        self._settings = settings
        self._session = session
        self._tree = Tree.of(settings, is_managed=journal.is_managed, has_deployed=journal.has_deployed)
        self._deployer = create_deployer(
            settings, session, journal, self._tree, self._report, tasks, files=self, patience=PATIENCE
        )
        self._scope = anyio.CancelScope()
        self._lost: Waiting | None = None
        self._was_available = False
        self._progress = ProgressLine(view.terminal.output, wanted=view.progress)
        self._total: int | None = None
        self._named: set[Path] = set(self._tree.roots)
        self._deployed: set[object] = set()
        self._unchanged: set[object] = set()
        self.rejected: set[object] = set()

    async def run(self, only: Sequence[str] | None) -> None:
        """Deploy all files, or the ids ``only``.

        Raises CommandError if the server can't be reached, SettingsError for an unknown id.
        """
        began = anyio.current_time()
        with self._scope:
            self._tasks.start_soon(self._deployer.availability.run)
            await self._deployer.availability.wait()
            self._was_available = True
            if trouble := self._journal.trouble():
                self._report(Warned(trouble))
            self._show_progress()
            try:
                await self._mark(only)
                self._tasks.start_soon(self._deployer.run, self._tasks)
                await self._deployer.idle()
            finally:
                self._progress.end()
            await self._deployer.finish()
        if self._scope.cancelled_caught and self._lost:
            left = sorted(key.id for key in self._deployer.pending())
            error = self._lost.error + (f"; not deployed: {named(left[:MOST_NAMED], len(left))}" if left else "")
            raise unreachable(self._lost.url, error, self._lost.hint)
        ms = round((anyio.current_time() - began) * 1000)
        self._report(Finished(len(self._deployed), len(self._unchanged), len(self.rejected), ms))

    def newest(self, key: PluginKey) -> ParsedFile | None:
        """Read a plugin for the deployer, and report what keeps it from being sent.

        ``_mark`` has only looked at the lines of its file.
        """
        parsed = self._tree.newest(key)
        match parsed:
            case BrokenPlugin(path=path) if path not in self.rejected:
                self._report(Rejection.of(parsed, parsed.diagnostics, None))
            case NotPlugin(path=path, explanation=explanation):
                self._report(Skipped(path, explanation))
            case None:
                for path in self._tree.paths_of(key):
                    if isinstance(other := self._tree.refresh(path), Plugin) and other.key != key:
                        self._deployer.mark(other.key, anyio.current_time(), admitted=True, insist=False)
        return parsed

    async def _mark(self, only: Sequence[str] | None) -> None:
        """Queue the plugins to deploy: all of them, or those with an id in ``only``. Report those that are in sync.

        A file is parsed when its turn comes. So of thousands of plugins the first is sent after about a second.
        """
        remotes = await self._list() if self._tree.count_files() >= MANY else {}

        def is_in_sync(key: PluginKey, digest: str) -> bool:
            remote = remotes.get(key)
            is_same = remote is not None and self._deployer.is_deployed(key, remote.digest, digest)
            return is_same and self._journal.intent(key) is None and not self._journal.record(key).disabled

        files = tuple(self._tree.scan_lines())
        for skipped in passed_over(files, self._tree.roots):
            self._report(Skipped(skipped.path, skipped.explanation))
        wanted = chosen(answered(files, self._settings), only)
        self._named |= {each.path for each in wanted} if only else set()
        begun = self._journal.unfinished()
        to_send: dict[PluginKey, bool] = {}
        for file in wanted:
            sent = self._tree.digest_of(file.path)
            if isinstance(file, BrokenPlugin):
                self._report(Rejection.of(file, file.diagnostics, None))
                if file.key in begun:  # an earlier run left it unfinished on the server
                    to_send[file.key] = file.path in self._named
            elif sent is not None and is_in_sync(file.key, sent):
                self._report_in_sync(file, sent, remotes[file.key])
            else:
                to_send[file.key] = file.path in self._named
        self._total = len(self._unchanged) + len(self.rejected) + len(to_send)
        for key in sorted(to_send):
            self._deployer.mark(key, anyio.current_time(), admitted=True, insist=to_send[key])

    def _report_in_sync(self, plugin: Plugin, sent: str, remote: ListedPlugin) -> None:
        naming = self._journal.record(plugin.key).naming
        self._journal.commit(plugin.key, sent, naming=naming, updated_at=remote.updated_at)
        self._report(Unchanged(plugin.id, plugin.kind, plugin.path, plugin.version, remote.version, 0))

    async def _list(self) -> dict[PluginKey, ListedPlugin]:
        """Return what the server holds, as far as it lists that."""
        remotes: dict[PluginKey, ListedPlugin] = {}
        for space in Space:
            listing = await self._session.server.list_digests(space)
            remotes |= listing.plugins if isinstance(listing, Listing) else {}
        return remotes

    def _report(self, event: Event) -> None:
        match event:
            case Created() | Updated():
                self._deployed.add((event.kind, event.plugin))
            case Unchanged():
                self._unchanged.add((event.kind, event.plugin))
            case Rejection():
                self.rejected.add(event.path)
            case Skipped(path=path) if path in self._named:
                self.rejected.add(path)
            case Waiting():
                if not self._wait_for_server(event):
                    return
            case Reachable():
                self._lost, self._scope.deadline = None, math.inf
        if self._view.every or not isinstance(event, Unchanged):
            self._progress.clear()
            self._report_event(event)
        self._show_progress()

    def _show_progress(self) -> None:
        done = len(self._deployed) + len(self._unchanged) + len(self.rejected)
        self._progress.show("reading plugins" if self._total is None else f"deploying {done:,} of {self._total:,}")

    def _wait_for_server(self, waiting: Waiting) -> bool:
        """Give a server that was reachable some time to come back; return False if the deploy ends at once."""
        self._lost = waiting
        if self._was_available and waiting.retry_in is not None:
            self._scope.deadline = anyio.current_time() + PATIENCE
            return True
        self._scope.cancel()
        return False
