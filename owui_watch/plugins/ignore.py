"""Which paths are never looked at: hidden ones, other people's packages, and what the settings' ``ignore`` names.

Files that are named like a test or like a copy are read and then passed over, so that a save of one gets a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from os import DirEntry, scandir
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env", "virtualenv", "tests"})
_HERE = PurePath()
_COPY_NAME = re.compile(
    r"""(?x)
      [._](?:LOCAL|REMOTE|BASE|BACKUP)[._]\d+             # git mergetool
    | \.sync-conflict-\d{8}-\d{6}(?:-\w+)?                # Syncthing
    | [ _]?\([^()]*(?i:conflict)[^()]*\)                  # Dropbox, Nextcloud, Seafile
    | _conflict-\d{8}-\d{6}                               # ownCloud
    | \.Conflict(?:\.\d+)?                                # Resilio Sync
    | [ ]-[ ](?i:copy|kopie|copie|copia|cópia|kopia|kopi|копия|コピー|副本|複製|복사본)(?:[ ]\(\d+\))?   # Windows
    | [ ](?:copy|copie|Kopie|copia|cópia|kopia)(?:[ ]\d+)?   # macOS
    | [ ]\((?:copy|another[ ]copy|\d+(?:st|nd|rd|th)[ ]copy)(?:[ ]\d+)?\)   # GNOME
    | \.(?:backup|bak|orig)
    """
)
_COPY_PREFIX = re.compile(r"(?:Copy of|Kopie von|Copie de|Copia de|Cópia de) ")
"""Google Drive, and older releases of Windows."""


class Ignore:
    """Decides by names alone, so that a path that is already gone can be judged too.

    Only ``*.py`` is ever looked at, which leaves out most of what editors write (``4913``, ``*~``, ``*.swp``,
    ``*.tmp``, ``#*#``, ``*___jb_tmp___``); hidden names leave out the rest (``.#x.py``, ``.venv``, ``.git``).

    ``globs`` mean what they do in a ``.gitignore`` in the watched folder, ``!`` included; ``./`` in front is accepted
    and means the watched folder too. What lies below an ignored folder can't be taken back by ``!``.
    """

    def __init__(self, globs: Sequence[str] = ()) -> None:
        self._spec = _compiled(globs) if globs else None

    def folder(self, relative: PurePath) -> bool:
        """Return whether the folder at ``relative`` (below the watched one), or one above it, is ignored."""
        return any(map(_is_never_entered, relative.parts)) or self._any_folder_matches(relative)

    def file(self, relative: PurePath) -> bool:
        """Return whether the file at ``relative`` (below the watched folder) is ignored."""
        if _is_never_read(relative.name) or any(map(_is_never_entered, relative.parts[:-1])):
            return True
        return self._any_folder_matches(relative.parent) or self.matches(relative.as_posix())

    def passes_over(self, relative: PurePath) -> bool:
        """Return whether nothing at ``relative`` is ever deployed: it is ignored, or named like a test or a copy."""
        return self.file(relative) or passed_over(relative.name) is not None

    def matches(self, place: str) -> bool:
        """Return whether a glob matches ``place``, a path with ``/`` below the watched folder; a folder's ends in one."""
        return self._spec is not None and self._spec.match_file(place)

    def _any_folder_matches(self, relative: PurePath) -> bool:
        if self._spec is None:
            return False
        parts = relative.parts
        return any(self.matches(f"{'/'.join(parts[: end + 1])}/") for end in range(len(parts)))


def passed_over(name: str) -> str | None:
    """Say why a file of this name is no plugin whatever it holds; None for an ordinary name."""
    if name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py":
        return "its name is that of a test"
    if is_copy_name(name):
        return "its name is that of a copy which a merge, a sync client or a file manager made"
    return None


def is_copy_name(name: str) -> bool:
    """Return whether ``name``, of a ``.py`` file, is one that programs give to copies."""
    stem = name.removesuffix(".py")
    return bool(_COPY_PREFIX.match(stem)) or any(
        match.start() > 0 and match.end() == len(stem) for match in _COPY_NAME.finditer(stem)
    )


def _compiled(globs: Sequence[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - 20 ms of a start, and most trees ignore nothing

    return GitIgnoreSpec.from_lines(map(_anchored, globs))


def _anchored(glob: str) -> str:
    """Return ``glob`` in the form of a ``.gitignore``, which knows no ``./``."""
    return f"/{glob[2:]}" if glob.startswith("./") else glob


def _is_never_entered(folder: str) -> bool:
    return folder.startswith(".") or folder in _FOLDERS


def _is_never_read(name: str) -> bool:
    return name.startswith(".") or not name.endswith(".py")


def walk(root: Path, ignore: Ignore, below: PurePath = _HERE) -> Iterator[DirEntry[str]]:
    """Yield the entry of every file in ``root / below`` that is not ignored. Symlinked folders are not entered.

    A folder that vanishes or can't be read meanwhile is left out. So is a folder that holds a ``pyvenv.cfg``: a virtual
    environment of any name.
    """
    pending = [(str(root / below), "".join(f"{part}/" for part in below.parts))]
    while pending:
        folder, place = pending.pop()
        entries = _entries(folder)
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner = f"{place}{entry.name}/"
                if not (_is_never_entered(entry.name) or ignore.matches(inner)):
                    pending.append((entry.path, inner))
            elif not _is_never_read(entry.name) and not ignore.matches(f"{place}{entry.name}"):
                yield entry


def _entries(folder: str) -> list[DirEntry[str]]:
    try:
        with scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
