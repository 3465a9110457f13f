"""What is at a path, and reading a regular file with a cap.

No error of the file system ends a watch: a path that can't be inspected counts as missing. Up to Python 3.13
``Path.exists`` and its like raise for a folder without permission and for a dead mount (EACCES, EIO, ESTALE,
ENOTCONN); those of ``os.path`` never do.
"""

# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH116

from __future__ import annotations

import os
import stat
from pathlib import Path

LARGEST = 8 * 2**20
"""Bytes that ``read_regular`` reads unless told otherwise."""

Identity = tuple[int, int]
"""Device and inode: another folder at the same path has another one."""


def exists(path: Path) -> bool:
    """Return whether ``path`` exists, links followed."""
    return os.path.exists(path)


def is_folder(path: Path) -> bool:
    """Return whether ``path`` is a folder, links followed."""
    return os.path.isdir(path)


def folder_of(root: Path) -> Path:
    """Return the folder of a watched ``root``: the root itself, or the folder of a single file."""
    return root if is_folder(root) else root.parent


def is_file(path: Path) -> bool:
    """Return whether ``path`` is a regular file, links followed."""
    return os.path.isfile(path)


def is_link(path: Path) -> bool:
    """Return whether ``path`` is a symlink."""
    return os.path.islink(path)


def identity(path: Path) -> Identity | None:
    """Return the device and inode of ``path``, links followed; None if there is nothing."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # no file can have that name
        return None
    return status.st_dev, status.st_ino


def is_open_file(path: Path, descriptor: int) -> bool:
    """Return whether ``path`` is still the file that is open."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def read_regular(path: Path, most: int | None = None, *, follow: bool = True) -> bytes | str:
    """Return the content of a regular file of at most ``most`` bytes (LARGEST if None), or the reason why it is not one.

    A device, a pipe or a socket is refused without reading from it. Without ``follow`` a link is refused too.
    Raises OSError if the file can't be read.
    """
    most = LARGEST if most is None else most
    too_large = f"it is larger than {_size(most)}"
    status = os.stat(path, follow_symlinks=follow)
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_size > most:
        return too_large
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # replaced since the first look
            return "it is not a regular file"
        content = os.read(descriptor, status.st_size + 1)
        if len(content) != status.st_size:  # it is being written, or its file system returns it in parts
            while len(content) <= most and (more := os.read(descriptor, most)):
                content += more
        return content if len(content) <= most else too_large
    finally:
        os.close(descriptor)


def _size(count: int) -> str:
    if count % 1000 == 0:
        return f"{count // 1000} kB"
    return f"{count // 2**20} MiB" if count >= 2**20 else f"{count // 1024} KiB"


Signature = bytes
"""Inode, size, mtime and ctime (nanoseconds) in one string, a third of a tuple's memory. Every save changes it."""


def signature(path: str | os.PathLike[str]) -> Signature | None:
    """Return the signature of the file at ``path``, links followed; None if there is nothing.

    That of a folder has the inode alone: saves of the files in it change its times.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(status.st_mode):
        return b"%d 0 0 0" % status.st_ino
    return b"%d %d %d %d" % (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
