"""What can happen to a save. Each class is one line that a person or a program reads; names and fields are stable."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from owui_watch.plugins.model import BrokenPlugin, Diagnostic, Plugin, Severity


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. ``event`` and ``level`` belong to the interface of the JSON lines."""

    event: ClassVar[str]
    level: ClassVar[str] = "info"

    def fields(self) -> dict[str, object]:
        """Return the fields that a line shows beside ``event`` and ``level``."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


@dataclass(frozen=True, slots=True)
class Watching(Event):
    """Ready: every save from now on is seen. ``server_version`` is None while the server isn't reachable."""

    event: ClassVar[str] = "watching"
    url: str
    path: tuple[Path, ...]
    plugins: int
    server_version: str | None


@dataclass(frozen=True, slots=True)
class _Deployed(Event):
    """The server holds this content. ``ms``: milliseconds from the last write seen to the server's answer."""

    plugin: str
    kind: str
    path: Path
    version: str | None
    previous_version: str | None
    ms: int


@dataclass(frozen=True, slots=True)
class Created(_Deployed):
    """The plugin was not on the server. ``open`` is its editor's address; ``attach`` says how to put it to use."""

    event: ClassVar[str] = "created"
    open: str = ""
    attach: str | None = None


@dataclass(frozen=True, slots=True)
class Updated(_Deployed):
    """The server now runs the new content."""

    event: ClassVar[str] = "updated"


@dataclass(frozen=True, slots=True)
class Unchanged(_Deployed):
    """The server held this content already; nothing was sent."""

    event: ClassVar[str] = "unchanged"


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
        """Return the fields, with those of the first diagnostic beside all ``diagnostics``."""
        first = {name: getattr(self, name) for name in ("line", "error", "hint", "column", "source")}
        return {**Event.fields(self), **first}


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Not in the way of a deploy, but something will not do what its author meant."""

    event: ClassVar[str] = "warning"
    level: ClassVar[str] = "warning"
    error: str
    hint: str | None = None
    plugin: str | None = None
    kind: str | None = None
    path: Path | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Differs(Event):
    """What is not in sync at the start. ``changed`` and ``absent`` name eight ids each at most; ``count`` is of all.

    ``deploying``: they are deployed right now (``--sync``).
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
    """New plugins in bulk (a branch switch, an unpacked archive): not created until someone says so."""

    event: ClassVar[str] = "held"
    level: ClassVar[str] = "warning"
    plugins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restored(Event):
    """A refusal had switched off or half-replaced the live plugin; it is as before. ``ms``: how long it was not."""

    event: ClassVar[str] = "restored"
    level: ClassVar[str] = "warning"
    plugin: str
    kind: str
    ms: int


@dataclass(frozen=True, slots=True)
class BackedUp(Event):
    """Content that someone else put on the server was saved before it is overwritten."""

    event: ClassVar[str] = "backed_up"
    plugin: str
    kind: str
    backup: Path


@dataclass(frozen=True, slots=True)
class Working(Event):
    """The server has not answered yet: it may be installing ``requirements``. ``seconds`` since it was asked."""

    event: ClassVar[str] = "working"
    plugin: str
    kind: str
    seconds: int
    requirements: str | None


@dataclass(frozen=True, slots=True)
class Skipped(Event):
    """A saved file is not a plugin."""

    event: ClassVar[str] = "skipped"
    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Missing(Event):
    """A plugin's file is gone. ``live``: the server has a copy, which stays.

    ``moved_to`` is the id that the same content has now, where the file was renamed.
    """

    event: ClassVar[str] = "missing"
    level: ClassVar[str] = "warning"
    plugin: str
    path: Path
    live: bool
    moved_to: str | None = None


@dataclass(frozen=True, slots=True)
class Renamed(Missing):
    """A plugin's file is there and has another id now, ``moved_to``. The server's copy under the old one stays."""

    event: ClassVar[str] = "missing"


@dataclass(frozen=True, slots=True)
class Disabled(Event):
    """A function whose file was deleted was switched off on the server (``on_delete = "disable"``)."""

    event: ClassVar[str] = "disabled"
    level: ClassVar[str] = "warning"
    plugin: str
    kind: str
    open: str


@dataclass(frozen=True, slots=True)
class Queued(Event):
    """A save while the server is away: what the file holds then is deployed when the server is back."""

    event: ClassVar[str] = "queued"
    plugin: str


@dataclass(frozen=True, slots=True)
class Waiting(Event):
    """The server can't be reached. ``retry_in`` is seconds, None where only a change of the key can help."""

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
    """Something that was saved is still to be deployed; it is tried for ``drain`` seconds more."""

    event: ClassVar[str] = "stopping"
    pending: tuple[str, ...]
    drain: float


@dataclass(frozen=True, slots=True)
class Stopped(Event):
    """The end. ``pending`` names the plugins that were saved and not deployed."""

    event: ClassVar[str] = "stopped"
    pending: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planned(Event):
    """What ``deploy --dry-run`` would do: ``action`` is ``create`` or ``update``, ``diff`` goes from server to file."""

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
    """The end of a deploy that runs once: how many plugins became what. ``dry_run``: nothing was sent."""

    event: ClassVar[str] = "finished"
    deployed: int
    unchanged: int
    rejected: int
    ms: int
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class HandedOver(Event):
    """A watch runs on this tree and server, and has taken up what a deploy was to do: these ids, or all."""

    event: ClassVar[str] = "handed_over"
    plugins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asking(Event):
    """A prompt is sent through a pipe that was just deployed (``--ask``)."""

    event: ClassVar[str] = "asking"
    plugin: str
    kind: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Answer(Event):
    """What the pipe answered. ``ms``: milliseconds from the question to the answer's end."""

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


@dataclass(frozen=True, slots=True)
class AnswerFailed(Answer):
    """The pipe failed. ``text`` is what came before; ``line`` is its own, where the error's text can tell it."""

    event: ClassVar[str] = "answer"
    level: ClassVar[str] = "error"


@dataclass(frozen=True, slots=True)
class Note(Event):
    """What goes on inside, for ``-v``: not an interface."""

    event: ClassVar[str] = "note"
    level: ClassVar[str] = "debug"
    text: str
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Saved(Note):
    """A save has settled: ``path`` is read next."""

    text: str = "saved"


@dataclass(frozen=True, slots=True)
class Sandboxed(Event):
    """A sandbox runs. ``credentials`` is the file that holds the password, None where it is shown.

    ``kept`` is the folder that keeps its data, None where all is thrown away at the end.
    """

    event: ClassVar[str] = "sandbox"
    url: str
    version: str
    email: str
    password: str | None
    credentials: Path | None
    kept: Path | None = None
