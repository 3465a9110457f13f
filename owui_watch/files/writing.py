"""Write below a folder that the user chose, and nowhere else.

``base`` is that folder; it may be reached through links (``/var`` and homes often are). No part of ``relative``, the
path below it, may be a link: a cloned repository could use one to redirect a write to any file of the user.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePath

OPEN_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Added to every ``os.open`` that writes. Opening a pipe that nobody reads fails instead of waiting (fifo(7)).

Windows has no O_NOFOLLOW: there ``path_below`` alone protects.
"""

_MOUNT_POINT = 0xA0000003
"""The reparse tag of a Windows junction (IO_REPARSE_TAG_MOUNT_POINT, winnt.h)."""


def path_below(base: Path, relative: PurePath) -> Path:
    """Return ``base / relative``, which need not exist. Raises OSError if a part of ``relative`` is a link."""
    path = base
    for part in _parts(relative):
        path /= part
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if _is_link(status):
            raise _link_error(path)
    return path


def make_folder(base: Path, relative: PurePath, mode: int = 0o777) -> Path:
    """Create the folder ``base / relative`` and the missing ones between; return its path.

    ``base`` itself must exist. Raises OSError, also if a part of ``relative`` is a link or a file.
    """
    folder = base
    for part in _parts(relative):
        folder /= part
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode)
        status = folder.lstat()
        if _is_link(status):
            raise _link_error(folder)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    return folder


def create(base: Path, relative: PurePath, content: bytes, mode: int = 0o666) -> Path:
    """Write the new file ``base / relative`` to disk, in a folder that exists; return its path.

    Raises FileExistsError if the name is taken (by a link too), OSError if the file can't be written or a folder is a
    link. A file that could not be written whole is removed.
    """
    path = _parent_below(base, relative) / relative.name
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OPEN_FLAGS, mode)
    with _removed_on_failure(path):
        try:
            _write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return path


def replace(base: Path, relative: PurePath, content: bytes, mode: int = 0o666, *, keep_mode: bool = False) -> Path:
    """Write the file ``base / relative`` whole or not at all; return its path. A link of that name is replaced.

    A reader sees the old content or the new one. With ``keep_mode`` the new file has the mode of the one that it
    replaces. Raises OSError.
    """
    path = _parent_below(base, relative) / relative.name
    new = create(base, relative.parent / f".{os.urandom(8).hex()}.tmp", content, mode)
    with _removed_on_failure(new):
        if keep_mode and not path.is_symlink() and path.exists():
            new.chmod(stat.S_IMODE(path.stat().st_mode))
        new.replace(path)
    return path


def append(base: Path, relative: PurePath, content: bytes, mode: int = 0o666) -> Path:
    """Add ``content`` to the file ``base / relative``, which is created if missing; return its path.

    The disk follows when the system writes its cache. Raises OSError, also if a part of ``relative`` is a link, or if
    what is there is a device or a pipe.
    """
    path = path_below(base, relative)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | OPEN_FLAGS, mode)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        _write(descriptor, content)
    finally:
        os.close(descriptor)
    return path


def _parent_below(base: Path, relative: PurePath) -> Path:
    return path_below(base, PurePath(*_parts(relative)[:-1]))


def _parts(relative: PurePath) -> tuple[str, ...]:
    if relative.anchor or ".." in relative.parts:
        raise ValueError(f"not a path below a folder: {relative}")
    return relative.parts


def _is_link(status: os.stat_result) -> bool:
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _MOUNT_POINT


def _link_error(path: Path) -> OSError:
    return OSError(errno.ELOOP, "it is a link, which owui-watch does not write through", str(path))


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise
