"""SIGINT and SIGTERM: the first one is waited for, the second one ends the process within a second, whatever runs."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

from owui_watch.concurrency.wakeup import Wakeup

GRACE = 0.7
"""Seconds from the second signal to the end of the process, if it has not ended by itself."""
AT_ONCE = 0.02
"""Two signals that the event loop takes in within so many seconds came while it was blocked: the grace has gone by."""
EXIT_CODE = 130
"""Of a process that was interrupted twice."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_current: Signals | None = None


class Signals:
    """Signals as something to wait for. Each one ends one ``wait``, also a ``wait`` that begins after it arrived.

    ``second`` is called from the second signal on, maybe in a signal handler, with the seconds that are left to end.
    ``leave`` ends the process; ``clock`` gives seconds.
    """

    def __init__(
        self,
        second: Callable[[float], object] = lambda _: None,
        leave: Callable[[int], object] = os._exit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.leave = leave
        self._clock = clock
        self._second = second
        self._first_at = 0.0
        self._handled = 0
        self._arrived = 0
        self._waited_for = 0
        self._wakeup = Wakeup()

    def arrive(self) -> None:
        """Take in a signal, in the event loop. Also called for what ends a watch like a signal."""
        now = self._clock()
        self._arrived += 1
        if self._arrived == 1:
            self._first_at = now
        else:
            self._second(0 if now - self._first_at < AT_ONCE else GRACE)
        self._wakeup.notify()

    def handle(self, *_: object) -> None:
        """Take in a signal in its handler, which runs also while the event loop is blocked."""
        self._handled += 1
        if self._handled > 1:
            self._second(GRACE)

    @property
    def came(self) -> bool:
        """Whether a first signal has come."""
        return bool(self._handled or self._arrived)

    @property
    def came_twice(self) -> bool:
        """Whether a second signal has come: the process is about to end."""
        return self._handled > 1 or self._arrived > 1

    async def wait(self) -> None:
        """Wait for the next signal."""
        await self._wakeup.until(lambda: self._waited_for < self._arrived)
        self._waited_for += 1


@contextmanager
def signals(leave: Callable[[int], object] = os._exit) -> Iterator[Signals]:
    """Take over SIGINT and SIGTERM, in the main thread and with a running event loop (asyncio).

    ``leave`` ends the process with an exit code; it is called ``GRACE`` after the second signal.
    """
    import asyncio  # noqa: PLC0415 - see the package's docstring

    global _current  # noqa: PLW0603 - the process has one set of signal handlers
    loop = asyncio.get_running_loop()
    second: SimpleQueue[float | None] = SimpleQueue()  # put() is safe in a signal handler
    _current = arriving = Signals(second.put, leave)
    if sys.platform == "win32":  # the event loop knows no signals there

        def handle(*_: object) -> None:
            arriving.handle()
            loop.call_soon_threadsafe(arriving.arrive)

    else:
        handle = arriving.handle
        for number in _SIGNALS:
            # The loop counts signals by bytes in a pipe, so none is lost that arrives while the loop is blocked.
            loop.add_signal_handler(number, arriving.arrive)
    before = [signal.signal(number, handle) for number in _SIGNALS]
    threading.Thread(target=_leave_after, args=(second, leave), name="owui-watch signals", daemon=True).start()
    try:
        yield arriving
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            if sys.platform != "win32":
                loop.remove_signal_handler(number)
            else:
                signal.signal(number, handler)
        second.put(None)
        _current = None


def _leave_after(second: SimpleQueue[float | None], leave: Callable[[int], object]) -> None:
    """End the process after a second signal; return if the signals were given back without one."""
    grace = second.get()
    if grace is not None:
        time.sleep(grace)
        leave(EXIT_CODE)


@contextmanager
def killable() -> Iterator[None]:
    """Let a second signal kill the process during a call that checks no signals, such as Python's parser.

    Python runs signal handlers between bytecodes only. So after the first signal, and only then, the default
    disposition is restored for the block; after the second one the process ends here, since nothing else can end the
    block in time.
    """
    if _current is None or not _current.came or threading.current_thread() is not threading.main_thread():
        yield
        return
    if _current.came_twice:
        _current.leave(EXIT_CODE)
    before = [signal.signal(number, signal.SIG_DFL) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def interrupt_main_thread() -> None:
    """Do to the main thread what Ctrl-C does, also during a system call. May be called in any thread."""
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@contextmanager
def interruptible() -> Iterator[None]:
    """Take SIGINT in the main thread even if it is ignored, as in a background job of a shell script."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
