"""Wake everyone who waits, and lose no change."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from owui_watch.concurrency.wakeup import Wakeup

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class TestNotify:
    async def test_wakes_every_waiting_task_once(self) -> None:
        wakeup, woken = Wakeup(), list[int]()

        async def wait(number: int) -> None:
            await wakeup.wait()
            woken.append(number)
            await wakeup.wait()
            woken.append(-number)

        async with anyio.create_task_group() as tasks:
            for number in (1, 2, 3):
                tasks.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
            wakeup.notify()
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

        assert sorted(woken) == [1, 2, 3]

    async def test_without_a_waiter_is_forgotten(self) -> None:
        wakeup = Wakeup()
        wakeup.notify()

        with anyio.move_on_after(1) as waited:
            await wakeup.wait()

        assert waited.cancelled_caught


class TestUntil:
    async def test_returns_at_once_if_the_condition_holds(self) -> None:
        with anyio.fail_after(1):
            await Wakeup().until(lambda: True)

    async def test_goes_on_waiting_until_the_condition_holds(self) -> None:
        wakeup, counted = Wakeup(), list[int]()

        async def count() -> None:
            for number in range(5):
                await anyio.sleep(1)
                counted.append(number)
                wakeup.notify()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            await wakeup.until(lambda: len(counted) == 3)
            assert counted == [0, 1, 2]
