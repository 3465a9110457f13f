"""``owui-watch [watch] PATH…``: every save goes live, until told to stop."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from owui_watch.cli.commands.common import (
    forget_sandbox,
    plain_errors,
    report_sandbox,
    reporter_for,
    server_for,
    settings_from,
)
from owui_watch.settings import LogFormat, Settings

if TYPE_CHECKING:
    from owui_watch.reporting.events import Event
    from owui_watch.sandbox import Sandbox

LOOK_EVERY = 1.0
"""Seconds between two looks whether the sandbox still runs."""


def run(arguments: argparse.Namespace) -> int:
    """Watch; give the exit code. Raises SettingsError and CommandError."""
    with server_for(arguments) as (environ, running):
        settings = settings_from(arguments, environ, in_sandbox=running is not None)
        gc.disable()  # until `watching`: what the start makes is there to stay
        try:
            return _run(arguments, settings, environ, running)
        finally:
            gc.enable()
            if running is not None:
                forget_sandbox(arguments, settings)


def _run(arguments: argparse.Namespace, settings: Settings, environ: Mapping[str, str], running: Sandbox | None) -> int:
    json = settings.log_format is LogFormat.JSON
    reporter = reporter_for(settings, json=json)
    if running is not None:
        report_sandbox(reporter, running, arguments.sandbox_data, json=json)
    # Imported here: wrong settings are answered without them. The deepest first, while the stack is short: where Python
    # (3.11 on) begins another 16 kB of it, each call maps and unmaps them; within these imports 1,800 times.
    import owui_watch.openwebui.client as _  # noqa: PLC0415, F401

    # isort: split
    import anyio  # noqa: PLC0415

    from owui_watch.cli.commands.followers import check_flags, followed  # noqa: PLC0415
    from owui_watch.daemon import watch  # noqa: PLC0415
    from owui_watch.openwebui.session import Session  # noqa: PLC0415

    check_flags(arguments)

    async def run() -> int:
        session = Session(settings, environ, reporter.hide)
        live = not json and settings.verbosity >= 0
        with plain_errors():
            async with followed(arguments, session, reporter, live=live, sandbox=running) as follow:
                ended = partial(_sandbox_ended, running, follow.report) if running is not None else None
                return await watch(settings, session, follow.report, ended)

    code = anyio.run(run)
    return code or int(running is not None and running.ended() is not None)


async def _sandbox_ended(running: Sandbox, report: Callable[[Event], None]) -> None:
    """Wait until the sandbox ends by itself, and say so: nobody starts it again."""
    import anyio  # noqa: PLC0415

    from owui_watch.reporting.events import Warned  # noqa: PLC0415

    while (how := running.ended()) is None:  # noqa: ASYNC110 - a process's end is no event of the loop's
        await anyio.sleep(LOOK_EVERY)
    report(Warned(how, "start owui-watch again for a new one"))
