"""Source text to a syntax tree that Python can compile, in bounded time; what its top level binds and always runs.

Nothing is ever run or imported.
"""

from __future__ import annotations

import ast
import gc
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from owui_watch.concurrency import killable
from owui_watch.plugins.complexity import excess_of_text, excess_of_tree
from owui_watch.plugins.model import Diagnostic
from owui_watch.plugins.source import column_of, source_line

_PYTHON = ".".join(map(str, sys.version_info[:3]))
_kept: ContextVar[dict[str, ast.Module | Diagnostic] | None] = ContextVar("_kept", default=None)


@contextmanager
def parsed_once() -> Iterator[None]:
    """In the block, keep the tree of the text that was parsed last, and collect no garbage.

    The tree of a large file has a million objects and no cycles. The collector would look at all of them again and again,
    for up to two fifths of the time, and free none.
    """
    kept: dict[str, ast.Module | Diagnostic] = {}
    token, collects = _kept.set(kept), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        _kept.reset(token)
        kept.clear()  # before a collection can look at the tree
        if collects:
            gc.enable()


def parse(text: str) -> ast.Module | Diagnostic:
    """Parse and compile ``text``, or say why Python can't, or why that would take too long."""
    kept = _kept.get()
    if kept is None:
        return _parse(text)
    if text not in kept:
        kept.clear()
        kept[text] = _parse(text)
    return kept[text]


def _parse(text: str) -> ast.Module | Diagnostic:
    if (excess := excess_of_text(text)) is not None:
        return _too_complex(excess)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with killable():
                tree = ast.parse(text)
            if (excess := excess_of_tree(text, tree)) is not None:
                return _too_complex(excess)
            with killable():
                compile(tree, "<plugin>", "exec", dont_inherit=True)  # finds `return` outside a function and its like
    except SyntaxError as error:
        return _syntax_diagnostic(text, error)
    except (RecursionError, MemoryError):
        return nested_too_deeply()
    except (ValueError, OverflowError) as error:
        return Diagnostic(f"Python {_PYTHON} cannot compile it: {error}", hint="simplify the file", rule="syntax")
    return tree


def _too_complex(excess: str) -> Diagnostic:
    hint = "split it into modules, and keep data in files of their own"
    return Diagnostic(f"too complex to check: {excess}", hint=hint, rule="too-complex")


def nested_too_deeply() -> Diagnostic:
    """Say that a file is nested more deeply than Python, or our rules, can follow."""
    error = f"Python {_PYTHON} cannot compile it: it is nested too deeply"
    return Diagnostic(error, hint="simplify the file", rule="syntax")


def _syntax_diagnostic(text: str, error: SyntaxError) -> Diagnostic:
    source, column = source_line(text, error.lineno), error.offset or None
    if column and source is not None and error.text is None:
        # The compiler, unlike the parser, has no text at hand and counts bytes.
        column = column_of(source, column - 1)
    return Diagnostic(error.msg, error.lineno or None, column, source, f"checked with Python {_PYTHON}", rule="syntax")


def bindings(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the names that module-level statements bind, in order, those inside ``if``, ``try`` and ``with`` included."""
    return ((name, node) for node in _statements(body) for name, _ in _bound(node))


def origins(body: Sequence[ast.stmt]) -> dict[str, str]:
    """Return for each name that ``body`` binds the dotted name that it is imported from; empty if it is no import."""
    return {name: origin for node in _statements(body) for name, origin in _bound(node)}


def always_run(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run whenever ``body`` does, and whose errors nothing catches."""
    for node in body:
        yield node
        match node:
            case ast.With() if not suppresses_errors(node):
                yield from always_run(node.body)
            case ast.Try():
                if not node.handlers:
                    yield from always_run(node.body)
                yield from always_run(node.finalbody)
            case ast.If():
                holds = holds_on_server(node.test)
                if holds is not None:
                    yield from always_run(node.body if holds else node.orelse)


def dotted(expression: ast.expr, origins: Mapping[str, str]) -> str:
    """Return what ``exit`` or ``s.exit`` means: ``sys.exit`` if the name was imported from there."""
    match expression:
        case ast.Name(id=name):
            return origins.get(name, name)
        case ast.Attribute(value=ast.Name(id=name), attr=attribute):
            return f"{origins.get(name, name)}.{attribute}"
        case _:
            return ""


def dotted_path(expression: ast.expr) -> str:
    """Return ``a.b.c`` as it is written; empty for any other expression."""
    parts: list[str] = []
    while isinstance(expression, ast.Attribute):
        parts.append(expression.attr)
        expression = expression.value
    return ".".join([expression.id, *reversed(parts)]) if isinstance(expression, ast.Name) else ""


def bound_by(alias: ast.alias) -> str:
    """Return the name that an import binds."""
    return alias.asname or alias.name.partition(".")[0]


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of the top level that can run on the server, those inside ``if``, ``try`` and ``with`` too."""
    pending = list(reversed(body))
    while pending:
        node = pending.pop()
        if not isinstance(node, ast.Expr):
            yield node
            pending.extend(reversed(_blocks(node)))


def _bound(node: ast.stmt) -> Iterator[tuple[str, str]]:
    """Yield each name that ``node`` binds and the dotted name that it is imported from, empty if it is no import."""
    match node:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            yield node.name, ""
        case ast.Import():
            for alias in node.names:
                name = bound_by(alias)
                yield name, alias.name if alias.asname else name
        case ast.ImportFrom():
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                yield bound_by(alias), f"{module}.{alias.name}"
        case ast.Assign(targets=[ast.Name(id=name)]):
            yield name, ""
        case ast.Assign():
            for part in (part for target in node.targets for part in ast.walk(target)):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    yield part.id, ""
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            yield name, ""


def _blocks(node: ast.stmt) -> list[ast.stmt]:
    """Return the statements inside ``node`` that belong to the module's top level and can run on the server."""
    match node:
        case ast.If():
            holds = holds_on_server(node.test)
            return [*(node.body if holds is not False else ()), *(node.orelse if holds is not True else ())]
        case ast.Try() | ast.TryStar():
            handlers = [statement for handler in node.handlers for statement in handler.body]
            return [*node.body, *handlers, *node.orelse, *node.finalbody]
        case ast.With():
            return node.body
        case _:
            return []


def holds_on_server(test: ast.expr) -> bool | None:
    """Return the value of ``TYPE_CHECKING``, ``True`` or ``__name__ == "__main__"`` there; None for all other tests."""
    match test:
        case ast.Constant(value=value):
            return bool(value)
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return False
        case ast.Compare(left=ast.Name(id="__name__"), ops=[op], comparators=[ast.Constant(value="__main__")]):
            return {ast.Eq: False, ast.NotEq: True}.get(type(op))
        case ast.Compare(left=ast.Constant(value="__main__"), ops=[op], comparators=[ast.Name(id="__name__")]):
            return {ast.Eq: False, ast.NotEq: True}.get(type(op))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            holds = holds_on_server(operand)
            return None if holds is None else not holds
        case ast.BoolOp(op=ast.And(), values=values):
            return False if any(holds_on_server(value) is False for value in values) else None
        case _:
            return None


def suppresses_errors(node: ast.With) -> bool:
    """Return whether an error may end with the block, as in ``contextlib.suppress``."""
    calls = (item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call))
    return any(dotted(call.func, {}).endswith("suppress") for call in calls)
