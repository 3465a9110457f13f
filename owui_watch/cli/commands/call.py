"""``owui-watch call PLUGIN …``: call one plugin as Open WebUI would, and show what comes of it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from owui_watch.cli import lean_imports as _  # noqa: F401 - before anything else that imports httpx or structlog
from owui_watch.cli.errors import CommandError
from owui_watch.cli.run_settings import settings_from
from owui_watch.cli.sandboxed import on_running_sandbox
from owui_watch.cli.terminal import Terminal
from owui_watch.reporting.events import Event
from owui_watch.runtime.call_plugin import CallError, PluginCaller, Wanted


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Call; return 1 if the call fails. Raises SettingsError and CommandError."""
    import anyio  # noqa: PLC0415

    from owui_watch.openwebui.session import Session  # noqa: PLC0415

    server, sandbox = on_running_sandbox(arguments, paths=())
    settings = settings_from(arguments, os.environ, paths=(), sandbox=server)
    reporter = terminal.reporter(settings)
    token = sandbox.loader.reveal() if sandbox is not None else None
    if token is not None:
        reporter.hide(token)
    session = Session(settings, os.environ, reporter.hide)
    wanted = Wanted(arguments.plugin, tuple(arguments.arguments), arguments.arguments_json, arguments.model)

    async def call() -> Iterator[Event]:
        caller = PluginCaller(session.server, token)
        try:
            if wanted.is_bare and (shown := await caller.usage(wanted.plugin)):
                for line in shown:
                    terminal.print(line)
                return iter(())
            return await caller.call(wanted)
        finally:
            with anyio.CancelScope(shield=True):
                await session.server.close()

    try:
        events = list(anyio.run(call))
    except CallError as error:
        raise CommandError(str(error)) from error
    for event in events:
        reporter.report(event)
    return int(any(event.level == "error" for event in events))
