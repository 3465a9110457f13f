"""Keep a bug in one unit of work from ending everything else: report it with its place, then go on."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds between the failure of a supervised task and its restart: the first pause, and the longest one."""
LONGEST_MESSAGE = 200
"""Characters of an exception's own text that are reported. It may quote a whole file."""
REPORT_BUG = "Everything else goes on. Please report this message: `owui-watch help bugs`"
_PACKAGE = Path(__file__).parents[1]

ReportProblem = Callable[[str, str | None], None]
"""Takes what is wrong and what to do about it, in words for the user."""


@dataclass(slots=True)
class Guarded:
    """How a guarded unit of work ended: ``error`` is the unforeseen exception, None if there was none."""

    error: Exception | None = None


@contextmanager
def guarded(what: str, report: ReportProblem) -> Iterator[Guarded]:
    """Report an exception of the block as our bug instead of raising it.

    ``what`` names the work: "reading plugins/x.py". Cancellation and the end of the process (any BaseException that is
    no Exception) pass through. A failure of ``report`` itself is dropped: there is nobody left to report it to.
    """
    outcome = Guarded()
    try:
        yield outcome
    except Exception as error:
        outcome.error = error
        with suppress(Exception):
            report(describe_bug(what, error), REPORT_BUG)


async def supervise(what: str, run: Callable[[], Awaitable[None]], report: ReportProblem) -> None:
    """Run a task that is meant to go on for ever. After an unforeseen exception, report it and start the task anew.

    The pause before a restart doubles from ``FIRST_PAUSE`` to ``LONGEST_PAUSE`` while the task keeps failing. A failure
    is reported only if it differs from the one before. Returns when ``run`` returns.
    """
    import anyio  # noqa: PLC0415 - see the package's docstring

    reported: str | None = None
    pause = FIRST_PAUSE
    while True:
        began = anyio.current_time()
        try:
            await run()
            return
        except Exception as error:
            bug = describe_bug(what, error)
        if anyio.current_time() - began > LONGEST_PAUSE:
            reported, pause = None, FIRST_PAUSE
        if bug != reported:
            reported = bug
            with suppress(Exception):
                report(bug, REPORT_BUG)
        await anyio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def describe_bug(what: str, error: Exception) -> str:
    """Return one line for the user: the work, the exception and the place in our code that raised it."""
    cause = _first_cause(error)
    message = " ".join(str(cause)[:LONGEST_MESSAGE].split())
    named = f"{type(cause).__name__}: {message}" if message else type(cause).__name__
    return f"bug in owui-watch: {what} failed with {named} (at {_place(cause)})"


def _first_cause(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _place(error: Exception) -> str:
    """Return ``path:line`` of the innermost frame in this package, or of the innermost one if none is ours."""
    frames = [(Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    ours = [(path.relative_to(_PACKAGE.parent), line) for path, line in frames if path.is_relative_to(_PACKAGE)]
    path, line = (ours or frames or [(Path("unknown"), 0)])[-1]
    return f"{path.as_posix()}:{line}"
