"""JSON from an untrusted server: read in parts, each row of a list on its own, bounded in bytes, depth and values.

A row that can't be read is dropped and counted; the rows before and after it are not affected. ijson (yajl2_c) splits
1.8 times as fast, but its first ``NaN`` or integer of 5,000 digits ends the whole list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

MAX_BYTES = 8 * 2**20
"""Bytes of one body, or of one row of a list. The largest public plugin has 0.5 MB."""
MAX_ROWS = 100_000
"""Rows of one list."""
MAX_SKIPPED_BYTES = 64 * 2**20
"""Bytes of oversized rows that are read and thrown away before the rest of the list is given up."""
MAX_DEPTH = 100
MAX_VALUES = 200_000
"""Nesting and values of one row: 8 MB of ``[[],[],…`` would become 200 MB of Python objects."""

_STRUCTURE = re.compile(rb'["\[\]{},]')
_STRING_END = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
"""The rest of a string, with the quote that ends it."""
_DETAIL = re.compile(rb'\s{0,10}\{\s{0,10}"detail"\s{0,10}:\s{0,10}"')
_SHOWN_BYTES = 16_384
_LONGEST_ESCAPE = len(r"\ud83d\ude00")
_QUOTE, _COMMA, _BACKSLASH, _LIST, _OPENING = ord('"'), ord(","), ord("\\"), ord("["), b"[{"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """JSON that can't be used, and why."""

    reason: str


def parse(raw: bytes) -> Any:
    """Return the value of one JSON text, or Unreadable. The bytes are read as UTF-8. Never raises."""
    scanner = _Scanner()
    for count, _ in enumerate(scanner.tokens(raw)):
        if problem := _excess(scanner.depth, count):
            return Unreadable(problem)
    return _decoded(raw)


def parse_start(raw: bytes | bytearray) -> Any:
    """Return ``{"detail": TEXT}`` for the start of an error's body that is too large; Unreadable if it has no text."""
    start = _DETAIL.match(raw)
    if start is None:
        return Unreadable(f"more than {MAX_BYTES >> 20} MB")
    cut = bytes(raw[start.end() : start.end() + _SHOWN_BYTES])
    if (end := _Scanner(in_string=True).string_end(cut)) is not None:
        cut = cut[:end]
    for end in range(len(cut), max(0, len(cut) - _LONGEST_ESCAPE), -1):
        text = _decoded(b'"' + cut[:end] + b'"')
        if isinstance(text, str):
            return {"detail": text}
    return Unreadable(f"more than {MAX_BYTES >> 20} MB")


class JsonRows:
    """Splits a list, or the first list in an object, into its rows while it arrives.

    ``on_row`` is called with the value of each row, Unreadable for one that can't be used. ``rows`` counts them all.
    ``complete``: the end of the list was seen.
    """

    content_type = "json"

    def __init__(self, on_row: Callable[[Any], None]) -> None:
        self._on_row = on_row
        self._scanner = _Scanner()
        self._text = bytearray()
        self._start = 0
        self._base = 0
        self._values = 0
        self._skipped = 0
        self._problem: str | None = None
        self._ended = False
        self.rows = 0
        self.complete = False

    def feed(self, data: bytes) -> bool:
        """Take the next part; return whether more is wanted."""
        if self._ended:
            return self.complete  # read to the end: otherwise the connection can't be used again
        self._text += data
        for token in self._scanner.tokens(self._text):
            if self._ends_list(token):
                self._ended = True
                break
        self._free()
        return self.complete or not self._ended

    def _ends_list(self, token: int) -> bool:
        """Take the next structural character; return whether nothing that follows matters."""
        depth = self._scanner.depth
        if not self._base:
            if token == _LIST and depth <= 2:
                self._base, self._start = depth, self._scanner.position
            return False
        if depth < self._base or (depth == self._base and token == _COMMA):
            self.complete = depth < self._base
            self._end_row()
            return self.complete or self.rows > MAX_ROWS
        self._values += 1
        self._problem = self._problem or _excess(depth - self._base, self._values)
        return False

    def _end_row(self) -> None:
        raw = bytes(self._text[self._start : self._scanner.position - 1])
        is_empty_list = self.complete and not self.rows and not self._problem and not raw.strip()
        if not is_empty_list:
            self.rows += 1
            self._on_row(Unreadable(self._problem) if self._problem else _decoded(raw))
        self._start, self._values, self._problem = self._scanner.position, 0, None

    def _free(self) -> None:
        """Free the bytes that are not needed any more: memory stays bounded by one row."""
        if self._scanner.position - self._start > MAX_BYTES:
            self._problem = f"more than {MAX_BYTES >> 20} MB"
        if self._problem or not self._base or self._ended:
            self._skipped += self._scanner.position - self._start
            self._start = self._scanner.position
            self._ended = self._ended or self._skipped > MAX_SKIPPED_BYTES
        del self._text[: self._start]
        self._scanner.position -= self._start
        self._start = 0


class _Scanner:
    """Finds structural characters outside strings, also if the text arrives in parts. Linear in the bytes."""

    def __init__(self, *, in_string: bool = False) -> None:
        self.position = 0
        self.depth = 0
        self._in_string = in_string

    def tokens(self, text: bytes | bytearray) -> Iterator[int]:
        """Yield each structural character from ``position`` on; ``position`` is then the index after it."""
        while True:
            if self._in_string and not self._skip_string(text):
                return
            found = _STRUCTURE.search(text, self.position)
            if found is None:
                self.position = len(text)
                return
            self.position = found.end()
            token = text[found.start()]
            if token == _QUOTE:
                self._in_string = True
                continue
            if token in _OPENING:
                self.depth += 1
            elif token != _COMMA:
                self.depth -= 1
            yield token

    def string_end(self, text: bytes) -> int | None:
        """Return the index of the quote that ends the string in which ``text`` begins; None if it is cut off."""
        return self.position - 1 if self._skip_string(text) else None

    def _skip_string(self, text: bytes | bytearray) -> bool:
        """Skip the rest of the string; return whether ``text`` holds its end."""
        if (end := _STRING_END.match(text, self.position)) is not None:
            self.position = end.end()
            self._in_string = False
            return True
        # An escape may go on in the next part: its backslash must still be ahead then.
        self.position = len(text) - _backslashes(text, self.position, len(text)) % 2
        return False


def _backslashes(text: bytes | bytearray, start: int, end: int) -> int:
    """Count the backslashes just before ``end``, not further back than ``start``."""
    index = end
    while index > start and text[index - 1] == _BACKSLASH:
        index -= 1
    return end - index


def _excess(depth: int, values: int) -> str | None:
    if depth > MAX_DEPTH:
        return f"JSON nested more than {MAX_DEPTH} levels deep"
    return f"JSON of more than {MAX_VALUES:,} values" if values > MAX_VALUES else None


def _decoded(raw: bytes) -> Any:
    try:
        return _DECODER.decode(raw.decode("utf-8", "replace").lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return Unreadable("broken JSON")
    except MemoryError:
        return Unreadable("too large for the memory of this machine")


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity: no JSON, and can't be sent back


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
