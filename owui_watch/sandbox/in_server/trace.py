"""What the methods of plugins got and gave during one request of ``owui-watch call``."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from .modules import Loaded

_MOST_STEPS = 400
_MOST_TRACES = 16
_MOST_TEXT = 200_000
_MAIN_ARGUMENTS = ("body", "event")
_EMITTERS = ("__event_emitter__", "__event_call__")
Step = dict[str, Any]

_trace: ContextVar[list[Step] | None] = ContextVar("owui_watch_trace", default=None)
_kept: OrderedDict[str, list[Step]] = OrderedDict()


def start(name: str) -> None:
    """Record the calls of this context under a name, to be read by ``read``."""
    _kept[name] = []
    while len(_kept) > _MOST_TRACES:
        _kept.popitem(last=False)
    _trace.set(_kept[name])


def read(name: str) -> list[Step] | None:
    """Return the steps recorded so far under a name."""
    return _kept.get(name)


def begin(loaded: Loaded, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Step | None:
    """Record a call, and every event that it emits from now on; None if nothing is recorded in this context."""
    steps = _trace.get()
    if steps is None or len(steps) >= _MOST_STEPS:
        return None
    main = next((kwargs[name] for name in _MAIN_ARGUMENTS if name in kwargs), args[1] if len(args) > 1 else None)
    step: Step = {"space": loaded.space, "plugin": loaded.plugin, "kind": loaded.kind, "method": method}
    step |= {"before": plain(main), "after": None, "emitted": [], "ended": False}
    for name in _EMITTERS:
        if name in kwargs:
            kwargs[name] = recording(kwargs[name], step["emitted"])
    steps.append(step)
    return step


def raised(record: Step) -> None:
    """Record an exception among the steps."""
    steps = _trace.get()
    if steps is not None and len(steps) < _MOST_STEPS:
        steps.append({"plugin": record["plugin"], "kind": record["kind"], "raised": record})


def end(step: Step | None, result: Any) -> Any:
    """Record the result of a call, and return it."""
    if step is not None:
        step["after"], step["ended"] = plain(result), True
    return result


def recording(emit: Callable[[Any], Awaitable[Any]] | None, emitted: list[Any]) -> Callable[[Any], Awaitable[Any]]:
    """Return an event emitter that records, then passes on to the server's own, if there is one."""

    async def emitter(event: Any) -> Any:
        if len(emitted) < _MOST_STEPS:
            emitted.append(plain(event))
        return await emit(event) if emit is not None else None

    return emitter


def plain(value: Any) -> Any:
    """Return a copy of a value as JSON can hold it; what JSON has no form for is shown as ``repr``."""
    try:
        text = json.dumps(value, default=_fallback)
        return json.loads(text) if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
    except Exception:
        return f"<{type(value).__name__}>"


def _fallback(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return dump() if callable(dump) and not isinstance(value, type) else repr(value)[:2_000]
