"""What a module's text says about the files beside it, parsed once per content."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from owui_watch.plugins.bundle.data_files import ModuleData, find_data
from owui_watch.plugins.bundle.exports import Exports, find_exports
from owui_watch.plugins.bundle.imports import ModuleImports, find_imports
from owui_watch.plugins.bundle.local_files import Area
from owui_watch.plugins.checks import exits
from owui_watch.plugins.content_cache import remembered
from owui_watch.plugins.frontmatter import parse_header
from owui_watch.plugins.model import Diagnostic
from owui_watch.plugins.syntax import nested_too_deeply, parse

_REMEMBERED = 20_000
"""Modules whose imports and data files are cached, about 1 kB each. A plugin of many files has at least one."""
_REMEMBERED_NAMES = 2_000
"""Modules whose exported names are cached, up to 30 kB each: only modules that others import from."""


@dataclass(frozen=True, slots=True)
class Module:
    """What a module imports and reads. ``broken`` are errors that keep it from being loaded on the server."""

    imports: ModuleImports
    data: ModuleData
    requirements: str
    broken: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class CollectedModule:
    """A module that belongs to the plugin, with its place on disk."""

    path: Path
    area: Area
    text: str
    module: Module

    @property
    def folder(self) -> Path:
        """The package that its relative imports begin at."""
        return self.path.parent


@remembered(_REMEMBERED)
def read_module(text: str, libraries: frozenset[str]) -> Module | Diagnostic:
    """Parse a module; a Diagnostic if it is no Python. ``libraries`` are the names that are imported from libraries."""
    tree = parse(text)
    if isinstance(tree, Diagnostic):
        return tree
    nodes = tuple(ast.walk(tree))
    try:
        return Module(
            find_imports(text, tree, nodes, libraries),
            find_data(text, tree, nodes),
            parse_header(text).get("requirements", ""),
            tuple(exits(text, tree.body)),
        )
    except RecursionError:  # Python 3.12 and newer compile what is nested more deeply than our rules can follow
        return nested_too_deeply()


@remembered(_REMEMBERED_NAMES)
def read_exports(text: str, libraries: frozenset[str]) -> Exports:
    """Return the names that a module exports. Its text must be valid Python: ``read_module`` has parsed it."""
    tree = parse(text)
    assert not isinstance(tree, Diagnostic), "read_module accepted this text"
    return find_exports(text, tuple(ast.walk(tree)), libraries)
