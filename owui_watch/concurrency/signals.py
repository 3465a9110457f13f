"""SIGINT and SIGTERM: the first one is waited for, the second one ends the process within a second, whatever runs."""

from __future__ import annotations

import _thread
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from owui_watch.concurrency.threads import Post, post_to_loop
from owui_watch.concurrency.wakeup import Wakeup

GRACE = 0.7
"""Seconds from the second signal to the end of the process, if it has not ended by itself."""
EXIT_CODE = 130
"""Of a process that was interrupted twice."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_current: Signals | None = None


class _Counter:
    """Counts signals. ``second`` is called from the second one on, in any thread, with the seconds that are left to end."""

    def __init__(self, second: Callable[[float], object], grace: float = GRACE) -> None:
        self._second = second
        self._grace = grace
        self._lock = threading.Lock()
        self._arrived = 0

    def arrive(self, count: int = 1) -> None:
        """Take in signals, in any thread. Also called for what ends a watch like a signal.

        Several at once came while a call kept all threads waiting, such as a long parse: their grace has gone by.
        """
        with self._lock:
            self._arrived += count
            again = self._arrived > 1
        if again:
            self._second(self._grace if count == 1 else 0)


class Signals(_Counter):
    """Signals as something to wait for. Each one ends one ``wait``, also a ``wait`` that begins after it arrived.

    ``second`` is called as a counter does. ``leave`` ends the process. ``post`` has a function called in the event loop;
    without it ``arrive`` is called there.
    """

    def __init__(
        self,
        second: Callable[[float], object] = lambda _: None,
        leave: Callable[[int], object] = os._exit,
        post: Post | None = None,
        grace: float = GRACE,
    ) -> None:
        super().__init__(second, grace)
        self.leave = leave
        self._post = post
        self._handled = 0
        self._waited_for = 0
        self._wakeup = Wakeup()

    def arrive(self, count: int = 1) -> None:
        """Take in signals, in any thread if there is a ``post``."""
        super().arrive(count)
        if self._post is None:
            self._wakeup.notify()
        else:
            self._post(self._wakeup.notify)

    def handle(self, *_: object) -> None:
        """Take in a signal in its handler, which runs before other threads hear of the signal."""
        self._handled += 1

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
def signals(leave: Callable[[int], object] = os._exit, grace: float = GRACE) -> Iterator[Signals]:
    """Take over SIGINT and SIGTERM, in the main thread and with a running event loop (asyncio).

    ``leave`` ends the process with an exit code; it is called ``grace`` seconds after the second signal.
    """
    global _current  # noqa: PLW0603 - the process has one set of signal handlers
    arriving = Signals(_leave_after(leave), leave, post_to_loop(), grace)
    before = [signal.signal(number, arriving.handle) for number in _SIGNALS]
    _current = arriving
    try:
        with _counted_by(arriving):
            yield arriving
    finally:
        _current = None
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def second_ends(leave: Callable[[int], object] = os._exit) -> Iterator[None]:
    """End the process ``GRACE`` after the second signal; handlers stay as they are. Needs no event loop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _counted_by(_Counter(_leave_after(leave))):
        yield


def _leave_after(leave: Callable[[int], object]) -> Callable[[float], None]:
    def leave_after(seconds: float) -> None:
        timer = threading.Timer(seconds, leave, (EXIT_CODE,))
        timer.daemon = True
        timer.start()

    return leave_after


@contextmanager
def _counted_by(counter: _Counter) -> Iterator[None]:
    """Pass each signal on to ``counter``, also those that arrive while the main thread is blocked.

    Python writes the number of each signal to a socket as soon as it arrives, so none is lost, and a thread of its own
    reads them. (Python's handlers run once for several signals, and not before a long call has returned.)
    """
    numbers, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    before = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_take_in, args=(numbers, counter), name="owui-watch signals", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        wakeup.close()


def _take_in(numbers: socket.socket, counter: _Counter) -> None:
    """Take in each signal whose number can be read, until the other end is closed."""
    with numbers, suppress(OSError):
        while read := numbers.recv(64):
            if count := sum(map(read.count, _SIGNALS)):
                with suppress(RuntimeError):  # the event loop is closed
                    counter.arrive(count)


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
