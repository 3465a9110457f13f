"""``owui-watch deploy [PATH…]``: deploy once what differs from the server, then exit. For CI, cron and bulk."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from owui_watch.cli import lean_imports as _  # noqa: F401 - before anything else that imports httpx or structlog
from owui_watch.cli.after_deploy import after_deploy_flags, check_flags, followed
from owui_watch.cli.commands.dry_run import dry_run
from owui_watch.cli.errors import CommandError
from owui_watch.cli.named_paths import plugin_files
from owui_watch.cli.run_settings import settings_from
from owui_watch.cli.sandboxed import forget_sandbox, report_sandbox, running_or_new_server_for
from owui_watch.cli.survey import chosen, server_named
from owui_watch.cli.terminal import Terminal
from owui_watch.deployer import create_deployer
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import BrokenPlugin, Plugin, PluginKey
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.console import MOST_NAMED, named
from owui_watch.reporting.events import (
    Created,
    Event,
    Finished,
    HandedOver,
    Reachable,
    Rejection,
    Unchanged,
    Updated,
    Waiting,
    Warned,
)
from owui_watch.settings import LogFormat, Settings
from owui_watch.state import AlreadyRunningError, DeployRequest, Journal, Only, SentRequest, own

if TYPE_CHECKING:
    from owui_watch.reporting.log import Reporter
    from owui_watch.reporting.tables import Bar
    from owui_watch.sandbox import Sandbox

PATIENCE = 30.0
"""Seconds that a server has to come back which went away in the midst of a deploy."""
HAND_OVER_WITHIN = 5.0
"""Seconds that a watch has to take up what a deploy beside it asks for."""
LEFT_HINT = "stop it and deploy again, or start it on a folder that holds them all"


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Deploy; return 1 if a plugin is rejected. Raises SettingsError and CommandError."""
    with running_or_new_server_for(arguments) as (server, running):
        settings = settings_from(arguments, os.environ, sandbox=server)
        json = arguments.json or settings.log_format is LogFormat.JSON
        reporter = terminal.reporter(settings, json=json)
        if running is not None:
            quiet = settings.verbosity < 0
            report_sandbox(reporter, running, arguments.sandbox_data, json=json, quiet=quiet, terminal=terminal)
        elif server is None:
            reporter.report(server_named(settings))
        session = Session(settings, os.environ, reporter.hide)
        try:
            if arguments.dry_run:
                for flag in after_deploy_flags(arguments):
                    reporter.report(Warned(f"{flag} is ignored: --dry-run deploys nothing"))
                return anyio.run(dry_run, settings, session, arguments.only, reporter, None if json else terminal)
            look = _Look(
                every=json or settings.verbosity > 0,
                bar=terminal.interactive and not json and settings.verbosity >= 0,
                terminal=terminal,
            )
            check_flags(arguments)
            return anyio.run(_deploy, arguments, settings, session, reporter, look, running)
        finally:
            if running is not None:
                forget_sandbox(arguments, settings)


@dataclass(frozen=True, slots=True)
class _Look:
    """What is shown: ``every`` event, or only those that changed something; a progress ``bar``."""

    every: bool
    bar: bool
    terminal: Terminal


async def _deploy(
    arguments: argparse.Namespace,
    settings: Settings,
    session: Session,
    reporter: Reporter,
    look: _Look,
    sandbox: Sandbox | None,
) -> int:
    try:
        return await _deploy_here(arguments, settings, session, reporter, look, sandbox)
    except AlreadyRunningError as running:
        if after_deploy_flags(arguments):
            raise  # the watch that runs has flags of its own and would not follow these
        return await _hand_over(arguments.only or (), settings, session, reporter, running)


async def _hand_over(
    only: Sequence[str], settings: Settings, session: Session, reporter: Reporter, running: AlreadyRunningError
) -> int:
    """Hand the deploy over to the watch that owns these files. Raises ``running`` if the watch does not take it.

    The watch may see a part of these files only: the others are named. A broken plugin is reported here.
    """
    tree = Tree.of(settings)
    wanted = chosen(plugin_files(tree.scan(), settings.roots), only or None)
    await session.server.close()
    broken = [each for each in wanted if isinstance(each, BrokenPlugin)]
    for each in broken:
        reporter.report(Rejection.of(each, each.diagnostics, None))
    plugins = [each for each in wanted if isinstance(each, Plugin)]
    if not plugins:
        return 1 if broken else 0
    watched = await _accepted(DeployRequest(Only(tuple(sorted({each.key for each in plugins})))), running)
    outside = _outside(plugins, watched)
    if len(outside) < len(plugins):
        inside = tuple(each.key.id for each in plugins if each.key.id not in outside)
        is_all = not only and all(any(root.is_relative_to(each) for each in settings.roots) for root in watched)
        reporter.report(HandedOver(() if is_all else inside))
    if outside:
        names = named(outside[:MOST_NAMED], len(outside))
        places = ", ".join(map(reporter.path, watched))
        reporter.report(Warned(f"not deployed: {names}: the running watch covers only {places}", LEFT_HINT))
    return 1 if outside or broken else 0


