"""What follows a deploy: the user's commands (``--on-deploy``, ``--on-reject``) and the pipe's answer (``--ask``)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from owui_watch.ask import Asker
from owui_watch.assembly import Tell
from owui_watch.commands.common import on_terminal
from owui_watch.hooks import Commands, Hooks
from owui_watch.outcome import Created, Outcome, Rejection, Updated
from owui_watch.report import Report
from owui_watch.session import Session
from owui_watch.settings import SettingsError
from owui_watch.spoken import Spoken
from owui_watch.text import printable


@dataclass(frozen=True)
class Followed:
    """``tell`` takes the place of the report's own; ``finished`` waits for all that followed."""

    tell: Tell
    finished: Callable[[], Awaitable[None]]


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
    spoken = Spoken(sys.stdout, report) if live and arguments.ask is not None and on_terminal() else None
    say = spoken.tell if spoken else report.tell
    hooks = Hooks(
        Commands(arguments.on_deploy, arguments.on_reject),
        os.environ,
        say,
        variables=lambda outcome: _variables(outcome, session, report),
        secret=lambda value: report.hidden(value) != value,
    )
    part = spoken.part if spoken else lambda _: None
    asker = Asker(session.server, arguments.ask, say, part) if arguments.ask is not None else None

    def tell(outcome: Outcome) -> None:
        say(outcome)
        hooks.heard(outcome)
        if asker:
            asker.heard(outcome)

    async def finished() -> None:
        await hooks.finished()
        if asker:
            await asker.finished()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hooks.run)
        if asker:
            tasks.start_soon(asker.run)
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
