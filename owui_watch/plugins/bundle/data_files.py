"""Which files a module reads from beside it: ``Path(__file__).parent / "x.json"``, ``importlib.resources``.

Found in its syntax tree, so a name counts only if it is a literal. A path is followed through names that are only ever
assigned this path (``HERE = Path(__file__).parent``).
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from owui_watch.plugins.bundle.imports import imported_names
from owui_watch.plugins.model import Diagnostic
from owui_watch.plugins.source import column_of, source_line
from owui_watch.plugins.syntax import dotted

RULE = "package-data"
"""Code of the check that refuses files that can't be sent along."""
_FILE = "<file>"
_SAME_PLACE = frozenset(
    {"pathlib.Path", "pathlib.PurePath", "str", "os.fspath", "os.path.abspath", "os.path.realpath", "os.path.normpath"}
)
_SAME_PLACE_METHODS = frozenset({"resolve", "absolute", "as_posix", "expanduser", "__str__"})
_LISTS = frozenset({"glob", "rglob", "iterdir", "walk"})
_LISTERS = frozenset({"os.listdir", "os.scandir", "os.walk", "glob.glob", "glob.iglob"})
_READERS = frozenset({"read_text", "read_binary", "open_text", "open_binary", "path"})
_RESOURCES = "importlib.resources"
_OWN_PACKAGE = frozenset({"__package__", "__name__"})
_DEEPEST = 50

Parts = tuple[str, ...]
"""A path from the module's folder, ``..`` included; the module itself is ``("<file>",)``."""


@dataclass(frozen=True, slots=True)
class DataReference:
    """A path below the module's folder that the module names. ``must_exist``: it is certainly read, never written."""

    parts: Parts
    must_exist: bool
    line: int
    column: int
    source: str

    def diagnostic(self, error: str, hint: str) -> Diagnostic:
        """Return a diagnostic at the place that names the file."""
        return Diagnostic(error, self.line, self.column, self.source, hint, rule=RULE)


@dataclass(frozen=True, slots=True)
class ModuleData:
    """What a module reads from beside it, and ``refused``: what of that can't be told from its text."""

    references: tuple[DataReference, ...]
    refused: tuple[Diagnostic, ...]


def find_data(text: str, tree: ast.Module, nodes: Sequence[ast.AST]) -> ModuleData:
    """Find the files beside the module that ``tree``, which is ``text`` parsed, names. ``nodes`` are all of it."""
    if "__file__" not in text and "resources" not in text and "get_data" not in text:
        return ModuleData((), ())
    search = _Search(text, tree, nodes)
    return ModuleData(tuple(search.references), tuple(search.refused))


