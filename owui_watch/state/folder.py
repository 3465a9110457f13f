"""A folder of the state: private, made when it is written to, and reached through no link."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path, PurePath

from owui_watch.files import append, create, make_folder, path_below, read_regular, replace

_LARGEST = 64 * 2**20
"""Bytes of a log. 10,000 plugins need 3 MB."""


class NotReadableError(OSError):
    """The path leads to something that is no regular file, or to one that is too large."""


@dataclass(frozen=True, slots=True)
class StateFolder:
    """A private folder (0700, its files 0600) ``relative`` to the state folder ``base``. Both are made when written to.

    Every method raises OSError, also if a part of ``relative`` is a link.
    """

    base: Path
    relative: PurePath

    @property
    def path(self) -> Path:
        """Where the folder is."""
        return self.base / self.relative

    def make(self, below: str = "") -> None:
        """Create the folder, or the one ``below`` it."""
        try:
            self.base.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, "it is not a folder", str(self.base)) from None
        make_folder(self.base, self.relative / below, 0o700)

    def read(self, name: str, most: int = _LARGEST) -> bytes | None:
        """Return the content of a file of at most ``most`` bytes; None if there is no such file."""
        try:
            content = read_regular(path_below(self.base, self.relative / name), most, follow=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if isinstance(content, str):
            raise NotReadableError(0, content, str(self.path / name))
        return content

    def append(self, name: str, content: bytes) -> None:
        """Add ``content`` to a file."""
        try:
            append(self.base, self.relative / name, content, 0o600)
        except (FileNotFoundError, NotADirectoryError):
            self.make()
            append(self.base, self.relative / name, content, 0o600)

    def replace(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        self.make()
        replace(self.base, self.relative / name, content, 0o600)

    def create(self, below: str, name: str, content: bytes) -> Path:
        """Write the new file ``below/name``, numbered if the name is taken; return its path."""
        self.make(below)
        path, number = PurePath(name), 0
        while True:
            free = path.with_stem(f"{path.stem}-{number}") if number else path
            try:
                return create(self.base, self.relative / below / free, content, 0o600)
            except FileExistsError:
                number += 1

    def remove(self, *names: str) -> None:
        """Delete files that may not exist."""
        for name in names:
            path_below(self.base, self.relative / PurePath(name).parent)
            (self.path / name).unlink(missing_ok=True)

    def names(self, below: str = "") -> list[str]:
        """Return the sorted names in the folder, or in the one ``below`` it; none if there is no such folder."""
        try:
            return sorted(os.listdir(path_below(self.base, self.relative / below)))  # noqa: PTH208 - only the names
        except (FileNotFoundError, NotADirectoryError):
            return []
