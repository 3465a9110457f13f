"""What a running plugin does: events of the sandbox's server, or of a server whose log is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from owui_watch.reporting.events import Note, OfPlugin


@dataclass(frozen=True, slots=True)
class Frame:
    """One level of a traceback. ``author``: the code is the plugin's. Line and columns count from 1, in characters."""

    path: Path
    line: int
    function: str
    author: bool
    source: str | None = None
    column: int | None = None
    end_column: int | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """An exception that another one came from. ``relation`` is ``cause``, ``context`` or ``group``."""

    relation: str
    error: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Raised(OfPlugin):
    """A plugin raised an exception that it did not handle.

    ``path``, ``line`` and ``source`` are those of the innermost frame in the author's code. ``frames`` are those in the
    author's code, outermost first. ``outdated``: newer code of the plugin is live; ``version`` is that of the code that
    raised. ``note`` says why the place is not certain.
    """

    event: ClassVar[str] = "raised"
    level: ClassVar[str] = "error"
    method: str
    path: Path
    line: int | None
    error: str
    frames: tuple[Frame, ...] = ()
    causes: tuple[Cause, ...] = ()
    column: int | None = None
    end_column: int | None = None
    source: str | None = None
    version: str | None = None
    outdated: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Traceback(Note):
    """All frames of an exception, those of the server too, for ``-v``."""

    event: ClassVar[str] = "traceback"
    text: str = "all frames"
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True)
class Printed(OfPlugin):
    """A plugin wrote a line. ``stream`` is ``stdout``, ``stderr`` or ``log``.

    ``log_level`` and ``logger`` are those of a logging record. ``cut``: the line was longer.
    """

    event: ClassVar[str] = "printed"
    method: str
    path: Path
    line: int | None
    text: str
    stream: str
    log_level: str | None = None
    logger: str | None = None
    version: str | None = None
    outdated: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class NewChat(OfPlugin):
    """The first pipe of ``owui-watch try`` is live: ``url`` is a new chat with it."""

    event: ClassVar[str] = "chat"
    url: str


@dataclass(frozen=True, slots=True)
class Called(OfPlugin):
    """A plugin was called (``owui-watch call``, or ``--call`` after a deploy).

    ``result`` is text, or JSON as text. ``emitted`` are the events that it emitted, as JSON. ``changes`` are lines of
    diffs: what a filter made of its input. ``unseen`` says what this server does not show. ``ms``: milliseconds.
    """

    event: ClassVar[str] = "called"
    method: str
    result: str | None
    emitted: tuple[str, ...]
    changes: tuple[str, ...]
    ms: int
    error: str | None = None
    hint: str | None = None
    unseen: str | None = None


@dataclass(frozen=True, slots=True)
class CallFailed(Called):
    """The call failed: ``error`` says how, ``hint`` what to do."""

    event: ClassVar[str] = "called"
    level: ClassVar[str] = "error"


@dataclass(frozen=True, slots=True)
class Asking(OfPlugin):
    """``--ask`` sends a prompt through a pipe that was just deployed, or through one ``model`` of it."""

    event: ClassVar[str] = "asking"
    prompt: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Answer(OfPlugin):
    """What the pipe answered. ``ms``: milliseconds from the prompt to the end of the answer.

    ``model`` is the one that was asked, None if the pipe has only one.
    """

    event: ClassVar[str] = "answer"
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
