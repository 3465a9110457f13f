"""From the bytes of a file to its text, and to its lines as Python and editors count them."""

from __future__ import annotations

import io
import re
import tokenize
import warnings

from owui_watch.plugins.model import Diagnostic

_LINE_END = re.compile(r"\r\n|\r|\n")


def decode(raw: bytes) -> str | Diagnostic:
    """Turn a file's bytes into text as Python would: byte-order mark, coding line, else UTF-8. Line endings stay."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = raw.decode(encoding)
        text.encode()
    except (SyntaxError, UnicodeError, LookupError) as error:
        return _undecodable(raw, error)
    if "\0" in text:
        return _placed("holds NUL bytes, which Python cannot compile", text, text.index("\0"), "save it as UTF-8 text")
    return text.removeprefix("\ufeff")


def _undecodable(raw: bytes, error: Exception) -> Diagnostic:
    """Say what is wrong with bytes that are no text, and at which of them."""
    hint = "save it as UTF-8, or name its encoding in a coding line"
    if isinstance(error, SyntaxError) and error.msg.startswith("invalid or missing"):
        try:
            raw.decode()
        except UnicodeDecodeError as found:
            error = found
    if not isinstance(error, UnicodeDecodeError):
        line = next((number for number, text in enumerate(raw.splitlines()[:2], 1) if b"coding" in text), None)
        return Diagnostic(f"not readable as text: {error}", line, hint=hint)
    # Of the characters around the bad byte only the column and the line shown depend.
    encoding = "utf-8" if error.encoding == "utf-8" else "latin-1"
    before = raw[: error.start].decode(encoding, "replace")
    return _placed(
        f"not readable as text: {error}", before + raw[error.start :].decode(encoding, "replace"), len(before), hint
    )


def _placed(error: str, text: str, index: int, hint: str) -> Diagnostic:
    """Make a Diagnostic of the character at ``index``."""
    before = lines_of(text[:index])
    return Diagnostic(error, len(before), len(before[-1]) + 1, source_line(text, len(before)), hint)


def lines_of(text: str) -> list[str]:
    """Split ``text`` where Python and editors end a line, which is at fewer places than ``str.splitlines`` does."""
    return _LINE_END.split(text)


def source_line(text: str, number: int | None) -> str | None:
    """Return line ``number`` (from 1) of ``text``; None where there is no such line."""
    lines = lines_of(text)
    return lines[number - 1] if number and number <= len(lines) else None


def column_of(line: str, offset: int) -> int:
    """Turn an offset in UTF-8 bytes, as the compiler and ``ast`` count, into a column in characters from 1."""
    return len(line.encode()[:offset].decode(errors="ignore")) + 1


def printable(text: str) -> str:
    """Return ``text`` without control characters, which could rewrite a terminal; tabs become spaces."""
    text = text.expandtabs(4)
    return text if text.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in text)
