"""What stands at a path. No answer of the file system ends a watch: what can't be looked at counts as not there.

Up to Python 3.13 ``Path.exists`` and its like raise for a folder that may not be entered, and for a dead mount (EACCES,
EIO, ESTALE, ENOTCONN); those of ``os.path`` never do.
"""

# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH116

from __future__ import annotations

import os
import stat
from pathlib import Path

LARGEST = 8 * 2**20
"""Bytes. A larger file is no plugin that anyone wrote."""
_TOO_LARGE = f"it is larger than {LARGEST // 2**20} MiB"

Identity = tuple[int, int]
"""Device and inode: another folder in the same place has another one."""


def exists(path: Path) -> bool:
    """Return whether anything can be seen at ``path``, links followed."""
    return os.path.exists(path)


def is_folder(path: Path) -> bool:
    """Return whether ``path`` is a folder that can be seen, links followed."""
    return os.path.isdir(path)


def folder_of(root: Path) -> Path:
    """Return the folder that a watched ``root`` stands for: of a single file the one that it lies in."""
    return root if is_folder(root) else root.parent


def is_file(path: Path) -> bool:
    """Return whether ``path`` is a regular file that can be seen, links followed."""
    return os.path.isfile(path)


def is_link(path: Path) -> bool:
    """Return whether ``path`` is a symlink."""
    return os.path.islink(path)


def identity(path: Path) -> Identity | None:
    """Return device and inode of what stands at ``path``; None where nothing can be seen there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def read_regular(path: Path) -> bytes | str:
    """Return the bytes of a regular file, or say what else it is. Raises OSError where it cannot be read."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_size > LARGEST:
        return _TOO_LARGE
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        content = os.read(descriptor, status.st_size + 1)
        if len(content) != status.st_size:  # it is changing, or its file system gives it in parts
            while len(content) <= LARGEST and (more := os.read(descriptor, LARGEST)):
                content += more
        return content if len(content) <= LARGEST else _TOO_LARGE
    finally:
        os.close(descriptor)


Signature = bytes
"""Inode, size, mtime and ctime (nanoseconds), in a third of a tuple's memory: a save that changes none of them is none.
"""


def signature(path: str | os.PathLike[str]) -> Signature | None:
    """Return the signature of the file at ``path``, links followed; None where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return b"%d %d %d %d" % (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
