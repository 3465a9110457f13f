"""``owui-watch [watch] PATH…``: deploy every save, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from owui_watch.cli import without_rich as _  # noqa: F401 - before anything else that imports httpx or structlog
from owui_watch.cli.sandbox_flag import forget_sandbox, report_sandbox, server_for, wants_sandbox
from owui_watch.cli.selected_plugins import NOT_A_PLUGIN, plugin_files
from owui_watch.cli.settings_from_flags import NO_SERVER, settings_from
from owui_watch.cli.terminal import Terminal
from owui_watch.plugins.model import BrokenPlugin
from owui_watch.reporting.events import Rejection, Warned
from owui_watch.settings import LogFormat, Settings

if TYPE_CHECKING:
    from owui_watch.reporting.events import Event
    from owui_watch.sandbox import Sandbox

SANDBOX_CHECKED_EVERY = 1.0
"""Seconds between two checks that the sandbox still runs."""
LAST_OUTPUT = 0.5
"""Seconds that the end of a watch waits for a slow reader of its output."""


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Watch and return the exit code. Raises SettingsError and CommandError."""
    sandboxed = wants_sandbox(arguments)
    settings = settings_from(arguments, os.environ, sandbox=NO_SERVER if sandboxed else None)
    if not sandboxed:
        settings.require_key()
    # Imported here: wrong settings are reported without them.
    from owui_watch.cli.after_deploy import check_flags  # noqa: PLC0415

    # What the command line has wrong is said before the long start of a sandbox.
    check_flags(arguments)
    if answers := _not_plugins(settings):
        reporter = terminal.reporter(settings)
        for answer in answers:
            reporter.report(answer)
        return 1
    with server_for(arguments) as running:
        if running is not None:
            settings = settings_from(arguments, os.environ, sandbox=running.server)
        try:
            return _run(arguments, settings, running, terminal)
        finally:
            if running is not None:
                forget_sandbox(arguments, settings)
            terminal.output.close(LAST_OUTPUT)


def _run(
    arguments: argparse.Namespace,
    settings: Settings,
    running: Sandbox | None,
    terminal: Terminal,
) -> int:
    json = settings.log_format is LogFormat.JSON
    reporter = terminal.reporter(settings, json=json)
    if running is not None:
        quiet = settings.verbosity < 0
        report_sandbox(reporter, running, arguments.sandbox_data, json=json, quiet=quiet, terminal=terminal)
    import anyio  # noqa: PLC0415

    from owui_watch.cli.after_deploy import followed  # noqa: PLC0415
    from owui_watch.openwebui.session import Session  # noqa: PLC0415
    from owui_watch.start_and_stop import watch  # noqa: PLC0415

    async def run() -> int:
        session = Session(settings, os.environ, reporter.hide)
        live = not json and settings.verbosity >= 0
        async with followed(arguments, settings, session, reporter, terminal, live=live, sandbox=running) as follow:
            ended = partial(_sandbox_ended, running, follow.report) if running is not None else None
            return await watch(settings, session, follow.report, ended)

    code = anyio.run(run)
    return code or int(running is not None and running.ended() is not None)


def _not_plugins(settings: Settings) -> list[Rejection]:
    """Return an answer for each file that the user named and that is not a plugin."""
    from owui_watch.plugins.tree import Tree  # noqa: PLC0415

    named = tuple(root for root in settings.roots if not root.is_dir())
    if not named:
        return []
    files = plugin_files(Tree.of(replace(settings, roots=named)).scan(), named)
    return [
        Rejection.of(file, file.diagnostics, None)
        for file in files
        if isinstance(file, BrokenPlugin) and file.diagnostics[0].rule == NOT_A_PLUGIN
    ]


async def _sandbox_ended(running: Sandbox, report: Callable[[Event], None]) -> None:
    """Wait until the sandbox ends by itself, and report it: nothing starts it again."""
    import anyio  # noqa: PLC0415

    while (how := running.ended()) is None:  # noqa: ASYNC110 - the loop gets no event when a process ends
        await anyio.sleep(SANDBOX_CHECKED_EVERY)
    report(Warned(how, "start owui-watch again for a new one"))
