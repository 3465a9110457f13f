"""What commands share: their settings, their lines, and the server they talk to. Heavy imports wait until needed."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owui_watch.settings import OPTIONS, LogFormat, Settings, SettingsError, load, masked

if TYPE_CHECKING:
    from owui_watch.reporting.log import Reporter
    from owui_watch.sandbox import Sandbox


class CommandError(Exception):
    """Nothing can be done (exit code 2). The text is for the user and says what to do."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """Let what ends a command leave a task group as itself, not as a group of one."""
    try:
        yield
    except BaseExceptionGroup as group:
        ours, others = group.split((CommandError, SettingsError))
        if ours is None or others is not None:
            raise
        raise ours.exceptions[0] from None


def settings_from(
    arguments: argparse.Namespace,
    environ: Mapping[str, str],
    *,
    paths: Sequence[str] | None = None,
    in_sandbox: bool = False,
) -> Settings:
    """Put the settings together from what the command line gave. Raises SettingsError."""
    given = {name: getattr(arguments, name) for name in OPTIONS if hasattr(arguments, name)}
    flags: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    flags["sync"] = getattr(arguments, "sync", False) or in_sandbox
    flags["verbosity"] = -1 if getattr(arguments, "quiet", False) else getattr(arguments, "verbose", 0)
    if in_sandbox:
        flags.setdefault("global_new", True)
    env_file = getattr(arguments, "env_file", None)
    return load(
        [Path(path) for path in (arguments.paths if paths is None else paths)],
        flags,
        environ=environ,
        cwd=Path.cwd(),
        config=Path(arguments.config) if arguments.config else None,
        env_file=Path(env_file) if env_file else None,
    )


def reporter_for(settings: Settings, *, json: bool | None = None) -> Reporter:
    """Make the lines of a run, with its key hidden in them. Raises SettingsError where there is no key."""
    from owui_watch.reporting.log import Reporter, RequestLog  # noqa: PLC0415

    json = settings.log_format is LogFormat.JSON if json is None else json
    threshold = {-1: logging.WARNING, 0: logging.INFO}.get(settings.verbosity, logging.DEBUG)
    reporter = Reporter(
        sys.stdout,
        json=json,
        colours=not json and colours(),
        threshold=threshold,
        cwd=Path.cwd(),
        secrets=[settings.require_key().reveal()],
    )
    if settings.verbosity > 1:
        requests = logging.getLogger("httpx")
        requests.setLevel(logging.INFO)
        requests.addHandler(RequestLog(reporter.report))
        requests.propagate = False
    return reporter


def colours() -> bool:
    """See no-color.org and force-color.org: a variable that is set and not empty decides."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or on_terminal()


def on_terminal() -> bool:
    """Return whether someone can watch stdout change."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def server_for(arguments: argparse.Namespace) -> Iterator[tuple[Mapping[str, str], Sandbox | None]]:
    """Return the environment to read settings from; with ``--sandbox`` one that names a server started for this run."""
    if arguments.sandbox is None and arguments.sandbox_data is not None:
        arguments.sandbox = ""
    if arguments.sandbox is None:
        yield os.environ, None
        return
    if arguments.url is not None:
        raise SettingsError("--sandbox starts a server of its own: leave --url out")
    from owui_watch.sandbox import SandboxError, sandbox  # noqa: PLC0415

    # What is wrong with the settings is said before the long start; where they lead to is of no concern.
    settings_from(arguments, leading_to("http://localhost", "stand-in"), in_sandbox=True)
    data = Path(arguments.sandbox_data).expanduser() if arguments.sandbox_data else None
    try:
        with sandbox(arguments.sandbox or None, data=data, report=_progress) as running:
            yield leading_to(running.url, running.token), running
    except SandboxError as error:
        raise CommandError(str(error)) from error


def leading_to(url: str, key: str) -> Mapping[str, str]:
    """Return the environment with a server and its key in it, which beat those in files."""
    return {**os.environ, "OPENWEBUI_URL": url, "OPENWEBUI_API_KEY": key}


def report_sandbox(reporter: Reporter, running: Sandbox, data: str | None, *, json: bool) -> None:
    """Say where the sandbox is and how to get in; the password is shown to a person at a terminal alone."""
    from owui_watch.reporting.events import Sandboxed  # noqa: PLC0415

    shown = sys.stdout.isatty() and not json
    password = running.password if shown else None
    if not shown:
        reporter.hide(running.password)
    credentials = None if shown else running.log.parent / "credentials.json"
    kept = running.log.parent if data else None
    reporter.report(Sandboxed(running.url, running.version, running.email, password, credentials, kept))


def forget_sandbox(arguments: argparse.Namespace, settings: Settings) -> None:
    """Drop what was remembered of a sandbox that is thrown away: its address may be another one's tomorrow."""
    from owui_watch.state.journal import Journal  # noqa: PLC0415

    if arguments.sandbox_data is None:
        Journal(settings.home, masked(settings.url)).forget()


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
