"""Which files a plugin is made of: its own, and those that it reaches by local imports and reads as package data.

A module's imports are resolved as Python would (a package before a module, ``__init__.py`` of every package on the way),
within the watched folders and the libraries alone. What would not work on the server is refused here, at the file and
line where the author can change it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from owui_watch.files import Signature
from owui_watch.plugins.bundle.assemble import assemble
from owui_watch.plugins.bundle.bundle import Package
from owui_watch.plugins.bundle.data_files import DataReference
from owui_watch.plugins.bundle.exports import Exports, all_names, lists_names
from owui_watch.plugins.bundle.imports import STAR, LocalImport
from owui_watch.plugins.bundle.local_files import Area, Found, LocalFiles, Refusal, Scope
from owui_watch.plugins.bundle.module import CollectedModule, read_exports, read_module
from owui_watch.plugins.model import Diagnostic
from owui_watch.plugins.source import source_line


@dataclass(frozen=True, slots=True)
class Reach:
    """What a plugin's file reaches. ``package`` is None for a plugin of one file, and for one that is refused.

    ``files`` are the author's files by their names in the bundle. ``concerned`` are all paths whose change may change
    what the plugin is made of, each with its signature from before it was read; None where a file is missing.
    """

    package: Package | None
    files: Mapping[str, Path]
    diagnostics: tuple[Diagnostic, ...]
    concerned: Mapping[Path, Signature | None]


def reach(path: Path, text: str, scope: Scope) -> Reach:
    """Find all files that the plugin at ``path``, whose content is ``text``, is made of."""
    return _Collector(path, text, scope).collect()


class _Collector:
    """Follows the imports of one plugin."""

    def __init__(self, path: Path, text: str, scope: Scope) -> None:
        self._libraries = scope.libraries
        self._library_names = frozenset(scope.libraries)
        self._disk = LocalFiles(scope)
        self._entry = path
        self._entry_area = self._disk.area(path)
        self._taken: dict[Path, CollectedModule] = {}
        self._pending: list[CollectedModule] = []
        self._bases: set[Path] = set()
        self._data: dict[Path, str] = {}
        self._imported: list[tuple[CollectedModule, LocalImport, Found]] = []
        self._diagnostics: list[Diagnostic] = []
        self._add(path, self._entry_area, text)

    def collect(self) -> Reach:
        """Follow all imports, and put together what was found."""
        while self._pending:
            self._follow(self._pending.pop(0))
            if not self._pending:
                self._add_packages()
        for taken, found, target in self._imported:
            self._check_names(taken, found, target)
        root = self._root()
        about_data = list(self._take_data(root))
        concerned = self._disk.looked_at
        hides_library = any(taken.module.imports.hides_library for taken in self._taken.values())
        if len(self._taken) <= 1 and not self._data and not self._diagnostics and not hides_library:
            return Reach(None, {}, (), concerned)
        for taken in self._taken.values():
            self._refuse(taken.path, *taken.module.imports.refused, *taken.module.data.refused)
        self._diagnostics += about_data
        names = {path: self._name(path, root) for path in (*self._taken, *self._data)}
        package, problems = assemble(
            self._taken, self._data, names, lambda library: self._name(self._libraries[library], root)
        )
        for path, problem in problems:
            self._refuse(path, problem)
        files = {name: path for path, name in names.items()}
        return Reach(None if self._diagnostics else package, files, tuple(self._diagnostics), concerned)

    # --- following imports

    def _follow(self, taken: CollectedModule) -> None:
        for found in taken.module.imports.imports:
            where = self._start(taken, found)
            if where is not None:
                self._resolve(taken, found, *where)

    def _start(self, taken: CollectedModule, found: LocalImport) -> tuple[Area, Path, list[str]] | None:
        """Return where to look for a module, and the parts of its name from there; None if that is out of bounds."""
        parts = found.module.split(".") if found.module else []
        if not found.level:
            top = self._libraries[parts[0]]
            return Area(top, parts[0]), top.parent, parts
        folder = taken.folder
        for _ in range(found.level - 1):
            if folder == taken.area.folder:
                library = taken.area.library
                where = f"the library {library}" if library else "the watched folder"
                hint = "move what both need into the library" if library else "watch the folder above as well"
                self._refuse_import(taken, found, f"{found.spelled} leads out of {where}", hint)
                return None
            folder = folder.parent
        if taken.area.library is None:
            self._bases.add(folder)
        return taken.area, folder, parts

    def _resolve(
        self, taken: CollectedModule, found: LocalImport, area: Area, folder: Path, parts: Sequence[str]
    ) -> None:
        """Take the module that an import names, and every package on the way to it."""
        target = Found(folder, None) if parts else self._disk.package(folder)
        if not parts:
            self._take(taken, found, area, target)
        for place, part in enumerate(parts):
            below = self._disk.below(target, part)
            if below is None:
                if target.folder is not None:
                    self._disk.expect(target.folder, parts[place:], [name for name in found.names if name != STAR])
                self._refuse_missing(taken, found, target, part)
                return
            target = below
            self._take(taken, found, area, target)
        self._imported.append((taken, found, target))
        for name in self._names(found, target):
            submodule = self._disk.below(target, name)
            if submodule is not None:
                self._take(taken, found, area, submodule)

    def _names(self, found: LocalImport, target: Found) -> Iterator[str]:
        """Yield the names that an import takes from ``target``: for ``*`` those that its ``__all__`` lists."""
        for name in found.names:
            if name != STAR:
                yield name
            elif target.file is not None and (exports := self._exports(target.file)) is not None:
                yield from sorted(exports.listed)

    def _check_names(self, taken: CollectedModule, found: LocalImport, target: Found) -> None:
        """Refuse names that the module ``target`` doesn't have; all modules are known by now."""
        for name in found.names:
            if name == STAR:
                if target.file is not None and not lists_names(target.file, self._exports, self._stars):
                    where = self._shown(target)
                    error = f"`import *` can't be resolved: {where} creates its names at run time"
                    self._refuse_import(taken, found, error, "import the names one by one")
            elif not found.is_optional and self._disk.below(target, name) is None:
                file = target.file
                names = all_names(file, self._exports, self._stars) if file is not None else frozenset()
                if names is not None and name not in names:
                    where = self._shown(target)
                    hint = f"import a name that {where} defines, or define {name} there"
                    self._refuse_import(taken, found, f"{where} defines no {name}", hint)

    def _exports(self, file: Path) -> Exports | None:
        """Return the names of a module that belongs to the plugin; None for any other file."""
        taken = self._taken.get(file)
        return read_exports(taken.text, self._library_names) if taken is not None else None

    def _stars(self, file: Path) -> Iterator[Path | None]:
        """Yield the modules that a module of the plugin imports all names from; None for one that isn't there."""
        taken = self._taken[file]
        for found in taken.module.imports.imports:
            where = self._start(taken, found) if STAR in found.names else None
            if where is not None:
                _, folder, parts = where
                target: Found | None = Found(folder, None) if parts else self._disk.package(folder)
                for part in parts:
                    target = self._disk.below(target, part) if target else None
                yield target.file if target else None

    # --- taking files

    def _take(self, taken: CollectedModule, found: LocalImport, area: Area, target: Found) -> None:
        """Make the file of ``target`` part of the plugin, or refuse the import that leads to it."""
        if target.file is None or target.file in self._taken:
            return
        text = self._disk.read_module(target.file, area)
        match text:
            case Refusal(error, hint):
                self._refuse_import(taken, found, f"{self._shown(target)} {error}", hint)
            case Diagnostic():
                self._refuse(target.file, text)
            case str():
                self._add(target.file, area, text)

    def _add(self, file: Path, area: Area, text: str) -> None:
        self._disk.look_at(file)
        module = read_module(text, self._library_names)
        if isinstance(module, Diagnostic):
            self._refuse(file, module)
            return
        if file != self._entry:
            self._refuse(file, *module.broken)
            read_exports(text, self._library_names)  # now, while its tree is at hand
        self._taken[file] = taken = CollectedModule(file, area, text, module)
        self._pending.append(taken)

    def _add_packages(self) -> None:
        """Add ``__init__.py`` of each package that relative names begin in: Python runs it first."""
        root = self._root()
        for taken in list(self._taken.values()):
            top = taken.area.folder if taken.area.library else root
            if not self._bases and taken.area.library is None:
                continue
            folders = (folder for folder in (taken.folder, *taken.folder.parents) if folder.is_relative_to(top))
            for folder in folders:
                statement = LocalImport(1, "", (), False, 1, 1, source_line(taken.text, 1) or "")
                self._take(taken, statement, taken.area, self._disk.package(folder))

    def _take_data(self, root: Path) -> Iterator[Diagnostic]:
        """Carry the files that modules read; yield what is wrong with those that can't be."""
        for taken in self._taken.values():
            limit = taken.area.folder if taken.area.library else root
            for reference in taken.module.data.references:
                file = Path(os.path.normpath(taken.folder.joinpath(*reference.parts)))
                refusal = self._carry(file, limit, reference)
                if refusal is not None:
                    yield self._at(taken.path, reference.diagnostic(f"{file.name} {refusal.error}", refusal.hint))

    def _carry(self, file: Path, limit: Path, reference: DataReference) -> Refusal | None:
        self._disk.look_at(file)
        if file in self._taken or file in self._data:
            return None
        if not os.path.lexists(file):
            missing = Refusal("is not there, so it can't be sent along", f"create {file.name}, or correct the name")
            return missing if reference.must_exist else None
        if os.path.isdir(file) and not reference.must_exist:  # noqa: PTH112 - never raises
            return None
        text = self._disk.read_data(file, limit)
        if isinstance(text, Refusal):
            return text
        self._data[file] = text
        return None

    # --- names

    def _root(self) -> Path:
        """Return the folder that holds all modules of the plugin's own tree, as deep as can be."""
        if self._entry_area.library is not None:
            return self._entry_area.folder
        own = (taken.folder for taken in self._taken.values() if taken.area.library is None)
        return Path(os.path.commonpath([self._entry.parent, *own, *self._bases]))

    def _name(self, path: Path, root: Path) -> str:
        """Return the name of a file in the bundle: from the folder of its package, else from its library."""
        if not path.is_relative_to(root):
            library = self._disk.area(path).folder
            return path.relative_to(library.parent).as_posix()
        top = root
        while self._libraries.get(top.name, top) != top:
            top = top.parent
        return path.relative_to(top.parent).as_posix()

    def _shown(self, found: Found) -> str:
        """Return a file or folder as messages show it: from its library or the watched folder."""
        path = found.file or found.folder or self._entry
        area = self._disk.area(path)
        return path.relative_to(area.folder.parent if area.library or path == area.folder else area.folder).as_posix()

    # --- diagnostics

    def _refuse_missing(self, taken: CollectedModule, found: LocalImport, package: Found, part: str) -> None:
        if not found.is_optional:
            where = self._shown(package)
            lacks = f"{where} is no package" if package.folder is None else f"{where} has no {part}.py"
            self._refuse_import(
                taken, found, f"no local module {found.spelled}: {lacks}", "create it, or correct the name"
            )

    def _refuse_import(self, taken: CollectedModule, found: LocalImport, error: str, hint: str) -> None:
        self._refuse(taken.path, found.diagnostic(error, hint))

    def _refuse(self, path: Path, *diagnostics: Diagnostic) -> None:
        for diagnostic in diagnostics:
            placed = self._at(path, diagnostic)
            if placed not in self._diagnostics:
                self._diagnostics.append(placed)

    def _at(self, path: Path, diagnostic: Diagnostic) -> Diagnostic:
        """Return ``diagnostic`` with the file that it is about; the plugin's own goes without saying."""
        return diagnostic if path == self._entry else replace(diagnostic, path=path)
