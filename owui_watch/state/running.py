"""Which owui-watch and which sandbox run now.

An entry counts only while its process holds the lock beside it. So an entry that a killed process left does no harm.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from owui_watch.files import exclusive, is_locked
from owui_watch.settings import Secret
from owui_watch.state.folder import StateFolder
from owui_watch.state.requests import Requests

_WATCH = "watch.json"
_SANDBOXES, _STARTING = PurePath("sandboxes"), PurePath("starting")
_LOCK = "lock"
_OLDEST, _NEWEST = 0, 2**32
"""Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class RunningWatch:
    """A run that owns a tree: ``since`` in seconds since the epoch, ``url`` without a password."""

    pid: int
    since: float
    url: str
    roots: tuple[Path, ...]

    def __str__(self) -> str:
        if not _OLDEST < self.since < _NEWEST:  # no time that every platform can show
            return f"pid {self.pid}"
        form = "%H:%M" if time.time() - self.since < 12 * 3600 else "%Y-%m-%d %H:%M"
        return f"pid {self.pid}, since {time.strftime(form, time.localtime(self.since))}"


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A throwaway server: how to reach it, and since when it runs (seconds since the epoch).

    ``folder`` holds its data and its log. ``channel_token`` is the secret with which ``owui-watch call`` asks its
    server for more than the server's own API offers.
    """

    pid: int
    since: float
    url: str
    version: str
    key: Secret
    email: str
    password: Secret
    folder: Path
    channel_token: Secret


@contextmanager
def announced_watch(folders: list[StateFolder], watch: RunningWatch) -> Iterator[None]:
    """Record ``watch`` in the folders that it owns for as long as it runs."""
    entry = {"pid": watch.pid, "since": watch.since, "url": watch.url, "roots": [str(root) for root in watch.roots]}
    for folder in folders:
        with contextlib.suppress(OSError):  # the journal reports that nothing can be written
            folder.replace(_WATCH, json.dumps(entry).encode())
    try:
        yield
    finally:
        for folder in folders:
            with contextlib.suppress(OSError):
                folder.remove(_WATCH)


def watch_in(folder: StateFolder) -> RunningWatch | None:
    """Return the recorded run that owns ``folder``. The caller knows that a run owns it."""
    match _read(folder, _WATCH):
        case {"pid": int(pid), "since": int() | float() as since, "url": str(url), "roots": [*roots]}:
            return RunningWatch(pid, since, url, tuple(Path(root) for root in roots if isinstance(root, str)))
        case _:
            return None


@contextmanager
def announced_start(state_dir: Path, watch: RunningWatch) -> Iterator[Requests]:
    """Record a run that has no server yet, and take the requests of other runs to it. Raises OSError."""
    folder = StateFolder(state_dir, _STARTING / os.urandom(8).hex())
    folder.make()
    try:
        with exclusive(folder.path / _LOCK, busy=lambda: None), announced_watch([folder], watch):
            yield Requests([folder])
    finally:
        _remove(folder)


def starting_watches(state_dir: Path, roots: tuple[Path, ...]) -> list[tuple[StateFolder, RunningWatch]]:
    """Return runs on ``roots``, or a folder around or inside, that start a sandbox. Delete entries of ended runs."""
    found = []
    with contextlib.suppress(OSError):
        for name in StateFolder(state_dir, _STARTING).names():
            folder = StateFolder(state_dir, _STARTING / name)
            if not is_locked(folder.path / _LOCK):
                if (folder.path / _LOCK).exists():  # else it is being made
                    _remove(folder)
            elif (watch := watch_in(folder)) is not None and _overlap(watch.roots, roots):
                found.append((folder, watch))
    return found


def _overlap(some: tuple[Path, ...], others: tuple[Path, ...]) -> bool:
    return any(one.is_relative_to(other) or other.is_relative_to(one) for one in some for other in others)


def _remove(folder: StateFolder) -> None:
    """Delete the entry of a run that has ended. An entry that is just being written is deleted later."""
    with contextlib.suppress(OSError):
        requests = [f"requests/{name}" for name in folder.names("requests")]
        folder.remove(*requests, _WATCH, _LOCK)
        for path in (folder.path / "requests", folder.path):
            if path.is_dir():
                path.rmdir()


@contextmanager
def announced_sandbox(state_dir: Path, sandbox: RunningSandbox) -> Iterator[None]:
    """Record ``sandbox`` for as long as it runs. Raises OSError if it can't be recorded."""
    folder = StateFolder(state_dir, _SANDBOXES)
    name = os.urandom(8).hex()
    entry = {
        "pid": sandbox.pid,
        "since": sandbox.since,
        "url": sandbox.url,
        "version": sandbox.version,
        "key": sandbox.key.reveal(),
        "email": sandbox.email,
        "password": sandbox.password.reveal(),
        "folder": str(sandbox.folder),
        "channel_token": sandbox.channel_token.reveal(),
    }
    folder.make()
    lock = folder.path / f"{name}.lock"
    with exclusive(lock, busy=lambda: None):
        try:
            folder.replace(f"{name}.json", json.dumps(entry).encode())
            yield
        finally:
            with contextlib.suppress(OSError):
                folder.remove(f"{name}.json", f"{name}.lock")


def running_sandboxes(state_dir: Path) -> tuple[RunningSandbox, ...]:
    """Return the running sandboxes, the one started last first. Delete entries of ended ones."""
    folder = StateFolder(state_dir, _SANDBOXES)
    running = []
    for name in _names(folder):
        stem = name.removesuffix(".json")
        if not is_locked(folder.path / f"{stem}.lock"):
            with contextlib.suppress(OSError):
                folder.remove(name, f"{stem}.lock")
        elif (sandbox := _sandbox(_read(folder, name))) is not None:
            running.append(sandbox)
    return tuple(sorted(running, key=lambda sandbox: -sandbox.since))


def _sandbox(entry: object) -> RunningSandbox | None:
    match entry:
        case {
            "pid": int(pid),
            "since": int() | float() as since,
            "url": str(url),
            "version": str(version),
            "key": str(key),
            "email": str(email),
            "password": str(password),
            "folder": str(folder),
            "channel_token": str(channel_token),
        }:
            folder_path = Path(folder)
            return RunningSandbox(
                pid, since, url, version, Secret(key), email, Secret(password), folder_path, Secret(channel_token)
            )
        case _:
            return None


def _names(folder: StateFolder) -> list[str]:
    with contextlib.suppress(OSError):
        return [name for name in folder.names() if name.endswith(".json") and not name.startswith(".")]
    return []


def _read(folder: StateFolder, name: str) -> object:
    try:
        return json.loads(folder.read(name, 2**20) or b"null")
    except (OSError, ValueError, RecursionError):
        return None
