"""The top level of a module as a syntax tree: what it binds, and what runs whenever the server loads it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence


def bindings(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Names that module-level statements bind, in order, those inside ``if``, ``try`` and ``with`` included."""
    pending = list(reversed(body))
    while pending:
        node = pending.pop()
        yield from ((name, node) for name in _names(node))
        pending.extend(reversed(_blocks(node)))


def always_run(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run whenever ``body`` does, and whose errors nothing catches."""
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


def origins(body: Sequence[ast.stmt]) -> dict[str, str]:
    """Say of each name that ``body`` binds where it comes from; empty where the file defines it itself."""
    return {name: _origin(name, node) for name, node in bindings(body)}


def dotted(expression: ast.expr, origins: Mapping[str, str]) -> str:
    """Name what ``exit`` or ``s.exit`` means, imports under other names seen through."""
    match expression:
        case ast.Name(id=name):
            return origins.get(name, name)
        case ast.Attribute(value=ast.Name(id=name), attr=attribute):
            return f"{origins.get(name, name)}.{attribute}"
        case _:
            return ""


def bound_by(alias: ast.alias) -> str:
    """Name that an import binds."""
    return alias.asname or alias.name.partition(".")[0]


def is_relative(node: ast.stmt) -> bool:
    """Return whether it imports from its own package, of which the server knows nothing."""
    return isinstance(node, ast.ImportFrom) and node.level > 0


def _names(node: ast.stmt) -> list[str]:
    match node:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            return [node.name]
        case ast.Import() | ast.ImportFrom():
            return [bound_by(alias) for alias in node.names]
        case ast.Assign():
            parts = (part for target in node.targets for part in ast.walk(target))
            return [part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return [name]
        case _:
            return []


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
    """Tell how ``TYPE_CHECKING``, ``True`` or ``__name__ == "__main__"`` comes out there; None for all other tests."""
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


def _origin(name: str, node: ast.stmt) -> str:
    match node:
        case ast.Import():
            return next((alias.name for alias in node.names if alias.asname == name), name)
        case ast.ImportFrom():
            return next(f"{node.module}.{alias.name}" for alias in node.names if bound_by(alias) == name)
        case _:
            return ""
