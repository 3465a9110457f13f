"""What follows a deploy: the user's commands (``--on-deploy``, ``--on-reject``) and the pipe's answer (``--ask``)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio

from owui_watch.cli.commands.common import on_terminal
from owui_watch.deployer.assembly import Report
from owui_watch.openwebui.session import Session
from owui_watch.plugins.source import printable
from owui_watch.reporting.events import Created, Event, Rejection, Updated
from owui_watch.reporting.log import Reporter
from owui_watch.settings import SettingsError

if TYPE_CHECKING:
    from owui_watch.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Followed:
    """``tell`` takes the place of the report's own; ``finished`` waits for all that followed."""

    report: Report
    finished: Callable[[], Awaitable[None]]


class Follower(Protocol):
    """What hears of every outcome and does something about it, in its own time."""

    def heard(self, event: Event) -> None:
        """Take note of an outcome."""

    async def finished(self) -> None:
        """Wait until all that was heard of is done."""

    async def run(self) -> None:
        """Do it, until cancelled."""


def check_flags(arguments: argparse.Namespace) -> None:
    """Refuse what can't be meant. Raises SettingsError."""
    for flag in ("ask", "on_deploy", "on_reject"):
        if getattr(arguments, flag) is not None and not getattr(arguments, flag).strip():
            raise SettingsError(f"flag --{flag.replace('_', '-')}: is empty")


@asynccontextmanager
async def followed(
    arguments: argparse.Namespace,
    session: Session,
    reporter: Reporter,
    *,
    live: bool,
    sandbox: Sandbox | None = None,
) -> AsyncIterator[Followed]:
    """Have deploys followed by what the flags ask for. ``live``: an answer is shown as it comes.

    What the plugins of a ``sandbox`` raise and write is reported too.

    What still runs when the context is left is ended.
    """
    say = reporter.report
    followers: list[Follower] = []
    # Each is imported where it is asked for: most watches start without.
    if arguments.ask is not None:
        from owui_watch.runtime.ask import Asker  # noqa: PLC0415

        part: Callable[[str], None] = lambda _: None  # noqa: E731
        if live and on_terminal():
            from owui_watch.reporting.streaming import Spoken  # noqa: PLC0415

            spoken = Spoken(sys.stdout, reporter)
            say, part = spoken.report, spoken.part
        followers.append(Asker(session.server, arguments.ask, say, part))
    if sandbox is not None:
        from owui_watch.runtime.listener import Listener  # noqa: PLC0415

        followers.append(Listener(sandbox.link, say))
    if arguments.on_deploy is not None or arguments.on_reject is not None:
        from owui_watch.reporting.hooks import Commands, Hooks  # noqa: PLC0415

        commands = Commands(arguments.on_deploy, arguments.on_reject)
        followers.append(
            Hooks(
                commands,
                os.environ,
                say,
                variables=lambda event: _variables(event, session, reporter),
                secret=lambda value: reporter.hidden(value) != value,
            )
        )

    def report(event: Event) -> None:
        say(event)
        for follower in followers:
            follower.heard(event)

    async def finished() -> None:
        for follower in followers:
            await follower.finished()

    async with anyio.create_task_group() as tasks:
        for follower in followers:
            tasks.start_soon(follower.run)
        yield Followed(report, finished)
        tasks.cancel_scope.cancel()


def _variables(event: Created | Updated | Rejection, session: Session, reporter: Reporter) -> Mapping[str, str]:
    """Tell a command what happened. NUL and other control characters have no place in an environment."""
    error = event.error if isinstance(event, Rejection) else ""
    told = {
        "OWUI_PLUGIN": event.plugin or "",
        "OWUI_KIND": event.kind or "",
        "OWUI_PATH": reporter.path(event.path),
        "OWUI_EVENT": event.event,
        "OWUI_URL": session.url,
        "OWUI_ERROR": error,
    }
    return {name: reporter.hidden("\n".join(map(printable, str(value).splitlines()))) for name, value in told.items()}
