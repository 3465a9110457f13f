"""The data that the other modules pass on: kinds and keys of plugins, diagnostics, and what a file turned out to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Space(StrEnum):
    """The two places in Open WebUI that hold plugins. An id is unique within one of them."""

    FUNCTIONS = "functions"
    TOOLS = "tools"


class Kind(StrEnum):
    """The five kinds of plugins, in the order in which the server looks for their classes."""

    PIPE = "pipe"
    FILTER = "filter"
    ACTION = "action"
    EVENT = "event"
    TOOL = "tool"

    @property
    def class_name(self) -> str:
        """Name of the class that makes a file a plugin of this kind."""
        return "Tools" if self is Kind.TOOL else self.value.capitalize()

    @property
    def called(self) -> tuple[str, ...]:
        """Methods that Open WebUI calls; a plugin needs one of them. Empty for tools, which choose their own names."""
        return _CALLED[self]

    @property
    def space(self) -> Space:
        """Place in Open WebUI that holds this kind."""
        return Space.TOOLS if self is Kind.TOOL else Space.FUNCTIONS


_CALLED = {
    Kind.PIPE: ("pipe",),
    Kind.FILTER: ("inlet", "outlet", "stream"),
    Kind.ACTION: ("action",),
    Kind.EVENT: ("event",),
    Kind.TOOL: (),
}


class Severity(StrEnum):
    """A file with an error is never sent; a file with warnings only is."""

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
    """Identity of a plugin on a server. A named tuple, because queues hash and compare it all the time."""

    space: Space
    id: str


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin file that can be sent.

    ``content`` is what will be sent: decoded, without byte-order mark, line endings as in the file.
    ``inferred`` is true if the id comes from the path, false if the author wrote it (header or settings).
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
        """``version:`` of the header; None without one."""
        return self.header.get("version") or None


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin file that can't be deployed. ``diagnostics`` hold at least one error.

    ``key`` and ``kind`` are None if the file is too broken to know them.
    """

    path: Path
    diagnostics: tuple[Diagnostic, ...]
    key: PluginKey | None = None
    kind: Kind | None = None
    header: Mapping[str, str] = field(default_factory=dict)


class Mention(StrEnum):
    """When to report a file that is not a plugin, apart from when the user named it."""

    ALWAYS = "always"
    """Its author probably takes it for one: report it at the start too."""
    WHEN_SAVED = "when saved"
    NEVER = "never"
    """Its name says that it is none (tests, copies): a debug line at most."""


@dataclass(frozen=True, slots=True)
class NotPlugin:
    """A file that is not a plugin: why not, and what to do if it should be one.

    ``diagnostic`` is the error that keeps the file from being read, if that is the reason.
    """

    path: Path
    reason: str
    hint: str | None = None
    mention: Mention = Mention.WHEN_SAVED
    diagnostic: Diagnostic | None = None

    @property
    def explanation(self) -> str:
        """The reason, and what to do about it."""
        return f"{self.reason}: {self.hint}" if self.hint else self.reason


ParsedFile = Plugin | BrokenPlugin | NotPlugin
"""What a file turned out to be."""
