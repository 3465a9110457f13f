"""Blocking work in a thread, and results from other threads into the event loop (asyncio only)."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Protocol, TypeVar

T = TypeVar("T")

Post = Callable[[Callable[[], object]], None]
"""Has a function called in the event loop soon; may be called in any thread. Raises RuntimeError if the loop is closed.
"""


class RunInThread(Protocol):
    """Runs a blocking function off the event loop and returns its result. Tests pass one that runs it in place."""

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Run ``work``; return its result or raise its exception."""


def post_to_loop() -> Post:
    """Return how any thread can have a function called in the event loop that runs now."""
    import asyncio  # noqa: PLC0415 - see the package's docstring

    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()  # a thread's own context knows no event loop, which anyio needs

    def post(function: Callable[[], object]) -> None:
        loop.call_soon_threadsafe(function, context=context)

    return post


async def in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a thread of its own; return its result or raise its exception.

    A cancelled call returns at once and leaves the thread behind. It is a daemon, so a file system that does not answer
    keeps the process from ending no longer than the task (anyio's own threads are joined at exit).
    """
    import anyio  # noqa: PLC0415 - see the package's docstring

    post = post_to_loop()
    done = anyio.Event()
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # handed to the task that waits
            outcome.set_exception(error)
        with suppress(RuntimeError):
            post(done.set)

    threading.Thread(target=run, name="owui-watch worker", daemon=True).start()
    await done.wait()
    return outcome.result()
