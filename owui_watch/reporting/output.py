"""Writes text to stdout from a thread of its own: no caller waits for a stream that is slow, full or closed."""

from __future__ import annotations

import codecs
import errno
import os
import select
import shutil
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from io import RawIOBase
from typing import Protocol, TextIO

LIMIT = 4_000_000
"""Characters that may wait for the stream. Text that comes while more wait is dropped and counted."""
WRITABLE_AGAIN = 0.2
"""Seconds between two attempts to write to a stream that is set to non-blocking and is full (EAGAIN)."""
_ASCII = {"→": "->", "│": "|", "…": "...", "“": '"', "”": '"', "·": "-", "─": "-", "’": "'", "✓": "ok", "\ufffd": "?"}


class Sink(Protocol):
    """Takes text."""

    def write(self, text: str, /) -> object:
        """Take ``text``."""


class Thread(Protocol):
    """A thread that runs."""

    def join(self, timeout: float | None = None, /) -> None:
        """Wait for its end, at most ``timeout`` seconds."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Lines that could not be written, and why."""

    lines: int
    reason: str
    closed: bool = False
    """The reader closed the stream (EPIPE): this is how ``| head`` ends, and no fault."""

    def __str__(self) -> str:
        return "1 line" if self.lines == 1 else f"{self.lines} lines"


def start_daemon(run: Callable[[], None]) -> Thread:
    """Start a thread that does not keep the process from ending, even while the stream blocks it."""
    thread = threading.Thread(target=run, name="owui-watch output", daemon=True)
    thread.start()
    return thread


class Output:
    """Text for ``stream``, in order. ``stream`` is None if the process was started with stdout closed.

    ``write`` never blocks and never raises. A failed write loses its text; the next text is tried again, because a full
    disk may have room again.
    """

    def __init__(
        self, stream: TextIO | None, *, limit: int = LIMIT, start: Callable[[Callable[[], None]], Thread] = start_daemon
    ) -> None:
        self._stream = stream
        self._limit = limit
        self._start = start
        self._changed = threading.Condition()
        self._queue: deque[str] = deque()
        self._in_flight = ""
        self._waiting = 0
        self._thread: Thread | None = None
        self._closing = False
        self._abandoned = False
        self._lost: Lost | None = None
        self._failing = False
        self._torn = False

    @property
    def encoding(self) -> str:
        """Encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:  # the stream object is closed
            return False

    def width(self) -> int | None:
        """Return the columns of the terminal, None if the stream is no terminal."""
        return shutil.get_terminal_size().columns if self.isatty() else None

    def write(self, text: str) -> int:
        """Have ``text`` written, or drop it if too much waits already. Return its length, as a text stream does."""
        if not text or self._stream is None:
            return len(text)
        with self._changed:
            if self._waiting > self._limit or self._closing:
                self._lose(text, "nobody reads the output")
                return len(text)
            self._queue.append(text)
            self._waiting += len(text)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = self._start(self._run)
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes everything at once. Text streams have this method."""

    def take_lost(self) -> Lost | None:
        """Return what was lost, once, as soon as the stream takes text again."""
        with self._changed:
            if self._lost is None or self._failing or self._waiting > self._limit:
                return None
            lost, self._lost = self._lost, None
            return lost

    def close(self, patience: float | None = None) -> Lost | None:
        """Wait until all text is written, at most ``patience`` seconds (None: for ever). Return what was lost.

        A second call does not wait again.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None and not self._abandoned:
            self._thread.join(patience)
        with self._changed:
            self._abandoned = True
            for text in filter(None, [self._in_flight, *self._queue]):
                self._lose(text, "nobody reads the output")
            self._in_flight = ""
            self._queue.clear()
            return self._lost

    def _lose(self, text: str, reason: str, *, closed: bool = False) -> None:
        before = self._lost.lines if self._lost else 0
        self._lost = Lost(before + max(1, text.count("\n")), reason, closed)

    def _run(self) -> None:
        while (text := self._next()) is not None:
            try:
                self._write_now(text)
            except (OSError, ValueError) as error:  # ValueError: somebody closed the stream object
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                closed = isinstance(error, BrokenPipeError) or getattr(error, "errno", None) == errno.EPIPE
                with self._changed:
                    self._failing = True
                    self._lose(text, reason, closed=closed)
            else:
                self._failing = False
            with self._changed:
                self._waiting -= len(text)
                self._in_flight = ""

    def _next(self) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            if not self._queue:
                return None
            self._in_flight = self._queue.popleft()
            return self._in_flight

    def _write_now(self, text: str) -> None:
        assert self._stream is not None
        raw = _raw(self._stream)
        if raw is None:
            self._stream.write(text)
            self._stream.flush()
            return
        # Not through the text stream: its buffer keeps what could not be written and sends it again later.
        data = memoryview(
            (text if os.linesep == "\n" else text.replace("\n", os.linesep)).encode(
                self.encoding, errors="owui-watch-ascii"
            )
        )
        if self._torn:
            raw.write(os.linesep.encode())
            self._torn = False
        whole = len(data)
        while data and not self._abandoned:
            try:
                written = raw.write(data)
            except OSError:
                self._torn = len(data) < whole
                raise
            if written is None:
                _wait_until_writable(raw.fileno())
            else:
                data = data[written:]


def _raw(stream: TextIO) -> RawIOBase | None:
    """Return the file below a text stream, None for a stream in memory. With PYTHONUNBUFFERED there is no buffer."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return raw if isinstance(raw, RawIOBase) else None


def _wait_until_writable(descriptor: int) -> None:
    """Wait for a non-blocking stream that is full. Windows can't select on a pipe, and has no such pipes."""
    if sys.platform != "win32":
        select.select([], [descriptor], [], WRITABLE_AGAIN)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Replace what a terminal's encoding lacks: our own symbols by ASCII ones, everything else by its escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_ASCII.get(char) or char.encode("ascii", "backslashreplace").decode() for char in text), error.end


codecs.register_error("owui-watch-ascii", _in_ascii)
