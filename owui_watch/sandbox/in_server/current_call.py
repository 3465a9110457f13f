"""The call of a plugin's method that runs in this context: which plugin, which method, since when."""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .modules import Loaded


@dataclass(eq=False, slots=True)
class Call:
    """A call of a plugin's method by the server. ``root`` is the outermost call that led to it."""

    loaded: Loaded
    method: str
    root: object
    began: float


current: ContextVar[Call | None] = ContextVar("owui_watch_call", default=None)


def method_of(loaded: Loaded) -> str | None:
    """Return the method of the plugin that the server called in this context."""
    call = current.get()
    return call.method if call is not None and call.loaded is loaded else None


def enter(loaded: Loaded, method: str, now: float) -> tuple[Call, Any]:
    """Begin a call in this context at ``now`` (seconds of a clock); return it, and the token that ends it."""
    around = current.get()
    call = Call(loaded, method, around.root if around is not None else object(), now)
    return call, current.set(call)


def leave(token: Any) -> None:
    """End a call in this context. A coroutine that nobody awaits any more is ended in a context that knows no call."""
    with suppress(ValueError):
        current.reset(token)


def inside(loaded: Loaded) -> bool:
    """Return whether the plugin calls itself: an exception may still be handled by its own caller."""
    call = current.get()
    return call is not None and call.loaded is loaded
