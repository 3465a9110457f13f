"""What makes a file a plugin: a class of its own that the server can call, not a name that merely looks like one.

``find_kinds`` reads the syntax tree. ``scan_kind`` and ``guess_kind`` look at the lines: for a start, which parses
nothing, and for a file that does not parse.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from owui_watch.plugins.frontmatter import has_header
from owui_watch.plugins.model import Kind
from owui_watch.plugins.source import lines_of
from owui_watch.plugins.syntax import bindings, dotted_path, origins

_WITHOUT_METHODS = (
    sys.stdlib_module_names
    | {"pydantic", "pydantic_settings", "typing_extensions", "attr", "attrs", "msgspec", "marshmallow"}
    | {"sqlalchemy", "sqlmodel", "peewee", "django", "tortoise", "mongoengine", "beanie", "odmantic"}
)
"""Packages whose classes and decorators give a class none of a plugin's methods: rows of a database and messages are
often called Event or Action."""
_TABLE_NAMES = frozenset({"__tablename__", "__table__"})
"""Attributes of a row of a database, whatever its base is."""
_SETTINGS = frozenset({"valves", "user_valves", "citation", "file_handler"})
"""Attributes of tools that the server reads and does not call."""
_PLAIN_VALUES = (ast.Constant, ast.JoinedStr, ast.List, ast.Tuple, ast.Set, ast.Dict)
_CLASS_LINE = re.compile(r"class\s+(Pipe|Filter|Action|Event|Tools)\b")
_INNER_CLASS_LINE = re.compile(r"\n[ \t]+class[ \t]+(?:Pipe|Filter|Action|Event|Tools)\b")
_ANY_NAME = re.compile(r"\b(?:Pipe|Filter|Action|Event|Tools)\b")
_PUBLIC_NAME = r"[a-zA-Z]\w*"
_METHOD_LINES = {
    kind: re.compile(rf"\n[ \t]+(?:async[ \t]+)?def[ \t]+(?:{'|'.join(kind.called or (_PUBLIC_NAME,))})\b")
    for kind in Kind
}


class Evidence(IntEnum):
    """How surely a name of the top level is meant as a plugin's class."""

    IMPORTED = 1
    ASSIGNED = 2
    CLASS = 3
    """A class of the file's own that has none of its kind's methods."""
    CALLABLE = 4
    """A class of the file's own that has one of them, or may have one that can't be seen here."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds whose names a file binds, each with its best evidence.

    ``found`` has them in the server's order. ``rebound`` are those that statements other than classes bind, too.
    ``pipeline`` is true if the file binds ``Pipeline``, the class of a Pipelines server's plugin.
    """

    found: tuple[tuple[Kind, Evidence], ...]
    rebound: tuple[Kind, ...]
    pipeline: bool

    @property
    def certain(self) -> Kind | None:
        """The kind of a file whose class has a method that the server calls, or may have one."""
        return self._first(Evidence.CALLABLE)

    @property
    def possible(self) -> Kind | None:
        """The kind of a file that is a plugin if its author says so, by a header for example."""
        return next((kind for each in reversed(Evidence) if (kind := self._first(each)) is not None), None)

    def loaded(self, own: Kind) -> Kind:
        """Return the kind that the server takes the file for if its author means ``own``.

        Functions and tools are apart on the server. Of the functions it takes the first that is bound, even by an
        import (``load_function_module_by_id`` in ``utils/plugin.py``, Open WebUI 0.3.35 to 0.12.4).
        """
        if own is Kind.TOOL:
            return own
        return next(
            kind for kind in Kind if kind is own or (self.evidence(kind) is not None and kind is not Kind.EVENT)
        )

    def evidence(self, kind: Kind) -> Evidence | None:
        """Return the best evidence for ``kind``; None if its name is not bound."""
        return next((best for each, best in self.found if each is kind), None)

    def lacks_method(self, kind: Kind) -> bool:
        """Return whether the server will find no method to call: the class has none and nothing else binds its name."""
        return bool(kind.called) and self.evidence(kind) is Evidence.CLASS and kind not in self.rebound

    def _first(self, wanted: Evidence) -> Kind | None:
        """Return the first kind with this evidence, in the server's order."""
        return next((kind for kind, best in self.found if best is wanted), None)


