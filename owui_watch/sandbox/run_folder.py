"""The folder that one run of a sandbox owns: its database, its log, its password. Thrown away, or kept on request."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from owui_watch.files import exclusive
from owui_watch.sandbox.uv import Report, SandboxError

_CREDENTIALS = "credentials.json"
_LAST_RUN = "last-run.json"
_LOCK = "in-use.lock"
PATIENCE = 10.0
"""Seconds to wait for another sandbox to leave a folder: the server of an owui-watch that was killed needs a moment to go,
see ``orphan_guard.GRACE_SECONDS``."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The administrator of a sandbox, and the key that its server signs sessions with."""

    email: str
    password: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LastRun:
    """The version that made a folder's data, and the port of its server; None if unknown."""

    version: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """A run's folder. ``lock`` is the descriptor that keeps others out of it, for processes that outlive owui-watch."""

    folder: Path
    kept: bool
    credentials: Credentials
    lock: int

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.folder / "server.log"

    def remember(self, run: LastRun) -> None:
        """Save ``run`` for the next start, if the folder is kept."""
        if self.kept:
            _write(self.folder / _LAST_RUN, run)


def last_run(folder: Path) -> LastRun:
    """Return the last run in ``folder``; an empty one if its file can't be read."""
    try:
        saved = json.loads((folder / _LAST_RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return LastRun()
    match saved:
        case {"version": str(version), "port": int() | None as port}:
            return LastRun(version, port)
        case _:
            return LastRun()


@contextmanager
def data_folder(wanted: Path | None, report: Report, *, patience: float = PATIENCE) -> Iterator[Data]:
    """Lock a folder for one run: ``wanted``, which stays, or a temporary one, which is removed at the end.

    Raises SandboxError if another sandbox still has the folder after ``patience`` seconds.
    """
    if wanted is None:
        folder = Path(tempfile.mkdtemp(prefix="owui-watch-sandbox-"))
    else:
        folder = wanted.absolute()
        _check(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            waits = f"waiting for another sandbox to leave {folder} …"
            locked = exclusive(folder / _LOCK, busy=lambda: report(waits), patience=patience)
            try:
                lock = stack.enter_context(locked)
            except TimeoutError as error:
                raise SandboxError(f"another sandbox uses {wanted}: end it, or name another folder") from error
            yield Data(folder, wanted is not None, _credentials(folder), lock)
    finally:
        if wanted is None:
            shutil.rmtree(folder, ignore_errors=True)


def _check(folder: Path) -> None:
    """Raise SandboxError for a folder that holds other files: an Open WebUI in use, or a home folder."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise SandboxError(f"{folder} is a file; a sandbox keeps its data in a folder")
    if any(entry.name != _LOCK for entry in folder.iterdir()) and not (folder / _CREDENTIALS).is_file():
        raise SandboxError(f"{folder} holds other things than a sandbox's data: name a new or empty folder")


def _credentials(folder: Path) -> Credentials:
    """Read the folder's credentials; make new random ones if it has none yet."""
    path = folder / _CREDENTIALS
    if path.is_file():
        try:
            return Credentials(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise SandboxError(f"{path} is damaged: remove {folder}, or name another folder") from None
    # 24 characters: bcrypt takes at most 72 bytes.
    made = Credentials("admin@sandbox.example", secrets.token_urlsafe(18), secrets.token_urlsafe(32))
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    _write(path, made)
    return made


def _write(path: Path, what: Credentials | LastRun) -> None:
    fresh = path.with_suffix(".new")
    with open_private(fresh) as file:
        file.write(json.dumps(asdict(what)).encode())
    fresh.replace(path)


def open_private(path: Path) -> BinaryIO:
    """Open a file for writing from its start that only its owner may read (0600)."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
