"""The text of a plugin file: read with a cap, decoded as Python does, split into lines; and as the server will hold it."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import re
import tokenize
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path

from owui_watch.files import is_file, read_regular
from owui_watch.plugins.model import Diagnostic

LARGEST = 640_000
"""Bytes of the largest source file that is checked. The largest public plugin has 509,000."""
REWRITTEN = ("utils", "apps", "main", "config")
"""Modules whose imports the server redirects to its own package."""
_HEAD = 64_000
"""Bytes of a larger file that are looked at: enough for its header and usually its class."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_TEXT_ENCODINGS = re.compile(
    r"utf_?(8|7|16|32)|ascii|latin|iso(8859|2022)|cp\d|windows_?\d|koi8|mac_|gb|big5|hz|euc|shift|johab|kz1048|ptcp154|tis"
)
"""Normalised beginnings of the encodings of text. Python's other codecs may take endless time (punycode, idna), or
decode something else than text (unicode_escape, hex, rot13)."""
_WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SAVE_AS_UTF8 = "save it as UTF-8, or name its encoding in a coding line"


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A file of more than ``LARGEST`` bytes, and how it begins."""

    head: bytes = field(repr=False)


def read_source(path: Path) -> bytes | str | TooLarge:
    """Return the bytes of a regular file, or say in words what else it is. Raises OSError if it can't be read."""
    raw = read_regular(path, LARGEST)
    return TooLarge(_head(path)) if isinstance(raw, str) and is_file(path) else raw


def _head(path: Path) -> bytes:
    """Return the beginning of a file, without waiting for a writer if it has become a FIFO."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        return os.read(descriptor, _HEAD)
    finally:
        os.close(descriptor)


def decode(raw: bytes) -> str | Diagnostic:
    """Decode a file as Python would: byte-order mark, coding line, else UTF-8. Line endings stay as they are."""
    if (wide := _wide_encoding(raw)) is not None:
        error = f"the file is encoded as {wide.upper()}, which neither Python nor Open WebUI can load"
        return Diagnostic(error, hint="save it as UTF-8", rule="encoding")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        if not _TEXT_ENCODINGS.match(codecs.lookup(encoding).name.replace("-", "_")):
            raise LookupError(f"{encoding!r} is not a text encoding")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = raw.decode(encoding)
        text.encode()
    except (SyntaxError, UnicodeError, LookupError) as error:
        return _undecodable(raw, error)
    if "\0" in text:
        return _diagnostic_at(text.index("\0"), text, "NUL byte, which Python cannot compile", "save it as UTF-8 text")
    return text.removeprefix("\ufeff")


def legible_text(raw: bytes) -> str:
    """Return what can be read of bytes that ``decode`` refuses: enough to see whether they are meant as a plugin."""
    return raw.decode(_wide_encoding(raw) or "utf-8", "replace").removeprefix("\ufeff")


def _wide_encoding(raw: bytes) -> str | None:
    """Return ``utf-16`` or ``utf-32`` if ``raw`` is text of that kind, with a byte-order mark or without."""
    for mark, encoding in _WIDE.items():
        if raw.startswith(mark):
            return encoding
    beginning = raw[:1000]
    if len(beginning) >= 20 and beginning[1::2].count(0) > 0.8 * len(beginning) / 2 and beginning[::2].count(0) == 0:
        return "utf-16-le"
    if len(beginning) >= 20 and beginning[::2].count(0) > 0.8 * len(beginning) / 2 and beginning[1::2].count(0) == 0:
        return "utf-16-be"
    return None


def _undecodable(raw: bytes, error: Exception) -> Diagnostic:
    """Say why ``raw`` can't be decoded, and at which byte."""
    if isinstance(error, SyntaxError) and error.msg.startswith("invalid or missing"):
        try:
            raw.decode()
        except UnicodeDecodeError as found:
            error = found
    if not isinstance(error, UnicodeDecodeError):
        line = next((number for number, text in enumerate(raw[:1000].splitlines()[:2], 1) if b"coding" in text), None)
        return Diagnostic(f"not readable as text: {error}", line, hint=_SAVE_AS_UTF8, rule="encoding")
    # The text around the bad byte serves only to find its column and to show its line.
    encoding = "utf-8" if error.encoding == "utf-8" else "latin-1"
    before = raw[: error.start].decode(encoding, "replace")
    text = before + raw[error.start :].decode(encoding, "replace")
    return _diagnostic_at(len(before), text, f"not readable as text: {error}", _SAVE_AS_UTF8)


def _diagnostic_at(index: int, text: str, error: str, hint: str) -> Diagnostic:
    before = lines_of(text[:index])
    source = source_line(text, len(before))
    return Diagnostic(error, len(before), len(before[-1]) + 1, source, hint, rule="encoding")


def lines_of(text: str) -> list[str]:
    """Split ``text`` where Python and editors end a line, which is at fewer places than ``str.splitlines`` does."""
    return _LINE_END.split(text) if "\r" in text else text.split("\n")


def source_line(text: str, number: int | None) -> str | None:
    """Return line ``number`` (from 1) of ``text``; None if there is no such line."""
    if not number:
        return None
    ends = islice(_LINE_END.finditer(text), number - 2, None) if number > 1 else _LINE_END.finditer(text)
    start = 0
    if number > 1:
        before = next(ends, None)
        if before is None:
            return None
        start = before.end()
    end = next(ends, None)
    return text[start : end.start() if end else None]


def column_of(line: str, offset: int) -> int:
    """Turn an offset in UTF-8 bytes, as the compiler and ``ast`` count, into a column in characters from 1."""
    return len(line.encode()[:offset].decode(errors="ignore")) + 1


def rewritten(content: str) -> str:
    """Return ``content`` as the server will hold it: it replaces these imports in the whole text (0.3.35 to 0.12.4)."""
    for module in REWRITTEN:
        content = content.replace(f"from {module}", f"from open_webui.{module}")
    return content


@lru_cache(maxsize=4)  # one deploy needs the same digest several times
def digest(content: str) -> str:
    """Return a digest of ``content`` after the server's rewriting: equal if the server would hold the same."""
    return hashlib.sha256(rewritten(content).encode("utf-8", "surrogatepass")).hexdigest()
