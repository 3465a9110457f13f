"""``owui-watch [watch] PATH…``: every save goes live, until told to stop."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from owui_watch.commands.common import (
    forget_sandbox,
    plain_errors,
    report_for,
    server_for,
    settings_from,
    tell_sandbox,
)
from owui_watch.settings import LogFormat, Settings

if TYPE_CHECKING:
    from owui_watch.sandbox import Sandbox


def run(arguments: argparse.Namespace) -> int:
    """Watch; give the exit code. Raises SettingsError and CommandError."""
    with server_for(arguments) as (environ, running):
        settings = settings_from(arguments, environ, in_sandbox=running is not None)
        try:
            return _run(arguments, settings, environ, running)
        finally:
            if running is not None:
                forget_sandbox(arguments, settings)


def _run(arguments: argparse.Namespace, settings: Settings, environ: Mapping[str, str], running: Sandbox | None) -> int:
    json = settings.log_format is LogFormat.JSON
    report = report_for(settings, json=json)
    if running is not None:
        tell_sandbox(report, running, arguments.sandbox_data, json=json)
    # Imported here: wrong settings are answered without them.
    import anyio  # noqa: PLC0415

    from owui_watch.commands.followers import check_flags, followed  # noqa: PLC0415
    from owui_watch.session import Session  # noqa: PLC0415
    from owui_watch.watch import watch  # noqa: PLC0415

    check_flags(arguments)

    async def run() -> int:
        session = Session(settings, environ, report.hide)
        live = not json and settings.verbosity >= 0
        with plain_errors():
            async with followed(arguments, session, report, live=live) as follow:
                return await watch(settings, session, follow.tell)

    return anyio.run(run)