class _Search:
    """Goes through the expressions of one module, the widest first: of ``a / "b" / "c"`` only the whole counts."""

    def __init__(self, text: str, tree: ast.Module, nodes: Sequence[ast.AST]) -> None:
        self._text = text
        self._known = imported_names(nodes)
        self._assigned = _assigned(nodes)
        self.references: list[DataReference] = []
        self.refused: list[Diagnostic] = []
        pending: list[ast.AST] = [tree]
        while pending:
            node = pending.pop()
            if not (isinstance(node, ast.expr) and self._is_path(node)):
                pending.extend(ast.iter_child_nodes(node))

    def _is_path(self, node: ast.expr) -> bool:
        """Note ``node`` if it is a path from the module's folder, or may be one. Its parts are then not looked at."""
        if self._is_untold(node):
            error = (
                "reads a file beside the module, but its name is only known at run time: the file can't be sent along"
            )
            self.refused.append(self._at(node, error, "write the name as a literal"))
            return True
        if (resource := self._resource(node)) is not None:
            self._note(node, resource, must_exist=True)
            return True
        if isinstance(node, ast.Name) or (parts := self._place(node)) is None or _FILE in parts:
            return False
        if parts:
            self._note(node, parts, must_exist=False)
        return True

    def _note(self, node: ast.expr, parts: Parts, *, must_exist: bool) -> None:
        source = source_line(self._text, node.lineno) or ""
        column = column_of(source, node.col_offset)
        self.references.append(DataReference(parts, must_exist, node.lineno, column, source))

    def _at(self, node: ast.expr, error: str, hint: str) -> Diagnostic:
        source = source_line(self._text, node.lineno) or ""
        return Diagnostic(error, node.lineno, column_of(source, node.col_offset), source, hint, rule=RULE)

    def _is_untold(self, node: ast.expr) -> bool:
        """Return whether ``node`` names a file in a known folder by a name that is known only at run time."""
        folder, names = self._appended(node)
        if folder is not None:
            return self._is_folder(folder) and self._names(names) is None
        match node:
            case ast.Call(func=ast.Attribute(value=path, attr="with_name" | "with_stem" | "with_suffix" as method)):
                is_literal = method == "with_name" and self._names(node.args) is not None
                return not is_literal and self._place(path) is not None
            case ast.Call(func=ast.Attribute(value=path, attr=method)) if method in _LISTS:
                return self._is_folder(path)
            case ast.Call(func=called, args=[path, *others]):
                name = dotted_name(called, self._known)
                is_reader = name.startswith(f"{_RESOURCES}.") and name.rpartition(".")[2] in _READERS
                if (is_reader or name == "pkgutil.get_data") and others:
                    return not self._is_own_package(path) or self._names(others[:1]) is None
                if name == f"{_RESOURCES}.files":
                    return not self._is_own_package(path)
                return name in _LISTERS and self._is_folder(path)
            case _:
                return False

    def _appended(self, node: ast.expr) -> tuple[ast.expr | None, Sequence[ast.expr]]:
        """Return the path that ``node`` appends names to, and these names; None if it is no such expression."""
        match node:
            case ast.BinOp(left=left, op=ast.Div() | ast.Add(), right=right):
                return left, (right,)
            case ast.Call(func=ast.Attribute(value=folder, attr="joinpath"), args=names):
                return folder, names
            case ast.Call(args=[folder, *names]) if dotted_name(node.func, self._known) == "os.path.join":
                return folder, names
            case ast.JoinedStr(values=[ast.FormattedValue(value=folder), ast.Constant(value=str(rest)), *names]):
                return (folder if names and rest[:1] in {"/", "\\"} else None), names
            case _:
                return None, ()

    def _resource(self, node: ast.expr) -> Parts | None:
        """Return the file that ``resources.read_text(__package__, "x.json")`` and its like read."""
        match node:
            case ast.Call(func=called, args=[folder, *others]) if others and self._is_own_package(folder):
                name = dotted_name(called, self._known)
                is_reader = name.startswith(f"{_RESOURCES}.") and name.rpartition(".")[2] in _READERS
                return self._names(others[:1]) if is_reader or name == "pkgutil.get_data" else None
            case _:
                return None

    def _is_own_package(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in _OWN_PACKAGE

    def _is_folder(self, node: ast.expr) -> bool:
        place = self._place(node)
        return place is not None and _FILE not in place

    def _names(self, nodes: Sequence[ast.expr]) -> Parts | None:
        """Return the literal names that ``nodes`` are; None if one is no literal."""
        literals = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        return tuple(part for name in literals for part in _split(name)) if len(literals) == len(nodes) else None

    def _place(self, node: ast.expr, depth: int = 0) -> Parts | None:
        """Return the path that ``node`` is, from the module's folder; None for anything else."""
        if depth > _DEEPEST:
            return None
        deeper = depth + 1
        match node:
            case ast.Name(id="__file__"):
                return (_FILE,)
            case ast.Name(id=name) if name in self._assigned:
                return self._place(self._assigned[name], deeper)
            case ast.BinOp(left=left, op=ast.Div() | ast.Add(), right=right):
                return _joined(self._place(left, deeper), self._names((right,)))
            case ast.JoinedStr(values=[ast.FormattedValue(value=inner), ast.Constant(value=str(rest))]):
                return _joined(self._place(inner, deeper), _split(rest))
            case ast.Call():
                return self._called(node, deeper)
            case _:
                return self._parent_of(node, deeper)

    def _parent_of(self, node: ast.expr, depth: int) -> Parts | None:
        match node:
            case ast.Attribute(value=inner, attr="parent"):
                return _parent(self._place(inner, depth))
            case ast.Subscript(value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int(number))):
                place = self._place(inner, depth)
                for _ in range(min(number + 1, _DEEPEST)):
                    place = _parent(place)
                return place
            case _:
                return None

    def _called(self, node: ast.Call, depth: int) -> Parts | None:
        name = dotted_name(node.func, self._known)
        match node:
            case ast.Call(func=ast.Attribute(value=inner, attr="joinpath"), args=arguments):
                return _joined(self._place(inner, depth), self._names(arguments))
            case ast.Call(func=ast.Attribute(value=inner, attr="with_name"), args=arguments):
                return _joined(_parent(self._place(inner, depth)), self._names(arguments))
            case ast.Call(args=[inner, *others]) if name == "os.path.join":
                return _joined(self._place(inner, depth), self._names(others))
            case ast.Call(args=[inner]) if name == "os.path.dirname":
                return _parent(self._place(inner, depth))
            case ast.Call(args=[inner]) if name in _SAME_PLACE:
                return self._place(inner, depth)
            case ast.Call(args=arguments) if name == f"{_RESOURCES}.files":
                return () if all(map(self._is_own_package, arguments)) else None
            case ast.Call(func=ast.Attribute(value=inner, attr=method)) if method in _SAME_PLACE_METHODS:
                return self._place(inner, depth)
            case _:
                return None


def dotted_name(expression: ast.expr, known: Mapping[str, str]) -> str:
    """Return what ``os.path.join`` or ``r.files`` means, with imports under other names seen through."""
    match expression:
        case ast.Attribute(value=ast.Attribute() as inner, attr=attribute):
            return f"{dotted_name(inner, known)}.{attribute}"
        case _:
            return dotted(expression, known)


def _assigned(nodes: Sequence[ast.AST]) -> dict[str, ast.expr]:
    """Return each name that is assigned only one expression in the whole module, with that expression."""
    stores = Counter(node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load))
    found: defaultdict[str, list[ast.expr]] = defaultdict(list)
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name].append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[name].append(value)
    once = {name: values for name, values in found.items() if stores[name] == len(values)}
    return {name: first for name, (first, *more) in once.items() if not more or _are_equal(first, more)}


def _are_equal(first: ast.expr, others: Sequence[ast.expr]) -> bool:
    return {ast.dump(first)} == set(map(ast.dump, others))


def _split(name: str) -> Parts:
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in {"", "."})


def _parent(place: Parts | None) -> Parts | None:
    if place is None:
        return None
    return place[:-1] if place and place[-1] != ".." else (*place, "..")


def _joined(place: Parts | None, parts: Parts | None) -> Parts | None:
    if place is None or parts is None or _FILE in place:
        return None
    for part in parts:
        place = _parent(place) if part == ".." else (*(place or ()), part)
    return place
