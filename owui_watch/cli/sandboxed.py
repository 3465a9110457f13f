"""``--sandbox``: a throwaway Open WebUI for one run."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from owui_watch.cli.errors import CommandError, print_to_stderr
from owui_watch.cli.run_settings import NO_SERVER, settings_from
from owui_watch.cli.terminal import Terminal
from owui_watch.settings import Settings, SettingsError, masked

if TYPE_CHECKING:
    from owui_watch.reporting.log import Reporter
    from owui_watch.sandbox import Debug, Sandbox


@contextmanager
def server_for(arguments: argparse.Namespace) -> Iterator[Sandbox | None]:
    """Start the sandbox that ``--sandbox`` asks for; None without that flag.

    Raises SettingsError, and CommandError if the server does not start.
    """
    if arguments.sandbox is None and arguments.sandbox_data is not None:
        arguments.sandbox = ""
    if arguments.sandbox is None:
        if getattr(arguments, "debug", None) is not None or getattr(arguments, "debug_wait", False):
            raise SettingsError("--debug is for a sandbox: add --sandbox")
        yield None
        return
    if arguments.url is not None:
        raise SettingsError("--sandbox starts a server of its own: remove --url")
    from owui_watch.sandbox import SandboxError, sandbox  # noqa: PLC0415

    # Report wrong settings before the long start. The server that they name does not matter here.
    settings_from(arguments, os.environ, sandbox=NO_SERVER)
    data = Path(arguments.sandbox_data).expanduser() if arguments.sandbox_data else None
    try:
        with sandbox(arguments.sandbox or None, data=data, report=print_to_stderr, debug=_debug(arguments)) as running:
            yield running
    except SandboxError as error:
        raise CommandError(str(error)) from error


def _debug(arguments: argparse.Namespace) -> Debug | None:
    """Return how a debugger gets into the sandbox. Raises SettingsError for a port that is none."""
    from owui_watch.sandbox import Debug  # noqa: PLC0415

    wanted, wait = getattr(arguments, "debug", None), getattr(arguments, "debug_wait", False)
    if wanted is None and not wait:
        return None
    if wanted and not (wanted.isdecimal() and 1024 <= int(wanted) <= 65535):
        raise SettingsError(f"--debug={wanted}: a port is a number from 1024 to 65535")
    return Debug(int(wanted) if wanted else None, wait=wait)


def report_sandbox(
    reporter: Reporter, running: Sandbox, data: str | None, *, json: bool, quiet: bool, terminal: Terminal
) -> None:
    """Report the sandbox's address and account, also with ``-q``. Only a terminal shows the password itself."""
    from owui_watch.reporting.events import Sandboxed, SandboxedQuietly  # noqa: PLC0415

    shown = terminal.output.isatty() and not json
    if not shown:
        reporter.hide(running.password)
    report = SandboxedQuietly if quiet else Sandboxed
    reporter.report(
        report(
            running.url,
            running.version,
            running.email,
            running.password if shown else None,
            None if shown else running.log.parent / "credentials.json",
            running.log.parent if data else None,
            running.log,
            running.debugger,
        )
    )


def forget_sandbox(arguments: argparse.Namespace, settings: Settings) -> None:
    """Delete what was recorded about a throwaway server: another one may have its address tomorrow."""
    from owui_watch.state import forget  # noqa: PLC0415

    if arguments.sandbox_data is None:
        forget(settings, masked(settings.url))
