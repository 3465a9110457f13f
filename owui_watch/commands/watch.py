"""``owui-watch [watch] PATH…``: every save goes live, until told to stop."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from owui_watch.commands.common import report_for, server_for, settings_from, tell_sandbox
from owui_watch.settings import LogFormat, Settings

if TYPE_CHECKING:
    from owui_watch.sandbox import Sandbox


def run(arguments: argparse.Namespace) -> int:
    """Watch; give the exit code. Raises SettingsError and CommandError."""
    with server_for(arguments) as (environ, running):
        settings = settings_from(arguments, environ, in_sandbox=running is not None)
        return _run(settings, environ, running)


def _run(settings: Settings, environ: Mapping[str, str], running: Sandbox | None) -> int:
    report = report_for(settings)
    if running is not None:
        tell_sandbox(report, running, json=settings.log_format is LogFormat.JSON)
    # Imported here: wrong settings are answered without them.
    import anyio  # noqa: PLC0415

    from owui_watch.session import Session  # noqa: PLC0415
    from owui_watch.watch import watch  # noqa: PLC0415

    async def run() -> int:
        return await watch(settings, Session(settings, environ, report.hide), report.tell)

    return anyio.run(run)
