"""How the events of running plugins read on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from owui_watch.reporting.console import Shown, lines, place, source_lines
from owui_watch.reporting.runtime_events import Cause, Frame, Printed, Raised, Traceback

_MOST_FRAMES = 8
_RELATIONS = {"cause": "caused by", "context": "while handling", "group": "one of the group:"}


@lines.register(Raised)
def _(o: Raised, shown: Shown) -> Iterator[str]:
    first, *rest = o.error.splitlines() or [""]
    yield f"{o.kind or 'plugin':<7} {o.plugin}{f'.{o.method}' if o.method else ''}  {first}"
    yield from rest
    yield place(o.path, o.line, shown)
    yield from source_lines(o.line, o.column, o.source)
    innermost = (o.path, o.line)
    outer = [frame for frame in o.frames if (frame.path, frame.line) != innermost]
    yield from _callers(outer, shown)
    for cause in o.causes:
        yield from _cause(cause, shown)
    if o.outdated:
        yield f"raised by the code of an earlier save{f', version {o.version}' if o.version else ''}"
    if o.note:
        yield o.note


@lines.register(Traceback)
def _(o: Traceback, shown: Shown) -> Iterator[str]:
    yield f"all {len(o.frames)} frames, innermost last:"
    for frame in o.frames:
        yield _frame(frame, shown)


@lines.register(Printed)
def _(o: Printed, shown: Shown) -> Iterator[str]:
    level = f"{o.log_level}  " if o.log_level else ""
    old = f", earlier save{f' {o.version}' if o.version else ''}" if o.outdated else ""
    yield f"{o.kind or 'plugin':<7} {o.plugin}  {level}{o.text}{'…' if o.cut else ''}  ({place(o.path, o.line, shown)}{old})"


def _callers(frames: Sequence[Frame], shown: Shown) -> Iterator[str]:
    """Show the author's frames that led to the innermost one, the nearest first; repeated ones of a recursion once."""
    said: dict[str, int] = {}
    for frame in reversed(frames):
        text = _frame(frame, shown)
        said[text] = said.get(text, 0) + 1
    for text, times in list(said.items())[:_MOST_FRAMES]:
        yield f"called from {text}" + (f"  ({times} times)" if times > 1 else "")
    if (more := len(said) - _MOST_FRAMES) > 0:
        yield f"and {more} more; -v shows all"


def _cause(cause: Cause, shown: Shown) -> Iterator[str]:
    first, *rest = cause.error.splitlines() or [""]
    yield f"{_RELATIONS.get(cause.relation, 'with')} {first}"
    yield from rest
    for frame in cause.frames[-1:]:
        yield place(frame.path, frame.line, shown)
        yield from source_lines(frame.line, frame.column, frame.source)


def _frame(frame: Frame, shown: Shown) -> str:
    source = f"  │ {frame.source.strip()}" if frame.source else ""
    return f"{place(frame.path, frame.line, shown)} in {frame.function}{source}"
