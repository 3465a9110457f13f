"""What a command reports about itself: the server that it works on, what it would do, and what it did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from owui_watch.reporting.events import Event, OfPlugin


@dataclass(frozen=True, slots=True)
class Server(Event):
    """The server that a command which runs once talks to. ``source`` names where its URL comes from; None: default."""

    event: ClassVar[str] = "server"
    url: str
    source: str | None


@dataclass(frozen=True, slots=True)
class Planned(OfPlugin):
    """What ``deploy --dry-run`` would do: ``action`` is ``create`` or ``update``, ``diff`` from server to file."""

    event: ClassVar[str] = "planned"
    path: Path
    action: str
    version: str | None
    previous_version: str | None
    diff: str | None


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """The end of ``deploy``: how many plugins were deployed, unchanged, rejected. ``dry_run``: nothing was sent."""

    event: ClassVar[str] = "finished"
    deployed: int
    unchanged: int
    rejected: int
    ms: int
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class HandedOver(Event):
    """A watch that runs on this tree and server takes over this deploy. An empty list of ids means all plugins."""

    event: ClassVar[str] = "handed_over"
    plugins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sandboxed(Event):
    """A sandbox runs. ``credentials`` is the file with the password, None if ``password`` is shown.

    ``kept`` is the folder with its data, None if the data is deleted at the end. ``log`` is the server's own log.
    ``debugger`` is the port of loopback where a debugger can attach.
    """

    event: ClassVar[str] = "sandbox"
    url: str
    version: str
    email: str
    password: str | None
    credentials: Path | None
    kept: Path | None = None
    log: Path | None = None
    debugger: int | None = None


@dataclass(frozen=True, slots=True)
class SandboxedQuietly(Sandboxed):
    """The same with ``-q``. This event is shown all the same: without it, nobody could sign in to the sandbox."""

    event: ClassVar[str] = "sandbox"
    level: ClassVar[str] = "warning"
