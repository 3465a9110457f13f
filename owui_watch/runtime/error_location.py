"""The line of a plugin that an error comes from, if only one line can have raised its text."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from owui_watch.plugins.source import source_line

_NAME = re.compile(r"(?:name|variable) '(\w+)' (?:is not defined|referenced before)|cannot access \w+ variable '(\w+)'")
_ATTRIBUTE = re.compile(r"has no attribute '(\w+)'")
_MODULE = re.compile(r"No module named '([\w.]+)'")
_KEY = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_SIGNATURE = re.compile(r"(?:\w+\.)?(\w+)\(\) (?:missing|takes|got an unexpected|got multiple)")
_DIVISION = re.compile(r"(?:division|modulo) by zero|division by zero")
_LONG_ENOUGH = 4
"""Characters of a raised text's constant part that are no accident in another text."""


def find_place(texts: Mapping[Path, str], error: str) -> tuple[Path, int, str | None] | None:
    """Return the file, the line (from 1) and its source that ``error``, a text alone, comes from.

    None if several lines fit, or none. ``texts`` are the files of a plugin. A server reports an error of a running plugin
    without its traceback. This searches the code for the raised text itself, the undefined name, or the missing
    attribute or key.
    """
    suspects = [(path, list(_suspects(_nodes(text), error))) for path, text in texts.items()]
    for number in range(1 + len(_PATTERNS)):
        places = {(path, line) for path, found in suspects for line in found[number]}
        if places:
            path, line = min(places)
            return (path, line, source_line(texts[path], line)) if len(places) == 1 else None
    return None


def _nodes(text: str) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _suspects(nodes: list[ast.AST], error: str) -> Iterator[list[int]]:
    """Yield the lines that each sign in ``error`` points to, the surest sign first."""
    yield [node.lineno for node in nodes if isinstance(node, ast.Raise) and _raises(node, error)]
    for pattern, matches in _PATTERNS:
        match = pattern.search(error) if pattern is not _KEY else pattern.fullmatch(error)
        named = next((group for group in match.groups() if group is not None), "") if match else ""
        yield [getattr(node, "lineno", 0) for node in nodes if match and matches(node, named)]


def _raises(node: ast.Raise, error: str) -> bool:
    """Return whether the constant parts of the raised text, f-string or not, stand in ``error`` in their order."""
    if not isinstance(node.exc, ast.Call) or not node.exc.args:
        return False
    text = node.exc.args[0]
    values = text.values if isinstance(text, ast.JoinedStr) else [text]
    parts = [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    if sum(map(len, parts)) < _LONG_ENOUGH:
        return False
    return re.search(".*".join(map(re.escape, parts)), error, re.DOTALL) is not None


def _reads_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)


def _reads_attribute(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.ctx, ast.Load)


def _imports(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name == name or alias.name.startswith(f"{name}.") for alias in node.names)
    return isinstance(node, ast.ImportFrom) and node.module is not None and f"{node.module}.".startswith(f"{name}.")


def _subscripts(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value == name


def _defines(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name


def _divides(node: ast.AST, _: str) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod)


_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[ast.AST, str], bool]], ...] = (
    (_NAME, _reads_name),
    (_ATTRIBUTE, _reads_attribute),
    (_MODULE, _imports),
    (_SIGNATURE, _defines),
    (_DIVISION, _divides),
    (_KEY, _subscripts),
)
