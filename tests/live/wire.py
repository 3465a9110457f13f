"""What stands at an address: nothing yet, a way to the real server, or something that is no Open WebUI."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Door:
    """A loopback address that refuses connections until it is opened onto a server."""

    def __init__(self) -> None:
        # Bound and not listening: nobody else can take the port, and connections to it are refused.
        self._socket = _bound(0)
        self._port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    def close(self) -> None:
        self._socket.close()

    @contextmanager
    def open_to(self, url: str) -> Iterator[None]:
        """Pass everything on to ``url`` for as long as the context lasts; connections break off at its end."""
        self._socket.close()
        listening = _bound(self._port)
        opened, loop = threading.Event(), asyncio.new_event_loop()
        ended = asyncio.Event()

        async def serve() -> None:
            server = await asyncio.start_server(_relay(url), sock=listening)
            opened.set()
            await ended.wait()
            server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(serve())

        thread = threading.Thread(target=run)
        thread.start()
        try:
            assert opened.wait(10)
            yield
        finally:
            loop.call_soon_threadsafe(ended.set)
            thread.join()
            self._socket = _bound(self._port)


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _relay(url: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    upstream = urlsplit(url)

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await source.read(65536):
                sink.write(piece)
                await sink.drain()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # the door closes; asyncio would tell it as an error
            await pass_on(reader, writer)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(upstream.hostname, upstream.port)
        pumps = [asyncio.create_task(pump(reader, back)), asyncio.create_task(pump(there, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in pumps:
                task.cancel()
            writer.close()
            back.close()

    return relay


Answer = tuple[int, Mapping[str, str], str]


@contextmanager
def stub(answer: Callable[[str, Mapping[str, str]], Answer]) -> Iterator[str]:
    """Serve what ``answer`` makes of a request's path and headers (a status, headers, a body); give the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(self.path, dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

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
