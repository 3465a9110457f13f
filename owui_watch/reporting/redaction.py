"""Removes what no output may hold: secrets, and characters that control a terminal. All text passes through here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

REPLACED = "\ufffd"
"""Shown in place of a character that is not printable."""
_SHORTEST = 4
"""Characters of the shortest secret: hiding a shorter text would garble ordinary words."""
_RECOGNIZED = 8
"""Characters of the beginning of a secret that are hidden at the end of a text, which may have been cut there."""
_KEY = re.compile(r"(?a:\b)(?:sk-[\w.~+/=-]{8,}|eyJ[\w.~+/=-]{16,}|(?i:bearer)\s+(?=\S*\d)[\w.~+/=-]{8,})")
"""Texts with the form of an API key or a JWT. A plugin may contain the key of another service."""


class Secrets:
    """The secrets of a run, and how to hide them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Hide ``secret`` from now on. One of fewer than four characters is ignored."""
        if len(secret) >= _SHORTEST:
            self._secrets.add(secret)

    def hide(self, text: str) -> str:
        """Return ``text`` with ``***`` in place of every secret and of everything that looks like an API key."""
        for secret in sorted(self._secrets, key=len, reverse=True):  # one secret may begin with another
            text = _without_beginning(secret, text.replace(secret, "***"))
        return _KEY.sub("***", text)

    def unfinished(self, text: str) -> int:
        """Return how many characters at the end of ``text`` may be the beginning of a secret."""
        ends = (n for secret in self._secrets for n in range(1, len(secret)) if text.endswith(secret[:n]))
        return max(ends, default=0)


def _without_beginning(secret: str, text: str) -> str:
    """Hide a secret in which ``text`` was cut, if enough of the secret is left to be recognized."""
    at = text.rfind(secret[:_RECOGNIZED])
    if at >= 0 and len(secret) > _RECOGNIZED and secret.startswith(text[at:].rstrip("…")):
        return f"{text[:at]}***"
    return text


def printable(text: str) -> str:
    """Return one line of text without characters that could control a terminal; tabs become spaces."""
    return _replace_unprintable(text.expandtabs(4))


def printable_lines(text: str) -> str:
    """Return text with all lines printable. Tabs stay; every kind of line end becomes a line feed."""
    return "\n".join("\t".join(map(_replace_unprintable, line.split("\t"))) for line in text.splitlines())


def _replace_unprintable(text: str) -> str:
    return text if text.isprintable() else "".join(char if char.isprintable() else REPLACED for char in text)


def in_all_texts(value: object, change: Callable[[str], str]) -> object:
    """Return ``value`` with every text in it changed, also in tuples, lists and mappings."""
    match value:
        case str():
            return change(value)
        case list() | tuple():
            return type(value)(in_all_texts(item, change) for item in value)
        case Mapping():
            return {key: in_all_texts(item, change) for key, item in value.items()}
        case _:
            return value
