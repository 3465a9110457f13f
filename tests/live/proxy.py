"""Stands between owui-watch and the real server, to do something at the very moment a request passes."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Meddle = Callable[[str, Callable[[], None]], None]
"""Called with ``METHOD path`` and what passes the request on; what it does before and after is its own."""


@contextmanager
def proxy(url: str, meddle: Meddle) -> Iterator[str]:
    """Pass requests on to ``url``; give the proxy's own URL."""
    upstream = urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            answers: list[tuple[int, list[tuple[str, str]], bytes]] = []

            def forward() -> None:
                connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=60)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in {"host", "connection"}}
                connection.request(self.command, self.path, body, headers)
                response = connection.getresponse()
                answers.append((response.status, response.getheaders(), response.read()))
                connection.close()

            meddle(f"{self.command} {self.path}", forward)
            if not answers:
                forward()
            status, headers, content = answers[0]
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in {"connection", "content-length", "transfer-encoding", "server", "date"}:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _pass  # noqa: N815 - the base class calls them so

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # owui-watch was killed
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
