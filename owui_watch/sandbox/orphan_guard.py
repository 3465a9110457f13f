"""A small process that starts the sandbox's server and ends it when owui-watch is gone, even after ``kill -9``.

Run as ``python -I orphan_guard.py keep|remove GRACE FOLDER COMMAND…`` with a pipe as standard input whose other end
only owui-watch holds. The kernel closes that end when owui-watch ends. Then the server's whole process group is ended, by
force after GRACE seconds; with ``remove``, FOLDER is deleted. A byte on standard input is passed on to the server as
SIGUSR1. The first line on standard output is the server's process id; what the server prints goes to standard error. The
exit code is the server's. Standard library only: it must start quickly and run without owui-watch on its path.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

GRACE_SECONDS = 3.0
"""How long a server may take to end by itself before it is killed."""

_PR_SET_PDEATHSIG = 1


def _dies_with_its_parent() -> Callable[[], None] | None:
    """Return what a child runs before its program so that Linux kills it when this guard is itself killed."""
    if sys.platform != "linux":
        return None
    libc, guard = ctypes.CDLL(None), os.getpid()

    def arm() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:  # killed before the line above took effect
            os._exit(1)

    return arm


def start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start the server in FOLDER, as the leader of a process group of its own."""
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP
        return subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=2, stderr=2, creationflags=flags)
    return subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=2,
        stderr=2,
        start_new_session=True,
        preexec_fn=_dies_with_its_parent(),  # noqa: PLW1509 - no other thread runs yet
    )


def signal_group(pid: int, *, force: bool) -> None:
    """Ask the process group led by PID to end, or end it by force; none left is fine."""
    if sys.platform == "win32":
        # A console program without a window can't be asked: taskkill without /F does nothing to it.
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], capture_output=True, check=False)
        return
    with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of only zombies
        os.killpg(pid, signal.SIGKILL if force else signal.SIGTERM)


def _end_with_owner(server: subprocess.Popen[bytes], grace: float, owner_gone: threading.Event) -> None:
    """Signal the server whenever owui-watch writes something; at the end of standard input, end the server."""
    while os.read(0, 1024):
        if sys.platform != "win32":
            server.send_signal(signal.SIGUSR1)
    owner_gone.set()
    signal_group(server.pid, force=False)
    try:
        server.wait(grace)
    except subprocess.TimeoutExpired:
        signal_group(server.pid, force=True)


def _leave(signum: int, _frame: object) -> None:
    sys.exit(128 + signum)


def main(arguments: list[str]) -> int:
    """Start the server, hold it until it or owui-watch ends, and leave nothing behind."""
    fate, grace, folder, *command = arguments
    signal.signal(signal.SIGTERM, _leave)
    server = start(command, Path(folder))
    owner_gone = threading.Event()
    try:
        os.write(1, f"{server.pid}\n".encode())
        os.close(1)
        threading.Thread(target=_end_with_owner, args=(server, float(grace), owner_gone), daemon=True).start()
        code = server.wait()
    finally:
        signal_group(server.pid, force=True)  # also what the server started, such as pip
    # A server that ended by itself leaves its log to owui-watch, which shows it and then cleans up.
    if fate == "remove" and owner_gone.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
