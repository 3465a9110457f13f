"""Deploys a tree once: every plugin that differs from the server, until nothing is pending."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from owui_watch.cli.errors import unreachable
from owui_watch.cli.selected_plugins import answered, chosen, passed_over
from owui_watch.cli.terminal import Terminal
from owui_watch.deployer import create_deployer
from owui_watch.openwebui.listing import Listing
from owui_watch.openwebui.remote import ListedPlugin
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import BrokenPlugin, Plugin, PluginKey, Space
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.command_events import Finished
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
from owui_watch.settings import Settings
from owui_watch.state import Journal

if TYPE_CHECKING:
    from owui_watch.reporting.tables import Bar

PATIENCE = 30.0
"""Seconds that a server which went away during the deploy has to come back."""
MANY = 5
"""Files from which one listing of the server is cheaper than a look at each plugin. What it shows to be in sync is not
even parsed."""


@dataclass(frozen=True, slots=True)
class View:
    """What the user sees: ``every`` event, or only those that changed something; a progress ``bar``."""

    every: bool
    bar: bool
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
        self._deployer = create_deployer(settings, session, journal, self._tree, self._report, tasks)
        self._scope = anyio.CancelScope()
        self._lost: Waiting | None = None
        self._was_available = False
        self._bar: Bar | None = None
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
            wanted = await self._read(only)
            with ExitStack() as stack:
                if self._view.bar and len(wanted) > 1:
                    from owui_watch.reporting.tables import Bar  # noqa: PLC0415 - only a terminal needs it

                    total = len(self._unchanged) + len(wanted)
                    self._bar = stack.enter_context(Bar(self._view.terminal.output, total))
                await self._deploy(wanted, {each.key for each in wanted if only or each.path in self._tree.roots})
        self._bar = None
        if self._scope.cancelled_caught and self._lost:
            left = ", ".join(sorted(key.id for key in self._deployer.pending()))
            error = self._lost.error + (f"; not deployed: {left}" if left else "")
            raise unreachable(self._lost.url, error, self._lost.hint)
        ms = round((anyio.current_time() - began) * 1000)
        self._report(Finished(len(self._deployed), len(self._unchanged), len(self.rejected), ms))

    async def _read(self, only: Sequence[str] | None) -> Sequence[Plugin | BrokenPlugin]:
        """Read all files, or those of the ids ``only``; what is in sync with the server is reported and left out."""
        remotes = await self._list() if self._tree.count_files() >= MANY else {}

        def is_in_sync(key: PluginKey, digest: str) -> bool:
            remote = remotes.get(key)
            is_same = remote is not None and self._deployer.is_deployed(key, remote.digest, digest)
            return is_same and self._journal.intent(key) is None and not self._journal.record(key).disabled

        files = tuple(self._tree.scan_changed(is_in_sync))
        for skipped in passed_over(files, self._tree.roots):
            self._report(Skipped(skipped.path, skipped.explanation))
        to_deploy: list[Plugin | BrokenPlugin] = []
        wanted = chosen(answered(files, self._settings), only)
        self._named |= {each.path for each in wanted} if only else set()
        for file in wanted:
            sent = self._tree.digest_of(file.path)
            if isinstance(file, Plugin) and sent is not None and is_in_sync(file.key, sent):
                self._report_in_sync(file, sent, remotes[file.key])
            else:
                to_deploy.append(file)
        return to_deploy

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

    async def _deploy(self, wanted: Sequence[Plugin | BrokenPlugin], named: Collection[PluginKey | None]) -> None:
        for file in wanted:
            if isinstance(file, BrokenPlugin):
                self._report(Rejection.of(file, file.diagnostics, None))
        for key in self._to_mark(wanted):
            self._deployer.mark(key, anyio.current_time(), admitted=True, insist=key in named)
        self._tasks.start_soon(self._deployer.run, self._tasks)
        await self._deployer.idle()
        await self._deployer.finish()

    def _to_mark(self, wanted: Sequence[Plugin | BrokenPlugin]) -> list[PluginKey]:
        """Return the plugins that can be sent, and broken ones that an earlier run left unfinished on the server."""
        begun = self._journal.unfinished()
        return sorted({each.key for each in wanted if each.key and (isinstance(each, Plugin) or each.key in begun)})

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
        shown = self._view.every or not isinstance(event, Unchanged)
        if shown:
            with self._bar.set_aside() if self._bar else nullcontext():
                self._report_event(event)
        if self._bar:
            self._bar.show(len(self._deployed) + len(self._unchanged) + len(self.rejected))

    def _wait_for_server(self, waiting: Waiting) -> bool:
        """Give a server that was reachable some time to come back; return False if the deploy ends at once."""
        self._lost = waiting
        if self._was_available and waiting.retry_in is not None:
            self._scope.deadline = anyio.current_time() + PATIENCE
            return True
        self._scope.cancel()
        return False
