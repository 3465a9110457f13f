"""A save that waits for a blocked server, in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from owui_watch.reporting.events import Event, Saved, Updated
from owui_watch.runtime.blocking_plugins import BLOCKED_AFTER, BlockedSaves

pytestmark = pytest.mark.anyio
SAVED = Saved(path=Path("/plugins/x.py"))
DEPLOYED = Updated("x", "pipe", Path("/plugins/x.py"), None, None, 1)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def interrupts(*steps: tuple[float, Event]) -> list[float]:
    """Report each event after a pause in seconds; return when the server was interrupted within the next minute."""
    moments: list[float] = []
    began = anyio.current_time()
    blocked = BlockedSaves(lambda: moments.append(anyio.current_time() - began))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(blocked.run)
        for pause, event in steps:
            await anyio.sleep(pause)
            blocked.heard(event)
        await anyio.sleep(60)
        tasks.cancel_scope.cancel()
    return moments


async def test_save_without_a_deploy_interrupts_once() -> None:
    assert await interrupts((0, SAVED)) == [pytest.approx(BLOCKED_AFTER)]


async def test_deploy_in_time_interrupts_nothing() -> None:
    assert await interrupts((0, SAVED), (0.3, DEPLOYED)) == []


async def test_later_save_interrupts_again() -> None:
    assert len(await interrupts((0, SAVED), (5, SAVED))) == 2


async def test_no_save_interrupts_nothing() -> None:
    assert await interrupts((0, DEPLOYED)) == []
