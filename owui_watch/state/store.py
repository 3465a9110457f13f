"""Small private files in ``.owui-watch/``: written whole or not at all, and a damaged one is never fatal."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from owui_watch.files.lock import exclusive
from owui_watch.settings import STATE_FOLDER

_LOOPBACK = re.compile(r"^(https?://(?:[^/@]*@)?)(?:127\.0\.0\.1|\[::1\])(?=[:/]|$)")
_ASKING = 0.2
"""Seconds after which a lock is no more that of someone who asks whether it is held, as we do."""


class StateFolder:
    """The folder ``.owui-watch/`` in ``home``: 0700, its files 0600, ignored by git.

    This computer's three names (``localhost``, 127.0.0.1, ``[::1]``) are one server.
    It is made when first written to, but ``home`` itself never is: a watched folder that is gone stays gone.
    ``trouble`` is what last went wrong, in words for the user; nothing here raises.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / STATE_FOLDER
        self.trouble: str | None = None
        self._lock: tuple[Path, int] | None = None
        self._holding = contextlib.ExitStack()

    def read(self, name: str, server: str) -> dict[str, Any]:
        """Return what the file ``name`` holds for ``server``."""
        server, servers = _one_name(server), self._servers(name) or {}
        known: dict[str, Any] = {}
        for url in sorted(servers, key=lambda url: url == server):
            if _one_name(url) == server and isinstance(servers[url], dict):
                known |= servers[url]
        return known

    def write(self, name: str, server: str, values: dict[str, Any]) -> bool:
        """Replace what the file ``name`` holds for ``server``; other servers' parts stay."""
        servers = self._servers(name)
        if servers is None:
            return False
        server = _one_name(server)
        servers = {**{url: part for url, part in servers.items() if _one_name(url) != server}, server: values}
        content = {"format": 1, "servers": {url: part for url, part in servers.items() if part}}
        return self._replace(self.path / name, _dumped(content))

    def entries(self, name: str, server: str) -> list[Any]:
        """Return the lines of the file that ``append`` adds to. One that was cut short by a crash tells nothing."""
        try:
            lines = self._log(name, server).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeError):
            return []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def append(self, name: str, server: str, entry: Any) -> bool:
        """Add a line, in a tenth of the time that ``write`` takes."""
        try:
            self._make(self.path)
            with open(self._log(name, server), "ab", buffering=0, opener=private) as file:
                file.write(f"\n{_dumped(entry)}".encode())  # what was cut short before stays a line of its own
        except OSError as error:
            self.trouble = f"{self.path}: {error.strerror}"
            return False
        return True

    def rewrite(self, name: str, server: str, entries: Iterable[Any]) -> bool:
        """Replace all that ``append`` added."""
        return self._replace(self._log(name, server), "\n".join(map(_dumped, entries)))

    def add(self, folder: str, name: str, content: str) -> Path | None:
        """Write a new file ``folder/name``, numbered where that is taken already; None where it can't be."""
        path = self.path / folder / name
        try:
            self._make(path.parent)
            path = _taken(path)
        except OSError as error:
            self.trouble = f"{path}: {error.strerror}"
            return None
        try:
            with open(path, "w", encoding="utf-8", newline="", opener=private) as file:
                file.write(content)
        except (OSError, UnicodeError) as error:
            self.trouble = f"{path}: {error}"
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        return path

    @contextlib.contextmanager
    def held(self, server: str) -> Iterator[None]:
        """Keep others from working on ``server`` with this folder. Raises TimeoutError where one does.

        The system lets go of it when we end, however we end. Where the folder can't be written, nothing is held.
        """
        with self._holding:
            self._hold(self._lock_for(server))
            yield

    def is_held(self, server: str) -> bool:
        """Return whether someone works on ``server`` with this folder. Nothing is made for the question."""
        lock = self._lock_for(server)
        try:
            if lock.exists():
                with exclusive(lock, busy=lambda: None, patience=_ASKING):
                    pass
        except TimeoutError:
            return True
        except OSError:
            pass
        return False

    def renew(self) -> bool:
        """Hold what is held in a folder that was made anew, as after a ``git clean``; true where it was."""
        if self._lock is None or _is_same(*self._lock) or not os.access(self.path.parent, os.W_OK):
            return False
        path, _ = self._lock
        self._holding.close()
        try:
            self._hold(path)
        except TimeoutError:
            self.trouble = f"{self.path} is another owui-watch's now: end one of them"
            return False
        return True

    def newest(self, folder: str) -> str | None:
        """Return the content of the file in ``folder`` that was added last; None where there is none."""
        try:
            last = max((self.path / folder).iterdir(), key=lambda path: path.stat().st_mtime_ns, default=None)
            return last.read_bytes().decode() if last else None
        except (OSError, UnicodeError):
            return None

    def _lock_for(self, server: str) -> Path:
        return self.path / f"{_short_name(server)}.lock"

    def _log(self, name: str, server: str) -> Path:
        return self.path / f"{name}-{_short_name(server)}.jsonl"

    def _hold(self, lock: Path) -> None:
        """Take the lock. Raises TimeoutError where someone else has it."""
        try:
            self._make(self.path)
            self._lock = lock, self._holding.enter_context(exclusive(lock, busy=lambda: None, patience=0))
        except TimeoutError:
            raise
        except OSError as error:
            self.trouble = f"{self.path}: {error.strerror}"

    def _servers(self, name: str) -> dict[str, Any] | None:
        """Return what the file ``name`` holds, by server; None where it is there and can't be read now."""
        path = self.path / name
        try:
            servers = json.loads(path.read_text(encoding="utf-8"))["servers"]
            if isinstance(servers, dict):
                return servers
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.trouble = f"{path}: {error.strerror}"
            return None
        except (ValueError, KeyError, TypeError):
            pass
        self._set_aside(path)
        return {}

    def _set_aside(self, path: Path) -> None:
        aside = path.with_name(f"{path.name}.damaged")
        self.trouble = f"{path} is damaged and was set aside as {aside.name}; what it remembered is learned anew"
        with contextlib.suppress(OSError):
            path.replace(aside)

    def _replace(self, path: Path, content: str) -> bool:
        try:
            self._make(path.parent)
            _write_whole(path, content)
        except OSError as error:
            self.trouble = f"{self.path}: {error.strerror}"
            return False
        return True

    def _make(self, folder: Path) -> None:
        self.path.mkdir(mode=0o700, exist_ok=True)
        if not (self.path / ".gitignore").exists():
            _write_whole(self.path / ".gitignore", "*\n")
        below = self.path
        for part in folder.relative_to(self.path).parts:
            below /= part
            below.mkdir(mode=0o700, exist_ok=True)


def _is_same(path: Path, descriptor: int) -> bool:
    """Return whether the file at ``path`` is the one that is open."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _dumped(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _short_name(server: str) -> str:
    return hashlib.sha256(_one_name(server).encode()).hexdigest()[:12]


def _one_name(server: str) -> str:
    return _LOOPBACK.sub(r"\1localhost", server)


def _write_whole(path: Path, content: str) -> None:
    """Replace the file at ``path``, or leave it as it is. Raises OSError."""
    new = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(new, "w", encoding="utf-8", opener=private) as file:
            file.write(content)
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def _taken(path: Path) -> Path:
    """Make the first free one of ``path``, ``path-1``, … as an empty file. Raises OSError where none can be made."""
    number = 0
    while True:
        taken = path.with_stem(f"{path.stem}-{number}") if number else path
        try:
            os.close(private(str(taken), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            number += 1
        else:
            return taken


def private(path: str, flags: int) -> int:
    """Open for ``open(opener=…)`` so that a new file is its owner's alone."""
    return os.open(path, flags, 0o600)
