"""Requests to the run that owns a tree and a server: deploy something, or stop.

Each request is a file of its own in ``requests/`` of the owner's folder. The owner deletes the request and leaves a
reply; the run that asked deletes the reply. So no signal goes to a process id that may belong to another program by
now, and a request to an owner that has ended does no harm.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owui_watch.plugins.model import PluginKey, Space
from owui_watch.state.folder import StateFolder

_FOLDER = "requests"
_LARGEST = 4 * 2**20
_REQUEST = re.compile(r"[0-9a-f]{16}\.json")


@dataclass(frozen=True, slots=True)
class Everything:
    """All plugins that the owner watches."""


@dataclass(frozen=True, slots=True)
class Only:
    """These plugins, at least one: without a plugin to deploy there is no request."""

    plugins: tuple[PluginKey, ...]

    def __post_init__(self) -> None:
        if not self.plugins:
            raise ValueError("a request must name a plugin")


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """Deploy ``plugins`` if they differ from the server."""

    plugins: Everything | Only


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Finish what is saved, then end."""


Request = DeployRequest | StopRequest


class Requests:
    """The owner's side. ``folders`` are the folders that it owns."""

    def __init__(self, folders: Sequence[StateFolder]) -> None:
        self._folders = tuple(folders)

    def clear(self) -> None:
        """Drop requests to an earlier owner that has ended, and replies that nobody fetched."""
        for folder in self._folders:
            for name in _names(folder):
                with contextlib.suppress(OSError):
                    folder.remove(f"{_FOLDER}/{name}")

    def take(self, roots: Sequence[Path]) -> list[Request]:
        """Return the requests that have come in, and reply that the owner watches ``roots``."""
        requests = []
        for folder in self._folders:
            for name in filter(_REQUEST.fullmatch, _names(folder)):
                request = _parsed(_read(folder, name))
                with contextlib.suppress(OSError):
                    folder.remove(f"{_FOLDER}/{name}")
                    if request is not None:
                        requests.append(request)
                        _write(folder, _reply_name(name), {"roots": [str(root) for root in roots]})
        return requests


class SentRequest:
    """The asking side of one request."""

    def __init__(self, folder: StateFolder, request: Request) -> None:
        """Send ``request`` to the owner of ``folder``. Raises OSError if it can't be written."""
        self._folder = folder
        self._name = f"{os.urandom(8).hex()}.json"
        _write(folder, self._name, _encoded(request))

    def reply(self) -> tuple[Path, ...] | None:
        """Return the roots that the owner watches once it has taken the request; None before."""
        match _read(self._folder, _reply_name(self._name)):
            case {"roots": [*roots]}:
                self._remove(_reply_name(self._name))
                return tuple(Path(root) for root in roots if isinstance(root, str))
            case _:
                return None

    def withdraw(self) -> None:
        """Take the request back."""
        self._remove(self._name)
        self._remove(_reply_name(self._name))

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self._folder.remove(f"{_FOLDER}/{name}")


def _names(folder: StateFolder) -> list[str]:
    with contextlib.suppress(OSError):
        return folder.names(_FOLDER)
    return []


def _reply_name(name: str) -> str:
    return f"{name}.reply"


def _read(folder: StateFolder, name: str) -> Any:
    try:
        return json.loads(folder.read(f"{_FOLDER}/{name}", _LARGEST) or b"null")
    except (OSError, ValueError, RecursionError):
        return None


def _write(folder: StateFolder, name: str, value: Any) -> None:
    folder.make(_FOLDER)
    folder.replace(f"{_FOLDER}/{name}", json.dumps(value).encode())


def _encoded(request: Request) -> Any:
    match request:
        case DeployRequest(Everything()):
            return {"deploy": "everything"}
        case DeployRequest(Only(plugins)):
            return {"deploy": [[key.space, key.id] for key in plugins]}
        case StopRequest():
            return {"stop": True}


def _parsed(value: Any) -> Request | None:
    match value:
        case {"stop": True}:
            return StopRequest()
        case {"deploy": "everything"}:
            return DeployRequest(Everything())
        case {"deploy": [_, *_] as plugins}:
            keys = tuple(map(_key, plugins))
            return DeployRequest(Only(tuple(key for key in keys if key))) if all(keys) else None
        case _:
            return None


def _key(value: Any) -> PluginKey | None:
    match value:
        case [str(space), str(name)] if space in set(Space):
            return PluginKey(Space(space), name)
        case _:
            return None
