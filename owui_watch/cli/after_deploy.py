"""What follows a deploy: commands of the user (``--on-deploy``, ``--on-reject``), the pipe's answer (``--ask``)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio

from owui_watch.cli.terminal import Terminal
from owui_watch.concurrency import guarded, supervise
from owui_watch.openwebui.session import Session
from owui_watch.reporting.events import Created, Event, Rejection, Updated, as_warnings
from owui_watch.reporting.log import Reporter
from owui_watch.reporting.redaction import printable_lines
from owui_watch.settings import Settings, SettingsError

if TYPE_CHECKING:
    from owui_watch.sandbox import Sandbox

Report = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Followed:
    """``report`` takes the place of the reporter's own; ``finished`` waits for everything that follows a deploy."""

    report: Callable[[Event], None]
    finished: Callable[[], Awaitable[None]]


class Follower(Protocol):
    """Takes every event and acts on some of them, in its own time."""

    def heard(self, event: Event) -> None:
        """Take an event."""

    async def finished(self) -> None:
        """Wait until everything that was queued is done."""

    async def run(self) -> None:
        """Do what is queued, until cancelled."""


def after_deploy_flags(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the flags that were given for what follows a deploy, with their values."""
    names = ("ask", "call", "on_deploy", "on_reject")
    given = {f"--{name.replace('_', '-')}": getattr(arguments, name) for name in names}
    return {flag: value for flag, value in given.items() if value is not None}


def check_flags(arguments: argparse.Namespace) -> None:
    """Raise SettingsError for a flag whose value can't be used."""
    if arguments.call is not None:
        _words(arguments.call)
    if (log := getattr(arguments, "server_log", None)) is not None:
        _log_file(log)


@asynccontextmanager
async def followed(
    arguments: argparse.Namespace,
    settings: Settings,
    session: Session,
    reporter: Reporter,
    terminal: Terminal,
    *,
    live: bool,
    sandbox: Sandbox | None = None,
) -> AsyncIterator[Followed]:
    """Start what the flags ask for after each deploy. ``live``: an answer is shown as it arrives.

    What the plugins of a ``sandbox``, or of a server whose log can be read, raise and write is reported too. Leaving
    the context ends whatever still runs.
    """
    say: Report = reporter.report
    part: Callable[[str], None] = _ignore
    if arguments.ask is not None and live and terminal.interactive:
        from owui_watch.reporting.streaming import StreamedAnswer  # noqa: PLC0415

        streamed = StreamedAnswer(terminal.output, reporter)
        say, part = streamed.report, streamed.part
    followers = [
        *_of_plugins(arguments, settings, session, sandbox, say, part),
        *(_of_a_sandbox(arguments, settings, sandbox, say) if sandbox is not None else ()),
        *_of_commands(arguments, session, reporter, say),
    ]
    problem = as_warnings(say)

    def report(event: Event) -> None:
        say(event)
        for follower in followers:
            with guarded(f"taking the event “{event.event}”", problem):
                follower.heard(event)

    async def finished() -> None:
        for follower in followers:
            await follower.finished()

    async with anyio.create_task_group() as tasks:
        for follower in followers:
            tasks.start_soon(supervise, "running what follows a deploy", follower.run, problem)
        yield Followed(report, finished)
        tasks.cancel_scope.cancel()


def _ignore(_part: str) -> None:
    """Take a part of an answer that is not shown as it arrives."""


# The followers are imported only on demand: most watches use none of them.


def _of_plugins(
    arguments: argparse.Namespace,
    settings: Settings,
    session: Session,
    sandbox: Sandbox | None,
    report: Report,
    part: Callable[[str], None],
) -> Iterator[Follower]:
    """Yield what ask and call plugins after a deploy (``--ask``, ``--call``), and what reads the server's log."""
    if arguments.ask is not None:
        from owui_watch.runtime.ask_after_deploy import Asker  # noqa: PLC0415
        from owui_watch.runtime.server_log.attribution import plugin_texts  # noqa: PLC0415

        texts_of = partial(plugin_texts, settings)
        yield Asker(session.server.chat, arguments.ask, report, part, texts_of, sandboxed=sandbox is not None)
    if arguments.call is not None:
        yield _call_after_deploy(arguments.call, session, sandbox, report)
    if (log := getattr(arguments, "server_log", None)) is not None:
        yield _log_follower(log, settings, session, report)


def _of_commands(
    arguments: argparse.Namespace, session: Session, reporter: Reporter, report: Report
) -> Iterator[Follower]:
    """Yield what runs the user's commands (``--on-deploy``, ``--on-reject``)."""
    if arguments.on_deploy is None and arguments.on_reject is None:
        return
    from owui_watch.reporting.hooks import Commands, Hooks  # noqa: PLC0415

    yield Hooks(
        Commands(arguments.on_deploy, arguments.on_reject),
        os.environ,
        report,
        variables=lambda event: _variables(event, session, reporter),
        secret=lambda value: reporter.hidden(value) != value,
    )


def _call_after_deploy(call: str, session: Session, sandbox: Sandbox | None, report: Report) -> Follower:
    """Return what carries out ``--call``. Raises SettingsError if its quotes do not match."""
    from owui_watch.runtime.call.call_after_deploy import CallAfterDeploy  # noqa: PLC0415
    from owui_watch.runtime.call.caller import PluginCaller, Wanted  # noqa: PLC0415

    name, *words = _words(call)
    caller = PluginCaller(session.server, sandbox.channel.token if sandbox is not None else None)
    return CallAfterDeploy(caller, Wanted(name, tuple(words)), report)


def _words(call: str) -> list[str]:
    """Split the value of ``--call`` as a shell does. Raises SettingsError."""
    import shlex  # noqa: PLC0415

    try:
        return shlex.split(call)
    except ValueError as error:
        raise SettingsError(f"--call {call}: {error}") from None


def _of_a_sandbox(
    arguments: argparse.Namespace, settings: Settings, sandbox: Sandbox, report: Report
) -> Iterator[Follower]:
    """Yield what reports the plugins of a sandbox, and what only a sandbox can do."""
    from owui_watch.runtime.sandbox_listener import Listener  # noqa: PLC0415

    yield Listener(sandbox.channel, report)
    if sandbox.debugger is None:  # a breakpoint blocks the server on purpose
        from owui_watch.runtime.blocking_plugins import BlockedSaves  # noqa: PLC0415

        yield BlockedSaves(sandbox.interrupt)
    if settings.verbosity > 1:
        from owui_watch.runtime.server_log.follow import LogShown  # noqa: PLC0415

        yield LogShown(sandbox.log, report)
    if (opens := getattr(arguments, "open", None)) is not None:  # the flag of `try`
        from owui_watch.runtime.open_first_chat import OpenFirstChat  # noqa: PLC0415

        yield OpenFirstChat(sandbox.url, report, opens=opens)


def _log_follower(log: str, settings: Settings, session: Session, report: Report) -> Follower:
    """Return what reads ``--server-log``. Raises SettingsError."""
    from owui_watch.runtime.server_log.attribution import deployed_sources  # noqa: PLC0415
    from owui_watch.runtime.server_log.follow import LogFollower  # noqa: PLC0415

    return LogFollower(_log_file(log), partial(deployed_sources, settings, session.url), report)


def _log_file(log: str) -> Path | None:
    """Return the file that ``--server-log`` names, None for standard input. Raises SettingsError for a terminal or folder."""
    if log == "-" and (sys.stdin is None or sys.stdin.isatty()):
        raise SettingsError(
            "--server-log -: standard input is a terminal; pipe the log in: docker logs -f NAME 2>&1 | …"
        )
    file = None if log == "-" else Path(log).expanduser().absolute()
    if file is not None and file.is_dir():
        raise SettingsError(f"--server-log {log}: is a folder; name the log file")
    return file


def _variables(event: Created | Updated | Rejection, session: Session, reporter: Reporter) -> Mapping[str, str]:
    """Return the variables that describe an event to a command. An environment can't hold NUL."""
    error = event.error if isinstance(event, Rejection) else ""
    variables = {
        "OWUI_PLUGIN": event.plugin or "",
        "OWUI_KIND": event.kind or "",
        "OWUI_PATH": reporter.path(event.path),
        "OWUI_EVENT": event.event,
        "OWUI_URL": session.url,
        "OWUI_ERROR": error,
    }
    return {name: reporter.hidden(printable_lines(str(value))) for name, value in variables.items()}
