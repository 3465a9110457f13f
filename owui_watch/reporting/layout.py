"""Fits the lines of an event to the terminal: wrapped at blanks with a hanging indent, source lines cut around a caret."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from owui_watch.reporting.console import GLUE, Excerpt

HEAD = 20
"""Columns of a time and the name of an event. The lines below are indented by as many."""
NARROW = 72
"""On a terminal with fewer columns, lines below are indented by ``NARROW_INDENT`` only."""
NARROW_INDENT = 4
LEAST = 24
"""Columns that a line has at least, however narrow the terminal."""
LONGEST = 100
"""Characters of a source line that are shown on either side of the caret if the output is no terminal."""


def below(margin: int, width: int | None) -> int:
    """Return the columns by which the lines below a head are indented. ``width``: None outside of a terminal."""
    return HEAD + margin if width is None or width >= NARROW else NARROW_INDENT


def lay_out(prefix: str, lines: Iterable[str | Excerpt], *, margin: int, width: int | None) -> list[str]:
    """Return the lines of one event. The first one begins with ``prefix`` (time and event); ``width`` is in columns."""
    first, *rest = lines
    indent = below(margin, width)
    laid_out = list(_wrapped(prefix, str(first), indent, width))
    for line in rest:
        if isinstance(line, Excerpt):
            laid_out += (" " * indent + text for text in source_lines(line, width and max(width, LEAST) - indent))
        else:
            laid_out += _wrapped(" " * indent, line, indent + 2, width)
    return [line.rstrip() for line in laid_out]


def _wrapped(start: str, text: str, indent: int, width: int | None) -> Iterator[str]:
    """Break ``text`` at blanks; ``start`` begins the first line, ``indent`` blanks begin each other one."""
    if width is None:
        yield start + text.replace(GLUE, " ")
        return
    width = max(width, LEAST)
    line, used = start, cells(start)
    empty = used <= indent  # A first word that is too long gets a line of its own only if that makes room.
    for blanks, word in _words(text):
        if not empty and used + blanks + cells(word) > width:
            yield line.rstrip()
            line, used = " " * indent, indent
        else:
            line, used = line + " " * blanks, used + blanks
        line += word.replace(GLUE, " ")
        used += cells(word)
        empty = False
    yield line


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Yield each word with the number of blanks before it."""
    blanks = 0
    for word in text.split(" "):
        if word:
            yield blanks, word
            blanks = 0
        blanks += 1


def source_lines(excerpt: Excerpt, width: int | None) -> Iterator[str]:
    """Yield the source line with its number, and a caret; of a long line the part near the caret."""
    gutter = f"  {excerpt.line} │ "
    at = (excerpt.column or 1) - 1
    before, after = (part.expandtabs(4) for part in (excerpt.source[:at], excerpt.source[at:]))
    after = after.rstrip()
    if width is None:
        left = right = LONGEST
    else:
        room = max(width - len(gutter), LEAST // 2)
        right = max(room - cells(before), room // 3)
        left = room - min(cells(after), right)
    before, after = _end_of(before, left), _start_of(after, right)
    yield f"{gutter}{before}{after}"
    if excerpt.column:
        yield f"  {' ' * len(str(excerpt.line))} │ {' ' * cells(before)}^"


def _end_of(text: str, columns: int) -> str:
    if cells(text) <= columns:
        return text
    while text and cells(text) > columns - 1:
        text = text[max(1, len(text) - columns) :]
    return "…" + text


def _start_of(text: str, columns: int) -> str:
    if cells(text) <= columns:
        return text
    while text and cells(text) > columns - 1:
        text = text[: min(len(text) - 1, columns)]
    return text + "…"


def cells(text: str) -> int:
    """Return the columns that ``text`` takes on a terminal: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
