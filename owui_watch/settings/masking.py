"""Mask secrets: text of an error without keys, passwords and characters that control a terminal."""

from __future__ import annotations

import re

_LONGEST_SHOWN = 80
_LONGEST_NAME = 1000
_LOOKS_SECRET = r"(?ia)\b(sk-|eyJ|bearer\s+)[\w.~+/=-]{8,}|^(?=.*\d)[\w+=-]{32,}$"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
LOOKS_LIKE_KEY = "that looks like an API key; put it into OPENWEBUI_API_KEY"


class SettingsError(Exception):
    """The settings or the command line are wrong (exit code 2). The text is the whole message, and safe to show."""

    def __init__(self, text: str) -> None:
        super().__init__("\n".join(map(printable, text.split("\n"))))


class Secret:
    """A string that never shows itself: not in ``repr``, ``str``, a log line or a traceback."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the string itself, for sending and for hiding it elsewhere."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


def printable(text: str) -> str:
    """Return one line of text with an escape sequence for each character that is not printable."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def masked(url: str) -> str:
    """Return ``url`` for showing: ``user:password@`` becomes ``***@``. Hides too much rather than too little."""
    scheme = _SCHEME.match(url)
    start = scheme.group() if scheme else ""
    _, at, rest = url[len(start) :].rpartition("@")
    return f"{start}***@{rest}" if at else url


def shown(value: object) -> str:
    """Return a refused value for an error's text: short, printable, and ``***`` if it might be a key."""
    try:
        text = repr(masked(without_keys(value.strip()))) if isinstance(value, str) else repr(value)
    except RecursionError:
        return "a deeply nested value"
    text = printable(without_keys(text))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 4]}…"


def shown_name(name: str) -> str:
    """Return the name of a setting or a file for an error's text: one printable line, never a key."""
    text = printable(without_keys(name))
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


def looks_like_key(text: str) -> bool:
    """Return whether ``text`` might be a key, or hold one: then it must not be shown."""
    return re.search(_LOOKS_SECRET, text) is not None


def without_keys(text: str) -> str:
    """Return ``text`` with ``***`` in place of everything that might be a key."""
    return re.sub(_LOOKS_SECRET, "***", text)
