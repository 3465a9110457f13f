"""What is wrong with a plugin that compiles: found in its syntax tree, each with its line and a way out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from owui_watch.plugins.content import REWRITTEN
from owui_watch.plugins.glance import MAY_BE_REWRITTEN
from owui_watch.plugins.model import Diagnostic, Kind, Severity
from owui_watch.plugins.source import column_of, lines_of, source_line
from owui_watch.plugins.toplevel import always_run, bindings, bound_by, dotted, is_relative, origins

_EXITS = frozenset({"exit", "quit", "sys.exit", "os._exit", "builtins.exit", "builtins.quit"})
_EXIT_ERRORS = frozenset({"SystemExit", "builtins.SystemExit"})
_LEADING_NAME = re.compile(r"\w+")


def exits(text: str, body: Sequence[ast.stmt], outer: Mapping[str, str] | None = None) -> Iterator[Diagnostic]:
    """Find what ends the interpreter whenever the module is loaded. ``outer`` are the names known around ``body``.

    Open WebUI up to 0.6.5 ends with it, 0.6.43 to 0.10.2 hang, 0.11 and newer answer 500.
    """
    known = {**(outer or {}), **origins(body)}
    for node in always_run(body):
        if isinstance(node, ast.ClassDef):
            yield from exits(text, node.body, known)
        elif _is_exit(node, known):
            error = "ends the interpreter as soon as it is loaded, and with it an older Open WebUI"
            yield _diagnostic_at(node, text, error, 'remove it, or put it under `if __name__ == "__main__":`')


def _is_exit(node: ast.stmt, known: Mapping[str, str]) -> bool:
    match node:
        case (
            ast.Expr(value=ast.Call(func=called))
            | ast.Assign(value=ast.Call(func=called))
            | ast.AnnAssign(value=ast.Call(func=called))
        ):
            return dotted(called, known) in _EXITS
        case ast.Raise(exc=ast.Call(func=raised)) | ast.Raise(exc=ast.expr() as raised):
            return dotted(raised, known) in _EXIT_ERRORS
        case _:
            return False


def other_kind(text: str, tree: ast.Module, own: Kind | None, kind: Kind) -> Iterator[Diagnostic]:
    """Find the name, no class of the file's own, that makes its plugin ``kind`` to the server and not ``own``."""
    if own is None or own is kind:
        return
    found = [node for name, node in bindings(tree.body) if name == kind.class_name and not is_relative(node)]
    error = f"Open WebUI takes this {kind.class_name} for the plugin, and not the file's own class {own.class_name}"
    hint = "give it another name"
    node = found[-1]
    if isinstance(node, ast.Import | ast.ImportFrom):
        imported = next(alias.name for alias in node.names if bound_by(alias) == kind.class_name)
        origin = f"from {node.module} " if isinstance(node, ast.ImportFrom) else ""
        hint = f"import it under another name (`{origin}import {imported} as …`)"
    yield _diagnostic_at(node, text, error, hint, Severity.WARNING)


def rewritten_imports(text: str, tree: ast.Module) -> Iterator[Diagnostic]:
    """Find what the server's text replacement breaks (``from config`` → ``from open_webui.config``)."""
    if not re.search(MAY_BE_REWRITTEN, text):
        return
    lines = lines_of(text)
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), level=0):
                top = module.partition(".")[0]
                if top.startswith(REWRITTEN) and top not in REWRITTEN:
                    way_out = f"write `import {module}` and use {module}.{node.names[0].name}"
                    yield _rewritten(node, text, module, way_out)
            case ast.YieldFrom(value=source) | ast.Raise(cause=ast.expr() as source):
                name = _behind_from(source, lines[source.lineno - 1])
                if name.startswith(REWRITTEN):
                    way_out = f"rename {name}, or put what follows `from` in parentheses"
                    yield _rewritten(source, text, name, way_out)


def _behind_from(source: ast.expr, line: str) -> str:
    """Return the name that ``source`` begins with, where the replacement takes it for a module's."""
    column = column_of(line, source.col_offset) - 1
    name = _LEADING_NAME.match(line, column)
    return name[0] if name and line.endswith("from ", 0, column) else ""


def _rewritten(node: ast.stmt | ast.expr, text: str, module: str, way_out: str) -> Diagnostic:
    error = f"Open WebUI will turn `from {module}` into `from open_webui.{module}`, which fails"
    return _diagnostic_at(node, text, error, way_out, Severity.WARNING)


def missing_method(text: str, tree: ast.Module, kind: Kind) -> Iterator[Diagnostic]:
    """Find a class that the server calls by a method which it can't have: not by inheritance, nor set from outside."""
    if not kind.called:
        return
    classes = [node for name, node in bindings(tree.body) if name == kind.class_name]
    plain = [node for node in classes if isinstance(node, ast.ClassDef) and not (node.bases or node.decorator_list)]
    if not classes or len(plain) < len(classes) or any(node.keywords for node in plain):
        return
    bound = {name for node in plain for name, _ in bindings(node.body)}
    if bound.isdisjoint({*kind.called, "__getattr__"}) and not any(_sets(node, kind.called) for node in ast.walk(tree)):
        names = " or ".join(f"{kind.class_name}.{name}" for name in kind.called)
        hint = f"deployed all the same; add `def {kind.called[0]}(self, body)`"
        yield _diagnostic_at(plain[-1], text, f"Open WebUI calls {names}, and there is none", hint, Severity.WARNING)


def _sets(node: ast.AST, names: Sequence[str]) -> bool:
    """Return whether ``node`` may set such an attribute: ``self.pipe = …``, ``setattr(…, "pipe", …)``."""
    match node:
        case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Constant(value=str(name)):
            return name in names
        case _:
            return False


def _diagnostic_at(
    node: ast.stmt | ast.expr, text: str, error: str, hint: str, severity: Severity = Severity.ERROR
) -> Diagnostic:
    source = source_line(text, node.lineno) or ""
    return Diagnostic(error, node.lineno, column_of(source, node.col_offset), source, hint, severity)
