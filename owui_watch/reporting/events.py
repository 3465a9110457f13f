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
        """Return the fields that a line has beside ``event`` and ``level``; dataclasses in them as dicts."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


@dataclass(frozen=True, slots=True)
class Watching(Event):
    """Every save from now on is seen. ``server_version`` is None while the server can't be reached."""

    event: ClassVar[str] = "watching"
    url: str
    path: tuple[Path, ...]
    plugins: int
    server_version: str | None


@dataclass(frozen=True, slots=True)
class _Deployed(Event):
    """The server holds this content. ``ms``: milliseconds from the last write seen to the server's response.

    ``through`` is the saved file if it is not the plugin's own but one that the plugin imports or reads.
    """

    plugin: str
    kind: str
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
    """Something that does not prevent a deploy but will not do what its author meant, or needs attention."""

    event: ClassVar[str] = "warning"
    level: ClassVar[str] = "warning"
    error: str
    hint: str | None = None
    plugin: str | None = None
    kind: str | None = None
    path: Path | None = None
    line: int | None = None


def as_warnings(report: Callable[[Event], None]) -> Callable[[str, str | None], None]:
    """Return how to report a problem, given as an error and a hint, as a warning."""
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
    """More than ``max_new`` new plugins were saved together (a branch switch, an archive): none is created unasked."""

    event: ClassVar[str] = "held"
    level: ClassVar[str] = "warning"
    plugins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restored(Event):
    """A refused update had disabled or replaced the live plugin for ``ms`` milliseconds; it is as before again."""

    event: ClassVar[str] = "restored"
    level: ClassVar[str] = "warning"
    plugin: str
    kind: str
    ms: int


@dataclass(frozen=True, slots=True)
class BackedUp(Event):
    """Somebody else changed the plugin on the server; what is replaced was copied to ``backup`` before the update.

    ``replaced`` names what is replaced beside the content, None if that is nothing.
    """

    event: ClassVar[str] = "backed_up"
    plugin: str
    kind: str
    backup: Path
    replaced: str | None = None


@dataclass(frozen=True, slots=True)
class Working(Event):
    """The server has not answered for ``seconds``; it may be installing ``requirements``."""

    event: ClassVar[str] = "working"
    plugin: str
    kind: str
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
class Disabled(Event):
    """A function was disabled on the server because its file was deleted (``on_delete = "disable"``)."""

    event: ClassVar[str] = "disabled"
    level: ClassVar[str] = "warning"
    plugin: str
    kind: str
    open: str


@dataclass(frozen=True, slots=True)
class Queued(Event):
    """A save while the server can't be reached; the file is deployed as it is when the server is back."""

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
class Server(Event):
    """The server that a command which runs once talks to. ``source`` names where its URL comes from; None: default."""

    event: ClassVar[str] = "server"
    url: str
    source: str | None


@dataclass(frozen=True, slots=True)
class Planned(Event):
    """What ``deploy --dry-run`` would do: ``action`` is ``create`` or ``update``, ``diff`` from server to file."""

    event: ClassVar[str] = "planned"
    plugin: str
    kind: str
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
    """A watch runs on this tree and server and does what this deploy was to do: these ids; none listed means all."""

    event: ClassVar[str] = "handed_over"
    plugins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asking(Event):
    """``--ask`` sends a prompt through a pipe that was just deployed, or through one ``model`` of it."""

    event: ClassVar[str] = "asking"
    plugin: str
    kind: str
    prompt: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Answer(Event):
    """What the pipe answered. ``ms``: milliseconds from the prompt to the end of the answer.

    ``model`` is the one that was asked, None if the pipe has only one.
    """

    event: ClassVar[str] = "answer"
    plugin: str
    kind: str
    path: Path
    text: str
    ms: int
    line: int | None = None
    error: str | None = None
    hint: str | None = None
    source: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerFailed(Answer):
    """The pipe failed after ``text``. ``line`` is the plugin's line, None if the error does not name it."""

    event: ClassVar[str] = "answer"
    level: ClassVar[str] = "error"


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
    """The same with ``-q``, which leaves out what is no problem: nobody gets into a sandbox without it."""

    event: ClassVar[str] = "sandbox"
    level: ClassVar[str] = "warning"
