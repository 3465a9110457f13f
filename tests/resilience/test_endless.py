"""Answers without end, from the outside: the watch goes on with other plugins, and commands come to an end."""

from __future__ import annotations

import gzip
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.samples import source
from tests.live.server import Server
from tests.resilience.tcp_proxy import TcpProxy

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
ZEROS = gzip.compress(b'{"id": "' + b"0" * 2**24)
ENDLESS = {
    "text": (HEAD + b'\r\n{"id": "', b"x" * 65_536),
    "rows": (HEAD + b"\r\n[", b'{"id": "x", "content": "y"}, ' * 2_000),
    "headers": (HEAD, b"X-More: " + b"x" * 1_000 + b"\r\n"),
    "gzip": (HEAD + b"Content-Encoding: gzip\r\n\r\n" + ZEROS[:-8], ZEROS[10:-8]),
}


class EndlessProxy(TcpProxy):
    """Answers requests whose lines match ``pattern`` by ``first`` and ``part`` without end, until it is closed."""

    def __init__(self, server: Server, pattern: str, first: bytes, part: bytes) -> None:
        super().__init__(server.url)
        self._pattern, self._first, self._part = pattern, first, part
        self.closed = threading.Event()
        self.sent = 0

    def __exit__(self, *error: object) -> None:
        self.closed.set()
        super().__exit__(None, None, None)

    def _answer(self, client: socket.socket, line: str, headers: dict[str, str], body: bytes) -> bool:
        if not re.search(self._pattern, line):
            return super()._answer(client, line, headers, body)
        with suppress(OSError):
            for part in self._parts():
                client.sendall(part)
                self.sent += len(part)
        return False

    def _parts(self) -> Iterator[bytes]:
        yield self._first
        while not self.closed.is_set():
            yield self._part


@pytest.mark.parametrize("name", ["text", "gzip"])
def test_endless_look_delays_no_other_plugin(name: str, project: Project, server: Server) -> None:
    with EndlessProxy(server, r"GET .*/id/notes$", *ENDLESS[name]) as proxy:
        project.use(proxy.url, server.key)
        with project.watch() as run:
            project.save("notes.py", source(mark="one"))
            project.save("other.py", source(Kind.FILTER))
            run.wait_for("created", plugin="other")
            proxy.closed.set()
            run.interrupt()
            run.wait_for("stopped")
            run.ends(1 if run.of("stopped")[-1]["pending"] else 0)


@pytest.mark.parametrize("name", ENDLESS)
def test_listing_ends_status_with_a_reason(name: str, project: Project, server: Server) -> None:
    project.save("notes.py", source())
    with EndlessProxy(server, r"GET .*/(export|list|functions/|tools/)$", *ENDLESS[name]) as proxy:
        project.use(proxy.url, server.key)
        with project.run("status") as run:
            error = run.fails(2, patience=120)
        assert "Traceback" not in error
        assert proxy.url in error
