"""Outcomes become lines: for a person on a terminal, or one JSON object each. The only room that knows structlog."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from owui_watch.plugins.source import printable
from owui_watch.reporting import runtime_lines as _  # noqa: F401 - adds to what console.lines takes
from owui_watch.reporting.console import lines, margin
from owui_watch.reporting.events import Event, Note
from owui_watch.reporting.unloaded import as_if_absent

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger


# structlog loads rich where it can, for tracebacks that no line here holds: a third of the time to start.
with as_if_absent("rich"):
    import structlog
    from structlog.dev import BRIGHT, DIM, GREEN, RED, RESET_ALL, YELLOW

INDENT = " " * 20
"""What stands before a line that belongs to the one above: as wide as a time and an event."""
_COLOURS = {"error": RED, "warning": YELLOW, "debug": DIM}
_USERINFO = re.compile(r"//[^/\s]*@")
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Reporter:
    """Writes each outcome as a line to ``stream``.

    ``threshold`` is a level as in ``logging``: lines below it are left out. ``cwd`` is where owui-watch was started.
    ``secrets`` never appear in a line, whoever's text they come in.
    """

    def __init__(
        self, stream: TextIO, *, json: bool, colours: bool, threshold: int, cwd: Path, secrets: Iterable[str] = ()
    ) -> None:
        self._secrets: set[str] = set()
        self._cwd = cwd
        self._threshold = threshold
        for secret in secrets:
            self.hide(secret)
        ending: list[Callable[[WrappedLogger, str, EventDict], Any]]
        if json:
            ending = [self._fields, structlog.processors.JSONRenderer(ensure_ascii=True)]
        else:
            ending = [self._text, self._hidden_in_text, _Painter(colours)]
        self._log = structlog.wrap_logger(
            structlog.PrintLogger(stream),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper("iso" if json else "%H:%M:%S", utc=json),
                *ending,
            ],
        )

    def report(self, event: Event) -> None:
        """Write one line, unless its level is below the threshold."""
        if _LEVELS[event.level] >= self._threshold:
            getattr(self._log, event.level)(event.event, outcome=event)

    def hide(self, secret: str) -> None:
        """Never show ``secret`` from now on."""
        if len(secret) > 3:
            self._secrets.add(secret)

    def path(self, path: Path) -> str:
        """Return ``path`` as an editor opens it from the current folder: relative below it, else absolute; with ``/``."""
        return path.relative_to(self._cwd).as_posix() if path.is_relative_to(self._cwd) else path.as_posix()

    def _fields(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        outcome: Event = event.pop("outcome")
        return {**event, **{name: self._plain(value) for name, value in outcome.fields().items()}}

    def _plain(self, value: object) -> object:
        match value:
            case Path():
                return self.hidden(self.path(value))
            case StrEnum():
                return value.value
            case str():
                return self.hidden("\n".join(map(printable, value.splitlines())))
            case tuple():
                return [self._plain(item) for item in value]
            case _ if dataclasses.is_dataclass(value):
                return {field.name: self._plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
            case _:
                return value

    def _text(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        outcome = self._without_secrets(event["outcome"])
        head, *below = map(printable, lines(outcome, self.path))
        indent = INDENT + " " * margin(outcome)
        return {**event, "lines": [head, *(f"{indent}{line}" for line in below)]}

    def _without_secrets(self, outcome: Event) -> Event:
        """Hide secrets before a line is made: one that was cut short would not be found in it."""
        hidden: Event = self._hidden_in(outcome)
        return hidden

    def _hidden_in(self, value: Any) -> Any:
        """Hide secrets in the texts of a dataclass, and of those in it."""
        changed: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            match getattr(value, field.name):
                case StrEnum():
                    pass
                case str() as text:
                    changed[field.name] = self.hidden(text)
                case (first, *_) as parts if dataclasses.is_dataclass(first):
                    changed[field.name] = tuple(map(self._hidden_in, parts))
        return dataclasses.replace(value, **changed)

    def _hidden_in_text(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        return {**event, "lines": [self.hidden(line) for line in event["lines"]]}

    def hidden(self, text: str) -> str:
        """Return ``text`` without any secret."""
        for secret in sorted(self._secrets, key=len, reverse=True):  # one may begin with another
            text = text.replace(secret, "***")
        return text

    def unfinished(self, text: str) -> int:
        """Count the characters at the end of ``text`` that may be the beginning of a secret."""
        ends = (n for secret in self._secrets for n in range(1, len(secret)) if text.endswith(secret[:n]))
        return max(ends, default=0)


class _Painter:
    """Puts time, event and text together, in colours on a terminal."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> str:
        head, *below = event["lines"]
        colour = _COLOURS.get(event["level"], GREEN if event["event"] in {"created", "updated"} else BRIGHT)
        painted = [f"{self._paint(DIM, event['timestamp'])}  {self._paint(colour, event['event'].ljust(9))} {head}"]
        return "\n".join(line.rstrip() for line in [*painted, *below])

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{RESET_ALL}" if self._colours else text


class RequestLog(logging.Handler):
    """Shows httpx's requests as notes, for ``-vv``."""

    def __init__(self, report: Callable[[Event], None]) -> None:
        super().__init__(logging.INFO)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        """Turn one record into a note."""
        self._report(Note(_USERINFO.sub("//***@", record.getMessage())))
