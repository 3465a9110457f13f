"""Where Python would find a module, and which files may be sent along: what is on disk below the allowed folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from owui_watch.files import Signature, read_regular, signature
from owui_watch.plugins.model import Diagnostic
from owui_watch.plugins.source import decode

LARGEST_DATA = 256 * 1024
"""Bytes of a file that modules read."""
PACKAGE_FILE = "__init__.py"
_IGNORES_CASE = sys.platform in {"win32", "darwin"}
"""Whether a file system of this platform usually takes ``Client.py`` for ``client.py``."""
_COMPILED = (".so", ".pyd")
_SETTINGS = "owui-watch.toml"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where local modules may lie.

    ``trees`` are the folders that relative imports stay below; ``libraries`` the folders of absolute names;
    ``is_ignored`` judges a path by its name alone.
    """

    trees: tuple[Path, ...]
    libraries: Mapping[str, Path]
    is_ignored: Callable[[Path], bool]


@dataclass(frozen=True, slots=True)
class Area:
    """Files that import each other by relative names: those of the watched tree, or of one library."""

    folder: Path
    library: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """What a name leads to: a module, or a package, whose ``file`` is None if it has no ``__init__.py``."""

    folder: Path | None
    file: Path | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file can't be sent along, as the end of a sentence that begins with its name, and what to do."""

    error: str
    hint: str


_PRIVATE = Refusal(
    "is hidden or holds settings: such files are never sent", "use valves for what differs from server to server"
)


class LocalFiles:
    """Looks for the modules of one plugin. Each folder is listed once; names count exactly as they are spelled.

    ``looked_at`` has the paths whose change would change the answers, each with its signature from before it was read
    (None: nothing was there).
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._listed: dict[Path, frozenset[str]] = {}
        self.looked_at: dict[Path, Signature | None] = {}

    def area(self, path: Path) -> Area:
        """Return the library that ``path`` lies in, else the watched folder."""
        for name, folder in self._scope.libraries.items():
            if path.is_relative_to(folder):
                return Area(folder, name)
        holding = (tree for tree in self._scope.trees if path.is_relative_to(tree))
        return Area(max(holding, key=lambda tree: len(tree.parts), default=path.parent), None)

    def look_at(self, *paths: Path) -> None:
        """Note that the answers depend on ``paths``. Call it before reading any of them, so that no save is missed."""
        for path in paths:
            if path not in self.looked_at:
                self.looked_at[path] = signature(path)

    def package(self, folder: Path) -> Found:
        """Return the package that ``folder`` is."""
        file = folder / PACKAGE_FILE
        self.look_at(file)
        return Found(folder, file if self._is_there(file) else None)

    def below(self, package: Found, name: str) -> Found | None:
        """Return the module or package ``name`` of ``package`` as Python would find it."""
        if package.folder is None:
            return None
        module, folder = package.folder / f"{name}.py", package.folder / name
        self.look_at(module, folder / PACKAGE_FILE)
        is_folder = os.path.isdir(folder) and self._is_spelled(folder)  # noqa: PTH112 - never raises
        if is_folder and (found := self.package(folder)).file is not None:
            return found
        if self._is_there(module):
            return Found(None, module)
        if is_folder:
            return Found(folder, None)
        for entry in self._names(package.folder):
            if entry.partition(".")[0] == name and entry.endswith(_COMPILED):
                return Found(None, package.folder / entry)
        return None

    def expect(self, folder: Path, missing: Sequence[str], names: Sequence[str]) -> None:
        """Note where a module that is ``missing`` below ``folder`` may appear, or one of the ``names`` below it."""
        for part in missing:
            self.look_at(folder / f"{part}.py", folder / part / PACKAGE_FILE)
            folder = folder / part
        for name in names:
            self.look_at(folder / f"{name}.py", folder / name / PACKAGE_FILE)

    def read_module(self, file: Path, area: Area) -> str | Refusal | Diagnostic:
        """Return the text of a module, or why it can't be sent along; a Diagnostic is about a place in the file."""
        if file.name.endswith(_COMPILED):
            hint = "publish it as a package and name that in requirements"
            return Refusal("is a compiled extension, which can't be sent as text", hint)
        real = Path(os.path.realpath(file))
        self.look_at(real)
        allowed = map(os.path.realpath, (area.folder, *self._scope.trees, *self._scope.libraries.values()))
        around = [Path(folder) for folder in allowed if real.is_relative_to(folder)]
        if not around:
            return Refusal("is a symlink that leads out of the watched folder", "put the file itself there")
        if any(_is_private(real.relative_to(folder)) for folder in around):
            return _PRIVATE
        if self._scope.is_ignored(file):
            return Refusal(
                "is ignored, so its saves would not be seen", "change the setting `ignore`, or move the file"
            )
        raw = _read(file)
        return raw if isinstance(raw, Refusal) else decode(raw)

    def read_data(self, file: Path, limit: Path) -> str | Refusal:
        """Return the text of a file below ``limit`` that a module reads, or why it can't be sent along."""
        if not file.is_relative_to(limit):
            return Refusal("lies outside the plugin's folder, so it isn't sent along", f"move it below {limit.name}/")
        if _is_private(file.relative_to(limit)):
            return _PRIVATE
        real, real_limit = Path(os.path.realpath(file)), os.path.realpath(limit)
        if not real.is_relative_to(real_limit):
            return Refusal("is a symlink that leads out of the plugin's folder", "put the file itself there")
        if _is_private(real.relative_to(real_limit)):
            return _PRIVATE
        raw = _read(file)
        return raw if isinstance(raw, Refusal) else _text(raw)

    def _is_there(self, file: Path) -> bool:
        return os.path.isfile(file) and self._is_spelled(file)  # noqa: PTH113 - never raises

    def _is_spelled(self, path: Path) -> bool:
        """Return whether the name on disk has the same capitals: Python on the server needs that."""
        return not _IGNORES_CASE or path.name in self._names(path.parent)

    def _names(self, folder: Path) -> frozenset[str]:
        """Return the names in ``folder``. It may have thousands, so this is called only if nothing else decides."""
        if folder not in self._listed:
            try:
                self._listed[folder] = frozenset(os.listdir(folder))  # noqa: PTH208 - names alone
            except OSError:
                self._listed[folder] = frozenset()
        return self._listed[folder]


def _is_private(path: PurePath) -> bool:
    """Return whether a path leads to a hidden file or one with settings, in any spelling and through any link."""
    name = path.name.lower()
    return any(part.startswith(".") for part in path.parts) or name == _SETTINGS or name.endswith(".env")


def _read(file: Path) -> bytes | Refusal:
    hint = "make it a readable file and save it again"
    try:
        raw = read_regular(file)
    except OSError as error:
        return Refusal(f"cannot be read: {error.strerror or error}", hint)
    return Refusal(f"can't be sent along: {raw}", hint) if isinstance(raw, str) else raw


def _text(raw: bytes) -> str | Refusal:
    hint = f"only text files up to {LARGEST_DATA // 1024} kB are sent along"
    if len(raw) > LARGEST_DATA:
        return Refusal(f"is larger than {LARGEST_DATA // 1024} kB", hint)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return Refusal("is no text in UTF-8", hint)
    return Refusal("is no text: it holds NUL bytes", hint) if "\0" in text else text
