"""A lock between processes that the system itself releases when its holder is gone, also after ``kill -9``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PAUSE_SECONDS = 0.1


def _take(descriptor: int) -> bool:
    """Lock an open file without waiting; False where someone else holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - there on Windows only

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - not there on Windows

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextmanager
def exclusive(path: Path, *, busy: Callable[[], None], patience: float = float("inf")) -> Iterator[int]:
    """Hold the lock file PATH and give its descriptor; ``busy`` is called once where it has to be waited for.

    On POSIX the lock lasts until every process that inherited the descriptor has closed it too.
    Raises TimeoutError after ``patience`` seconds.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline, told = time.monotonic() + patience, False
        while not _take(descriptor):
            if time.monotonic() > deadline:
                raise TimeoutError(path)
            if not told:
                busy()
                told = True
            time.sleep(_PAUSE_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)
