"""Can this source text work as a plugin? Found by parsing; nothing is ever run or imported."""

from __future__ import annotations

import ast
import platform
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType

from owui_watch.glance import REWRITTEN, bound_at_a_glance, docstring_of
from owui_watch.plugin import Fault, Kind, Severity
from owui_watch.text import lines_of, source_line

_PYTHON = platform.python_version()
_LOOKS_LIKE = re.compile(r"^class\s+(Pipe|Filter|Action|Event|Tools)\b", re.MULTILINE)
_LOOKS_LIKE_EVENT = re.compile(r"^\s+(async\s+)?def\s+event\b", re.MULTILINE)
_EXITS = frozenset({"exit", "quit", "sys.exit", "os._exit", "builtins.exit", "builtins.quit"})
_EXIT_ERRORS = frozenset({"SystemExit", "builtins.SystemExit"})
_MAY_BE_REWRITTEN = re.compile(r"from (utils|apps|main|config)\w")


@dataclass(frozen=True)
class Examined:
    """What the text of a file says about itself.

    ``kind`` is None for no plugin; ``pipeline`` is true where it binds ``Pipeline`` (a Pipelines server's plugin).
    """

    kind: Kind | None
    pipeline: bool
    docstring: str | None
    faults: tuple[Fault, ...]


def examine(text: str) -> Examined:
    """Compile ``text`` without running it and look at what its top level binds."""
    return look_into(text, compiled(text))


def compiled(text: str) -> CodeType | Fault:
    """Compile ``text`` without running it, or say why that can't be done."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compile(text, "<plugin>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return _syntax_fault(text, error)
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return _uncompilable(error)


def look_into(text: str, code: CodeType | Fault) -> Examined:
    """Look at what the top level of ``text`` binds; ``code`` is what came of compiling it."""
    if isinstance(code, CodeType):
        try:
            bound = bound_at_a_glance(text, code)
            return _examined(text, _parsed(text)) if bound is None else _glanced(bound, code)
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            code = _uncompilable(error)
    return Examined(guess_kind(text), False, None, (code,))


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _glanced(bound: Mapping[str, set[str] | None], code: CodeType) -> Examined:
    """Tell what ``_examined`` would, of a text in which nothing needs a syntax tree."""
    classes = {name for name, inner in bound.items() if inner is not None}
    others = bound.keys() - {Kind.EVENT.class_name}
    if "event" not in (bound.get(Kind.EVENT.class_name) or ()):
        classes.discard(Kind.EVENT.class_name)
    return Examined(_kind(classes, others), "Pipeline" in bound, docstring_of(code), ())


def _kind(classes: Collection[str], others: Collection[str]) -> Kind | None:
    """Tell the kind: a class of the file's own beats a name that it only imports, like a library's ``Filter``."""
    for names in (classes, others):
        for kind in Kind:
            if kind.class_name in names:
                return kind
    return None


def _examined(text: str, tree: ast.Module) -> Examined:
    bound = dict(_bindings(tree.body))
    classes = {name for name, node in bound.items() if isinstance(node, ast.ClassDef) and _counts(node)}
    kind = _kind(classes, bound.keys() - {Kind.EVENT.class_name})
    faults = (*_exits(text, tree.body), *_rewritten_imports(text, tree))
    return Examined(kind, "Pipeline" in bound, ast.get_docstring(tree, clean=False), faults)


def guess_kind(text: str) -> Kind | None:
    """Kind of a file that does not parse, by the look of its lines; None where nothing looks like a plugin."""
    if "\r" in text:
        text = "\n".join(lines_of(text))
    found = set(_LOOKS_LIKE.findall(text))
    if Kind.EVENT.class_name in found and not _LOOKS_LIKE_EVENT.search(text):
        found.discard(Kind.EVENT.class_name)
    return next((kind for kind in Kind if kind.class_name in found), None)


def _syntax_fault(text: str, error: SyntaxError) -> Fault:
    source, column = source_line(text, error.lineno), error.offset or None
    if column and source is not None and error.text is None:
        # The compiler, unlike the parser, has no text at hand and counts bytes.
        column = _column(source, column - 1)
    return Fault(error.msg, error.lineno or None, column, source, hint=f"checked with Python {_PYTHON}")


def _uncompilable(error: Exception) -> Fault:
    why = "it is nested too deeply" if isinstance(error, RecursionError | MemoryError) else error
    return Fault(f"Python {_PYTHON} cannot compile it: {why}", hint="simplify the file")


def _fault_at(node: ast.stmt, text: str, error: str, hint: str, severity: Severity = Severity.ERROR) -> Fault:
    source = source_line(text, node.lineno) or ""
    return Fault(error, node.lineno, _column(source, node.col_offset), source, hint, severity)


def _column(line: str, offset: int) -> int:
    """Turn an offset in UTF-8 bytes, as ``ast`` counts, into a column in characters from 1."""
    return len(line.encode()[:offset].decode(errors="ignore")) + 1


def _counts(node: ast.ClassDef) -> bool:
    """``Event`` is too common a name: it counts only as a class with an ``event`` method."""
    return node.name != Kind.EVENT.class_name or any(
        isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name == "event" for item in node.body
    )


def _bindings(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Names that module-level statements bind, in order, those inside ``if``, ``try`` and ``with`` included."""
    pending = list(reversed(body))
    while pending:
        node = pending.pop()
        yield from ((name, node) for name in _names(node))
        pending.extend(reversed(_blocks(node)))


