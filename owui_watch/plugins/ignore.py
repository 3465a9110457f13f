"""Which paths can never matter: what hides, what others install, what editors drop, what tests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import translate
from os import DirEntry, scandir
from pathlib import Path, PurePath

_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env", "virtualenv", "tests"})
_HERE = PurePath()
_TOKEN = re.compile(r"\*+|\[!?\]?[^\]]*\]|.", re.DOTALL)
_WILD = {"*": "[^/]*", "?": "[^/]"}
_FOLDERS_BETWEEN = "(?:[^/]+/)*"


class Ignore:
    """Decides by name alone, so that a path that is already gone can be judged too.

    Only ``*.py`` is ever looked at, which leaves out most of what editors drop (``4913``, ``*~``, ``*.swp``, ``*.tmp``,
    ``#*#``, ``*___jb_tmp___``, ``*___jb_old___``); hidden names leave out the rest (``.#x.py``, ``.venv``, ``.git``).

    ``globs`` mean what they do in a ``.gitignore``: without a slash, other than at its end, one is a name at any depth;
    with a slash it is a path from the watched folder, and a ``./`` or ``/`` in front changes nothing but that. ``**/``
    stands for any number of folders, none included, ``/**`` for all that is below; ``*``, ``?`` and ``[ab]`` never for
    a slash. What lies below a folder that is passed over is passed over too. There is no ``!``.
    """

    def __init__(self, globs: Sequence[str] = ()) -> None:
        patterns = [_pattern(glob) for glob in globs if glob.strip("./")]
        self._globs = re.compile("|".join(patterns)) if patterns else None

    def folder(self, relative: PurePath) -> bool:
        """Return whether the folder at ``relative`` (below the watched one), or one above it, is passed over."""
        return any(map(_hides, relative.parts)) or self.fits(_place(relative))

    def file(self, relative: PurePath) -> bool:
        """Return whether the file at ``relative`` (below the watched folder) is passed over."""
        return _is_no_plugin(relative.name) or self.folder(relative)

    def fits(self, place: str) -> bool:
        """Return whether a glob fits ``place``, a path below the watched folder with a slash behind every part."""
        return self._globs is not None and self._globs.match(place) is not None


def _hides(folder: str) -> bool:
    return folder.startswith(".") or folder in _FOLDERS


def _is_no_plugin(name: str) -> bool:
    is_test = name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"
    return is_test or name.startswith(".") or not name.endswith(".py")


def _place(relative: PurePath) -> str:
    return "".join(f"{part}/" for part in relative.parts)


def _pattern(glob: str) -> str:
    """Translate ``glob`` to match how a path begins that has a slash behind every part: itself, or a folder above."""
    anywhere = "" if "/" in glob.rstrip("/") else "**/"
    parts = (part for part in f"{anywhere}{glob}".split("/") if part not in {"", "."})
    return "".join(_FOLDERS_BETWEEN if part == "**" else _name(part) for part in parts)


def _name(glob: str) -> str:
    tokens = (_WILD.get(token[0]) or f"(?!/){translate(token)[:-2]}" for token in _TOKEN.findall(glob))
    return f"{''.join(tokens)}/"


def walk(root: Path, ignore: Ignore, below: PurePath = _HERE) -> Iterator[DirEntry[str]]:
    """Yield the entry of every file in ``root / below`` that matters. Symlinked folders are not entered."""
    for place, found in entered(root, ignore, below):
        for entry in found:
            if _is_no_plugin(entry.name) or entry.is_dir(follow_symlinks=False):
                continue
            if not ignore.fits(f"{place}{entry.name}/"):
                yield entry


def entered(root: Path, ignore: Ignore, below: PurePath = _HERE) -> Iterator[tuple[str, list[DirEntry[str]]]]:
    """Yield what stands in ``root / below`` and every folder in it that is not passed over, each with its place.

    A folder that vanishes or cannot be read while it is walked is passed over. So is any folder that holds a
    ``pyvenv.cfg``: a virtual environment of any name.
    """
    pending = [(str(root / below), _place(below))]
    while pending:
        folder, place = pending.pop()
        try:
            with scandir(folder) as entries:
                found = list(entries)
        except OSError:
            continue
        if any(entry.name == "pyvenv.cfg" for entry in found):
            continue
        yield place, found
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                inner = f"{place}{entry.name}/"
                if not (_hides(entry.name) or ignore.fits(inner)):
                    pending.append((entry.path, inner))
