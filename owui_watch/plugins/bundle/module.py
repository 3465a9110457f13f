"""What a module's text says about the files beside it, parsed once per content."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache

from owui_watch.plugins.bundle.data_files import ModuleData, find_data
from owui_watch.plugins.bundle.exports import Exports, find_exports
from owui_watch.plugins.bundle.imports import ModuleImports, find_imports
from owui_watch.plugins.checks import exits
from owui_watch.plugins.frontmatter import parse_header
from owui_watch.plugins.model import Diagnostic
from owui_watch.plugins.syntax import nested_too_deeply, parse

_KEPT = 512
"""Modules whose texts are kept: those of a large package, or what many plugins share."""


@dataclass(frozen=True, slots=True)
class Module:
    """What a module imports, reads and defines. ``broken`` are errors that keep it from being loaded on the server."""

    imports: ModuleImports
    data: ModuleData
    exports: Exports
    requirements: str
    broken: tuple[Diagnostic, ...]


@lru_cache(maxsize=_KEPT)
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
            find_exports(text, nodes, libraries),
            parse_header(text).get("requirements", ""),
            tuple(exits(text, tree.body)),
        )
    except RecursionError:  # Python 3.12 and newer compile what is nested more deeply than our rules can follow
        return nested_too_deeply()
