"""Events become lines, through structlog: the reporter emits an event dict, processors make the text.

Both forms begin with a level, a time and printable texts. The console then goes through ``Redact``, ``shorten``,
``Render`` and ``Paint``, JSON through ``Plain``, ``Redact`` and ``shorten``. If a processor raises, that line is lost,
but not the next one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TextIO, cast

import structlog
from structlog.dev import BRIGHT, DIM, GREEN, RED, RESET_ALL, YELLOW
from structlog.typing import EventDict, Processor, WrappedLogger

from owui_watch.concurrency import REPORT_BUG, describe_bug
from owui_watch.reporting import command_lines as _command_lines  # noqa: F401 - registers renderers
from owui_watch.reporting import runtime_lines as _runtime_lines  # noqa: F401
from owui_watch.reporting.console import GLUE, Excerpt, margin, render, shown_path
from owui_watch.reporting.events import Event, Note, Warned
from owui_watch.reporting.layout import lay_out
from owui_watch.reporting.output import Output
from owui_watch.reporting.redaction import REPLACED, Secrets, in_all_texts, printable, printable_lines

LONGEST_TEXT = 10_000
"""Characters of an error, a hint or a reason that are shown."""
_CUT = {"error", "hint", "reason"}
_COLOURS = {"error": RED, "warning": YELLOW, "debug": DIM}
_USERINFO = re.compile(r"//[^/\s]*@")
_SPECIAL = ("event", "level", "timestamp")


class Reporter:
    """Reports events. It asks ``output`` for lost lines; ``secrets`` and ``cwd`` are those of the processors."""

    def __init__(self, output: Output, *, secrets: Secrets, cwd: Path) -> None:
        self._output = output
        self._secrets = secrets
        self._cwd = cwd

    def report(self, event: Event) -> None:
        """Write the lines of one event, unless its level is below the threshold. Never raises an Exception."""
        if (lost := self._output.take_lost()) is not None:
            self._emit(Warned(f"{lost} of this output could not be written: {lost.reason}"))
        self._emit(event)

    def _emit(self, event: Event) -> None:
        try:
            _emit(event)
        except Exception as error:
            bug = describe_bug(f"showing a line of the event “{event.event}”", error)
            try:
                _emit(Warned(bug, REPORT_BUG))
            except Exception:  # an error that every event causes must not silence all of them
                self._output.write(self.hidden(printable(f"warning: {bug}. {REPORT_BUG}")) + "\n")

    def hide(self, secret: str) -> None:
        """Never show ``secret`` from now on."""
        self._secrets.add(secret)

    def hidden(self, text: str) -> str:
        """Return ``text`` without any secret."""
        return self._secrets.hide(text)

    def unfinished(self, text: str) -> int:
        """Return how many characters at the end of ``text`` may be the beginning of a secret."""
        return self._secrets.unfinished(text)

    def path(self, path: Path) -> str:
        """Return ``path`` as an editor opens it from the folder where owui-watch was started."""
        return shown_path(path, self._cwd)


def _emit(event: Event) -> None:
    logger = structlog.get_logger()
    getattr(logger, event.level)(event.event, **event.fields())


def start_reporting(
    output: Output, *, json: bool, colours: bool, threshold: int, cwd: Path, secrets: Secrets | None = None
) -> Reporter:
    """Configure structlog for this process and return its reporter.

    ``threshold`` is a level as in ``logging``: events below it are left out. ``cwd`` is the folder where owui-watch was
    started. ``secrets`` are hidden in every line, whoever wrote the text.
    """
    secrets = secrets or Secrets()
    structlog.configure(
        processors=processors(output, json=json, colours=colours, cwd=cwd, secrets=secrets),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, output)),  # it only calls write and flush
        cache_logger_on_first_use=False,
    )
    return Reporter(output, secrets=secrets, cwd=cwd)


def processors(output: Output, *, json: bool, colours: bool, cwd: Path, secrets: Secrets) -> list[Processor]:
    """Return the steps from an event dict to its text."""
    time = structlog.processors.TimeStamper("iso" if json else "%H:%M:%S", utc=json)
    start: list[Processor] = [structlog.processors.add_log_level, time, make_printable]
    if json:
        return [*start, Plain(cwd), Redact(secrets), shorten, structlog.processors.JSONRenderer(ensure_ascii=True)]
    return [*start, Redact(secrets), shorten, Render(cwd, secrets), Paint(output.width, colours)]


def make_printable(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Replace characters that control a terminal in all texts. Paths stay exact: programs open them."""
    return {name: in_all_texts(value, printable_lines) for name, value in event.items()}


class Plain:
    """Turns paths into texts, as they are shown from ``cwd``."""

    def __init__(self, cwd: Path) -> None:
        self._cwd = cwd

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        """Return the event with values of JSON only: texts, numbers, lists and objects."""
        return {name: self._plain(value) for name, value in event.items()}

    def _plain(self, value: object) -> object:
        match value:
            case Path():
                return shown_path(value, self._cwd)
            case tuple() | list():
                return [self._plain(item) for item in value]
            case dict():
                return {name: self._plain(item) for name, item in value.items()}
            case _:
                return value


class Redact:
    """Hides secrets in all texts."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        """Return the event without secrets. Must run before a text is cut: half a secret can't be recognized."""
        return {name: in_all_texts(value, self._secrets.hide) for name, value in event.items()}


def shorten(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Cut texts that say what is wrong: a server or a plugin may write megabytes. Secrets are hidden already."""
    return {name: _shortened(name, value) for name, value in event.items()}


def _shortened(name: str, value: object) -> object:
    match value:
        case str() if name in _CUT and len(value) > LONGEST_TEXT:
            return f"{value[:LONGEST_TEXT]}…\n({len(value) - LONGEST_TEXT:,} more characters)"
        case dict():
            return {inner: _shortened(inner, item) for inner, item in value.items()}
        case tuple() | list():
            return type(value)(_shortened(name, item) for item in value)
        case _:
            return value


class Render:
    """Makes the lines of a terminal from the event's fields, as ``lines``, and sets their indentation."""

    def __init__(self, cwd: Path, secrets: Secrets) -> None:
        self._cwd = cwd
        self._secrets = secrets

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        """Return time, level, name and lines of the event."""
        name = event["event"]
        lines = [_one_line(line) for line in render(name, event, self._shown)]
        return {**{key: event[key] for key in _SPECIAL}, "lines": lines, "margin": margin(name, event)}

    def _shown(self, path: Path) -> str:
        return self._secrets.hide(shown_path(path, self._cwd))


def _one_line(line: str | Excerpt) -> str | Excerpt:
    """Replace line ends and characters that control the terminal: a path or an id may still hold them."""
    if isinstance(line, Excerpt):
        return replace(line, source=line.source.replace("\n", REPLACED))
    return GLUE.join(map(printable, line.split(GLUE)))


class Paint:
    """Puts time, event and lines together: fitted to the terminal, and with colours if it has them."""

    def __init__(self, width: Callable[[], int | None], colours: bool) -> None:
        self._width = width
        self._colours = colours

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> str:
        """Return the text of the event."""
        name, time = event["event"], event["timestamp"]
        label = f"{name:<9}"
        head, *below = lay_out(f"{time}  {label} ", event["lines"], margin=event["margin"], width=self._width())
        text = head[len(time) + 2 + len(label) :]
        colour = _COLOURS.get(event["level"], GREEN if name in {"created", "updated"} else BRIGHT)
        painted = f"{self._paint(DIM, time)}  {self._paint(colour, label if text else name)}{text}"
        return "\n".join([painted, *below])

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
