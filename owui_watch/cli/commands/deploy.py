"""``owui-watch deploy [PATH…]``: deploy once what differs from the server, then exit. For CI, cron and bulk."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

import anyio

from owui_watch.cli import without_rich as _  # noqa: F401 - before anything else that imports httpx or structlog
from owui_watch.cli.after_deploy import after_deploy_flags, check_flags, followed
from owui_watch.cli.commands.deploy_through_watch import deploy_through_watch
from owui_watch.cli.commands.dry_run import dry_run
from owui_watch.cli.deploy_once import View, deploy_once
from owui_watch.cli.sandbox_flag import forget_sandbox, report_sandbox, running_or_new_server_for, wants_sandbox
from owui_watch.cli.selected_plugins import chosen, plugin_files
from owui_watch.cli.settings_from_flags import NO_SERVER, server_named, settings_from
from owui_watch.cli.terminal import Terminal
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import BrokenPlugin
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.events import Rejection, Warned
from owui_watch.settings import LogFormat, Settings
from owui_watch.state import AlreadyRunningError, own

if TYPE_CHECKING:
    from owui_watch.reporting.log import Reporter
    from owui_watch.sandbox import Sandbox


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Deploy; return 1 if a plugin is rejected. Raises SettingsError and CommandError."""
    if wants_sandbox(arguments) and not _check_before_start(arguments, terminal):
        return 1
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
            live = terminal.interactive and not json and settings.verbosity >= 0
            alone = running is None and not after_deploy_flags(arguments)  # what plugins do is written in between
            view = View(every=json or settings.verbosity > 0, live=live, progress=live and alone, terminal=terminal)
            check_flags(arguments)
            return anyio.run(_deploy, arguments, settings, session, reporter, view, running)
        finally:
            if running is not None:
                forget_sandbox(arguments, settings)


def _check_before_start(arguments: argparse.Namespace, terminal: Terminal) -> bool:
    """Say what the command line has wrong before the long start of a sandbox; False if nothing is left to deploy.

    Raises SettingsError.
    """
    check_flags(arguments)
    settings = settings_from(arguments, os.environ, sandbox=NO_SERVER)
    wanted = chosen(plugin_files(Tree.of(settings).scan(), settings.roots), arguments.only)
    broken = [each for each in wanted if isinstance(each, BrokenPlugin)]
    if len(broken) < len(wanted) or not wanted:
        return True
    reporter = terminal.reporter(settings, json=arguments.json or settings.log_format is LogFormat.JSON)
    for each in broken:
        reporter.report(Rejection.of(each, each.diagnostics, None))
    return False


async def _deploy(
    arguments: argparse.Namespace,
    settings: Settings,
    session: Session,
    reporter: Reporter,
    view: View,
    sandbox: Sandbox | None,
) -> int:
    try:
        return await _deploy_here(arguments, settings, session, reporter, view, sandbox)
    except AlreadyRunningError as running:
        if after_deploy_flags(arguments):
            raise  # the watch that runs has flags of its own and would not follow these
        return await deploy_through_watch(arguments.only or (), settings, session, reporter, running)


async def _deploy_here(
    arguments: argparse.Namespace,
    settings: Settings,
    session: Session,
    reporter: Reporter,
    view: View,
    sandbox: Sandbox | None,
) -> int:
    with own(settings, session.url) as owned:
        journal = owned.journal
        for warning in owned.warnings:
            reporter.report(Warned(warning))
        try:
            async with followed(
                arguments, settings, session, reporter, view.terminal, live=view.live, sandbox=sandbox
            ) as follow:
                once = await deploy_once(arguments.only, settings, session, journal, follow.report, view)
                await follow.finished()
        finally:
            journal.flush()
            with anyio.CancelScope(shield=True):
                await session.server.close()
    return 1 if once.rejected else 0
