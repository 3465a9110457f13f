"""Which names a module has, as far as its syntax tree tells."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from owui_watch.plugins.bundle.imports import STAR

_SETS_UNSEEN = re.compile(
    r"\b(?:globals|exec)\b|\blocals\(\)(?:\[|\.update\b)|\bvars\(\)|\bsys\.modules\b|\bimport_module\(__name__"
)


@dataclass(frozen=True, slots=True)
class Exports:
    """The names of a module.

    ``names`` are all that it may bind, its functions' own variables included: a name that is not among them is not
    there. That holds only if ``is_complete``; otherwise it binds names that can't be seen (``globals()``, a module
    ``__getattr__``, ``import *`` from a module that isn't local). ``listed`` are the literals in ``__all__``:
    ``import *`` imports modules of these names as well. ``is_listed`` is false if ``__all__`` is put together at run time.
    """

    names: frozenset[str]
    listed: frozenset[str]
    is_complete: bool
    is_listed: bool


def find_exports(text: str, nodes: Sequence[ast.AST], libraries: Collection[str]) -> Exports:
    """Find the names that ``text``, whose tree has these ``nodes``, may bind, but for those behind a local ``import *``."""
    names = set(_bound(nodes))
    star = any(isinstance(node, ast.ImportFrom) and _is_foreign_star(node, libraries) for node in nodes)
    is_complete = not star and "__getattr__" not in names and _SETS_UNSEEN.search(text) is None
    listings = tuple(_listings(nodes)) if "__all__" in text else ()
    listed = frozenset(name for listing in listings for name in _literals(listing))
    return Exports(frozenset(names), listed, is_complete, all(map(_is_literal, listings)))


ExportsOf = Callable[[Path], Exports | None]
"""Returns the names of a module; None for a file that is no module of the plugin."""
StarsOf = Callable[[Path], Iterable[Path | None]]
"""Returns the modules that a module of the plugin imports all names from; None for one that isn't there."""


def all_names(
    file: Path, exports_of: ExportsOf, stars_of: StarsOf, seen: AbstractSet[Path] = frozenset()
) -> frozenset[str] | None:
    """Return all names that the module at ``file`` has, also by ``import *``; None if they can't be told."""
    if file in seen:
        return frozenset()
    exports = exports_of(file)
    if exports is None or not exports.is_complete:
        return None
    names = set(exports.names)
    for star in stars_of(file):
        more = all_names(star, exports_of, stars_of, {*seen, file}) if star is not None else None
        if more is None:
            return None
        names |= more
    return frozenset(names)


def lists_names(file: Path, exports_of: ExportsOf, stars_of: StarsOf, seen: AbstractSet[Path] = frozenset()) -> bool:
    """Return whether it can be told which names ``import *`` takes from the module at ``file``."""
    exports = exports_of(file)
    if exports is None or file in seen:
        return True
    stars = all(star is not None and lists_names(star, exports_of, stars_of, {*seen, file}) for star in stars_of(file))
    return exports.is_listed and exports.is_complete and stars


def _bound(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=aliases):
                yield from (alias.asname or alias.name.partition(".")[0] for alias in aliases)
            case ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name for alias in aliases if alias.name != STAR)
                yield from filter(None, [node.module if node.level == 1 and node.module else None])
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.MatchMapping(rest=str(name)):
                yield name
            case ast.Global(names=found):
                yield from found
    yield from ("__name__", "__file__", "__doc__", "__package__", "__path__", "__spec__", "__loader__", "__dict__")


def _is_foreign_star(node: ast.ImportFrom, libraries: Collection[str]) -> bool:
    """Return whether ``node`` imports all names of a module that isn't local."""
    is_local = node.level or (node.module or "").partition(".")[0] in libraries
    return not is_local and any(alias.name == STAR for alias in node.names)


def _listings(nodes: Iterable[ast.AST]) -> Iterator[ast.expr]:
    """Yield what ``__all__`` is set to or added to."""
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                yield value
            case ast.AnnAssign(target=ast.Name(id="__all__"), value=ast.expr() as value):
                yield value
            case ast.AugAssign(target=ast.Name(id="__all__"), value=value):
                yield value
            case ast.Call(func=ast.Attribute(value=ast.Name(id="__all__")), args=arguments):
                yield from arguments


def _literals(node: ast.expr) -> Iterator[str]:
    return (each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str))


def _is_literal(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=str()):
            return True
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return all(map(_is_literal, items))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _is_literal(left) and _is_literal(right)
        case _:
            return False
