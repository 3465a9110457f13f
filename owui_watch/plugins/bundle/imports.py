"""What a module asks of the modules beside it, found in its syntax tree; nothing is ever run or imported.

Imports in functions, under ``try`` and under ``if`` count. Those under ``TYPE_CHECKING`` and under
``if __name__ == "__main__"`` don't: they never run on the server.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from owui_watch.plugins.model import Diagnostic
from owui_watch.plugins.source import REWRITTEN, column_of, source_line
from owui_watch.plugins.syntax import dotted, holds_on_server, suppresses_errors

STAR = "*"
RULE = "local-import"
"""Code of the check that refuses imports of local modules."""
_CATCHES = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_IMPORTERS = frozenset({"importlib.import_module", "__import__", "builtins.__import__"})
_OWN_NAMES = frozenset({"__name__", "__package__", "__spec__"})
"""Searched as plain words: one pattern of alternatives takes thirty times as long, for every file at a start."""


@dataclass(frozen=True, slots=True)
class LocalImport:
    """An import of a module that may lie beside the importing one.

    ``level`` counts the leading dots; 0 is an absolute name, whose first part is a library's. ``module`` is the dotted
    name behind the dots, maybe empty; ``names`` are what is imported from there (``*`` for all), each of them a name in
    that module or a module below it. ``is_optional``: the module handles a failure of this import itself.
    """

    level: int
    module: str
    names: tuple[str, ...]
    is_optional: bool
    line: int
    column: int
    source: str

    @property
    def spelled(self) -> str:
        """The module as the import statement names it: ``.client``, ``shared.text``."""
        return "." * self.level + self.module

    def diagnostic(self, error: str, hint: str) -> Diagnostic:
        """Return a diagnostic at this import."""
        return Diagnostic(error, self.line, self.column, self.source, hint, rule=RULE)


@dataclass(frozen=True, slots=True)
class ModuleImports:
    """All that a module imports from beside it.

    ``server_modules`` are those of Open WebUI's that it imports by their short names (``utils``); ``refused`` are
    imports that can't be followed.
    """

    imports: tuple[LocalImport, ...]
    server_modules: frozenset[str]
    refused: tuple[Diagnostic, ...]


def find_imports(text: str, tree: ast.Module, libraries: Collection[str]) -> ModuleImports:
    """Find the imports in ``tree``, which is ``text`` parsed, that may mean a local module."""
    known = dict(_imported_names(tree))
    imports: list[LocalImport] = []
    server_modules: set[str] = set()
    refused: list[Diagnostic] = []
    for node, is_optional in _running(tree):
        match node:
            case ast.ImportFrom(level=0, module=str(module)):
                top = module.partition(".")[0]
                if top in libraries:
                    names = tuple(alias.name for alias in node.names)
                    imports.append(_local(text, node, (0, module, names), is_optional))
                elif top in REWRITTEN:
                    server_modules.add(top)
            case ast.ImportFrom(level=level, module=found):
                names = tuple(alias.name for alias in node.names)
                imports.append(_local(text, node, (level, found or "", names), is_optional))
            case ast.Import(names=aliases):
                wanted = (alias.name for alias in aliases if alias.name.partition(".")[0] in libraries)
                imports.extend(_local(text, node, (0, module, ()), is_optional) for module in wanted)
            case ast.Call(func=called) if dotted(called, known) in _IMPORTERS:
                found_import = _dynamic(text, node, dotted(called, known), libraries, is_optional)
                if isinstance(found_import, Diagnostic):
                    refused.append(found_import)
                elif found_import is not None:
                    imports.append(found_import)
    return ModuleImports(tuple(imports), frozenset(server_modules), tuple(refused))


def _imported_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each name that an import of this module binds, at any depth, and what it stands for."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                yield from ((alias.asname, alias.name) for alias in aliases if alias.asname)
            case ast.ImportFrom(level=0, module=str(module), names=aliases):
                yield from ((alias.asname or alias.name, f"{module}.{alias.name}") for alias in aliases)


def _running(tree: ast.Module) -> Iterator[tuple[ast.AST, bool]]:
    """Yield the nodes that may run on the server, and whether a failed import is handled there."""
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, is_optional = pending.pop()
        yield node, is_optional
        pending.extend(reversed(list(_children(node, is_optional))))


def _children(node: ast.AST, is_optional: bool) -> Iterator[tuple[ast.AST, bool]]:
    match node:
        case ast.If():
            holds = holds_on_server(node.test)
            yield node.test, is_optional
            yield from ((each, is_optional) for each in (node.body if holds is not False else ()))
            yield from ((each, is_optional) for each in (node.orelse if holds is not True else ()))
        case ast.Try() | ast.TryStar():
            yield from ((each, is_optional or _handles(node.handlers)) for each in node.body)
            yield from ((each, is_optional) for each in (*node.handlers, *node.orelse, *node.finalbody))
        case ast.With() if suppresses_errors(node):
            yield from ((each, True) for each in node.body)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            yield from ((each, False) for each in ast.iter_child_nodes(node))
        case _:
            yield from ((each, is_optional) for each in ast.iter_child_nodes(node))


def _handles(handlers: Sequence[ast.ExceptHandler]) -> bool:
    """Return whether one of ``handlers`` takes a failed import."""
    caught = (each for handler in handlers for each in (ast.walk(handler.type) if handler.type else (None,)))
    return any(each is None or (isinstance(each, ast.Name) and each.id in _CATCHES) for each in caught)


def _local(
    text: str, node: ast.stmt | ast.expr, what: tuple[int, str, tuple[str, ...]], is_optional: bool
) -> LocalImport:
    source = source_line(text, node.lineno) or ""
    return LocalImport(*what, is_optional, node.lineno, column_of(source, node.col_offset), source)


def _dynamic(
    text: str, node: ast.Call, importer: str, libraries: Collection[str], is_optional: bool
) -> LocalImport | Diagnostic | None:
    """Return what ``importlib.import_module(…)`` or ``__import__(…)`` imports if that is a local module."""
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    if not arguments:
        return None
    name, others = arguments[0], arguments[1:]
    match name:
        case ast.Constant(value=str(literal)):
            level = len(literal) - len(literal.lstrip("."))
            if importer.endswith("__import__"):
                level = max(map(_number, others), default=0)
            elif level and not all(_is_own_name(each) for each in others):
                return _untold(text, node)
            elif not level and literal.partition(".")[0] in libraries:
                error = f"{importer} looks for {literal} in the whole server, where no plugin's modules have this name"
                return _refused(text, node, error, "use an import statement; inside a function it runs as late")
            if level or literal.partition(".")[0] in libraries:
                return _local(text, node, (level, literal.lstrip("."), ()), is_optional)
            return None
        case _:
            is_relative = bool(others) and not importer.endswith("__import__")
            return _untold(text, node) if is_relative or _may_be_local(name, others, libraries) else None


def _number(node: ast.expr) -> int:
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else 0


def _is_own_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in _OWN_NAMES


def _may_be_local(name: ast.expr, others: Sequence[ast.expr], libraries: Collection[str]) -> bool:
    """Return whether a name that is put together at run time looks like a local module's."""
    starts = [each.value for each in ast.walk(name) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    own = any(_is_own_name(each) for argument in (name, *others) for each in ast.walk(argument))
    return own or any(each.startswith(".") or each.partition(".")[0] in libraries for each in starts[:1])


def _untold(text: str, node: ast.Call) -> Diagnostic:
    error = "imports a local module whose name is only known at run time, so its file can't be sent along"
    return _refused(text, node, error, "write the name as a literal, or use an import statement")


def _refused(text: str, node: ast.expr, error: str, hint: str) -> Diagnostic:
    source = source_line(text, node.lineno) or ""
    return Diagnostic(error, node.lineno, column_of(source, node.col_offset), source, hint, rule=RULE)
