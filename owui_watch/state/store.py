"""The files of one run: a log of entries for each server, and backups. A damaged file is never fatal.

An entry is a JSON value under a name; the newest one counts. Adding a line costs the same however long the log is, and
a crash can damage only the last line.
"""

from __future__ import annotations

import contextlib
import errno
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owui_watch.state.folder import NotReadableError, StateFolder

_LOG = "journal.jsonl"
_SPARE_LINES = 4096
"""Lines beyond the live entries before a log is written anew."""
_LATEST = 2**40
"""Seconds since the epoch: a later time is no time, and nothing written after it would be newer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered under a name, since ``time`` (seconds since the epoch).

    ``text`` is the value as JSON: the journal has the value itself, and objects take three times as much memory.
    """

    text: str
    time: float

    @property
    def is_forgotten(self) -> bool:
        """Whether the value is None."""
        return self.text == "null"


def not_renewed() -> Sequence[StateFolder] | None:
    """Return None: folders that nobody has locked are never renewed."""
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
        """Return the value of every name whose newest entry is in this run's trees or in trees inside them."""
        return {name: json.loads(self._entries[name].text) for name in self._names()}

    def wider_entries(self) -> Mapping[str, Any]:
        """Return the value of every name whose newest entry is in a tree around this run's."""
        known = set(self._names())
        return {
            name: json.loads(each.text)
            for name, each in self._wider.items()
            if name not in known and not each.is_forgotten
        }

    def _names(self) -> list[str]:
        """Return the names whose newest entry is in this run's trees or in trees inside them."""
        return [
            name
            for name, entry in self._entries.items()
            if not entry.is_forgotten and entry.time >= (self._wider[name].time if name in self._wider else 0)
        ]

    def record(self, values: Mapping[str, Any]) -> bool:
        """Record ``values`` under their names; None forgets a name. Return whether the disk has them."""
        # A clock that was put back must not make a new entry older than the one that it replaces.
        self._newest = max(time.time(), self._newest + 1e-6)
        new = {name: Entry(_json(value), self._newest) for name, value in values.items()}
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
        """Write what could not be written before, or all if the folders are new. Return whether all is written."""
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
        """Drop every entry, for a throwaway server that is gone. Backups stay."""
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
        """Keep a damaged log of ours. Its readable entries go to a new log beside it."""
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
        content = bytearray()  # a list of all lines would take several times as much
        for name, entry in self._entries.items():
            content += f"{_line(name, entry)}\n".encode()
        self._is_written = True
        for folder in self._own:
            with self._troubled(folder):
                folder.replace(_LOG, bytes(content))
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
        self.note(f"{_place(folder, error)}: {error.strerror or error}")


def _place(folder: StateFolder, error: OSError) -> object:
    """Return the path that an error is about: the folder if the disk is full, or a temporary file was not made."""
    named = error.filename2 or error.filename
    is_disk = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return folder.path if named is None or is_disk or str(named).endswith(".tmp") else named


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
            case [str(name), int() | float() as when, value] if 0 <= when < _LATEST:
                if name not in entries or entries[name].time <= when:
                    entries[name] = Entry(_json(value), when)
            case _:
                bad += number < len(lines) - 1  # a crash may cut the last line short
    return entries, bad


def _keep_newest(entries: dict[str, Entry], others: Mapping[str, Entry]) -> None:
    for name, other in others.items():
        if name not in entries or entries[name].time <= other.time:
            entries[name] = other


def _line(name: str, entry: Entry) -> str:
    return f"[{_json(name)},{_json(entry.time)},{entry.text}]"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
