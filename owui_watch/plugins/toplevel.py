"""The top level of a module as a syntax tree: what it binds, and what runs whenever the server loads it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence


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
