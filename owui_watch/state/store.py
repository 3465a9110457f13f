"""The files of one run: a log of entries for each server, and backups. A damaged file is never fatal.

An entry is a JSON value under a name; the newest one counts. Adding a line costs the same however much is known, and a
line that a crash cut short costs only itself.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from owui_watch.files import append, create, make_folder, path_below, read_regular, replace

_LOG = "journal.jsonl"
_LARGEST = 64 * 2**20
"""Bytes of a log. 10,000 plugins need 3 MB."""
_SPARE_LINES = 4096
"""Lines beyond the live entries before a log is written anew."""


class NotReadableError(OSError):
    """What is at the path is not a regular file, or too large."""


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


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered under a name, since ``time`` (seconds since the epoch). A value of None is forgotten."""

    value: Any
    time: float


def not_renewed() -> Sequence[StateFolder] | None:
    """Stand in for the renewal of folders that nobody holds."""
    return None


class Store:
    """The entries of the trees that a run watches, for one server.

    ``own`` are the folders of those trees: each gets every entry. ``parts`` are those of trees inside them, ``wider``
    those of trees around them: both are read only. ``renewed`` returns the own folders if they had to be made anew.

    Nothing here raises OSError: an entry that can't be written stays in memory until ``flush`` succeeds, and ``trouble``
    says why.
    """

    def __init__(
        self,
        own: Sequence[StateFolder],
        parts: Sequence[StateFolder] = (),
        wider: Sequence[StateFolder] = (),
        renewed: Callable[[], Sequence[StateFolder] | None] = not_renewed,
    ) -> None:
        self._own = tuple(own)
        self._renewed = renewed
        self._troubles: list[str] = []
        self._lines = 0
        self._is_written = True
        self._entries: dict[str, Entry] = {}
        for folder in (*parts, *self._own):
            _keep_newest(self._entries, self._read(folder))
        self._wider: dict[str, Entry] = {}
        for folder in wider:
            _keep_newest(self._wider, self._read(folder))
        self._newest = max(
            (entry.time for known in (self._entries, self._wider) for entry in known.values()), default=0
        )

    def entries(self) -> Mapping[str, Any]:
        """Return the value of every name that this run's trees, or trees inside them, have the newest entry of."""
        return {
            name: entry.value
            for name, entry in self._entries.items()
            if entry.value is not None and entry.time >= (self._wider[name].time if name in self._wider else 0)
        }

    def wider_entries(self) -> Mapping[str, Any]:
        """Return the value of every name that a tree around this run's has the newest entry of."""
        known = self.entries()
        return {name: each.value for name, each in self._wider.items() if name not in known and each.value is not None}

    def record(self, values: Mapping[str, Any]) -> bool:
        """Remember ``values`` by their names; None forgets one. Return whether the disk has them."""
        # A clock that was put back must not make a new entry older than the one that it replaces.
        self._newest = max(time.time(), self._newest + 1e-6)
        new = {name: Entry(value, self._newest) for name, value in values.items()}
        self._entries |= new
        if not self._is_written:
            return self._rewrite()
        # A line that was cut short before stays a line of its own.
        lines = "\n" + "\n".join(_line(name, entry) for name, entry in new.items())
        self._lines += len(new)
        for folder in self._own:
            with self._troubled(folder):
                folder.append(_LOG, lines.encode())
        return self._is_written

    def flush(self) -> bool:
        """Write what could not be written before, and all if the folders were made anew; return whether all is written."""
        try:
            renewed = self._renewed()
        except OSError as error:
            self.note(f"{error.filename}: {error.strerror}")
            renewed = None
        if renewed is not None:
            self._own, self._is_written = tuple(renewed), False
        if not self._is_written or self._lines > 2 * len(self._entries) + _SPARE_LINES:
            return self._rewrite()
        return True

    def forget(self) -> None:
        """Drop every entry, as of a throwaway server that is gone. Backups stay."""
        self._entries, self._lines = {}, 0
        for folder in self._own:
            with self._troubled(folder):
                folder.remove(_LOG)

    def back_up(self, below: str, name: str, content: bytes) -> Path | None:
        """Write the new file ``backups/below/name`` and return its path; None if it can't be written."""
        for folder in self._own[:1]:
            try:
                return folder.create(f"backups/{below}", name, content)
            except OSError as error:
                self._report(folder, error)
        return None

    def backups(self, below: str, suffix: str) -> Iterator[bytes]:
        """Yield the content of each file in ``backups/below`` that has this suffix and can be read."""
        for folder in self._own:
            with contextlib.suppress(OSError):
                for name in folder.names(f"backups/{below}"):
                    with contextlib.suppress(OSError):
                        if name.endswith(suffix) and (content := folder.read(f"backups/{below}/{name}")) is not None:
                            yield content

    def trouble(self) -> str | None:
        """Return the newest problem that was not returned yet, in words for the user."""
        return self._troubles.pop() if self._troubles else None

    def note(self, trouble: str) -> None:
        """Add a problem for ``trouble`` to return."""
        if trouble not in self._troubles:
            self._troubles.append(trouble)

    def _read(self, folder: StateFolder) -> dict[str, Entry]:
        problem = ""
        try:
            lines = [line for line in (folder.read(_LOG) or b"").decode(errors="replace").split("\n") if line]
        except NotReadableError as error:
            lines, problem = [], str(error.strerror)
        except OSError as error:
            self._report(folder, error)
            return {}
        entries, bad = _parsed(lines)
        self._lines = max(self._lines, len(lines))
        if problem or bad:
            self._set_aside(folder, problem or f"{bad} of its lines")
        return entries

    def _set_aside(self, folder: StateFolder, problem: str) -> None:
        """Keep a damaged log of ours beside the one that is written anew from what is left of it."""
        if folder not in self._own:
            return
        self._is_written = False
        aside = f"{_LOG}.damaged"
        with contextlib.suppress(OSError):
            (folder.path / _LOG).replace(folder.path / aside)
        self.note(
            f"{folder.path / _LOG} is damaged ({problem}); it was renamed to {aside}. "
            "owui-watch learns the lost entries again from the server"
        )

    def _rewrite(self) -> bool:
        content = "\n".join(_line(name, entry) for name, entry in self._entries.items()).encode()
        self._is_written = True
        for folder in self._own:
            with self._troubled(folder):
                folder.replace(_LOG, content)
        if self._is_written:
            self._lines = len(self._entries)
        return self._is_written

    @contextlib.contextmanager
    def _troubled(self, folder: StateFolder) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._is_written = False
            self._report(folder, error)

    def _report(self, folder: StateFolder, error: OSError) -> None:
        place = error.filename if error.errno == errno.ELOOP else folder.path  # the link, not a temporary name
        self.note(f"{place}: {error.strerror or error}")


def _parsed(lines: Sequence[str]) -> tuple[dict[str, Entry], int]:
    """Return the newest entry of each name, and how many lines before the last one are no entry."""
    entries: dict[str, Entry] = {}
    bad = 0
    for number, line in enumerate(lines):
        try:
            parsed = json.loads(line)
        except (ValueError, RecursionError):
            parsed = None
        match parsed:
            case [str(name), int() | float() as when, value]:
                if name not in entries or entries[name].time <= when:
                    entries[name] = Entry(value, when)
            case _:
                bad += number < len(lines) - 1  # a crash may cut the last line short
    return entries, bad


def _keep_newest(entries: dict[str, Entry], others: Mapping[str, Entry]) -> None:
    for name, other in others.items():
        if name not in entries or entries[name].time <= other.time:
            entries[name] = other


def _line(name: str, entry: Entry) -> str:
    return json.dumps([name, entry.time, entry.value], separators=(",", ":"), sort_keys=True)
