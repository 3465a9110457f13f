"""A loopback server that answers every request with given bytes, and may never stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable

from owui_watch.openwebui.client import OpenWebUI

Answer = Callable[[], AsyncIterator[bytes]]


def head(status: int = 200, content_type: str = "application/json", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", f"content-type: {content_type}", "connection: close", *more]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def all_of(*parts: bytes) -> Answer:
    async def answer() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return answer


def endless(first: bytes, part: bytes) -> Answer:
    async def answer() -> AsyncIterator[bytes]:
        yield first
        while True:
            yield part

    return answer


@contextlib.asynccontextmanager
async def answering(answer: Answer, *, loopback: bool = True) -> AsyncIterator[OpenWebUI]:
    """Serve ``answer`` to each connection, and connect an OpenWebUI to it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            for line in request.lower().splitlines():
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line.partition(b":")[2]))
            async for part in answer():
                writer.write(part)
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    openwebui = OpenWebUI(url, "sk-key", shown_url=url, loopback=loopback)
    try:
        yield openwebui
    finally:
        await openwebui.close()
        server.close()


def rows(values: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(values) + b"]"
