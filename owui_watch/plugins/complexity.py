"""Is a file too complex to check? Limits on what Python takes more than about a second to parse or compile."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

from owui_watch.plugins.source import lines_of

_PUNCTUATION = b"()[]{},;:.=+-*/%<>&|^~@!\n"
MOST_PUNCTUATION = 150_000
"""Characters of ``_PUNCTUATION``. Parsing and compiling takes up to 6 µs for each (``a;`` repeated). Code of 500 kB
holds 60,000 to 90,000, minified JavaScript of that size 135,000."""
MOST_BLOCKS = 5_000
"""Functions, classes, lambdas, loops and comprehensions. Compiling equal ones takes time that grows with their square:
1 s for this many, 170 s for 64,000 (CPython 3.11 to 3.13 compare each with all others of the same hash)."""
_BLOCK_WORDS = ("def", "class", "lambda", "for")
_BLOCK = re.compile(rf"\b(?:{'|'.join(_BLOCK_WORDS)})\b(?!=)")
MOST_KEYWORDS = 10_000
"""Keyword arguments of one call. CPython compares each with each: 28 s for 60,000, 0.8 s for this many."""
MOST_LONG_NUMBERS = 5_000
"""Numbers that may have equal hashes, so that comparing them grows with the square of their number too."""
_LONG_NUMBER = re.compile(r"\b\d\w{15,}")
_MAY_BE_LONG_NUMBER = re.compile(r"\d\w{15}")
"""Matches wherever a long number stands, and in other places, in a third of the time."""
MOST_F_STRING = 2 * 10**9
"""Characters times braces, summed over f-strings. CPython 3.11 searches the whole f-string for each of its fields:
42 s for 640 kB of ``{a}``, 0.7 s for this much. CPython 3.12 and newer don't."""
MOST_NAMES_IN_BLOCKS = 10_000_000
"""Names of a function times the blocks inside it. CPython copies the names of a function for each block in it: 40 ns
each, 0.4 s for this many, 14 s for 70,000 names and 4,900 blocks (3.11)."""
MOST_HARMLESS = 8_000
"""Characters of a function that can't hold so many names and blocks: a block has four characters, a name two."""
_BINDING_SIGNS = ("=", ",", "as", "import", "global", *_BLOCK_WORDS)
"""One of these stands in the text for each name that a function binds."""
_F_STRING = re.compile(
    r"""(?:[fF][rR]?|[rR][fF])(?:"{3}(?:[^"\\]|\\.|"(?!""))*|'{3}(?:[^'\\]|\\.|'(?!''))*|"(?:[^"\\\n]|\\.)*|'(?:[^'\\\n]|\\.)*)""",
    re.DOTALL,
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_BLOCKS = (*_FUNCTIONS, ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def excess_of_text(text: str) -> str | None:
    """Say what ``text`` has so much of that parsing could take more than about a second; None if it is ordinary."""
    if sum(map(text.count, _BLOCK_WORDS)) > MOST_BLOCKS and (count := _count(_BLOCK, text)) > MOST_BLOCKS:
        return f"{count:,} functions, classes and loops; at most {MOST_BLOCKS:,} are checked"
    if len(text) > MOST_PUNCTUATION and (count := _count_punctuation(text)) > MOST_PUNCTUATION:
        return f"{count:,} operators, brackets and lines; at most {MOST_PUNCTUATION:,} are checked"
    if len(text) > MOST_LONG_NUMBERS * 17 and _count(_MAY_BE_LONG_NUMBER, text) > MOST_LONG_NUMBERS:
        count = _count(_LONG_NUMBER, text)
        if count > MOST_LONG_NUMBERS:
            return f"{count:,} numbers of more than 15 digits; at most {MOST_LONG_NUMBERS:,} are checked"
    if sys.version_info < (3, 12) and len(text) * text.count("{") > MOST_F_STRING:
        strings = (match[0] for match in _F_STRING.finditer(text))
        if sum(len(string) * string.count("{") for string in strings) > MOST_F_STRING:
            return "an f-string with too many fields"
    return None


def excess_of_tree(text: str, tree: ast.Module) -> str | None:
    """Say what a parsed text has so much of that compiling could take more than about a second."""
    if text.count("=") > MOST_KEYWORDS and text.count(",") >= MOST_KEYWORDS:
        for node in ast.walk(tree):
            names = node.kwd_attrs if isinstance(node, ast.MatchClass) else getattr(node, "keywords", ())
            if len(names) > MOST_KEYWORDS:
                return f"one call with {len(names):,} keyword arguments; at most {MOST_KEYWORDS:,} are checked"
    most_blocks = sum(map(text.count, _BLOCK_WORDS))
    if _most_names_in_blocks(text) > MOST_NAMES_IN_BLOCKS:
        lines = lines_of(text)
        for scope in _outermost_functions(tree):
            own = lines[scope.lineno - 1 : scope.end_lineno]
            # Counting words in its lines is a hundred times as fast as walking its tree.
            if sum(map(len, own)) < MOST_HARMLESS or _most_names_in_blocks("\n".join(own)) <= MOST_NAMES_IN_BLOCKS:
                continue
            names_in_blocks = _names(scope) * sum(isinstance(node, _BLOCKS) for node in ast.walk(scope))
            if names_in_blocks > MOST_NAMES_IN_BLOCKS:
                return "one function with too many names and functions in it"
        if "global" in text:
            declared = sum(len(node.names) for node in ast.walk(tree) if isinstance(node, ast.Global))
            if declared * most_blocks > MOST_NAMES_IN_BLOCKS:
                return f"{declared:,} names in `global` statements"
    return None


def _most_names_in_blocks(text: str) -> int:
    """Return an upper bound for the names that ``text`` binds, times the blocks in it."""
    return sum(map(text.count, _BLOCK_WORDS)) * sum(map(text.count, _BINDING_SIGNS))


def _outermost_functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda]:
    """Yield the functions of a module and its classes, but not the functions inside them."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, _FUNCTIONS):
            yield node
        else:
            pending.extend(ast.iter_child_nodes(node))


def _names(scope: ast.AST) -> int:
    """Return how many names ``scope`` and the blocks in it bind, at most."""
    bound = 0
    for node in ast.walk(scope):
        match node:
            case ast.Name(ctx=ast.Store()) | ast.arg() | ast.alias() | ast.MatchAs() | ast.ExceptHandler():
                bound += 1
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                bound += 1
    return bound


def _count_punctuation(text: str) -> int:
    raw = text.encode("utf-8", "surrogatepass")
    return len(raw) - len(raw.translate(None, _PUNCTUATION))


def _count(pattern: re.Pattern[str], text: str) -> int:
    return sum(1 for _ in pattern.finditer(text))
