"""How the events of ``runtime_events`` read on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from owui_watch.reporting.console import Fields, Lines, Shown, duration, excerpt, kind_and_id, place, renders, unbroken

_MOST_FRAMES = 8
_RELATIONS = {"cause": "caused by", "context": "while handling", "group": "one of the group:"}
Frame = Mapping[str, Any]


@renders("raised", indented=True)
def _raised(o: Fields, shown: Shown) -> Lines:
    first, *rest = o["error"].splitlines() or [""]
    method = f".{o['method']}" if o["method"] else ""
    yield f"{o['kind'] or 'plugin':<7} {unbroken(o['plugin'] + method)}  {first}"
    yield from rest
    yield place(o["path"], o["line"], shown)
    yield from excerpt(o["line"], o["column"], o["source"])
    innermost = (o["path"], o["line"])
    outer = [frame for frame in o["frames"] if (frame["path"], frame["line"]) != innermost]
    yield from _callers(outer, shown)
    for cause in o["causes"]:
        yield from _cause(cause, shown)
    if o["outdated"]:
        version = f", version {o['version']}" if o["version"] else ""
        yield f"raised by the code of an earlier save{version}"
    if o["note"]:
        yield o["note"]


@renders("chat")
def _chat(o: Fields, _shown: Shown) -> Lines:
    yield f"{o['kind']:<7} {o['plugin']}  talk to it: {unbroken(o['url'])}"


@renders("called", indented=True)
def _called(o: Fields, _shown: Shown) -> Lines:
    method = f".{o['method']}" if o["method"] else ""
    head = f"{o['kind'] or 'plugin':<7} {unbroken(o['plugin'] + method)}  "
    if o["error"] is None:
        yield f"{head}{duration(o['ms'])}"
    else:
        first, *rest = o["error"].splitlines() or [""]
        yield head + first
        yield from rest
    yield from o["changes"]
    for event in o["emitted"]:
        yield f"emitted {event}"
    if o["result"] is not None:
        yield from o["result"].splitlines() or [""]
    for more in (o["hint"], o["unseen"]):
        if more:
            yield more


@renders("traceback")
def _traceback(o: Fields, shown: Shown) -> Lines:
    yield f"all {len(o['frames'])} frames, innermost last:"
    for frame in o["frames"]:
        yield _frame(frame, shown)


@renders("printed")
def _printed(o: Fields, shown: Shown) -> Lines:
    level = f"{o['log_level']}  " if o["log_level"] else ""
    version = f" {o['version']}" if o["version"] else ""
    old = f", earlier save{version}" if o["outdated"] else ""
    where = f"({place(o['path'], o['line'], shown)}{old})"
    yield f"{o['kind'] or 'plugin':<7} {unbroken(o['plugin'])}  {level}{o['text']}{'…' if o['cut'] else ''}  {where}"


def _callers(frames: Sequence[Frame], shown: Shown) -> Iterator[str]:
    """Show the author's frames that led to the innermost one, the nearest first; repeated ones of a recursion once."""
    counts: dict[str, int] = {}
    for frame in reversed(frames):
        text = _frame(frame, shown)
        counts[text] = counts.get(text, 0) + 1
    for text, times in list(counts.items())[:_MOST_FRAMES]:
        yield f"called from {text}" + (f"  ({times} times)" if times > 1 else "")
    if (more := len(counts) - _MOST_FRAMES) > 0:
        yield f"and {more} more; -v shows all"


def _cause(cause: Mapping[str, Any], shown: Shown) -> Lines:
    first, *rest = cause["error"].splitlines() or [""]
    yield f"{_RELATIONS.get(cause['relation'], 'with')} {first}"
    yield from rest
    for frame in cause["frames"][-1:]:
        yield place(frame["path"], frame["line"], shown)
        yield from excerpt(frame["line"], frame["column"], frame["source"])


def _frame(frame: Frame, shown: Shown) -> str:
    source = f"  │ {frame['source'].strip()}" if frame["source"] else ""
    return f"{place(frame['path'], frame['line'], shown)} in {frame['function']}{source}"


@renders("asking")
def _asking(o: Fields, _shown: Shown) -> Lines:
    yield f"{kind_and_id(o)}{_model(o)}“{' '.join(o['prompt'].split())}”"


@renders("answer")
def _answer(o: Fields, shown: Shown) -> Lines:
    if o["error"] is None:
        yield f"{kind_and_id(o)}{_model(o)}{duration(o['ms']):>6}"
        yield from o["text"].splitlines()
        return
    first, *rest = o["error"].splitlines() or [""]
    yield kind_and_id(o) + _model(o) + first
    yield from rest
    yield place(o["path"], o["line"], shown)
    yield from excerpt(o["line"], None, o["source"])
    if o["hint"]:
        yield from o["hint"].splitlines()


def _model(o: Fields) -> str:
    return f"{unbroken(o['model'])}  " if o["model"] else ""
