"""Output never waits for its stream: full disks, closed pipes, readers that do not read."""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import pytest

from owui_watch.reporting.output import Lost, Output, Thread

if TYPE_CHECKING:
    from typing_extensions import Buffer

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices of POSIX")
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


class Inline:
    """Stands in for the thread: writes everything when it is joined."""

    def __init__(self, run: Callable[[], None]) -> None:
        self._run = run

    def join(self, _timeout: float | None = None, /) -> None:
        self._run()


def inline(run: Callable[[], None]) -> Thread:
    return Inline(run)


def opened(descriptor: int | str, encoding: str = "utf-8") -> TextIO:
    return io.TextIOWrapper(io.BufferedWriter(io.FileIO(descriptor, "w")), encoding=encoding)


@contextmanager
def pipe(*, blocking: bool = True) -> Iterator[tuple[int, TextIO]]:
    """Yield the read end and the write end of a pipe."""
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    stream = opened(writer)
    try:
        yield reader, stream
    finally:
        stream.close()
        os.close(reader)


def fill(stream: TextIO) -> None:
    """Write to a pipe until it takes no more."""
    os.set_blocking(stream.fileno(), False)
    with suppress(BlockingIOError):
        while True:
            os.write(stream.fileno(), b"x" * 65536)
    os.set_blocking(stream.fileno(), True)


class TestWriting:
    def test_keeps_the_order(self) -> None:
        stream = io.StringIO()
        output = Output(stream, start=inline)
        for text in ("one\n", "", "two\n", "three"):
            assert output.write(text) == len(text)
        assert output.close() is None
        assert stream.getvalue() == "one\ntwo\nthree"

    def test_by_a_real_thread(self) -> None:
        stream = io.StringIO()
        output = Output(stream)
        for number in range(1000):
            output.write(f"{number}\n")
        assert output.close() is None
        assert stream.getvalue() == "".join(f"{number}\n" for number in range(1000))

    def test_of_nothing_starts_no_thread(self) -> None:
        before = threading.active_count()
        output = Output(io.StringIO())
        output.write("")
        assert (output.close(), threading.active_count()) == (None, before)

    def test_without_a_stream_is_no_error(self) -> None:
        output = Output(None)
        output.write("x\n")
        assert (output.close(), output.isatty(), output.width(), output.encoding) == (None, False, None, "utf-8")

    @pytest.mark.parametrize("buffered", [True, False])
    def test_shows_ascii_if_the_terminal_has_no_more(self, tmp_path: Path, buffered: bool) -> None:
        raw = io.FileIO(tmp_path / "out", "w")
        stream = io.TextIOWrapper(io.BufferedWriter(raw) if buffered else raw, encoding="ascii")
        output = Output(stream, start=inline)
        output.write("a → b │ “c” … größe\n")
        output.close()
        stream.close()
        assert (tmp_path / "out").read_text() == 'a -> b | "c" ... gr\\xf6\\xdfe' + os.linesep.replace("\r\n", "\n")

    def test_after_the_stream_object_was_closed_is_lost(self) -> None:
        stream = io.StringIO()
        stream.close()
        output = Output(stream, start=inline)
        output.write("x\n")
        lost = output.close()
        assert lost is not None
        assert lost.lines == 1
        assert not output.isatty()

    def test_to_a_descriptor_that_is_gone_loses_lines(self) -> None:
        class Gone(io.RawIOBase):
            def writable(self) -> bool:
                return True

            def write(self, _data: Buffer, /) -> int:
                raise OSError(errno.EBADF, "Bad file descriptor")

        output = Output(io.TextIOWrapper(io.BufferedWriter(Gone()), encoding="utf-8"), start=inline)
        output.write("x\n")
        assert output.close() == Lost(1, "Bad file descriptor")


class TestFullDisk:
    @FULL
    def test_loses_lines_and_says_how_many(self) -> None:
        with opened("/dev/full") as stream:
            output = Output(stream, start=inline)
            output.write("one\ntwo\n")
            output.write("three\n")
            assert output.take_lost() is None  # not tried yet
            assert output.close() == Lost(3, "No space left on device")

    def test_with_room_again_takes_text_again(self) -> None:
        disk = Disk()
        output = Output(io.TextIOWrapper(io.BufferedWriter(disk), encoding="utf-8"))
        output.write("torn line\n")
        output.write("lost\n")
        until(lambda: disk.failures == 2)
        disk.full = False
        output.write("whole\n")
        lost: list[Lost] = []
        until(lambda: lost.extend(filter(None, [output.take_lost()])) or lost)  # type: ignore[func-returns-value]
        assert lost == [Lost(2, "No space left on device")]
        assert output.take_lost() is None
        assert output.close() is None
        assert disk.written.split() == [b"torn", b"whole"]


class Disk(io.RawIOBase):
    """A file system with room for four bytes, until it is not ``full`` any more."""

    def __init__(self) -> None:
        self.full = True
        self.written = b""
        self.failures = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        if self.full and len(self.written) >= 4:
            self.failures += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = bytes(data)[: 4 if self.full else None]
        self.written += taken
        return len(taken)


def until(fact: Callable[[], object]) -> None:
    """Wait for another thread, at most five seconds."""
    pause = threading.Event()
    for _ in range(500):
        if fact():
            return
        pause.wait(0.01)
    pytest.fail("not within 5 s")


@POSIX
class TestPipe:
    def test_that_nobody_reads_never_blocks_and_drops_lines(self) -> None:
        with pipe() as (reader, stream):
            fill(stream)
            output = Output(stream, limit=1000)
            for _ in range(20):
                output.write("x" * 99 + "\n")
            assert output.take_lost() is None  # nobody reads yet
            assert output.close(0.05) == Lost(20, "nobody reads the output")
            os.read(reader, 65536)  # let the thread end

    def test_that_is_closed_is_told_apart(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        with opened(writer) as stream:
            output = Output(stream, start=inline)
            output.write("x\n")
            assert output.close() == Lost(1, "Broken pipe", closed=True)

    def test_that_is_not_blocking_gets_everything(self) -> None:
        with pipe(blocking=False) as (reader, stream):
            output = Output(stream)
            text = "".join(f"{number:099}\n" for number in range(3000))  # more than a pipe holds
            output.write(text)
            read = b""
            while len(read) < len(text):
                read += os.read(reader, 65536)
            assert output.close() is None
            assert read == text.encode()

    def test_that_is_not_blocking_delays_no_end(self) -> None:
        with pipe(blocking=False) as (_, stream):
            output = Output(stream)
            output.write("x" * 200_000)
            assert output.close(0.05) == output.close() == Lost(1, "nobody reads the output")
