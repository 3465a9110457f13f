"""What a plugin file is made of: its kind, its header, its faults. Pure data; nothing is ever executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Space(StrEnum):
    """The two places of Open WebUI that plugins live in; an id is unique within one."""

    FUNCTIONS = "functions"
    TOOLS = "tools"


class Kind(StrEnum):
    """The five kinds of plugins. Order matters: the first class a file binds decides, as on the server."""

    PIPE = "pipe"
    FILTER = "filter"
    ACTION = "action"
    EVENT = "event"
    TOOL = "tool"

    @property
    def class_name(self) -> str:
        """Name that the plugin's top level binds: ``Pipe``, ``Filter``, ``Action``, ``Event`` or ``Tools``."""
        return "Tools" if self is Kind.TOOL else self.value.capitalize()

    @property
    def called(self) -> tuple[str, ...]:
        """Methods that Open WebUI calls it by, of which it needs one; a tool's have names of their own."""
        return _CALLED[self]

    @property
    def space(self) -> Space:
        """Where Open WebUI keeps this kind."""
        return Space.TOOLS if self is Kind.TOOL else Space.FUNCTIONS


_CALLED = {
    Kind.PIPE: ("pipe",),
    Kind.FILTER: ("inlet", "outlet", "stream"),
    Kind.ACTION: ("action",),
    Kind.EVENT: ("event",),
    Kind.TOOL: (),
}


class Severity(StrEnum):
    """An error is never sent; a warning is sent all the same."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Something wrong with a plugin file, and where.

    ``line`` and ``column`` count from 1, ``column`` in characters; both are None if no place can be named.
    ``source`` is the text of that line; ``hint`` says what to do. ``rule`` is the stable code of the check that found
    it, such as ``syntax`` or ``id-clash``. ``path`` is the other file that is meant (a helper module); None means the
    plugin's own file.
    """

    error: str
    line: int | None = None
    column: int | None = None
    source: str | None = None
    hint: str | None = None
    severity: Severity = Severity.ERROR
    rule: str = ""
    path: Path | None = None


class PluginKey(NamedTuple):
    """What tells one plugin from all others on a server. Compared and hashed in C: every queue is kept by it."""

    space: Space
    id: str


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin file that can be sent.

    ``content`` is what will be sent: decoded, without byte-order mark, line endings as in the file.
    ``inferred`` is true where the id comes from the path, not from the author's own hand (header or settings).
    ``files`` are those that a plugin of many files is made from, by their names in ``content``; ``through`` is the one
    of them whose save made the plugin dirty, None for the plugin's own.
    """

    key: PluginKey
    kind: Kind
    path: Path
    content: str = field(repr=False)
    header: dict[str, str]
    inferred: bool
    warnings: tuple[Diagnostic, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    through: Path | None = None

    @property
    def id(self) -> str:
        """Id in Open WebUI."""
        return self.key.id

    @property
    def version(self) -> str | None:
        """``version:`` of the header; None where it is silent."""
        return self.header.get("version") or None


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin file that can't work: ``faults`` hold at least one error.

    ``key`` and ``kind`` are None where the file is too broken to tell them.
    """

    path: Path
    diagnostics: tuple[Diagnostic, ...]
    key: PluginKey | None = None
    kind: Kind | None = None
    header: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotPlugin:
    """A file that is not a plugin: why not, and what to do if it should be one.

    ``diagnostic`` is the error that keeps the file from being read, if that is the reason.
    """

    path: Path
    reason: str
    hint: str | None = None
    diagnostic: Diagnostic | None = None


ParsedFile = Plugin | BrokenPlugin | NotPlugin
"""What a file turned out to be."""
