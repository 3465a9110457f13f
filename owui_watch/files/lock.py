"""A lock between processes. The system releases it when its holder ends, also after ``kill -9``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from owui_watch.files.reading import is_open_file
from owui_watch.files.writing import OPEN_FLAGS

_RETRY_SECONDS = 0.05


@contextmanager
def exclusive(path: Path, *, busy: Callable[[], None], patience: float = float("inf")) -> Iterator[int]:
    """Hold the lock file ``path`` and yield its descriptor. ``busy`` is called once if the lock is not free.

    On POSIX the lock lasts until every process that inherited the descriptor has closed it too. A lock file that was
    deleted or replaced while this call waited is opened anew.
    Raises TimeoutError after ``patience`` seconds, OSError if the file can't be opened or is a link.
    """
    deadline, reported = time.monotonic() + patience, False
    descriptor = _open(path)
    try:
        while not (locked := _try_lock(descriptor)) or not is_open_file(path, descriptor):
            if time.monotonic() > deadline:
                raise TimeoutError(path)
            if locked:
                os.close(descriptor)
                descriptor = _open(path)
                continue
            if not reported:
                busy()
                reported = True
            time.sleep(_RETRY_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock file ``path``. The file is not created."""
    try:
        descriptor = os.open(path, os.O_RDWR | OPEN_FLAGS)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | OPEN_FLAGS, 0o600)


def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file without waiting; return False if another process holds it.

    A ``shared`` lock is free unless someone holds an exclusive one. Windows has exclusive ones only.
    """
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - Windows only

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - not on Windows

            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
