"""What owui-watch reports. Each class is one event; the names of events and fields are an interface for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from owui_watch.plugins.model import BrokenPlugin, Diagnostic, Plugin, Severity


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. ``event`` is its name and ``level`` its level in the JSON lines."""

    event: ClassVar[str]
    level: ClassVar[str] = "info"

    def fields(self) -> dict[str, object]:
        """Return the fields that a line has beside ``event`` and ``level``, with dataclasses as dicts."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


@dataclass(frozen=True, slots=True)
class OfPlugin(Event):
    """One thing that happened to a plugin: its id and kind come first in a line."""

    plugin: str
    kind: str


@dataclass(frozen=True, slots=True)
class Watching(Event):
    """Every save from now on is seen. ``server_version`` is None while the server can't be reached."""

    event: ClassVar[str] = "watching"
    url: str
    path: tuple[Path, ...]
    plugins: int
    server_version: str | None


@dataclass(frozen=True, slots=True)
class _Deployed(OfPlugin):
    """The server holds this content. ``ms``: milliseconds from the last write seen to the server's response.

    ``through`` is the saved file if it is not the plugin's own but one that the plugin imports or reads.
    """

    path: Path
    version: str | None
    previous_version: str | None
    ms: int
    through: Path | None = dataclasses.field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Created(_Deployed):
    """The plugin is new on the server. ``open`` is the URL of its editor; ``attach`` says how to put it to use."""

    event: ClassVar[str] = "created"
    open: str = ""
    attach: str | None = None


@dataclass(frozen=True, slots=True)
class Updated(_Deployed):
    """The server now holds the new content. ``disabled``: the function is switched off there, so nobody runs it."""

    event: ClassVar[str] = "updated"
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Unchanged(_Deployed):
    """The server held this content already; nothing was sent."""

    event: ClassVar[str] = "unchanged"


@dataclass(frozen=True, slots=True)
class Affected(Event):
    """A saved file is part of several plugins: each of them is deployed, with an event of its own."""

    event: ClassVar[str] = "affected"
    path: Path
    plugins: int


@dataclass(frozen=True, slots=True)
class Rejection(Event):
    """A plugin can't be deployed as it is. ``stage`` is ``check`` (never sent) or ``server``.

    ``diagnostics`` has at least one entry; ``line``, ``error``, ``hint``, ``column`` and ``source`` are the first one's.
    ``live`` is the version that stays live, None if nothing is known to be live.
    """

    event: ClassVar[str] = "rejected"
    level: ClassVar[str] = "error"
    plugin: str | None
    kind: str | None
    path: Path
    stage: str
    diagnostics: tuple[Diagnostic, ...]
    live: str | None = None

    @classmethod
    def of(
        cls, file: Plugin | BrokenPlugin, diagnostics: Sequence[Diagnostic], live: str | None, *, stage: str = "check"
    ) -> Self:
        """Return the rejection of a plugin file for all of ``diagnostics``, errors before warnings."""
        ordered = tuple(sorted(diagnostics, key=lambda diagnostic: diagnostic.severity is not Severity.ERROR))
        return cls(file.key.id if file.key else None, file.kind, file.path, stage, ordered, live)

    @property
    def line(self) -> int | None:
        """Line of the first diagnostic, from 1."""
        return self.diagnostics[0].line

    @property
    def column(self) -> int | None:
        """Column of the first diagnostic, from 1."""
        return self.diagnostics[0].column

    @property
    def error(self) -> str:
        """Text of the first diagnostic."""
        return self.diagnostics[0].error

    @property
    def hint(self) -> str | None:
        """What to do about the first diagnostic."""
        return self.diagnostics[0].hint

    @property
    def source(self) -> str | None:
        """Source line of the first diagnostic."""
        return self.diagnostics[0].source

    def fields(self) -> dict[str, object]:
        """Return the fields, with those of the first diagnostic beside all ``diagnostics``: ``path`` is its file too."""
        first = {name: getattr(self, name) for name in ("line", "error", "hint", "column", "source")}
        if self.diagnostics[0].path is None:
            return {**Event.fields(self), **first}
        placed = tuple(dataclasses.replace(each, path=each.path or self.path) for each in self.diagnostics)
        return {**Event.fields(dataclasses.replace(self, diagnostics=placed, path=self.diagnostics[0].path)), **first}


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """A problem that does not prevent a deploy: it needs attention, or the code will not do what its author meant."""

    event: ClassVar[str] = "warning"
    level: ClassVar[str] = "warning"
    error: str
    hint: str | None = None
    plugin: str | None = None
    kind: str | None = None
    path: Path | None = None
    line: int | None = None


