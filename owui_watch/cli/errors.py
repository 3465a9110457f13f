"""What ends a command: its error as text for the user, printed in one way."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from owui_watch.reporting.redaction import Secrets, printable
from owui_watch.settings import SettingsError, without_keys

REPORT_BUG = "Please report it with the lines above: `owui-watch help bugs` says how."
_PACKAGE = Path(__file__).parents[1]


class CommandError(Exception):
    """The command can't do its work (exit code 2). The text is for the user and says what to do next."""


def unreachable(url: str, error: str, hint: str | None) -> CommandError:
    """Return the error of a command whose server can't be reached, or refuses the key."""
    advice = hint or "Check that Open WebUI runs there, or name another server with --url, --env-file or OPENWEBUI_URL."
    return CommandError(f"{url}: {error}\n{advice}")


EXPECTED = (CommandError, SettingsError)
"""Errors whose text is for the user. Everything else that ends a command is our bug."""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the single exceptions of a group: tasks raise their errors in groups."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


def bug_report(what: str, error: Exception) -> str:
    """Return what a user needs to report a bug of ours: the error, and the lines of our code that led to it."""
    from owui_watch.concurrency import describe_bug  # noqa: PLC0415 - `check` does without anyio

    frames = (
        f"  {Path(frame.f_code.co_filename).relative_to(_PACKAGE.parent).as_posix()}:{line} in {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if Path(frame.f_code.co_filename).is_relative_to(_PACKAGE)
    )
    return "\n".join([describe_bug(what, error), *frames, REPORT_BUG])


def print_error(text: str, secrets: Secrets) -> None:
    """Write an error to stderr: printable, without a secret and without anything that looks like a key."""
    hidden = secrets.hide(without_keys(text))
    print_to_stderr("\n".join(map(printable, f"owui-watch: {hidden}".splitlines())))


def print_to_stderr(text: str) -> None:
    """Write lines to stderr. A closed or full stderr is no error: there is nowhere left to report it."""
    if sys.stderr is not None:
        try:
            print(text, file=sys.stderr, flush=True)  # noqa: T201
        except (OSError, ValueError):
            return
