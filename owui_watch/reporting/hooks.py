"""``--on-deploy`` and ``--on-reject``: the user's own commands, run one at a time without delaying a deploy."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import anyio
from anyio.abc import Process

from owui_watch.concurrency import Wakeup, guarded
from owui_watch.reporting.events import Created, Event, Rejection, Updated, Warned, as_warnings

LIMIT = 30.0
"""Seconds that a command may take before it is killed."""
_KEYS = {"OPENWEBUI_API_KEY", "API_KEY"}


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands of the two flags, each run by the platform's shell. None: the flag was not given."""

    on_deploy: str | None
    on_reject: str | None


class Hooks:
    """Runs a command for each deploy and each rejection, in the order of the events.

    ``variables`` returns the ``OWUI_…`` variables of a command's environment. ``secret`` returns whether a value of
    ``environ`` must not reach a command. A command writes to stderr only: stdout is for our own lines.
    """

    def __init__(
        self,
        commands: Commands,
        environ: Mapping[str, str],
        report: Callable[[Event], None],
        *,
        variables: Callable[[Created | Updated | Rejection], Mapping[str, str]],
        secret: Callable[[str], bool],
        limit: float = LIMIT,
    ) -> None:
        self._commands = commands
        self._environ = {
            name: value for name, value in environ.items() if name.upper() not in _KEYS and not secret(value)
        }
        self._report = report
        self._variables = variables
        self._limit = limit
        self._send, self._receive = anyio.create_memory_object_stream[tuple[str, str, Mapping[str, str]]](math.inf)
        self._left = 0
        self._ended = Wakeup()
        self._failing: set[str] = set()

    def heard(self, event: Event) -> None:
        """Queue the command for this event, if there is one."""
        match event:
            case Created() | Updated():
                flag, command = "--on-deploy", self._commands.on_deploy
            case Rejection():
                flag, command = "--on-reject", self._commands.on_reject
            case _:
                return
        if command is not None:
            self._left += 1
            self._send.send_nowait((flag, command, self._variables(event)))

    async def finished(self) -> None:
        """Wait until all queued commands have ended."""
        await self._ended.until(lambda: not self._left)

    async def run(self) -> None:
        """Run commands until cancelled, then kill the command that runs."""
        with self._send, self._receive:
            async for flag, command, variables in self._receive:
                with guarded(f"running the {flag} command", as_warnings(self._report)):
                    await self._run(flag, command, variables)
                self._left -= 1
                self._ended.notify()

    async def _run(self, flag: str, command: str, variables: Mapping[str, str]) -> None:
        try:
            process = await anyio.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=_stderr(),
                stderr=None,
                env={**self._environ, **variables},
                start_new_session=sys.platform != "win32",
            )
        except (OSError, ValueError) as error:  # ValueError: the command holds a NUL
            cause = error.strerror if isinstance(error, OSError) and error.strerror else error
            self._fail(flag, f"the {flag} command could not be started: {cause}")
            return
        code = None
        try:
            with anyio.move_on_after(self._limit):
                code = await process.wait()
        finally:
            if code is None:
                with anyio.CancelScope(shield=True):
                    await _kill(process)
        occasion = f"it ran for the event {variables['OWUI_EVENT']} of {variables['OWUI_PLUGIN'] or 'a broken file'}"
        if code is None:
            self._report(Warned(f"the {flag} command took longer than {self._limit:g} s and was killed", occasion))
        elif code:
            self._fail(flag, f"the {flag} command ended with exit code {code}; {occasion}")
        else:
            self._failing.discard(flag)

    def _fail(self, flag: str, error: str) -> None:
        """Report a failure, but not again until the command has succeeded."""
        if flag not in self._failing:
            self._failing.add(flag)
            self._report(Warned(error, "further failures are not reported until the command succeeds"))


def _stderr() -> int:
    """Return where a command writes to. A process started without stderr has none."""
    return sys.stderr.fileno() if sys.stderr is not None else subprocess.DEVNULL


async def _kill(process: Process) -> None:
    """Kill the shell and every process that it started."""
    if sys.platform == "win32":
        await anyio.run_process(["taskkill", "/T", "/F", "/PID", str(process.pid)], check=False)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
