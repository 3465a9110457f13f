"""Waiting for a server that installs ``requirements``: as long as it takes, and not in silence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import chain, repeat
from typing import TypeVar

import anyio

SLOW = 5.0
VERY_SLOW = 30.0
"""Seconds without an answer before a line says so, and between two more such lines."""

_Answer = TypeVar("_Answer")


async def patiently(call: Awaitable[_Answer], slow: Callable[[int], None]) -> tuple[_Answer, float]:
    """Wait for ``call``; give its answer and the seconds it took. ``slow`` is told now and then how many so far."""
    began = anyio.current_time()

    async def say_slow() -> None:
        for pause in chain([SLOW], repeat(VERY_SLOW)):
            await anyio.sleep(pause)
            slow(round(anyio.current_time() - began))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(say_slow)
        answer = await call
        tasks.cancel_scope.cancel()
    return answer, anyio.current_time() - began