async def _accepted(request: DeployRequest, running: AlreadyRunningError) -> tuple[Path, ...]:
    """Return the roots of the watch that takes ``request``. Raises ``running`` if none does in time."""
    try:
        sent = SentRequest(running.folder, request)
    except OSError:
        raise running from None
    with anyio.move_on_after(HAND_OVER_WITHIN):
        while (roots := sent.reply()) is None:  # noqa: ASYNC110 - another process replies
            await anyio.sleep(0.1)
        return roots
    sent.withdraw()
    raise running


def _outside(plugins: Sequence[Plugin], roots: Sequence[Path]) -> list[str]:
    """Return the ids of the plugins outside of the watched ``roots``."""
    return [each.key.id for each in plugins if not any(each.path.is_relative_to(root) for root in roots)]


async def _deploy_here(
    arguments: argparse.Namespace,
    settings: Settings,
    session: Session,
    reporter: Reporter,
    look: _Look,
    sandbox: Sandbox | None,
) -> int:
    with own(settings, session.url) as owned:
        journal = owned.journal
        for warning in owned.warnings:
            reporter.report(Warned(warning))
        try:
            async with followed(
                arguments, settings, session, reporter, look.terminal, live=look.bar, sandbox=sandbox
            ) as follow:
                once = await _once(arguments.only, settings, session, journal, follow.report, look)
                await follow.finished()
        finally:
            journal.flush()
            with anyio.CancelScope(shield=True):
                await session.server.close()
    return 1 if once.rejected else 0


async def _once(
    only: Sequence[str] | None,
    settings: Settings,
    session: Session,
    journal: Journal,
    report: Callable[[Event], None],
    look: _Look,
) -> _Once:
    async with anyio.create_task_group() as tasks:
        once = _Once(settings, session, journal, report, tasks, look)
        await once.run(only)
        tasks.cancel_scope.cancel()
    return once


class _Once:
    """One deploy of all that is wanted, through the rooms of a watch."""

    def __init__(
        self,
        settings: Settings,
        session: Session,
        journal: Journal,
        report: Callable[[Event], None],
        tasks: TaskGroup,
        look: _Look,
    ) -> None:
        self._report_on = report
        self._look = look
        self._tasks = tasks
        self._journal = journal
        self._tree = Tree.of(settings, is_managed=lambda key: key in journal.managed())
        self._deployer = create_deployer(settings, session, journal, self._tree, self._report, tasks)
        self._scope = anyio.CancelScope()
        self._lost: Waiting | None = None
        self._met = False
        self._bar: Bar | None = None
        self._deployed: set[object] = set()
        self._unchanged: set[object] = set()
        self.rejected: set[object] = set()

    async def run(self, only: Sequence[str] | None) -> None:
        """Deploy until all is done. Raises CommandError where the server can't be reached, SettingsError for an id."""
        began = anyio.current_time()
        wanted = chosen(plugin_files(self._tree.scan(), self._tree.roots), only)
        with ExitStack() as stack:
            if self._look.bar and len(wanted) > 1:
                from owui_watch.reporting.tables import Bar  # noqa: PLC0415 - only who looks on needs it

                self._bar = stack.enter_context(Bar(self._look.terminal.output, len(wanted)))
            with self._scope:
                await self._run(wanted, {each.key for each in wanted if only or each.path in self._tree.roots})
        self._bar = None
        if self._scope.cancelled_caught and self._lost:
            left = ", ".join(sorted(key.id for key in self._deployer.pending()))
            hint = f"\n{self._lost.hint}" if self._lost.hint else ""
            raise CommandError(
                f"{self._lost.url}: {self._lost.error}{hint}" + (f"\nnot deployed: {left}" if left else "")
            )
        ms = round((anyio.current_time() - began) * 1000)
        self._report(Finished(len(self._deployed), len(self._unchanged), len(self.rejected), ms))

    async def _run(self, wanted: Sequence[Plugin | BrokenPlugin], named: Collection[PluginKey | None]) -> None:
        self._tasks.start_soon(self._deployer.availability.run)
        await self._deployer.availability.wait()
        self._met = True
        if trouble := self._journal.trouble():
            self._report(Warned(trouble))
        for reading in wanted:
            if isinstance(reading, BrokenPlugin):
                self._report(Rejection.of(reading, reading.diagnostics, None))
        for key in self._marked(wanted):
            self._deployer.mark(key, anyio.current_time(), admitted=True, insist=key in named)
        self._tasks.start_soon(self._deployer.run, self._tasks)
        await self._deployer.idle()
        await self._deployer.finish()

    def _marked(self, wanted: Sequence[Plugin | BrokenPlugin]) -> list[PluginKey]:
        """Return what can be sent, and what was begun before and can't be sent any more: that is mended."""
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
            case Waiting():
                if not self._bear(event):
                    return
            case Reachable():
                self._lost, self._scope.deadline = None, math.inf
        shown = self._look.every or not isinstance(event, Unchanged)
        if shown:
            with self._bar.set_aside() if self._bar else nullcontext():
                self._report_on(event)
        if self._bar:
            self._bar.show(len(self._deployed) + len(self._unchanged) + len(self.rejected))

    def _bear(self, waiting: Waiting) -> bool:
        """Return a server that was there the time to come back; one that never was, or refuses the key, ends it all."""
        self._lost = waiting
        if self._met and waiting.retry_in is not None:
            self._scope.deadline = anyio.current_time() + PATIENCE
            return True
        self._scope.cancel()
        return False
