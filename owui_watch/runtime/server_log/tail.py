"""Lines of a log that grows: a file, also one that is rotated or cut, or standard input. Read in a thread of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

LOOK_EVERY = 0.1
"""Seconds between two looks at a file that does not grow."""
_AT_ONCE = 65_536
_LONGEST = 65_536
_PAUSE = 0.002
"""Seconds between two full reads: a log that never ends must leave time for the watch."""


def file_lines(
    path: Path, ended: Callable[[], bool], pause: Callable[[float], None] = time.sleep
) -> Iterator[str | None]:
    """Yield what is added to a file from now on, until ``ended``; None whenever nothing comes.

    A file that is replaced (log rotation) or becomes shorter is read from its start.
    """
    file, identity, start_at_end = None, None, True
    lines = _Lines()
    try:
        while not ended():
            if file is None:
                file, identity = _open(path, at_end=start_at_end)
                start_at_end = False
            chunk = _read(file)
            yield from lines.complete(chunk)
            if len(chunk) == _AT_ONCE:
                pause(_PAUSE)
                continue
            yield None
            pause(LOOK_EVERY)
            if file is not None and _is_replaced(path, file, identity):
                file.close()
                file = None
    finally:
        if file is not None:
            file.close()


def stream_lines(stream: BinaryIO, pause: Callable[[float], None] = time.sleep) -> Iterator[str | None]:
    """Yield the lines of a stream until it ends; None whenever nothing more has come."""
    lines = _Lines()
    descriptor = stream.fileno()
    while chunk := os.read(descriptor, _AT_ONCE):
        yield from lines.complete(chunk)
        if len(chunk) == _AT_ONCE:
            pause(_PAUSE)
        else:
            yield None


class _Lines:
    """Puts chunks together to lines. Of a line that never ends the first part is kept."""

    def __init__(self) -> None:
        self._rest = b""

    def complete(self, chunk: bytes) -> Iterator[str]:
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[:_LONGEST]
        for line in lines:
            yield line.decode("utf-8", "replace").rstrip("\r")


def _open(path: Path, *, at_end: bool) -> tuple[BinaryIO | None, tuple[int, int] | None]:
    try:
        file = path.open("rb", buffering=0)
        status = os.fstat(file.fileno())
        if at_end:
            file.seek(0, os.SEEK_END)
    except OSError:  # between two rotations, or not there yet
        return None, None
    return file, (status.st_dev, status.st_ino)


def _read(file: BinaryIO | None) -> bytes:
    try:
        return file.read(_AT_ONCE) if file is not None else b""
    except OSError:
        return b""


def _is_replaced(path: Path, file: BinaryIO, identity: tuple[int, int] | None) -> bool:
    try:
        status = path.stat()
        if (status.st_dev, status.st_ino) != identity:
            return True
        if status.st_size < file.tell():
            file.seek(0)
    except OSError:
        return False
    return False
