"""What differs between two contents, as a unified diff that a terminal can show."""

from __future__ import annotations

import re
from difflib import unified_diff

from owui_watch.plugins.content import rewritten
from owui_watch.plugins.source import printable

_AFTER_LINE_END = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")
_NO_END = "\\ No newline at end of file"


def difference(old: str, new: str, old_name: str, new_name: str) -> tuple[str, ...]:
    """Return the lines of the diff from ``old`` to ``new``; none where the server would hold the same for both.

    Carriage returns are shown as ``␍``, so that a change of line endings alone can be seen.
    """
    found = unified_diff(_lines(rewritten(old)), _lines(rewritten(new)), old_name, new_name)
    return tuple(shown for line in found for shown in _shown(line))


def _lines(text: str) -> list[str]:
    return [line for line in _AFTER_LINE_END.split(text) if line]


def _shown(line: str) -> list[str]:
    bare = printable(line.removesuffix("\n").replace("\r", "␍"))
    headline = line.startswith(("--- ", "+++ ", "@@ "))
    return [bare] if headline or line.endswith(("\n", "\r")) else [bare, _NO_END]
