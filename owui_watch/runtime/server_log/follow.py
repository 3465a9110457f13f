"""``--server-log``: reports the errors of plugins from the log of a server of one's own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio

from owui_watch.concurrency import guarded, in_thread, post_to_loop
from owui_watch.reporting.events import Event, Note, Warned, as_warnings
from owui_watch.runtime.server_log.attribution import Source, raised_by
from owui_watch.runtime.server_log.tail import file_lines, stream_lines
from owui_watch.runtime.server_log.tracebacks import LoggedError, LogParser

_MOST_WAITING = 100
_SAME_WITHIN = 0.2
"""Seconds within which the same traceback is the same exception, logged by another layer of the server."""


class LogFollower:
    """Reads a log until it ends or the watch does. ``file`` is None for standard input."""

    def __init__(
        self, file: Path | None, sources: Callable[[], Sequence[Source]], report: Callable[[Event], None]
    ) -> None:
        self._file = file
        self._sources = sources
        self._report = report
        self._stopped = threading.Event()
        self._send, self._receive = anyio.create_memory_object_stream[LoggedError](_MOST_WAITING)

    def heard(self, event: Event) -> None:
        """Take no notice: a log has no part in a deploy."""

    async def finished(self) -> None:
        """Return at once: a log has no end that anyone waits for."""

    async def run(self) -> None:
        """Report errors until cancelled."""
        if self._file is not None and not self._file.is_file():
            self._report(
                Warned(f"the server's log {self._file} does not exist; owui-watch reads it as soon as it does")
            )
        post = post_to_loop()
        threading.Thread(target=self._read, args=(post,), name="owui-watch server log", daemon=True).start()
        last: tuple[float, LoggedError] | None = None
        try:
            async for error in self._receive:
                now = anyio.current_time()
                if last is not None and last[1] == error and now - last[0] < _SAME_WITHIN:
                    continue
                last = now, error
                with guarded("reading the server's log", as_warnings(self._report)):
                    sources = await in_thread(self._sources)
                    if (raised := raised_by(error, sources)) is not None:
                        self._report(raised)
        finally:
            self._stopped.set()

    def _read(self, post: Callable[[Callable[[], object]], None]) -> None:
        parser = LogParser()
        with suppress(RuntimeError, OSError, ValueError):  # the loop or standard input was closed
            for line in self._lines():
                if self._stopped.is_set():
                    return
                for error in parser.flush() if line is None else parser.feed(line):
                    post(partial(self._take, error))
            for error in parser.flush():
                post(partial(self._take, error))
            if self._file is None:
                post(
                    lambda: self._report(Warned("the server's log has ended: no more errors will be reported from it"))
                )

    def _lines(self) -> Iterator[str | None]:
        if self._file is None:
            return stream_lines(sys.stdin.buffer)
        return file_lines(self._file, self._stopped.is_set)

    def _take(self, error: LoggedError) -> None:
        with suppress(anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._send.send_nowait(error)


class LogShown:
    """Shows what a sandbox's server logs, line by line, for ``-vv``."""

    def __init__(self, file: Path, report: Callable[[Event], None]) -> None:
        self._file = file
        self._report = report
        self._stopped = threading.Event()

    def heard(self, event: Event) -> None:
        """Take no notice."""

    async def finished(self) -> None:
        """Return at once: a log has no end that anyone waits for."""

    async def run(self) -> None:
        """Show lines until cancelled."""
        post = post_to_loop()

        def read() -> None:
            with suppress(RuntimeError):  # the loop was closed
                for line in file_lines(self._file, self._stopped.is_set):
                    if line:
                        post(partial(self._report, Note(f"server: {line}")))

        threading.Thread(target=read, name="owui-watch server log", daemon=True).start()
        try:
            await anyio.sleep_forever()
        finally:
            self._stopped.set()
