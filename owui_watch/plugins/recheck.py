"""Checks a large file again after a small change: functions that compiled before and did not change are left out.

Compiling takes 0.2 ms a kilobyte, and most of a large plugin are methods that the save at hand did not touch. Its text
without them is as valid as the whole: only whole ``def`` and ``class`` statements are left out, between two places
that are known to begin a statement of the same block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType
from typing import NamedTuple

from owui_watch.plugins.checks import Examined, compiled, look_into
from owui_watch.plugins.model import Kind

LARGE = 30_000
"""Characters from which it is worth it: a shorter text compiles in a few milliseconds."""
REMEMBERED = 2
"""Large files whose last good text is kept: so many does an author work on at a time."""
_BEGINNINGS = ("def ", "async def ", "class ", "@")
_GOES_ON = (" ", "\t", ")", "]", "}", "#", "@", "def ", "async def ", "class ")
"""How the lines of such a statement can go on behind the indentation of its block."""
_KEPT = frozenset({*(kind.class_name for kind in Kind), "Pipeline", *(name for kind in Kind for name in kind.called)})
"""Names that tell what a file is, and methods that the server calls a plugin by: what has one is never left out."""
_CONCERNS_ITS_BLOCK = r"(?m)^[ \t]*global\b"
_LONE_RETURN = r"\r(?!\n)"


class _Start(NamedTuple):
    """A line (from 0) at which a function or a class begins that the module holds, or one of its classes does."""

    line: int
    indent: str
    name: str


@dataclass(frozen=True, slots=True)
class _Good:
    """A text without faults, as lines, and what begins in it, in order."""

    lines: Sequence[str]
    starts: Sequence[_Start]


class Rechecker:
    """Examines texts, and remembers of large ones what the next examination can leave out."""

    def __init__(self) -> None:
        self._good: dict[Path, _Good] = {}

    def examine(self, path: Path, text: str) -> Examined:
        """Tell what ``check.examine`` tells of ``text``, which is what the file at ``path`` holds now."""
        before = self._good.get(path)
        if len(text) < LARGE or re.search(_LONE_RETURN, text):
            return look_into(text, compiled(text))
        lines = text.split("\n")
        examined, starts = (before and _examine_change(before, lines)) or _examine_whole(text, lines)
        if not examined.diagnostics:
            self._good.pop(path, None)
            self._good[path] = _Good(lines, starts)
            if len(self._good) > REMEMBERED:
                del self._good[next(iter(self._good))]
        return examined


def _examine_whole(text: str, lines: Sequence[str]) -> tuple[Examined, Sequence[_Start]]:
    code = compiled(text)
    return look_into(text, code), _starts(code, lines) if isinstance(code, CodeType) else ()


def _examine_change(before: _Good, lines: Sequence[str]) -> tuple[Examined, Sequence[_Start]] | None:
    """Examine ``lines`` without what did not change since ``before``; None where only the whole text can tell."""
    above, below = _unchanged(before.lines, lines)
    shift = len(lines) - len(before.lines)
    # What follows the change is known to begin as it did only if this one does.
    anchor = next((start for start in before.starts if start.line >= len(before.lines) - below), None)
    moved = {}
    for first, last in _statements(before):
        if last < above:
            moved.update({number: number for number in range(first, last)})
        elif anchor is not None and first > anchor.line:
            moved.update({number: number + shift for number in range(first, last)})
    left_out = set(moved.values())
    kept = [number for number in range(len(lines)) if number not in left_out]
    shorter = [lines[number] for number in kept]
    text = "\n".join(shorter)
    code = compiled(text)
    if not isinstance(code, CodeType) or re.search(_CONCERNS_ITS_BLOCK, text):
        return None
    examined = look_into(text, code)
    starts = {start._replace(line=kept[start.line]) for start in _starts(code, shorter)}
    if examined.diagnostics or (anchor is not None and anchor._replace(line=anchor.line + shift) not in starts):
        return None
    starts.update(start._replace(line=moved[start.line]) for start in before.starts if start.line in moved)
    return examined, sorted(starts)


def _unchanged(before: Sequence[str], now: Sequence[str]) -> tuple[int, int]:
    """Count the lines at the beginning and at the end that are the same."""
    most = min(len(before), len(now))
    above = next((n for n in range(most) if before[n] != now[n]), most)
    below = next((n for n in range(most - above) if before[-1 - n] != now[-1 - n]), most - above)
    return above, below


def _starts(code: CodeType, lines: Sequence[str]) -> list[_Start]:
    """Find what begins in the module and in its classes; the methods of ``Event`` tell what it is, and don't count."""
    classes = [each for each in _inner(code) if not each.co_flags & CO_OPTIMIZED]
    blocks = [code, *(each for each in classes if each.co_name != Kind.EVENT.class_name)]
    return sorted(start for block in blocks for start in _starts_of_block(block, lines))


def _starts_of_block(block: CodeType, lines: Sequence[str]) -> Iterator[_Start]:
    for each in _inner(block):
        line = lines[each.co_firstlineno - 1]
        bare = line.lstrip(" \t")
        # Lambdas and comprehensions begin in the midst of a statement.
        if bare.startswith(_BEGINNINGS) and not each.co_name.startswith("<"):
            yield _Start(each.co_firstlineno - 1, line.removesuffix(bare), each.co_name)


def _inner(code: CodeType) -> Iterator[CodeType]:
    return (const for const in code.co_consts if isinstance(const, CodeType))


def _statements(good: _Good) -> Iterator[tuple[int, int]]:
    """Return first line and end of each statement that can be left out: one that another of its block follows at once.

    So the last one of a block is always kept, and no block is ever left empty.
    """
    following: dict[str, int] = {}
    found = []
    for start in reversed(good.starts):
        end = following.get(start.indent)
        following[start.indent] = start.line
        if end is not None and start.name not in _KEPT:
            goes_on = tuple(start.indent + beginning for beginning in _GOES_ON)
            if all(line.startswith(goes_on) or not line.strip() for line in good.lines[start.line + 1 : end]):
                found.append((start.line, end))
    return reversed(found)
