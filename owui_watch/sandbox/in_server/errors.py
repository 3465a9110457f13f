"""An exception as a record: its text, the author's frames, its causes. Nothing here raises."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from .modules import Loaded, is_authors, is_ours, owner, source_line

_MOST_TEXT = 2_000
_FIRST_FRAMES, _LAST_FRAMES = 10, 30
_MOST_NOTES = 8
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
    """Return ``str(error)``, or what went wrong with it, and the notes that were added to it, a line each."""
    try:
        text = str(error)
    except BaseException as failure:
        text = f"<its str() raised {_name(type(failure))}>"
    text = _cut(text)
    notes = own_attribute(error, "__dict__").get("__notes__")
    for note in notes[:_MOST_NOTES] if isinstance(notes, list) else ():
        if isinstance(note, str):
            text += f"\n{_cut(note)}"
    return text


def own_attribute(error: BaseException, name: str) -> Any:
    """Return what Python itself keeps in an exception, also if the plugin's class has an attribute of that name."""
    return BaseException.__dict__[name].__get__(error)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"


def _single(error: BaseException) -> Record:
    return {
        "type": _name(type(error))[:200],
        "text": text_of(error),
        "frames": _frames(own_attribute(error, "__traceback__")),
    }


def _name(kind: type[BaseException]) -> str:
    """Return the name of a type, with the module if that is neither the plugin's nor Python's own."""
    name, module = (str(type.__dict__[each].__get__(kind)) for each in ("__qualname__", "__module__"))
    return name if module == "builtins" or module.startswith(("function_", "tool_")) else f"{module}.{name}"


def _related(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    if issubclass(type(error), BaseExceptionGroup):
        for one in BaseExceptionGroup.exceptions.__get__(error):
            yield "group", one
    if (cause := own_attribute(error, "__cause__")) is not None:
        yield "cause", cause
    elif (context := own_attribute(error, "__context__")) is not None and not own_attribute(
        error, "__suppress_context__"
    ):
        yield "context", context


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
