"""What a module imports from beside it, found in its syntax tree. Nothing is ever run or imported.

Imports in functions, under ``try`` and under ``if`` count. Those under ``TYPE_CHECKING`` and under
``if __name__ == "__main__"`` don't: they never run on the server.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from owui_watch.plugins.model import Diagnostic
from owui_watch.plugins.source import REWRITTEN, column_of, source_line
from owui_watch.plugins.syntax import dotted, holds_on_server, suppresses_errors

STAR = "*"
RULE = "local-import"
"""Code of the check that refuses imports of local modules."""
_CATCHES = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_IMPORT_MODULE = "importlib.import_module"
_IMPORTERS = frozenset({_IMPORT_MODULE, "__import__", "builtins.__import__"})
_OWN_NAMES = frozenset({"__name__", "__package__", "__spec__"})


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
    imports that can't be followed. ``calls_import_module``: some of the imports are calls of
    ``importlib.import_module``. ``hides_library``: one of the refused imports is of a library's module.
    """

    imports: tuple[LocalImport, ...]
    server_modules: frozenset[str]
    refused: tuple[Diagnostic, ...]
    calls_import_module: bool
    hides_library: bool


def find_imports(text: str, tree: ast.Module, nodes: Sequence[ast.AST], libraries: Collection[str]) -> ModuleImports:
    """Find the imports in ``tree``, which is ``text`` parsed, that may mean a local module. ``nodes`` are all of it."""
    known = imported_names(nodes)
    may_call = "__import__" in text or "import_module" in text
    imports: list[LocalImport] = []
    server_modules: set[str] = set()
    refused: list[Diagnostic] = []
    calls_import_module = hides_library = False
    for node, is_optional in _running(tree, expressions=may_call):
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
            case ast.Call(func=called) if (importer := dotted(called, known)) in _IMPORTERS:
                found_import = _dynamic(text, node, importer, libraries, is_optional)
                if isinstance(found_import, Diagnostic):
                    refused.append(found_import)
                    hides_library |= _names_library(node, libraries)
                elif found_import is not None:
                    imports.append(found_import)
                    calls_import_module |= importer == _IMPORT_MODULE
    return ModuleImports(tuple(imports), frozenset(server_modules), tuple(refused), calls_import_module, hides_library)


def imported_names(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Return the names that imports among ``nodes`` bind, at any depth, and what each stands for."""
    known: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return known


def _running(tree: ast.Module, *, expressions: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Yield the nodes that may run on the server, and whether a failed import is handled there.

    Without ``expressions``: only statements, and nodes that contain statements; a twentieth of all nodes.
    """
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, is_optional = pending.pop()
        yield node, is_optional
        found = _children(node, is_optional)
        pending.extend(reversed([each for each in found if expressions or not isinstance(each[0], ast.expr)]))


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
    is_import_module = importer == _IMPORT_MODULE
    name = _argument(node, 0, "name")
    match name:
        case ast.Constant(value=str(literal)):
            level = len(literal) - len(literal.lstrip("."))
            names: tuple[str, ...] = ()
            if not is_import_module:
                level = _number(_argument(node, 4, "level"))
                names = _literals(_argument(node, 3, "fromlist"))
            elif level and not _is_own_name(package := _argument(node, 1, "package")):
                if not isinstance(package, ast.Constant) or not isinstance(package.value, str):
                    return _untold(text, node)
                ancestors = package.value.split(".")
                parts = [*ancestors[: len(ancestors) + 1 - level], literal.lstrip(".")]
                level, literal = 0, ".".join(filter(None, parts))
            if not level and literal.partition(".")[0] not in libraries:
                return None
            if importer == "builtins.__import__":
                error = f"{importer} looks for {literal} among the server's modules; a plugin's modules have other names there"
                return _refused(text, node, error, "use an import statement; inside a function, it runs just as late")
            return _local(text, node, (level, literal.lstrip("."), names), is_optional)
        case ast.expr():
            if is_import_module:
                is_relative = _argument(node, 1, "package") is not None
            else:
                is_relative = _number(_argument(node, 4, "level")) > 0
            is_local = is_relative or _may_be_local(node, name, libraries)
            return _untold(text, node) if is_local else None
        case _:
            return None


def _argument(node: ast.Call, place: int, name: str) -> ast.expr | None:
    """Return what a call passes for the parameter ``name``, the one at ``place``."""
    if place < len(node.args):
        return node.args[place]
    return next((keyword.value for keyword in node.keywords if keyword.arg == name), None)


def _number(node: ast.expr | None) -> int:
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else 0


def _literals(node: ast.expr | None) -> tuple[str, ...]:
    items = node.elts if isinstance(node, ast.List | ast.Tuple) else []
    return tuple(item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str))


def _is_own_name(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Name) and node.id in _OWN_NAMES


def _may_be_local(node: ast.Call, name: ast.expr, libraries: Collection[str]) -> bool:
    """Return whether ``name``, which is put together at run time, looks like a local module's."""
    own = any(_is_own_name(each) for argument in (*node.args, *node.keywords) for each in ast.walk(argument))
    return own or (_start(name) or "").startswith(".") or _names_library(node, libraries)


def _names_library(node: ast.Call, libraries: Collection[str]) -> bool:
    """Return whether the name that a call imports begins with a library's."""
    name = _argument(node, 0, "name")
    start = _start(name) if name is not None else None
    return start is not None and start.partition(".")[0] in libraries


def _start(name: ast.expr) -> str | None:
    """Return the literal that a name put together at run time begins with; None if it begins with something else."""
    match name:
        case ast.Constant(value=str(literal)):
            return literal
        case ast.JoinedStr(values=[first, *_]):
            return _start(first)
        case ast.BinOp(op=ast.Add() | ast.Mod(), left=left):
            return _start(left)
        case ast.Call(func=ast.Attribute(value=template, attr="format")):
            return _start(template)
        case ast.Call(func=ast.Attribute(attr="join"), args=[ast.List(elts=[first, *_])]):
            return _start(first)
    return None


def _untold(text: str, node: ast.Call) -> Diagnostic:
    error = "imports a local module whose name is only known at run time, so its file can't be sent along"
    return _refused(text, node, error, "write the name as a literal, or use an import statement")


def _refused(text: str, node: ast.expr, error: str, hint: str) -> Diagnostic:
    source = source_line(text, node.lineno) or ""
    return Diagnostic(error, node.lineno, column_of(source, node.col_offset), source, hint, rule=RULE)
