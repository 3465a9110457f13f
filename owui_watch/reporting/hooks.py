"""``--on-deploy`` and ``--on-reject``: the user's own commands, one at a time, never in the way of a deploy."""

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

from owui_watch.reporting.events import Created, Event, Rejection, Updated, Warned

LIMIT = 30.0
"""Seconds that a command may take before it is killed."""
_KEYS = {"OPENWEBUI_API_KEY", "API_KEY"}


@dataclass(frozen=True, slots=True)
class Commands:
    """What the user wants to be run, by the platform's shell."""

    on_deploy: str | None
    on_reject: str | None


class Hooks:
    """Runs commands in the order of what was told.

    ``variables`` turns an outcome into ``OWUI_…`` of the command's environment, ``secret`` tells a value that must not
    reach it. What a command writes goes to stderr: stdout is for our own lines.
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
        self._done = anyio.Event()
        self._failing: set[str] = set()

    def heard(self, event: Event) -> None:
        """Queue the command for what was told, if there is one."""
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
        """Wait until all commands have ended."""
        while self._left:
            await self._done.wait()

    async def run(self) -> None:
        """Run commands until cancelled; the one that runs then is killed."""
        with self._send, self._receive:
            async for flag, command, variables in self._receive:
                await self._run(flag, command, variables)
                self._left -= 1
                done, self._done = self._done, anyio.Event()
                done.set()

    async def _run(self, flag: str, command: str, variables: Mapping[str, str]) -> None:
        try:
            process = await anyio.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                stderr=None,
                env={**self._environ, **variables},
                start_new_session=sys.platform != "win32",
            )
        except OSError as error:
            self._fail(flag, f"the {flag} command could not be started: {error.strerror or error}")
            return
        code = None
        try:
            with anyio.move_on_after(self._limit):
                code = await process.wait()
        finally:
            if code is None:
                with anyio.CancelScope(shield=True):
                    await _kill(process)
        if code is None:
            self._report(
                Warned(f"the {flag} command took longer than {self._limit:g} s and was killed", _plugin(variables))
            )
        elif code:
            self._fail(flag, f"the {flag} command ended with exit code {code}")
        else:
            self._failing.discard(flag)

    def _fail(self, flag: str, error: str) -> None:
        """Say it once, until the command goes well again."""
        if flag not in self._failing:
            self._failing.add(flag)
            self._report(Warned(error, "this is not said again until it ends well"))


def _plugin(variables: Mapping[str, str]) -> str:
    return f"it was run for {variables['OWUI_EVENT']} {variables['OWUI_PLUGIN']}"


async def _kill(process: Process) -> None:
    """End the shell and all that it started."""
    if sys.platform == "win32":
        await anyio.run_process(["taskkill", "/T", "/F", "/PID", str(process.pid)], check=False)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
