"""Our end of the connection to ``in_server`` in the sandbox's server: a socket for its records, a file for its paths."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from owui_watch.plugins.model import PluginKey, Space
from owui_watch.sandbox.run_folder import open_private

_WAITING = 16  # connections: one of the server, one of each process that a plugin forks
_SPACES = {Space.FUNCTIONS: "function", Space.TOOLS: "tool"}


@dataclass(frozen=True, slots=True)
class ServerChannel:
    """``listener`` is where ``in_server`` sends its records, the first line of a connection being ``token``.

    ``paths`` is the file that names the author's file for each plugin; ``in_server`` reads it whenever a plugin is loaded.
    """

    listener: socket.socket
    token: str = field(repr=False)
    paths: Path

    def environ(self) -> dict[str, str]:
        """Return the environment variables from which ``in_server`` reads the port, the token and the file of paths."""
        return {
            "OWUI_WATCH_PORT": str(self.listener.getsockname()[1]),
            "OWUI_WATCH_TOKEN": self.token,
            "OWUI_WATCH_PATHS": str(self.paths),
        }

    def locate(self, key: PluginKey, path: Path, files: Mapping[str, Path]) -> None:
        """Name the file of a plugin that is about to be sent, and ``files`` that it is made from. Raises OSError."""
        known = self._known()
        name = f"{_SPACES[key.space]}:{key.id}"
        entry = {"path": str(path), "files": {name: str(file) for name, file in files.items()}}
        if known.get(name) == entry:
            return
        fresh = self.paths.with_suffix(".new")
        with open_private(fresh) as file:
            file.write(json.dumps(known | {name: entry}).encode())
        fresh.replace(self.paths)

    def _known(self) -> dict[str, Any]:
        """Return the content of the file of paths. A plugin in the server can write to it too, so nothing in it is trusted."""
        try:
            known = json.loads(self.paths.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


@contextmanager
def open_channel(folder: Path) -> Iterator[ServerChannel]:
    """Listen on a free port of loopback for as long as the context lasts. Raises OSError."""
    with socket.create_server(("127.0.0.1", 0), backlog=_WAITING) as listener:
        listener.setblocking(False)
        yield ServerChannel(listener, secrets.token_urlsafe(24), folder / "plugin-paths.json")
