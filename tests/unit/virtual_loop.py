"""An asyncio loop in virtual time: for code that asks asyncio itself for timers, not anyio."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer instead of waiting for it. Nothing outside of it may wake it up."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jumping(self.advance))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._now += seconds


class _Jumping(selectors.DefaultSelector):
    """Tells ``advance`` how long it should have waited, and waits for nothing."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "the loop would wait for ever"
            self._advance(timeout)
        return ready
