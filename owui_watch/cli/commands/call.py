"""``owui-watch call PLUGIN …``: call one plugin as Open WebUI would, and print the result."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from owui_watch.cli import without_rich as _  # noqa: F401 - before anything else that imports httpx or structlog
from owui_watch.cli.errors import CommandError, unreachable
from owui_watch.cli.sandbox_flag import forget_sandbox, on_running_sandbox, server_for, wants_sandbox
from owui_watch.cli.settings_from_flags import NO_SERVER, server_named, settings_from
from owui_watch.cli.terminal import Terminal
from owui_watch.runtime.call.caller import CallError, PluginCaller, UnreachableError, Wanted

if TYPE_CHECKING:
    from owui_watch.openwebui.session import Session
    from owui_watch.reporting.events import Event
    from owui_watch.reporting.log import Reporter
    from owui_watch.sandbox import Sandbox
    from owui_watch.settings import Settings

LAST_WORDS = 0.4
"""Seconds after a call in which the server of a sandbox still sends what the plugin wrote; a task's exception takes 0.1."""


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Call; return 1 if the call fails, or the plugin can't be deployed. Raises SettingsError and CommandError."""
    import anyio  # noqa: PLC0415

    from owui_watch.openwebui.session import Session  # noqa: PLC0415

    server, found = on_running_sandbox(arguments, paths=(), must=False)
    if found is None and wants_sandbox(arguments):
        return _in_new_sandbox(arguments, terminal)
    settings = settings_from(arguments, os.environ, paths=(), sandbox=server)
    reporter = terminal.reporter(settings)
    token = found.channel_token.reveal() if found is not None else None
    if token is not None:
        reporter.hide(token)
    session = Session(settings, os.environ, reporter.hide)
    if server is None:
        reporter.report(server_named(settings))

    async def call() -> int:
        try:
            return await _call(_wanted(arguments), session, token, reporter, terminal)
        finally:
            with anyio.CancelScope(shield=True):
                await session.server.close()

    return anyio.run(call)


def _in_new_sandbox(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Start a sandbox, deploy the plugin of the watched folder there, call it, and end the sandbox."""
    import anyio  # noqa: PLC0415

    from owui_watch.cli.selected_plugins import chosen, plugin_files  # noqa: PLC0415
    from owui_watch.openwebui.session import Session  # noqa: PLC0415
    from owui_watch.plugins.tree import Tree  # noqa: PLC0415

    arguments.paths = []
    settings = settings_from(arguments, os.environ, sandbox=NO_SERVER)
    wanted = _wanted(arguments)
    files = plugin_files(Tree.of(settings).scan(), settings.roots)
    # An unknown id is answered before the long start.
    roots = ", ".join(map(str, settings.roots))
    chosen(files, [wanted.plugin], "call", f"in {roots}: run this command in the folder above your plugins")
    with server_for(arguments) as running:
        assert running is not None, "a sandbox is wanted"
        settings = settings_from(arguments, os.environ, sandbox=running.server)
        reporter = terminal.reporter(settings)
        for secret in running.secrets:
            reporter.hide(secret)
        session = Session(settings, os.environ, reporter.hide)
        try:
            return anyio.run(_deploy_and_call, wanted, settings, session, reporter, terminal, running)
        finally:
            forget_sandbox(arguments, settings)


async def _deploy_and_call(
    wanted: Wanted, settings: Settings, session: Session, reporter: Reporter, terminal: Terminal, running: Sandbox
) -> int:
    import anyio  # noqa: PLC0415

    from owui_watch.cli.deploy_once import View, deploy_once  # noqa: PLC0415
    from owui_watch.reporting.command_events import Finished  # noqa: PLC0415
    from owui_watch.runtime.sandbox_listener import Listener  # noqa: PLC0415
    from owui_watch.state import own  # noqa: PLC0415

    listener = Listener(running.channel, reporter.report)

    def report(event: Event) -> None:
        listener.heard(event)
        if not isinstance(event, Finished):  # the call says more
            reporter.report(event)

    with own(settings, session.url) as owned:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listener.run)
                view = View(every=False, live=False, progress=False, terminal=terminal)
                once = await deploy_once([wanted.plugin], settings, session, owned.journal, report, view)
                code = 1
                if not once.rejected:
                    token = running.channel.token
                    code = await _call(wanted, session, token, reporter, terminal, listened=True)
                    await anyio.sleep(LAST_WORDS)
                tasks.cancel_scope.cancel()
        finally:
            owned.journal.flush()
            with anyio.CancelScope(shield=True):
                await session.server.close()
    return code


def _wanted(arguments: argparse.Namespace) -> Wanted:
    return Wanted(arguments.plugin, tuple(arguments.arguments), arguments.arguments_json, arguments.model)


async def _call(
    wanted: Wanted,
    session: Session,
    token: str | None,
    reporter: Reporter,
    terminal: Terminal,
    *,
    listened: bool = False,
) -> int:
    """Call and report. ``listened``: what the plugin raises is reported by itself. Raises CommandError."""
    from owui_watch.reporting.runtime_events import Called  # noqa: PLC0415

    caller = PluginCaller(session.server, token)
    try:
        if wanted.is_bare and (shown := await caller.usage(wanted.plugin)):
            for line in shown:
                terminal.print(line)
            return 0
        events = [event for event in await caller.call(wanted) if isinstance(event, Called) or not listened]
    except UnreachableError as error:
        raise unreachable(session.url, error.why.error, error.why.hint) from error
    except CallError as error:
        raise CommandError(str(error)) from error
    for event in events:
        reporter.report(event)
    return int(any(event.level == "error" for event in events))
