"""SIGINT and SIGTERM, on every platform, as something that can be waited for."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Signals:
    """SIGINT and SIGTERM as something to wait for. Each ends one wait, also one that begins after it arrived."""

    def __init__(self) -> None:
        self._waiting = 0
        self._arrived = anyio.Event()

    def arrived(self, *_: object) -> None:
        """Take one in."""
        self._waiting += 1
        event, self._arrived = self._arrived, anyio.Event()
        event.set()

    async def wait(self) -> None:
        """Wait for the next one."""
        while not self._waiting:
            await self._arrived.wait()
        self._waiting -= 1


@contextmanager
def signals() -> Iterator[Signals]:
    """Take SIGINT and SIGTERM over. Windows' event loop knows no signals, so there the handler hops into it."""
    loop = asyncio.get_running_loop()
    arriving = Signals()
    numbers = (signal.SIGINT, signal.SIGTERM)
    if sys.platform == "win32":
        before = [signal.signal(n, lambda *_: loop.call_soon_threadsafe(arriving.arrived) and None) for n in numbers]
    else:
        for number in numbers:
            loop.add_signal_handler(number, arriving.arrived)
    try:
        yield arriving
    finally:
        if sys.platform == "win32":
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)
        else:
            for number in numbers:
                loop.remove_signal_handler(number)