def find_kinds(text: str, tree: ast.Module) -> Kinds:
    """Find out which kinds' names the file binds, and how. ``tree`` is ``text`` parsed."""
    bound: dict[str, list[ast.stmt]] = defaultdict(list)
    for name, node in bindings(tree.body):
        bound[name].append(node)
    for node in tree.body:
        if isinstance(node, ast.Delete):
            for target in node.targets:
                bound.pop(target.id if isinstance(target, ast.Name) else "", None)
    kinds = [kind for kind in Kind if kind.class_name in bound]
    module = _Module(text, tree, bound, origins(tree.body) if kinds else {})
    evidence = {kind: module.evidence(kind) for kind in kinds}
    rebound = [kind for kind in kinds if not all(isinstance(node, ast.ClassDef) for node in bound[kind.class_name])]
    for kind in rebound:
        if evidence[kind] is Evidence.CLASS and any(isinstance(node, ast.Assign) for node in bound[kind.class_name]):
            evidence[kind] = Evidence.CALLABLE  # Pipe = traced(Pipe) is a decorator in other words
    return Kinds(tuple(evidence.items()), tuple(rebound), "Pipeline" in bound)


@dataclass(frozen=True, slots=True)
class _Module:
    """The top level of a file: what it binds, and where the names come from."""

    text: str
    tree: ast.Module
    bound: Mapping[str, Sequence[ast.stmt]]
    origins: Mapping[str, str]

    def evidence(self, kind: Kind) -> Evidence:
        """Return the best evidence of all statements that bind the kind's name."""
        seen: set[int | str] = set()
        best = max(self._evidence(kind, node, seen) for node in self.bound[kind.class_name])
        return Evidence.CALLABLE if best is Evidence.CLASS and self._is_given_method(kind) else best

    def _evidence(self, kind: Kind, node: ast.stmt, seen: set[int | str]) -> Evidence:
        match node:
            case ast.Import() | ast.ImportFrom():
                return Evidence.IMPORTED
            case ast.ClassDef():
                return Evidence.CALLABLE if self._may_have_method(kind, node, seen) else Evidence.CLASS
            case _:
                return Evidence.ASSIGNED

    def _may_have_method(self, kind: Kind, node: ast.ClassDef, seen: set[int | str]) -> bool:
        """Return whether a class has one of the kind's methods, by itself or from a base, as far as can be seen.

        ``seen`` are the classes and the names of bases that are done: each is followed once for a kind, so that a file
        of many classes takes time in proportion to its size.
        """
        if id(node) in seen:
            return False
        seen.add(id(node))
        body = list(bindings(node.body))
        if any(_is_method(kind, name, binding) for name, binding in body):
            return True
        if _sets_method(kind, node, {"self", "cls", kind.class_name}):
            return True
        if any(name in _TABLE_NAMES for name, _ in body):
            return False
        others = [*node.decorator_list, *(keyword.value for keyword in node.keywords)]
        if any(self._is_foreign(expression) for expression in others):
            return True
        return any(self._base_may_have_method(kind, base, seen) for base in node.bases)

    def _base_may_have_method(self, kind: Kind, base: ast.expr, seen: set[int | str]) -> bool:
        while isinstance(base, ast.Subscript):  # Generic[T]
            base = base.value
        name = base.id if isinstance(base, ast.Name) else ""
        if name in seen:
            return False
        if name:
            seen.add(name)
        nodes = self.bound.get(name, ())
        classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        if any(self._may_have_method(kind, node, seen) for node in classes):
            return True
        is_own = bool(classes) and len(classes) == len(nodes)
        assigned = [node.value for node in nodes if isinstance(node, ast.Assign)]
        if assigned and len(assigned) == len(nodes):  # Base = declarative_base()
            return any(self._is_foreign(value) for value in assigned)
        return not is_own and self._is_foreign(base)

    def _is_foreign(self, expression: ast.expr) -> bool:
        """Return whether a base or a decorator comes from a module that may give a class the methods of a plugin."""
        if isinstance(expression, ast.Call):
            expression = expression.func
        if isinstance(expression, ast.Constant):  # class Event(SQLModel, table=True)
            return False
        name = dotted_path(expression).partition(".")[0]
        origin = self.origins.get(name)
        if origin is None:
            return not (name and hasattr(builtins, name))
        return not origin or origin.partition(".")[0] not in _WITHOUT_METHODS

    def _is_given_method(self, kind: Kind) -> bool:
        """Return whether the module sets a method of the kind's class: ``Pipe.pipe = …``, ``setattr(Pipe, …)``."""
        name = kind.class_name
        if not re.search(rf"\b{name}\s*\.\s*\w+\s*[=:,)]|\bsetattr\b|__setattr__", self.text):
            return False
        return _sets_method(kind, self.tree, {name})