def _names(node: ast.stmt) -> list[str]:
    match node:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            return [node.name]
        case ast.Import() | ast.ImportFrom():
            return [_bound_by(alias) for alias in node.names]
        case ast.Assign():
            parts = (part for target in node.targets for part in ast.walk(target))
            return [part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return [name]
        case _:
            return []


def _bound_by(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _blocks(node: ast.stmt) -> list[ast.stmt]:
    """Give the statements inside ``node`` that belong to the module's top level and can run on the server."""
    match node:
        case ast.If():
            holds = _on_server(node.test)
            return [*(node.body if holds is not False else ()), *(node.orelse if holds is not True else ())]
        case ast.Try() | ast.TryStar():
            handlers = [statement for handler in node.handlers for statement in handler.body]
            return [*node.body, *handlers, *node.orelse, *node.finalbody]
        case ast.With():
            return node.body
        case _:
            return []


def _on_server(test: ast.expr) -> bool | None:
    """Tell how ``TYPE_CHECKING`` or ``__name__ == "__main__"`` comes out on the server; None for all other tests."""
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return False
        case ast.Compare(left=ast.Name(id="__name__"), ops=[op], comparators=[ast.Constant(value="__main__")]):
            return {ast.Eq: False, ast.NotEq: True}.get(type(op))
        case ast.Compare(left=ast.Constant(value="__main__"), ops=[op], comparators=[ast.Name(id="__name__")]):
            return {ast.Eq: False, ast.NotEq: True}.get(type(op))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            holds = _on_server(operand)
            return None if holds is None else not holds
        case ast.BoolOp(op=ast.And(), values=values):
            return False if any(_on_server(value) is False for value in values) else None
        case _:
            return None


def _exits(text: str, body: Sequence[ast.stmt]) -> Iterator[Fault]:
    """Find what ends the interpreter whenever the module is loaded.

    Open WebUI up to 0.6.5 ends with it, 0.6.43 to 0.10.2 hang, 0.11 and newer answer 500.
    """
    origins = {name: _origin(name, node) for name, node in _bindings(body)}
    for node in _always_run(body):
        if _is_exit(node, origins):
            error = "ends the interpreter as soon as it is loaded, and with it an older Open WebUI"
            yield _fault_at(node, text, error, 'remove it, or put it under `if __name__ == "__main__":`')


def _always_run(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.With):
            yield from _always_run(node.body)
        elif isinstance(node, ast.Try):
            if not node.handlers:
                yield from _always_run(node.body)
            yield from _always_run(node.finalbody)


def _is_exit(node: ast.stmt, origins: Mapping[str, str]) -> bool:
    match node:
        case ast.Expr(value=ast.Call(func=called)):
            return _dotted(called, origins) in _EXITS
        case ast.Raise(exc=ast.Call(func=raised)) | ast.Raise(exc=ast.expr() as raised):
            return _dotted(raised, origins) in _EXIT_ERRORS
        case _:
            return False


def _dotted(expression: ast.expr, origins: Mapping[str, str]) -> str:
    """Name what ``exit`` or ``s.exit`` means, imports under other names seen through."""
    match expression:
        case ast.Name(id=name):
            return origins.get(name, name)
        case ast.Attribute(value=ast.Name(id=name), attr=attribute):
            return f"{origins.get(name, name)}.{attribute}"
        case _:
            return ""


def _origin(name: str, node: ast.stmt) -> str:
    """Say where a module-level name comes from; empty where the file defines it itself."""
    match node:
        case ast.Import():
            return next((alias.name for alias in node.names if alias.asname == name), name)
        case ast.ImportFrom():
            return next(f"{node.module}.{alias.name}" for alias in node.names if _bound_by(alias) == name)
        case _:
            return ""


def _rewritten_imports(text: str, tree: ast.Module) -> Iterator[Fault]:
    """Find imports that the server's text replacement breaks (``from config`` → ``from open_webui.config``)."""
    if not _MAY_BE_REWRITTEN.search(text):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level or not node.module:
            continue
        top = node.module.partition(".")[0]
        if top.startswith(REWRITTEN) and top not in REWRITTEN:
            error = f"Open WebUI will turn `from {node.module}` into `from open_webui.{node.module}`, which fails"
            hint = f"write `import {node.module}` and use {node.module}.{node.names[0].name}"
            yield _fault_at(node, text, error, hint, Severity.WARNING)
