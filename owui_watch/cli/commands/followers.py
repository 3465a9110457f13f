"""What follows a deploy: the user's commands (``--on-deploy``, ``--on-reject``) and the pipe's answer (``--ask``)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import anyio

from owui_watch.cli.commands.common import on_terminal
from owui_watch.openwebui.session import Session
from owui_watch.plugins.source import printable
from owui_watch.reporting.events import Created, Outcome, Rejection, Updated
from owui_watch.reporting.log import Report
from owui_watch.settings import SettingsError
from owui_watch.state.assembly import Tell


@dataclass(frozen=True, slots=True)
class Followed:
    """``tell`` takes the place of the report's own; ``finished`` waits for all that followed."""

    tell: Tell
    finished: Callable[[], Awaitable[None]]


class Follower(Protocol):
    """What hears of every outcome and does something about it, in its own time."""

    def heard(self, outcome: Outcome) -> None:
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
    arguments: argparse.Namespace, session: Session, report: Report, *, live: bool
) -> AsyncIterator[Followed]:
    """Have deploys followed by what the flags ask for. ``live``: an answer is shown as it comes.

    What still runs when the context is left is ended.
    """
    say = report.tell
    followers: list[Follower] = []
    # Each is imported where it is asked for: most watches start without.
    if arguments.ask is not None:
        from owui_watch.runtime.ask import Asker  # noqa: PLC0415

        part: Callable[[str], None] = lambda _: None  # noqa: E731
        if live and on_terminal():
            from owui_watch.reporting.streaming import Spoken  # noqa: PLC0415

            spoken = Spoken(sys.stdout, report)
            say, part = spoken.tell, spoken.part
        followers.append(Asker(session.server, arguments.ask, say, part))
    if arguments.on_deploy is not None or arguments.on_reject is not None:
        from owui_watch.reporting.hooks import Commands, Hooks  # noqa: PLC0415

        commands = Commands(arguments.on_deploy, arguments.on_reject)
        followers.append(
            Hooks(
                commands,
                os.environ,
                say,
                variables=lambda outcome: _variables(outcome, session, report),
                secret=lambda value: report.hidden(value) != value,
            )
        )

    def tell(outcome: Outcome) -> None:
        say(outcome)
        for follower in followers:
            follower.heard(outcome)

    async def finished() -> None:
        for follower in followers:
            await follower.finished()

    async with anyio.create_task_group() as tasks:
        for follower in followers:
            tasks.start_soon(follower.run)
        yield Followed(tell, finished)
        tasks.cancel_scope.cancel()


def _variables(outcome: Created | Updated | Rejection, session: Session, report: Report) -> Mapping[str, str]:
    """Tell a command what happened. NUL and other control characters have no place in an environment."""
    error = outcome.error if isinstance(outcome, Rejection) else ""
    told = {
        "OWUI_PLUGIN": outcome.plugin or "",
        "OWUI_KIND": outcome.kind or "",
        "OWUI_PATH": report.path(outcome.path),
        "OWUI_EVENT": outcome.event,
        "OWUI_URL": session.url,
        "OWUI_ERROR": error,
    }
    return {name: report.hidden("\n".join(map(printable, str(value).splitlines()))) for name, value in told.items()}
