"""Blocking work runs off the loop and keeps neither the loop nor the process waiting."""

from __future__ import annotations

import threading

import anyio
import pytest

from owui_watch.concurrency.threads import in_thread, post_to_loop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class TestInThread:
    async def test_returns_the_result(self) -> None:
        assert await in_thread(threading.current_thread) is not threading.main_thread()

    async def test_raises_the_exception(self) -> None:
        def fail() -> None:
            raise LookupError("x")

        with pytest.raises(LookupError):
            await in_thread(fail)

    async def test_cancelled_call_does_not_wait_for_its_thread(self) -> None:
        released, ran = threading.Event(), threading.Event()

        def block() -> None:
            assert threading.current_thread().daemon, "a thread that is no daemon would be joined at exit"
            released.wait(20)
            ran.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_thread, block)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

        assert not ran.is_set()
        released.set()
        assert ran.wait(20)


class TestPostToLoop:
    async def test_calls_in_the_loop_in_order(self) -> None:
        post, calls, done = post_to_loop(), list[int](), anyio.Event()

        def deliver() -> None:
            for number in range(3):
                post(lambda number=number: calls.append(number))  # type: ignore[misc]
            post(lambda: calls.append(threading.get_ident()))
            post(done.set)

        await in_thread(deliver)
        with anyio.fail_after(20):
            await done.wait()

        assert calls == [0, 1, 2, threading.get_ident()]
