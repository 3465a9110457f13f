"""An output that is full, closed or read by nobody: the watch deploys every save and stops as usual."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.harness import until
from tests.live.samples import source
from tests.live.server import Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices of POSIX")


@contextmanager
def full_disk() -> Iterator[int]:
    """Yield a descriptor that takes nothing: No space left on device."""
    with Path("/dev/full").open("w") as full:
        yield full.fileno()


@contextmanager
def abandoned_pipe() -> Iterator[int]:
    """Yield the write end of a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def unread_pipe(*, blocking: bool) -> Iterator[int]:
    """Yield the write end of a pipe that is full, with a reader that does not read."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, blocking)
    yield writer
    os.close(writer)
    os.close(reader)


@contextmanager
def no_stream() -> Iterator[int]:
    """Yield a descriptor that the watch closes before it starts."""
    yield subprocess.DEVNULL


STREAMS = {
    "full disk": (full_disk, "No space left on device"),
    "abandoned pipe": (abandoned_pipe, ""),
    "unread pipe": (lambda: unread_pipe(blocking=True), "nobody reads the output"),
    "unread pipe, not blocking": (lambda: unread_pipe(blocking=False), "nobody reads the output"),
    "closed": (no_stream, ""),
}


def close_all() -> None:
    os.close(0)
    os.close(1)


@pytest.mark.parametrize("name", STREAMS)
def test_every_save_is_deployed(project: Project, server: Server, name: str) -> None:
    make, reason = STREAMS[name]
    before: Callable[[], None] | None = close_all if name == "closed" else None
    project.save("notes.py", source(mark="one"))
    with (
        make() as stream,
        subprocess.Popen(
            [sys.executable, "-m", "owui_watch", "plugins/", "-v", "--sync"],
            cwd=project.folder,
            env=project.environ,
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,  # noqa: PLW1509 - this process starts no thread meanwhile
        ) as watch,
    ):
        try:
            until(lambda: _holds(server, "one"), "the watch has begun: what differs is deployed")
            for mark in ("two", "three"):
                project.save("notes.py", source(mark=mark))
                until(lambda mark=mark: _holds(server, mark), f"the save {mark} is deployed")  # type: ignore[misc]
            watch.send_signal(signal.SIGINT)
            _, errors = watch.communicate(timeout=60)
        finally:
            watch.kill()
    assert watch.returncode == (1 if reason else 0)
    assert reason in errors
    assert len(errors.splitlines()) == bool(reason)


def _holds(server: Server, mark: str) -> bool:
    return "notes" in server.ids() and server.content(Kind.PIPE, "notes") == source(mark=mark)
