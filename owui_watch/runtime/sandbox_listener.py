"""Receives what plugins of a sandbox raise and write, and names the file of each plugin to the server."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import anyio.lowlevel

from owui_watch.concurrency import guarded
from owui_watch.plugins.model import Kind, PluginKey
from owui_watch.reporting.events import Event, Sending, Warned, as_warnings
from owui_watch.reporting.runtime_events import Raised
from owui_watch.runtime.sandbox_messages import LONGEST, events_of
from owui_watch.sandbox.server_channel import ServerChannel

_AT_ONCE = 65_536
_MOST_CONNECTIONS = 32
_LOADING = ("<module>", "__init__")
_SAME_LOAD_SECONDS = 2.0
_SPACES = {True: "tool", False: "function"}


class Listener:
    """Reports what the plugins of a sandbox raise and write. A follower of the watch's events."""

    def __init__(self, channel: ServerChannel, report: Callable[[Event], None]) -> None:
        self._channel = channel
        self._report = report
        self._files: dict[tuple[str, str], Path] = {}
        self._open = 0
        self._last_load: tuple[float, Raised] | None = None

    def heard(self, event: Event) -> None:
        """Name the file of a plugin to the server, before the plugin is sent."""
        if not isinstance(event, Sending) or event.path is None:
            return
        kind = Kind(event.kind)
        self._files[_SPACES[kind is Kind.TOOL], event.plugin] = event.path
        try:
            self._channel.locate(PluginKey(kind.space, event.plugin), event.path, dict(event.files))
        except OSError as error:
            self._report(Warned(f"the path of {event.plugin} could not be written for the sandbox: {error.strerror}"))

    async def finished(self) -> None:
        """Return at once: nobody waits for what a plugin may still say."""

    async def run(self) -> None:
        """Accept connections and report their messages, until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                await anyio.wait_readable(self._channel.listener)
                try:
                    connection, _ = self._channel.listener.accept()
                except OSError:  # it is gone again
                    await anyio.lowlevel.checkpoint()
                    continue
                connection.setblocking(False)
                if self._open >= _MOST_CONNECTIONS:
                    connection.close()
                    continue
                self._open += 1
                tasks.start_soon(self._read, connection)

    async def _read(self, connection: socket.socket) -> None:
        known = False
        with closing(connection):
            try:
                rest = b""
                while data := await _received(connection):
                    *complete, rest = (rest + data).split(b"\n")
                    for line in complete:
                        if not known:
                            known = hmac.compare_digest(line, self._channel.token.encode())
                            if not known:
                                return
                            continue
                        with guarded("reading a message of the sandbox", as_warnings(self._report)):
                            self._report_message(line)
                    if len(rest) > LONGEST:
                        return
                    await anyio.lowlevel.checkpoint()
            finally:
                self._open -= 1

    def _report_message(self, line: bytes) -> None:
        for event in events_of(line, lambda space, plugin: self._files.get((space, plugin))):
            if not self._is_repeated(event):
                self._report(event)

    def _is_repeated(self, event: Event) -> bool:
        """Return whether loading failed in the same way just now: a refused plugin is loaded again, to learn why."""
        if not isinstance(event, Raised) or event.method not in _LOADING:
            return False
        before, self._last_load = self._last_load, (anyio.current_time(), event)
        return before is not None and before[1] == event and self._last_load[0] - before[0] < _SAME_LOAD_SECONDS


async def _received(connection: socket.socket) -> bytes:
    """Wait for data; empty at the end of the connection."""
    while True:
        await anyio.wait_readable(connection)
        try:
            return connection.recv(_AT_ONCE)
        except BlockingIOError:
            continue
        except OSError:
            return b""