def _is_method(kind: Kind, name: str, binding: ast.stmt) -> bool:
    """Return whether ``name``, bound in a class body, may be a method that the server calls."""
    if name == "__getattr__":
        return True
    if kind is Kind.TOOL:
        is_private = name.startswith("_") or name in _SETTINGS or isinstance(binding, ast.ClassDef)
        return not is_private and not isinstance(getattr(binding, "value", None), _PLAIN_VALUES)
    # A column of a table may be called event, too.
    is_function = isinstance(binding, ast.FunctionDef | ast.AsyncFunctionDef | ast.ImportFrom)
    return name in kind.called and (is_function or kind is not Kind.EVENT)


def _sets_method(kind: Kind, scope: ast.AST, owners: Collection[str]) -> bool:
    """Return whether code in ``scope`` may set a method on one of ``owners``: ``self.pipe = …``, ``setattr(self, …)``."""
    for node in ast.walk(scope):
        match node:
            case ast.Call(
                func=ast.Name(id="setattr") | ast.Attribute(attr="__setattr__"), args=[ast.Name(id=owner), *_]
            ):
                if owner in owners:
                    return True
            case ast.Assign(targets=targets, value=value):
                if any(_is_set(kind, attribute, value) for attribute in _attributes(targets, owners)):
                    return True
    return False


def _attributes(targets: Sequence[ast.expr], owners: Collection[str]) -> Iterator[str]:
    for target in targets:
        for part in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
            match part:
                case ast.Attribute(value=ast.Name(id=owner), attr=attribute) if owner in owners:
                    yield attribute


def _is_set(kind: Kind, attribute: str, value: ast.expr) -> bool:
    if kind is not Kind.TOOL:
        return attribute in kind.called
    # Most attributes of tools are data: self.client = Client(), self.name = name.
    is_function = isinstance(value, ast.Lambda | ast.Attribute)
    return is_function and not attribute.startswith("_") and attribute not in _SETTINGS


def guess_kind(text: str) -> Kind | None:
    """Return the kind of a file that does not parse, by its lines; None if none of them looks like a plugin's class."""
    found = _class_lines(text)
    if Kind.EVENT in found and not _METHOD_LINES[Kind.EVENT].search(_with_newlines(text)):
        found.discard(Kind.EVENT)
    return next((kind for kind in Kind if kind in found), None)


def scan_kind(text: str) -> Kind | None:
    """Return the kind of a file by a look at its lines, without parsing. Raises UnsureError if only a parse can decide."""
    found = _class_lines(text)
    is_titled = has_header(text)
    if len(found) == 1:
        [kind] = found
        if (is_titled and kind is not Kind.EVENT) or _METHOD_LINES[kind].search(_with_newlines(text)):
            return kind
    elif not found and not _INNER_CLASS_LINE.search(text) and not (is_titled and _ANY_NAME.search(text)):
        return None
    raise UnsureError


class UnsureError(Exception):
    """The lines of a file do not show what it is."""


def _class_lines(text: str) -> set[Kind]:
    """Return the kinds whose classes begin at the left margin."""
    text = _with_newlines(text)
    # A pattern that begins with ^ would be tried at every line of every file.
    names = {match[1] for match in _CLASS_LINE.finditer(text) if not match.start() or text[match.start() - 1] == "\n"}
    return {kind for kind in Kind if kind.class_name in names}


def _with_newlines(text: str) -> str:
    return "\n".join(lines_of(text)) if "\r" in text else text
