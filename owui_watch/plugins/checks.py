"""Can this source text work as a plugin? Found by parsing; nothing is ever run or imported."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Iterator, Set
from dataclasses import dataclass
from types import CodeType

from owui_watch.plugins.findings import exits, missing_method, other_kind, rewritten_imports
from owui_watch.plugins.glance import bound_at_a_glance, docstring_of
from owui_watch.plugins.model import Diagnostic, Kind
from owui_watch.plugins.source import column_of, lines_of, source_line
from owui_watch.plugins.toplevel import bindings, is_relative

_PYTHON = ".".join(map(str, sys.version_info[:3]))
_BY_CLASS = tuple((kind.class_name, kind) for kind in Kind)
_LOOKS_LIKE = re.compile(r"class\s+(Pipe|Filter|Action|Event|Tools)\b")
_LOOKS_LIKE_EVENT = re.compile(r"^\s+(async\s+)?def\s+event\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Examined:
    """What the text of a file says about itself.

    ``kind`` is None for no plugin; ``pipeline`` is true where it binds ``Pipeline`` (a Pipelines server's plugin).
    """

    kind: Kind | None
    pipeline: bool
    docstring: str | None
    diagnostics: tuple[Diagnostic, ...]


def examine(text: str) -> Examined:
    """Compile ``text`` without running it and look at what its top level binds."""
    return look_into(text, compiled(text))


def compiled(text: str) -> CodeType | Diagnostic:
    """Compile ``text`` without running it, or say why that can't be done."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compile(text, "<plugin>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return _syntax_diagnostic(text, error)
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return _uncompilable(error)


def look_into(text: str, code: CodeType | Diagnostic) -> Examined:
    """Look at what the top level of ``text`` binds; ``code`` is what came of compiling it."""
    if isinstance(code, CodeType):
        try:
            return _glanced(text, code) or _examined(text, _parsed(text))
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            code = _uncompilable(error)
    return Examined(guess_kind(text), False, None, (code,))


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _glanced(text: str, code: CodeType) -> Examined | None:
    """Tell what ``_examined`` would of a text in which all is well; None where only a syntax tree can tell."""
    bound = bound_at_a_glance(text, code)
    if bound is None:
        return None
    classes = {name for name, methods in bound.items() if methods is not None}
    if "event" not in (bound.get(Kind.EVENT.class_name) or ()):
        classes.discard(Kind.EVENT.class_name)
    own, kind = _kinds(classes, bound.keys())
    methods = bound.get(kind.class_name) if kind else None
    lacks_one = methods is not None and kind is not None and kind.called and methods.isdisjoint(kind.called)
    if own not in {kind, None} or lacks_one:
        return None
    return Examined(kind, "Pipeline" in bound, docstring_of(code), ())


def _kinds(classes: Set[str], bound: Set[str]) -> tuple[Kind | None, Kind | None]:
    """Tell the kind by the file's own ``classes``, and the kind to the server, by all names ``bound``.

    Functions and tools are apart on the server, and the own class tells which it is, not a library's ``Filter``. Of the
    functions the server takes the first in its order, imported or not. ``Event`` is too common a name to be imported.
    """
    own = next((kind for kind in Kind if kind.class_name in classes), None)
    if own is Kind.TOOL:
        return own, own
    counting = classes | (bound - {Kind.EVENT.class_name})
    return own, next((kind for kind in Kind if kind.class_name in counting), None)


def _examined(text: str, tree: ast.Module) -> Examined:
    bound = [(name, node) for name, node in bindings(tree.body) if not is_relative(node)]
    classes = {name for name, node in bound if isinstance(node, ast.ClassDef) and _counts(node)}
    names = {name for name, _ in bound}
    own, kind = _kinds(classes, names)
    diagnostics = () if kind is None else tuple(_diagnostics(text, tree, own, kind))
    return Examined(kind, "Pipeline" in names, ast.get_docstring(tree, clean=False), diagnostics)


def _diagnostics(text: str, tree: ast.Module, own: Kind | None, kind: Kind) -> Iterator[Diagnostic]:
    yield from exits(text, tree.body)
    yield from rewritten_imports(text, tree)
    yield from other_kind(text, tree, own, kind)
    yield from missing_method(text, tree, kind)


def guess_kind(text: str) -> Kind | None:
    """Kind of a file that does not parse, by the look of its lines; None where nothing looks like a plugin."""
    if "\r" in text:
        text = "\n".join(lines_of(text))
    # Not by `^`, which would try every line of every file at the start.
    found = {match[1] for match in _LOOKS_LIKE.finditer(text) if not match.start() or text[match.start() - 1] == "\n"}
    if Kind.EVENT.class_name in found and not _LOOKS_LIKE_EVENT.search(text):
        found.discard(Kind.EVENT.class_name)
    return next((kind for name, kind in _BY_CLASS if name in found), None)


def _syntax_diagnostic(text: str, error: SyntaxError) -> Diagnostic:
    source, column = source_line(text, error.lineno), error.offset or None
    if column and source is not None and error.text is None:
        # The compiler, unlike the parser, has no text at hand and counts bytes.
        column = column_of(source, column - 1)
    return Diagnostic(error.msg, error.lineno or None, column, source, hint=f"checked with Python {_PYTHON}")


def _uncompilable(error: Exception) -> Diagnostic:
    why = "it is nested too deeply" if isinstance(error, RecursionError | MemoryError) else error
    return Diagnostic(f"Python {_PYTHON} cannot compile it: {why}", hint="simplify the file")


def _counts(node: ast.ClassDef) -> bool:
    """``Event`` is too common a name: it counts only as a class with an ``event`` method."""
    return node.name != Kind.EVENT.class_name or any(
        isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name == "event" for item in node.body
    )