def as_warnings(report: Callable[[Event], None]) -> Callable[[str, str | None], None]:
    """Return a function that reports a problem, given as an error and a hint, as a warning."""
    return lambda error, hint: report(Warned(error, hint))


@dataclass(frozen=True, slots=True)
class Differs(Event):
    """What differs from the server at the start. ``changed`` and ``absent`` list at most eight ids each.

    ``count`` is the number of all plugins that differ. ``deploying``: they are being deployed (``--sync``).
    """

    event: ClassVar[str] = "differs"
    changed: tuple[str, ...]
    absent: tuple[str, ...]
    count: int
    changed_count: int
    absent_count: int
    deploying: bool = False


@dataclass(frozen=True, slots=True)
class Held(Event):
    """More than ``max_new`` new plugins came at once, so none is created until the user asks for it.

    They were saved together (a branch switch, an archive), or changed while no watch ran.
    """

    event: ClassVar[str] = "held"
    level: ClassVar[str] = "warning"
    plugins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restored(OfPlugin):
    """A refused update had disabled or replaced the live plugin for ``ms`` milliseconds; it is as before again."""

    event: ClassVar[str] = "restored"
    level: ClassVar[str] = "warning"
    ms: int


@dataclass(frozen=True, slots=True)
class BackedUp(OfPlugin):
    """Somebody else changed the plugin on the server; what is replaced was copied to ``backup`` before the update.

    ``replaced`` names what is replaced beside the content, None if that is nothing.
    """

    event: ClassVar[str] = "backed_up"
    backup: Path
    replaced: str | None = None


@dataclass(frozen=True, slots=True)
class Working(OfPlugin):
    """The server has not answered for ``seconds``; it may be installing ``requirements``."""

    event: ClassVar[str] = "working"
    seconds: int
    requirements: str | None


@dataclass(frozen=True, slots=True)
class Skipped(Event):
    """A saved file is not a plugin, or is not deployed for ``reason``."""

    event: ClassVar[str] = "skipped"
    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Missing(Event):
    """No file has this id any more. ``live``: the server has a copy, which stays.

    ``moved_to`` is the id that the same content has now. ``gone``: the file itself is gone or was renamed.
    """

    event: ClassVar[str] = "missing"
    level: ClassVar[str] = "warning"
    plugin: str
    path: Path
    live: bool
    moved_to: str | None = None
    gone: bool = True


@dataclass(frozen=True, slots=True)
class Renamed(Missing):
    """A plugin's file still exists but has another id now, ``moved_to``."""

    event: ClassVar[str] = "missing"
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Disabled(OfPlugin):
    """A function was disabled on the server because its file was deleted (``on_delete = "disable"``)."""

    event: ClassVar[str] = "disabled"
    level: ClassVar[str] = "warning"
    open: str


@dataclass(frozen=True, slots=True)
class Queued(Event):
    """A file was saved while the server can't be reached. Its content at the time the server is back is deployed."""

    event: ClassVar[str] = "queued"
    plugin: str


@dataclass(frozen=True, slots=True)
class Waiting(Event):
    """The server can't be reached or refuses the key. ``retry_in`` is in seconds; None: only another key helps."""

    event: ClassVar[str] = "waiting"
    level: ClassVar[str] = "warning"
    url: str
    error: str
    pending: int
    retry_in: float | None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Reachable(Event):
    """The server can be reached again."""

    event: ClassVar[str] = "reachable"
    url: str


@dataclass(frozen=True, slots=True)
class Stopping(Event):
    """Ctrl-C: the plugins ``pending`` are deployed for ``drain`` seconds more."""

    event: ClassVar[str] = "stopping"
    pending: tuple[str, ...]
    drain: float


@dataclass(frozen=True, slots=True)
class Stopped(Event):
    """The end of a watch. ``pending`` lists the plugins that were saved and not deployed."""

    event: ClassVar[str] = "stopped"
    pending: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Note(Event):
    """Progress for ``-v``; not an interface."""

    event: ClassVar[str] = "note"
    level: ClassVar[str] = "debug"
    text: str
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Saved(Note):
    """A save has settled; ``path`` is read next."""

    text: str = "saved"


@dataclass(frozen=True, slots=True)
class Sending(Note):
    """A plugin is about to be sent to the server. ``path`` is its file.

    ``files`` are those that a plugin of many files is made from, with their names in its content.
    """

    text: str = "sending"
    plugin: str = ""
    kind: str = ""
    files: tuple[tuple[str, Path], ...] = ()
