"""The process of a sandbox's server, under its guard, and the port that it gets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

from owui_watch.sandbox import orphan_guard
from owui_watch.sandbox.run_folder import Data, open_private

_END_SECONDS = orphan_guard.GRACE_SECONDS + 5
_PORT_TRIES = 4


class StartError(Exception):
    """Why the server can't be used; its log says more."""


class Server:
    """The server and the guard that holds it. The guard's standard input is the line that our death cuts."""

    def __init__(self, command: list[str], environ: dict[str, str], data: Data) -> None:
        self._command = command
        self._environ = environ
        self._data = data
        self._guard: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def start(self) -> None:
        """Start both; ``pid`` is then the server's."""
        fate = "keep" if self._data.kept else "remove"
        grace, folder = str(orphan_guard.GRACE_SECONDS), str(self._data.folder)
        guard = [sys.executable, "-I", orphan_guard.__file__, fate, grace, folder, *self._command]
        with open_private(self._data.log) as log:
            # A session of its own: Ctrl-C on the terminal is for owui-watch alone, which may still have work to finish.
            if sys.platform == "win32":
                flags = subprocess.CREATE_NEW_PROCESS_GROUP
                self._guard = subprocess.Popen(
                    guard,
                    env=self._environ,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    creationflags=flags,
                )
            else:
                self._guard = subprocess.Popen(
                    guard,
                    env=self._environ,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=[self._data.lock],  # held until the server is gone, even when we are gone before
                )
        assert self._guard.stdout is not None  # asked for above
        try:
            self.pid = int(self._guard.stdout.readline())
        except ValueError:
            raise StartError("Open WebUI could not be started") from None

    def ended(self, within: float) -> int | None:
        """Wait up to WITHIN seconds for the server to end by itself; its exit code, or None if it goes on."""
        assert self._guard is not None
        try:
            return self._guard.wait(within)
        except subprocess.TimeoutExpired:
            return None

    def interrupt(self) -> None:
        """End what a plugin keeps the server from answering with, see ``in_server.methods``. Has no effect on Windows."""
        if self._guard is not None and self._guard.stdin is not None:
            with suppress(OSError, ValueError):  # it has ended
                os.write(self._guard.stdin.fileno(), b"!")

    def end(self) -> None:
        """End the server, and wait until it is gone."""
        guard = self._guard
        if guard is None:
            return
        for pipe in (guard.stdin, guard.stdout):
            if pipe is not None:
                pipe.close()
        with suppress(subprocess.TimeoutExpired):
            guard.wait(_END_SECONDS)
        if guard.poll() is None or guard.returncode < 0:  # stuck or killed: it can't have done its duty
            guard.kill()
            guard.wait()
            if self.pid:
                orphan_guard.signal_group(self.pid, force=True)


def ports(before: int | None, report: Callable[[str], None]) -> Iterator[int]:
    """Return ports to try: the one of the last run first, since bookmarks and the journal go by the address."""
    if before is not None:
        if is_free(before):
            yield before
        else:
            report(f"port {before}, which this sandbox used last time, is taken: the sandbox uses another one")
    for _ in range(_PORT_TRIES):
        yield free_port()


def is_free(port: int) -> bool:
    """Return whether a server could listen on a loopback port now."""
    with socket.socket() as probe:
        if sys.platform != "win32":  # there it would take the port away from whoever listens
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def free_port() -> int:
    """Find a loopback port that is free now; someone may take it before the server does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
