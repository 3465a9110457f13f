"""Which plugins are there, and which plugin a path belongs to."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import NamedTuple

from owui_watch.files.regular import Signature, exists, folder_of, is_file, read_regular, signature
from owui_watch.plugins.bundle import bundle
from owui_watch.plugins.content import digest
from owui_watch.plugins.dependencies import Dependencies
from owui_watch.plugins.frontmatter import parse_header
from owui_watch.plugins.ignore import Ignore, walk
from owui_watch.plugins.local_files import Scope
from owui_watch.plugins.model import BrokenPlugin, Diagnostic, Kind, NotPlugin, ParsedFile, Plugin, PluginKey
from owui_watch.plugins.package import reach
from owui_watch.plugins.parsing import outline_plugin, read_plugin
from owui_watch.plugins.recheck import Rechecker
from owui_watch.settings import Settings


class Tree:
    """The plugin files below the watched paths. Remembers which path holds which plugin, never their content.

    ``roots`` are absolute folders or single files; names of folders count for ids up to ``base``, which holds them.
    ``ids`` maps ends of paths to the ids that their author gave them. ``libraries`` are the folders that plugins import
    modules from by absolute names; ``reach`` are the folders that their relative imports stay below, by default the
    watched ones.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        ignore: Ignore,
        ids: Mapping[str, str],
        base: Path,
        *,
        libraries: Sequence[Path] = (),
        reach: Sequence[Path] = (),
    ) -> None:
        self.roots = tuple(roots)
        self._ignore = ignore
        self._ids = ids
        self._origins = tuple((root, base if root.is_relative_to(base) else None) for root in roots)
        self._held: dict[Path, _Held] = {}
        self._paths: dict[PluginKey, tuple[Path, ...]] = {}
        self._ahead: dict[Path, tuple[_Signatures, ParsedFile | None]] = {}
        self._warm: dict[PluginKey, tuple[_Signatures, Plugin]] = {}
        self._rechecker = Rechecker()
        self._scope = Scope(
            tuple(reach) or tuple(map(folder_of, roots)),
            {library.name: library for library in libraries},
            self._is_ignored,
        )
        self._dependencies = Dependencies()
        self._through: dict[Path, Path] = {}

    @classmethod
    def of(cls, settings: Settings, *, watching: bool = False) -> Tree:
        """Return the tree that ``settings`` name.

        In a watch, relative imports stay below the watched folders: saves elsewhere would not be seen. What runs once
        takes modules from the whole project.
        """
        is_project = all(root.is_relative_to(settings.base) for root in settings.roots)
        return cls(
            settings.roots,
            Ignore(settings.ignore),
            settings.ids,
            settings.base,
            libraries=settings.libraries,
            reach=(settings.base,) if is_project and not watching else (),
        )

    def scan(self) -> Iterator[ParsedFile]:
        """Read every file that matters; clashes are told for both sides."""
        readings = [self._remember(path, self._read(path)) for path in self._all_files()]
        for reading in readings:
            if reading is not None:
                yield self._refuse_clash(reading)

    def survey(self) -> None:
        """Take note of every file that matters, without compiling any: what is sent is read in full at its turn."""
        for path, is_link in self._all_files().items():
            self._remember(path, self._read(path, outline=True, is_link=is_link))

    def warm(self, path: Path) -> None:
        """Read ``path`` ahead, for the ``refresh`` that follows when its save has settled."""
        before = self._signatures(path)
        self._ahead[path] = before, self._read(path)

    def cool(self, path: Path) -> None:
        """Forget what was read ahead: the file has changed again."""
        self._ahead.pop(path, None)

    def dependents(self, path: Path) -> list[Path]:
        """Return the files of the plugins that ``path``, another file, is part of: as they were last read."""
        return [plugin for plugin in self._dependencies.plugins(path) if plugin != path]

    def parts(self, path: Path) -> list[Path]:
        """Return the files of the plugins that a save of ``path`` concerns: its own first, if it holds one."""
        return [path, *self.dependents(path)] if path in self._held else self.dependents(path) or [path]

    def data_files(self) -> frozenset[Path]:
        """Return the files, no modules, that plugins of many files read."""
        return self._dependencies.data

    def watched(self) -> tuple[Path, ...]:
        """Return the folders and files whose saves matter: what the user named, and libraries that lie elsewhere."""
        elsewhere = (
            library
            for library in self._scope.libraries.values()
            if not any(library.is_relative_to(root) for root in self.roots)
        )
        return (*self.roots, *elsewhere)

    def refresh(self, path: Path, through: Path | None = None) -> ParsedFile | None:
        """Read ``path`` as it is now, for a deploy that follows. None where it is gone.

        ``through`` is the file whose save is the reason, if it is another one that ``path`` imports.
        """
        before, reading = self._ahead.pop(path, ({}, None))
        if not before or before != self._signatures(path):
            before, reading = self._signatures(path), self._read(path)
        if through is None:
            self._through.pop(path, None)
        else:
            self._through[path] = through
        reading = self._remember(path, reading)
        if isinstance(reading, Plugin):
            reading = dataclasses.replace(reading, through=through)
            self._warm[reading.key] = before, reading
        return self._refuse_clash(reading) if reading is not None else None

    def look(self, path: Path) -> ParsedFile | None:
        """Read ``path`` as it is now and remember what it holds, but not its content. None where it is gone."""
        reading = self._remember(path, self._read(path))
        return self._refuse_clash(reading) if reading is not None else None

    def newest(self, key: PluginKey) -> ParsedFile | None:
        """Read plugin ``key`` as its file is now. None where the file is gone or holds another plugin.

        What ``refresh`` read a moment ago is given once more where the file is still the same. Nothing else than new
        content is remembered: what became of a file is told when its own save has settled.
        """
        paths = self.paths_of(key)
        known, plugin = self._warm.pop(key, (None, None))
        if plugin is not None and paths == [plugin.path] and self._signatures(plugin.path) == known:
            return plugin
        reading = self._read(paths[0]) if paths else None
        if not isinstance(reading, Plugin):
            return reading
        if reading.key != key:
            return None
        self._remember(reading.path, reading)
        return self._refuse_clash(dataclasses.replace(reading, through=self._through.get(reading.path)))

    def digests(self) -> dict[PluginKey, str]:
        """Fingerprint of each plugin that can be sent, as it was last read."""
        return {
            held.key: held.digest for path, held in self._held.items() if held.digest and not self._clashing(held.key)
        }

    def _remember(self, path: Path, reading: ParsedFile | None) -> ParsedFile | None:
        before = self.key_of(path)
        if isinstance(reading, NotPlugin) and before is not None:
            reading = self._no_longer(reading, before)
        if isinstance(reading, BrokenPlugin) and reading.key is None:
            # It names no plugin any more, by a bad `id:` say: the one it held is what stays live.
            reading = dataclasses.replace(reading, key=before)
        key = reading.key if isinstance(reading, Plugin | BrokenPlugin) else None
        if before is not None and before != key:
            self._leave(before, path)
        if key is None:
            self._dependencies.note(path, frozenset())
        elif isinstance(reading, Plugin | BrokenPlugin):
            others = (other for other in self._paths.get(key, ()) if other != path)
            self._paths[key] = (*others, path)
            self._held[path] = _held(key, reading)
        return reading

    def _leave(self, key: PluginKey, path: Path) -> None:
        del self._held[path]
        self._through.pop(path, None)
        self._paths[key] = tuple(other for other in self._paths[key] if other != path)
        if not self._paths[key]:
            del self._paths[key]

    def plugins(self) -> set[PluginKey]:
        """All plugins that stand in the tree, broken ones included."""
        return set(self._paths)

    def key_of(self, path: Path) -> PluginKey | None:
        """Plugin that ``path`` held when it was last read."""
        held = self._held.get(path)
        return held.key if held else None

    def digest_of(self, path: Path) -> str | None:
        """Return the digest of the plugin that ``path`` held when it was last read; None if it can't be deployed."""
        held = self._held.get(path)
        return held.digest if held else None

    def paths_of(self, key: PluginKey) -> list[Path]:
        """Where plugin ``key`` stood when its files were last read: more than one path is a clash."""
        return sorted(self._paths.get(key, ()))

    def beside(self, path: Path) -> set[PluginKey]:
        """Plugins that stand below the same watched folder as ``path``, or in the folder of a watched file."""
        roots = [root.parent if path == root else root for root in self.roots if path.is_relative_to(root)]
        return {held.key for other, held in self._held.items() if any(other.is_relative_to(root) for root in roots)}

    def moved_from(self, path: Path) -> set[PluginKey]:
        """Plugins whose file, as it was last read, held what ``path`` holds, and is not there any more."""
        digest = self._held[path].digest
        same = {other: held.key for other, held in self._held.items() if held.digest == digest is not None}
        return {key for other, key in same.items() if not exists(other)}

    def relative(self, path: Path) -> PurePath:
        """Path below the base, or below the watched folder where that lies elsewhere: what an id is inferred from.

        The further up it begins the better: which PATH the user named makes no difference then.
        """
        place = str(path)  # ten times as fast as pathlib's own way, for thousands of files at the start
        for root, base in self._origins:
            if path == root or place.startswith(f"{root}{os.sep}"):
                origin = base or (root.parent if path == root else root)
                return PurePath(place[len(str(origin)) :].lstrip(os.sep))
        raise ValueError(f"{path} does not lie below a watched path")

    def assigned(self, path: Path) -> str | None:
        """Return the id that the settings have for ``path``: under the longest key that it ends with."""
        place = path.as_posix()
        fit = [key for key in self._ids if place.endswith(f"/{key}")]
        return self._ids[max(fit, key=len)] if fit else None

    def _signatures(self, path: Path) -> _Signatures:
        """Return what tells whether a plugin's file, or one that it depends on, has changed since."""
        return {each: signature(each) for each in (path, *self._dependencies.files(path))}

    def _is_ignored(self, path: Path) -> bool:
        """Return whether saves of ``path`` are passed over."""
        folders = (*self.roots, *self._scope.trees, *self._scope.libraries.values())
        holding = [folder for folder in folders if path.is_relative_to(folder) and folder != path]
        return all(self._ignore.file(path.relative_to(folder)) for folder in holding)

    def _all_files(self) -> dict[Path, bool]:
        """Return every file that matters, and whether it is a link."""
        return dict(file for root in self.roots for file in self._files(root))

    def _files(self, root: Path) -> Iterator[tuple[Path, bool]]:
        if is_file(root):
            yield root, False
        else:
            for entry in sorted(walk(root, self._ignore), key=lambda entry: entry.path):
                yield Path(entry.path), entry.is_symlink()

    def _read(self, path: Path, *, outline: bool = False, is_link: bool = True) -> ParsedFile | None:
        """Read a file. ``is_link`` is false where it is known that no link leads to it."""
        if not self._may_hold_plugin(path):
            return NotPlugin(path, _MODULE) if exists(path) else None
        try:
            if is_link and _behind_a_link(path, self.roots):
                return None
            if is_link and _leads_out(path, self.roots):
                return NotPlugin(path, "it is a symlink that leads out of the watched folder")
            raw = read_regular(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return self._unreadable(path, error.strerror or str(error))
        if isinstance(raw, str):
            return NotPlugin(path, raw)
        relative = self.relative(path)
        assigned = self.assigned(path)
        if outline:
            return self._assembled(outline_plugin(raw, path, relative, assigned))
        return self._assembled(read_plugin(raw, path, relative, assigned, partial(self._rechecker.examine, path)))

    def _assembled(self, reading: ParsedFile) -> ParsedFile:
        """Add the other files that a plugin is made of, or refuse it if one of them can't be."""
        if not isinstance(reading, Plugin):
            return reading
        found = reach(reading.path, reading.content, self._scope)
        self._dependencies.note(reading.path, found.concerned - {reading.path})
        if found.diagnostics:
            return BrokenPlugin(reading.path, found.diagnostics, reading.key, reading.kind, reading.header)
        if found.package is None:
            return reading
        content = bundle(found.package, reading.key, reading.kind)
        return dataclasses.replace(reading, content=content, header=parse_header(content), files=found.files)

    def _may_hold_plugin(self, path: Path) -> bool:
        """Return whether ``path`` lies where plugins are looked for: a library elsewhere has only modules, and data."""
        place = str(path)
        is_below = any(path == root or place.startswith(f"{root}{os.sep}") for root in self.roots)
        return is_below and place.endswith(".py")

    def _unreadable(self, path: Path, why: str) -> ParsedFile:
        diagnostic = Diagnostic(f"cannot be read: {why}", hint="is it yours to read? Save it again when it is")
        held = self._held.get(path)
        return BrokenPlugin(path, (diagnostic,), *((held.key, held.kind) if held else ()))

    def _no_longer(self, reading: NotPlugin, key: PluginKey) -> BrokenPlugin:
        diagnostic = reading.diagnostic or Diagnostic(
            f"no plugin any more: {reading.reason}",
            hint="put its class back, or delete the file if it is done with",
        )
        return BrokenPlugin(reading.path, (diagnostic,), key, self._held[reading.path].kind)

    def _clashing(self, key: PluginKey) -> bool:
        return len(self._paths.get(key, ())) > 1

    def _refuse_clash(self, reading: ParsedFile) -> ParsedFile:
        if not isinstance(reading, Plugin):
            return reading
        for other in self.paths_of(reading.key):
            if other != reading.path and self._still_holds(other, reading.key):
                diagnostic = Diagnostic(
                    f"{self.relative(other).as_posix()} has the same id, {reading.id}",
                    hint="give one of them an id of its own: a line `id: other_name` in its header",
                )
                return BrokenPlugin(reading.path, (diagnostic,), reading.key, reading.kind, reading.header)
        return reading

    def _still_holds(self, path: Path, key: PluginKey) -> bool:
        """Return whether ``path`` holds plugin ``key`` now: a change of it may not have settled yet."""
        reading = self._read(path)
        holds = reading.key if isinstance(reading, Plugin | BrokenPlugin) else None
        return reading is not None and holds in {key, None}


_MODULE = "it lies outside the watched folders"
_Signatures = Mapping[Path, Signature | None]


class _Held(NamedTuple):
    """What a path holds. ``digest`` is of its content, None where that can't be sent."""

    key: PluginKey
    kind: Kind | None
    digest: str | None


def _held(key: PluginKey, reading: Plugin | BrokenPlugin) -> _Held:
    return _Held(key, reading.kind, digest(reading.content) if isinstance(reading, Plugin) else None)


def _behind_a_link(path: Path, roots: Sequence[Path]) -> bool:
    """Return whether a folder on the way is a link: such folders are not entered, so nothing stands in them."""
    folder = path.parent
    return any(
        os.path.realpath(folder) != f"{os.path.realpath(root)}{os.sep}{folder.relative_to(root)}"
        for root in roots
        if folder.is_relative_to(root) and folder != root
    )


def _leads_out(path: Path, roots: Sequence[Path]) -> bool:
    """Return whether a link on the way leads to where none of ``roots`` is."""
    # realpath, unlike Path.resolve in Python 3.11 and 3.12, does not raise for a link that leads to itself.
    real = Path(os.path.realpath(path))
    return not any(real.is_relative_to(os.path.realpath(root)) for root in roots)
