"""Waiting for a server that installs ``requirements``: as long as it takes, and not in silence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import chain, repeat
from typing import TypeVar

import anyio

SLOW = 5.0
VERY_SLOW = 30.0
"""Seconds without an answer before a line says so, and between two more such lines."""
MOST_LOOKS = 12
LONGEST_PAUSE = 30.0
"""Looks, and the longest seconds between two, at a server that may still be at what was sent: four minutes in all, as
long as a large installation by pip takes. Then it is sent again."""

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


def pause_after(looks: int) -> float | None:
    """Return the seconds to wait after so many looks at a server that may still be at it; None where that is enough."""
    return min(LONGEST_PAUSE, 2.0**looks) if looks < MOST_LOOKS else None
