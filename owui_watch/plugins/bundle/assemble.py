"""Collected files to one ``Package``: the module name of each in the bundle, and the requirements of all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from owui_watch.plugins.bundle.bundle import BundleFile, Package
from owui_watch.plugins.bundle.imports import RULE
from owui_watch.plugins.bundle.module import CollectedModule
from owui_watch.plugins.bundle.requirements import Conflict, merge_requirements
from owui_watch.plugins.frontmatter import field_line
from owui_watch.plugins.model import Diagnostic
from owui_watch.plugins.source import source_line

LARGEST_BUNDLE = 4 * 2**20
"""Characters of all files together."""

Placed = tuple[Path, Diagnostic]
"""A diagnostic, and the file that it is about."""


def assemble(
    collected: Mapping[Path, CollectedModule],
    data: Mapping[Path, str],
    names: Mapping[Path, str],
    library_name: Callable[[str], str],
) -> tuple[Package, Sequence[Placed]]:
    """Return the package of all files, and what keeps it from working on the server.

    ``collected`` begins with the plugin's own file. ``names`` are the names of all files in the bundle; ``library_name``
    returns the name of a library's folder there.
    """
    texts = {path: each.text for path, each in collected.items()} | dict(data)
    modules = {path: _module_name(names[path]) for path in collected}
    imports = [each.module.imports for each in collected.values()]
    used = {each.module.partition(".")[0] for found in imports for each in found.imports if not each.level}
    server_modules = {name for found in imports for name in found.server_modules} - used
    requirements, conflicts = merge_requirements(
        (names[path], each.module.requirements) for path, each in collected.items()
    )
    package = Package(
        tuple(BundleFile(names[path], text, modules.get(path)) for path, text in texts.items()),
        requirements,
        {name: _module_name(library_name(name)) for name in sorted(used)},
        tuple(sorted(server_modules)),
        any(found.calls_import_module for found in imports),
    )
    paths = {names[path]: path for path in collected}
    problems = [(next(iter(collected)), problem) for problem in _problems(package)]
    problems += [_placed(conflict, collected[paths[conflict.second.asker]]) for conflict in conflicts]
    return package, problems


def _problems(package: Package) -> Iterator[Diagnostic]:
    if sum(len(file.text) for file in package.files) > LARGEST_BUNDLE:
        error = f"its {len(package.files)} files are larger than {LARGEST_BUNDLE // 2**20} MiB together"
        yield Diagnostic(error, hint="import less, or fetch data at run time", rule=RULE)
    modules = [file.module for file in package.files if file.module is not None]
    if len(set(modules)) < len(modules):
        error = "two folders or files get one module name: characters other than letters and digits become _"
        yield Diagnostic(error, hint="rename one of them", rule=RULE)


def _placed(conflict: Conflict, where: CollectedModule) -> Placed:
    """Place a conflict at the line of the second of its requirements."""
    number = field_line(where.text, "requirements")
    error = f"{conflict.second.text} conflicts with {conflict.first.text} in {conflict.first.asker}"
    hint = "a server has one version of a package: ask for the same in both files"
    source = source_line(where.text, number)
    return where.path, Diagnostic(error, number, 1, source, hint, rule="requirements")


def _module_name(name: str) -> str:
    """Return what the file ``name`` of a bundle is imported as, below the bundle's package."""
    parts = name.removesuffix(".py").removesuffix("/__init__").split("/")
    return ".".join(re.sub(r"[^\w-]", "_", part) for part in parts)
