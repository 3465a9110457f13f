"""An exception as a record: its text, the author's frames, its causes. Nothing here raises."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from .modules import Loaded, is_authors, is_ours, owner, source_line

_MOST_TEXT = 2_000
_FIRST_FRAMES, _LAST_FRAMES = 10, 30
_MOST_CAUSES = 8
_TRACEBACK_STEPS = 100_000
Record = dict[str, Any]


def describe(error: BaseException) -> Record:
    """Return type, text, frames (outermost first) and causes of an exception."""
    causes: list[Record] = []
    seen = {id(error)}
    queue = list(_related(error))
    while queue and len(causes) < _MOST_CAUSES:
        relation, related = queue.pop(0)
        if id(related) in seen:
            continue
        seen.add(id(related))
        causes.append({"relation": relation, **_single(related)})
        queue += _related(related)
    return {**_single(error), "causes": causes}


def authors_frame(described: Record, loaded: Loaded) -> Record | None:
    """Return the innermost frame that is the author's: of the error, else of one in its group, else of a cause."""
    for single in (described, *described["causes"]):
        for frame in reversed(single["frames"]):
            if frame["author"] and frame["plugin"] == loaded.plugin:
                return dict(frame)
    return None


def has_author(error: BaseException) -> Loaded | None:
    """Return the plugin whose code is innermost in the traceback."""
    found = None
    for frame, _ in _walk(error.__traceback__):
        found = owner(frame.tb_frame.f_globals) or found
    return found


def text_of(error: BaseException) -> str:
    """Return ``str(error)``, or what went wrong with it."""
    try:
        text = str(error)
    except BaseException as failure:
        return f"<its str() raised {type(failure).__name__}>"
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"


def _single(error: BaseException) -> Record:
    kind = type(error)
    module = getattr(kind, "__module__", "builtins")
    plain = module == "builtins" or str(module).startswith(("function_", "tool_"))
    name = kind.__qualname__ if plain else f"{module}.{kind.__qualname__}"
    return {"type": name[:200], "text": text_of(error), "frames": _frames(error.__traceback__)}


def _related(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield "group", one
    if error.__cause__ is not None:
        yield "cause", error.__cause__
    elif error.__context__ is not None and not error.__suppress_context__:
        yield "context", error.__context__


def _walk(traceback: TracebackType | None) -> Iterator[tuple[TracebackType, int]]:
    for step in range(_TRACEBACK_STEPS):
        if traceback is None:
            return
        yield traceback, step
        traceback = traceback.tb_next


def _frames(traceback: TracebackType | None) -> list[Record]:
    steps = [step for step, _ in _walk(traceback) if not is_ours(step.tb_frame)]
    left_out = len(steps) - _FIRST_FRAMES - _LAST_FRAMES
    if left_out <= 0:
        return [_frame(step) for step in steps]
    frames = [_frame(step) for step in (*steps[:_FIRST_FRAMES], *steps[-_LAST_FRAMES:])]
    frames[_FIRST_FRAMES]["left_out"] = left_out
    return frames


def _frame(step: TracebackType) -> Record:
    code, line = step.tb_frame.f_code, step.tb_lineno or 0
    loaded = owner(step.tb_frame.f_globals)
    source = source_line(loaded, code.co_filename, line) if loaded is not None else ""
    column, end_column = _columns(step, source)
    return {
        "path": code.co_filename,
        "line": line,
        "function": code.co_qualname[:200],
        "author": is_authors(loaded, code.co_filename),
        "plugin": loaded.plugin if loaded is not None else None,
        "source": source,
        "column": column,
        "end_column": end_column,
    }


def _columns(step: TracebackType, source: str) -> tuple[int | None, int | None]:
    """Return where in its line the error is, in characters from 1; Python counts bytes of UTF-8."""
    positions = step.tb_frame.f_code.co_positions()
    for index, (line, end_line, start, end) in enumerate(positions):
        if index == step.tb_lasti // 2:
            if start is None or line != step.tb_lineno:
                return None, None
            encoded = source.encode("utf-8", "surrogatepass")
            until = len(encoded) if end is None or end_line != line else end
            first, last = (len(encoded[:at].decode("utf-8", "replace")) for at in (start, until))
            return first + 1, last + 1
    return None, None
