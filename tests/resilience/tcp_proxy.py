"""A TCP proxy before the real server that does what bad networks do: at will, or at random from a seed."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

LONGEST_STALL = 5.0
"""Seconds after which a stalled request is let go: nothing here waits for ever."""
HTML = b"<!doctype html><title>Bad gateway</title><h1>nginx</h1>"


@dataclass(frozen=True)
class Diagnostic:
    """What happens to one request.

    ``arrives``: the server gets it. ``answer`` is sent in place of the server's own. ``share`` of an answer is sent,
    then, where it is not all, the connection is reset. ``pause``: seconds before anything is passed on. ``closes``:
    from then on the proxy refuses connections. ``before`` is called before the request is passed on, ``strike`` when
    the server has it and has not answered. ``repeats``: a POST reaches the server twice, and the second answer is sent,
    as by a proxy that repeats requests after a time-out.
    """

    arrives: bool = True
    answer: bytes | None = None
    share: float = 1.0
    pause: float = 0.0
    closes: bool = False
    before: Callable[[], object] | None = None
    strike: Callable[[], object] | None = None
    repeats: bool = False


def answers(status: int, body: bytes = b'{"detail": "busy"}', *, html: bool = False, **headers: str) -> Diagnostic:
    """Answer in the server's place; ``retry_after="1"`` becomes the header."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}"]
    lines += [f"Content-Type: {'text/html' if html else 'application/json'}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return Diagnostic(arrives=False, answer="\r\n".join([*lines, "", ""]).encode() + body)


PASS = Diagnostic()
RESET_BEFORE = Diagnostic(arrives=False, share=0)
RESET_AFTER = Diagnostic(share=0)
TRUNCATED = Diagnostic(share=0.6)
DELAYED = Diagnostic(pause=0.15)
STALLED = Diagnostic(arrives=False, share=0, pause=LONGEST_STALL)
CUT_BEFORE = Diagnostic(arrives=False, share=0, closes=True)
CUT_AFTER = Diagnostic(share=0, closes=True)
FAILS = answers(500)
OVERLOADED = answers(429, retry_after="1")
WEB_PAGE = answers(200, HTML, html=True)
BAD_GATEWAY = answers(502, HTML, html=True)
REPEATED = Diagnostic(repeats=True)
ODD = (
    answers(200, b"null"),
    answers(200, b"[]"),
    answers(200, b"{}"),
    answers(200, b'{"id": ["p"], "content": 5, "is_active": "x"}'),
    answers(200, b'[null, {"id": ["p"], "type": [], "content": 5}, {"id": "p"}]'),
    answers(200, b'"\xff\xfe"'),
    answers(200, b"[" * 20_000 + b"]" * 20_000),
    answers(200, b"[]", content_encoding="gzip"),
    answers(200, b"", content_encoding="br"),
)
"""Answers with the status of success that no Open WebUI gives."""

MISFORTUNES = (
    RESET_BEFORE,
    RESET_AFTER,
    TRUNCATED,
    DELAYED,
    Diagnostic(arrives=False, share=0, pause=0.4),
    FAILS,
    answers(503),
    answers(429, retry_after="0.3"),
    answers(408),
    answers(425),
    WEB_PAGE,
    BAD_GATEWAY,
    REPEATED,
    REPEATED,
    *ODD,
    *(replace(odd, arrives=True) for odd in ODD),
)


class TcpProxy:
    """Passes requests on to ``upstream`` (URLs, in turn), each over a connection of its own, and meddles.

    ``requests`` are the lines (``POST /api/…``) in the order they came. ``accepted`` are the contents that the server
    took, by the path of their plugin (``functions/x``), in the order it took them. ``refused`` are those it did not.
    """

    def __init__(self, *upstream: str) -> None:
        self.upstream = upstream
        self._turn = itertools.count()
        self.requests: list[str] = []
        self.accepted: list[tuple[str, str]] = []
        self.refused: list[tuple[str, str]] = []
        self._script: list[tuple[str, Diagnostic]] = []
        self._always: list[tuple[str, Diagnostic]] = []
        self._storm: tuple[random.Random, float] | None = None
        self._failed: set[str] = set()
        self._lock = threading.RLock()
        self._released = threading.Event()
        self._listener: socket.socket | None = None
        self._clients: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        # Bound and never listened on: it keeps the port ours, and refuses connections, while the proxy is closed.
        self._placeholder = self._bound(0)
        self.port = self._placeholder.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Accept connections."""
        with self._lock:
            if self._listener is None:
                self._listener = self._bound(self.port)
                self._listener.listen(64)
                self._start(self._accept, self._listener)

    def close(self) -> None:
        """Refuse connections, and reset those that are open."""
        with self._lock:
            listener, self._listener = self._listener, None
            if listener is not None:
                with suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            for client in self._clients:
                _reset(client)
            self._clients.clear()

    def next(self, pattern: str, *diagnostics: Diagnostic) -> None:
        """Have each fault happen to one of the next requests whose line matches ``pattern``."""
        with self._lock:
            self._script += [(pattern, diagnostic) for diagnostic in diagnostics]

    def always(self, diagnostic: Diagnostic, pattern: str = "") -> None:
        """Have a fault happen to every request whose line matches, until ``calm``."""
        with self._lock:
            self._always.append((pattern, diagnostic))

    def storm(self, seed: int, share: float) -> None:
        """Have misfortunes from ``seed`` befall this share of all requests, until ``calm``."""
        with self._lock:
            self._storm, self._failed = (random.Random(seed), share), set()

    def calm(self) -> None:
        """Pass everything on from now on, and let go of what is stalled."""
        with self._lock:
            self._script, self._always, self._storm = [], [], None
            released, self._released = self._released, threading.Event()
        released.set()

    def count(self, pattern: str) -> int:
        """Count the requests so far whose line matches."""
        with self._lock:
            return sum(1 for line in self.requests if re.search(pattern, line))

    def taken(self, plugin: str) -> list[str]:
        """Return the contents that the server took for a plugin (``functions/x``), in order."""
        with self._lock:
            return [content for place, content in self.accepted if place == plugin]

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.calm()
        self.close()
        self._placeholder.close()
        for thread in self._threads:
            thread.join(timeout=LONGEST_STALL * 2)

    # --- inside ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _bound(port: int) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    def _start(self, target: Callable[[socket.socket], None], argument: socket.socket) -> None:
        thread = threading.Thread(target=target, args=(argument,), name=f"proxy {target.__name__}")
        self._threads = [each for each in self._threads if each.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if self._listener is not listener:
                    _reset(client)
                    client.close()
                    return
                self._clients.add(client)
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, client.makefile("rb") as stream, suppress(OSError, ValueError):
                while (request := _read_request(stream)) is not None:
                    if not self._answer(client, *request):
                        return
        finally:
            with self._lock:
                self._clients.discard(client)

    def _answer(self, client: socket.socket, line: str, headers: dict[str, str], body: bytes) -> bool:
        """Do what befalls this request; false where the connection is over."""
        with self._lock:
            self.requests.append(line)
            diagnostic, released = self._diagnostic(line), self._released
        released.wait(diagnostic.pause)
        if diagnostic.before is not None:
            diagnostic.before()
        own = self._pass_on(line, headers, body, diagnostic.strike) if diagnostic.arrives else None
        if diagnostic.repeats and line.startswith("POST "):
            own = self._pass_on(line, headers, body, None, again=True)
        answer = diagnostic.answer or own or b""
        with self._lock:
            if client not in self._clients:  # closed meanwhile
                return False
        client.sendall(answer[: int(len(answer) * diagnostic.share)])
        if diagnostic.closes:
            self.close()
        if diagnostic.share < 1 or not answer:
            _reset(client)
            return False
        return True

    def _diagnostic(self, line: str) -> Diagnostic:
        for index, (pattern, diagnostic) in enumerate(self._script):
            if re.search(pattern, line):
                del self._script[index]
                return diagnostic
        for pattern, diagnostic in self._always:
            if re.search(pattern, line):
                return diagnostic
        if self._storm is None or self._storm[0].random() >= self._storm[1]:
            return PASS
        diagnostic = self._storm[0].choice(MISFORTUNES)
        if diagnostic is FAILS and line in self._failed:
            return PASS  # 500 again and again, while looks succeed, means that the plugin itself is to blame
        if diagnostic is FAILS:
            self._failed.add(line)
        return diagnostic

    def _pass_on(
        self,
        line: str,
        headers: dict[str, str],
        body: bytes,
        strike: Callable[[], object] | None,
        *,
        again: bool = False,
    ) -> bytes | None:
        """Return the server's answer; None where it gave none."""
        method, path = line.split(" ")
        upstream = urlsplit(self.upstream[next(self._turn) % len(self.upstream)])
        connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=60)
        try:
            connection.request(method, path, body or None, headers)
            if strike is not None:
                strike()
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        if not again:
            self._take_note(line, body, response.status)
        kind = response.getheader("content-type", "")
        head = f"HTTP/1.1 {response.status} Answer\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
        return head.encode() + content

    def _take_note(self, line: str, body: bytes, status: int) -> None:
        match = re.fullmatch(r"POST /api/v1/(functions|tools)/(?:create|id/([^/]+)/update)", line)
        if match is None:
            return
        form: dict[str, Any] = json.loads(body)
        entry = f"{match[1]}/{match[2] or form['id']}", str(form["content"])
        with self._lock:
            (self.accepted if status == 200 else self.refused).append(entry)


def _read_request(stream: Any) -> tuple[str, dict[str, str], bytes] | None:
    """Read ``METHOD path``, headers and body; None at the end of the connection."""
    first = stream.readline().decode("latin-1").split(" ")
    if len(first) != 3:
        return None
    headers = {name.lower(): value for name, value in http.client.parse_headers(stream).items()}
    body = stream.read(int(headers.get("content-length", 0)))
    kept = headers.keys() - {"host", "connection", "accept-encoding"}
    return " ".join(first[:2]), {name: headers[name] for name in kept}, body


def _reset(connection: socket.socket) -> None:
    """End a connection at once (RST), and wake whoever reads from it."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
