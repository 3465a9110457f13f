"""The way of a record to owui-watch: a bounded queue, one thread, one TCP connection on loopback.

``put`` never blocks and never raises. What owui-watch does not read in time is counted and left out.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import deque
from typing import Any

_MOST_WAITING = 5_000
_MOST_BYTES = 60_000
_PARTIAL_SECONDS = 0.15
"""After this time without its end, a line is sent as far as it was written."""
MOST_LINE = 2_000
"""Characters of a line that are sent; the rest of a longer one is cut."""
Record = dict[str, Any]


class _Line:
    """A line that is still being written. ``text`` ends at MOST_LINE characters."""

    def __init__(self, head: Record) -> None:
        self.head = head
        self.text = ""
        self.cut = False
        self.sent = False
        self.begun = time.monotonic()


class Channel:
    """Sends records as lines of JSON, the first line being ``token``."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._waiting: deque[tuple[Any, Record, str]] = deque()
        self._lost = 0
        self._wake = threading.Event()
        self._lines: dict[Any, _Line] = {}
        self._closed = False
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)

    def put(self, record: Record) -> None:
        """Send a record."""
        self._add((None, record, ""))

    def write(self, key: object, head: Record, text: str) -> None:
        """Send what was written to a stream, line by line, each as ``head`` with its ``text``.

        ``key`` tells writers apart whose lines would mix.
        """
        self._add((key, head, text))

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _add(self, item: tuple[Any, Record, str]) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            self._lost += 1
            return
        self._waiting.append(item)
        self._wake.set()

    def _begin(self) -> None:
        """Start the thread, in a forked child too: there, no thread of the parent runs."""
        self._waiting = deque()
        self._lines = {}
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="owui-watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            connection = socket.create_connection(("127.0.0.1", self._port), timeout=10)
            connection.settimeout(None)
            connection.sendall(f"{self._token}\n".encode())
        except OSError:
            connection = None
        while not self._closed:
            self._wake.wait(_PARTIAL_SECONDS if self._lines else None)
            self._wake.clear()
            records = [record for item in self._taken() for record in self._records(*item)]
            records += self._partial()
            if self._lost:
                lost, self._lost = self._lost, 0
                records.append({"record": "lost", "count": lost})
            if connection is None or not records:
                continue
            try:
                connection.sendall(b"".join(map(_encoded, records)))
            except OSError:
                connection = None
        if connection is not None:
            connection.close()

    def _taken(self) -> list[tuple[Any, Record, str]]:
        taken: list[tuple[Any, Record, str]] = []
        while self._waiting and len(taken) < 500:
            taken.append(self._waiting.popleft())
        if self._waiting:
            self._wake.set()
        return taken

    def _records(self, key: object, head: Record, text: str) -> list[Record]:
        if key is None:
            return [head]
        records = []
        *ended, rest = text.split("\n")
        for part in ended:
            line = self._lines.pop(key, None) or _Line(head)
            _extend(line, part)
            if not line.sent:
                records.append(_finished(line))
        if rest:
            _extend(self._lines.setdefault(key, _Line(head)), rest)
        return records

    def _partial(self) -> list[Record]:
        """Send lines that wait for their end, once each. A full one is not kept: its rest is dropped until its end."""
        now = time.monotonic()
        records = []
        for key, line in list(self._lines.items()):
            if line.sent or now - line.begun < _PARTIAL_SECONDS:
                continue
            records.append(_finished(line))
            if line.cut:
                line.sent = True
            else:
                del self._lines[key]
        return records


def _extend(line: _Line, text: str) -> None:
    room = MOST_LINE - len(line.text)
    line.text += text[:room]
    line.cut = line.cut or len(text) > room


def _finished(line: _Line) -> Record:
    return {**line.head, "text": line.text, "cut": line.cut}


def _encoded(record: Record) -> bytes:
    line = json.dumps(record, ensure_ascii=True, default=repr).encode()
    if len(line) > _MOST_BYTES:  # many frames with long lines: the innermost ones say most
        record = {**record, "frames": record.get("frames", [])[-5:], "causes": [], "shortened": True}
        line = json.dumps(record, ensure_ascii=True, default=repr).encode()[:_MOST_BYTES]
    return line + b"\n"
