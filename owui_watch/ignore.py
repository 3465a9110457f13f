"""Which paths can never matter: what hides, what others install, what editors drop, what tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from os import DirEntry, scandir
from pathlib import Path, PurePath

_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env", "virtualenv", "tests"})
_FILES = ("test_*.py", "*_test.py", "conftest.py")
_HERE = PurePath()


class Ignore:
    """Decides by name alone, so that a path that is already gone can be judged too.

    Only ``*.py`` is ever looked at, which leaves out most of what editors drop (``4913``, ``*~``, ``*.swp``, ``*.tmp``,
    ``#*#``, ``*___jb_tmp___``, ``*___jb_old___``); hidden names leave out the rest (``.#x.py``, ``.venv``, ``.git``).
    """

    def __init__(self, globs: Sequence[str] = ()) -> None:
        self._globs = tuple(glob.removeprefix("**/").rstrip("/") for glob in globs)

    def folder(self, relative: PurePath) -> bool:
        """Tell whether the folder at ``relative`` (below the watched one), or one above it, is passed over."""
        return any(part.startswith(".") or part in _FOLDERS for part in relative.parts) or self._matches(relative)

    def file(self, relative: PurePath) -> bool:
        """Tell whether the file at ``relative`` (below the watched folder) is passed over."""
        name = relative.name
        return (
            not name.endswith(".py")
            or name.startswith(".")
            or any(fnmatchcase(name, glob) for glob in _FILES)
            or self.folder(relative.parent)
            or self._matches(relative)
        )

    def _matches(self, relative: PurePath) -> bool:
        parts = relative.parts
        return any(
            fnmatchcase(candidate, glob)
            for glob in self._globs
            for end in range(1, len(parts) + 1)
            for candidate in (parts[end - 1], "/".join(parts[:end]))
        )


def walk(root: Path, ignore: Ignore, below: PurePath = _HERE) -> Iterator[DirEntry[str]]:
    """Yield the entry of every file in ``root / below`` that matters. Symlinked folders are not entered.

    A folder that vanishes or cannot be read while it is walked is passed over. So is any folder that holds a
    ``pyvenv.cfg``: a virtual environment of any name.
    """
    pending = [(str(root / below), below)]
    while pending:
        folder, relative = pending.pop()
        try:
            with scandir(folder) as entries:
                found = list(entries)
        except OSError:
            continue
        if any(entry.name == "pyvenv.cfg" for entry in found):
            continue
        for entry in found:
            place = relative / entry.name
            if entry.is_dir(follow_symlinks=False):
                if not ignore.folder(place):
                    pending.append((entry.path, place))
            elif not ignore.file(place):
                yield entry
