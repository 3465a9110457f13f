"""What a compiled module binds, told from its code object: several times cheaper than a syntax tree of all of it."""

from __future__ import annotations

import dis
import re
from collections.abc import Iterator
from inspect import CO_OPTIMIZED
from types import CodeType

from owui_watch.plugins.content import REWRITTEN

# Left to re's own cache: most texts hold no telltale.
MAY_BE_REWRITTEN = (
    r"from (?:utils|apps|main|config)\w|(?:\byield|\braise\b.*|\))[ \t]+from (?:utils|apps|main|config)\b"
)
"""Text of which the server's replacement of imports may break something."""
_TELLTALES = (
    *("exit", "Exit", "quit", "TYPE_CHECKING", "__name__", "import *", "from .", "from."),
    *(f"from {module}" for module in REWRITTEN),
)
_ONLY_A_TREE_TELLS = (
    r"\b(?:exit|quit|_exit|SystemExit|TYPE_CHECKING|__name__)\b|import \*|\bfrom\s*\.[.\w\s\\]*\bimport\b|"
    + MAY_BE_REWRITTEN
)
"""Text in which what counts depends on where it stands: under a condition, in a call, in an import. The telltales are
in any such text, and are found in a tenth of the time."""


def bound_at_a_glance(text: str, code: CodeType) -> dict[str, set[str] | None] | None:
    """Return the names that a module binds: for its own classes their methods' names, for all others None.

    ``code`` is ``text`` compiled. None where only the syntax tree can tell what matters.
    """
    if any(telltale in text for telltale in _TELLTALES) and re.search(_ONLY_A_TREE_TELLS, text):
        return None
    classes: dict[str, set[str]] = {}
    for inner in _inner(code):
        if not inner.co_flags & CO_OPTIMIZED:
            classes.setdefault(inner.co_name, set()).update(_methods(inner))
    return {name: classes.get(name) for name in _stored(code)}


def docstring_of(code: CodeType) -> str | None:
    """Return the docstring of a compiled module, as the compiler keeps it."""
    first = code.co_consts[0] if code.co_consts else None
    return first if isinstance(first, str) and "__doc__" in code.co_names else None


def _inner(code: CodeType) -> Iterator[CodeType]:
    return (const for const in code.co_consts if isinstance(const, CodeType))


def _methods(code: CodeType) -> Iterator[str]:
    return (inner.co_name for inner in _inner(code) if inner.co_flags & CO_OPTIMIZED)


def _stored(code: CodeType) -> Iterator[str]:
    """Names that module code binds."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"STORE_NAME", "STORE_GLOBAL"}:
            yield instruction.argval
