"""Which plugins are there, which files they are made of, and what each file holds now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath

from owui_watch.files import Signature, exists, folder_of
from owui_watch.plugins.bundle.local_files import Scope
from owui_watch.plugins.duplicate_files import clash, original_of
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.index import Entries, TreeEntry
from owui_watch.plugins.local_modules import LocalModules
from owui_watch.plugins.model import BrokenPlugin, Diagnostic, Mention, NotPlugin, ParsedFile, Plugin, PluginKey
from owui_watch.plugins.paths import WatchedPaths
from owui_watch.plugins.reader import FileReader
from owui_watch.plugins.source import digest
from owui_watch.settings import Settings

MOST_ALIKE = 20
"""If more files than this have the same content, a file that is gone does not count as the former name of a new one."""


class Tree:
    """The plugin files below the watched paths. Remembers which file holds which plugin, never its content.

    ``roots``, ``ids`` and ``base`` are those of ``WatchedPaths``. ``libraries`` are the folders that plugins import modules
    from by absolute names; ``reach`` are the folders that their relative imports stay below, by default the watched
    ones. ``is_managed`` tells whether a plugin was deployed or saved before: then its file stays a plugin even if it
    looks like none. ``has_deployed`` tells whether it was deployed: then its file stays a plugin even if others import it.
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
        is_managed: Callable[[PluginKey], bool] = lambda _: False,
        has_deployed: Callable[[PluginKey], bool] = lambda _: False,
    ) -> None:
        trees = tuple(reach) or tuple(map(folder_of, roots))
        self._paths = WatchedPaths(roots, ignore, ids, base, elsewhere=(*trees, *libraries))
        self._libraries = tuple(libraries)
        self._is_managed = is_managed
        scope = Scope(trees, {library.name: library for library in libraries}, self._paths.is_ignored)
        self._files = FileReader(self._paths, scope, self._is_known)
        self._entries = Entries()
        self._modules = LocalModules(self._entries, self._files.dependencies, self._paths, has_deployed)
        self._through: dict[Path, Path] = {}
        self._with_roots = partial(Tree, ignore=ignore, ids=ids, base=base, is_managed=is_managed)

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        watching: bool = False,
        is_managed: Callable[[PluginKey], bool] = lambda _: False,
        has_deployed: Callable[[PluginKey], bool] = lambda _: False,
    ) -> Tree:
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
            is_managed=is_managed,
            has_deployed=has_deployed,
        )

    @property
    def roots(self) -> tuple[Path, ...]:
        """The watched folders and files."""
        return self._paths.roots

    def watched(self) -> tuple[Path, ...]:
        """Return the folders and files whose saves matter: what the user named, and libraries that lie elsewhere."""
        return (*self.roots, *(library for library in self._libraries if not self._paths.is_below_roots(library)))

    def count_files(self) -> int:
        """Return how many files are not ignored, plugins or not."""
        return len(self._paths.files())

    def scan(self) -> Iterator[ParsedFile]:
        """Read every file that is not ignored; each file of a clash is refused."""
        files = self._paths.files().items()
        read = [self._remember(path, self._files.read(path, may_be_link=link)) for path, link in files]
        for parsed in self._without_parts(read):
            yield self._refuse_clash(parsed)

    def scan_lines(self) -> Iterator[ParsedFile]:
        """Do as ``scan`` does, for thousands of files: a plugin is not parsed, and its content is left out."""
        files = self._paths.files().items()
        read = [self._without_content(self._remember(path, self._read_lines(path, link))) for path, link in files]
        for parsed in self._without_parts(read):
            clashes = isinstance(parsed, Plugin) and len(self._entries.with_key(parsed.key)) > 1
            if (found := self.refresh(parsed.path) if clashes else parsed) is not None:
                yield found

    def survey(self) -> list[NotPlugin]:
        """Take note of every file that is not ignored, without parsing any. Return those to report at the start."""
        files = self._paths.files().items()
        read = [self._remember(path, self._files.read(path, scan=True, may_be_link=link)) for path, link in files]
        return [
            each for each in self._without_parts(read) if isinstance(each, NotPlugin) and each.mention is Mention.ALWAYS
        ]

    def read_ahead(self, path: Path) -> None:
        """Parse what ``path`` holds now, so that the ``refresh`` that follows finds the result."""
        self._files.read(path)

    def refresh(self, path: Path, through: Path | None = None) -> ParsedFile | None:
        """Read ``path`` as it is now. None if it is gone.

        ``through`` is the file whose save is the reason, if it is another one that ``path`` imports.
        """
        if through is None:
            self._through.pop(path, None)
        else:
            self._through[path] = through
        parsed = self._remember(path, self._files.read(path))
        return self._refuse_clash(self._with_reason(parsed)) if parsed is not None else None

    def newest(self, key: PluginKey) -> ParsedFile | None:
        """Read plugin ``key`` as its file is now. None if the file is gone or holds another plugin.

        Only new content is remembered: everything else is reported when the file's own save has settled.
        """
        paths = self.paths_of(key)
        parsed = self._files.read(paths[0]) if paths else None
        if not isinstance(parsed, Plugin):
            return parsed
        if parsed.key != key:
            return None
        remembered = self._remember(parsed.path, parsed)
        return self._refuse_clash(self._with_reason(remembered)) if remembered is not None else None

    def plugins(self) -> set[PluginKey]:
        """Return all plugins in the tree, broken ones included."""
        return self._entries.keys()

    def digests(self) -> dict[PluginKey, str]:
        """Return the digest of each plugin that can be sent, as it was last read."""
        return {
            entry.key: entry.digest
            for _, entry in self._entries.items()
            if entry.digest and len(self._entries.with_key(entry.key)) == 1
        }

    def key_of(self, path: Path) -> PluginKey | None:
        """Return the plugin that ``path`` is the own file of, as it was last read."""
        entry = self._entries.get(path)
        return entry.key if entry else None

    def digest_of(self, path: Path) -> str | None:
        """Return the digest of the plugin that ``path`` held when it was last read; None if it can't be deployed."""
        entry = self._entries.get(path)
        return entry.digest if entry else None

    def paths_of(self, key: PluginKey) -> list[Path]:
        """Return where plugin ``key`` was when its files were last read: more than one path is a clash."""
        return sorted(self._entries.with_key(key))

    def dependents(self, path: Path) -> list[Path]:
        """Return the files of the plugins that ``path``, another file, is part of: as they were last read."""
        return self._modules.dependents(path)

    def parts(self, path: Path) -> list[Path]:
        """Return the files of the plugins that a save of ``path`` concerns: its own first, if it holds one."""
        return [path, *self.dependents(path)] if path in self._entries else self.dependents(path) or [path]

    def data_files(self) -> Mapping[Path, Signature | None]:
        """Return the files of plugins that are not watched by their names and folders: data, modules beside a file.

        Each has the signature from before a plugin first read the file, None if it was missing.
        """
        return self._files.dependencies.unwatched

    def beside(self, path: Path) -> set[PluginKey]:
        """Return the plugins below the same watched folder as ``path``, or in the folder of a watched file."""
        folders = self._paths.folders_around(path)
        return {
            entry.key for other, entry in self._entries.items() if any(other.is_relative_to(each) for each in folders)
        }

    def moved_from(self, path: Path) -> set[PluginKey]:
        """Return the plugins whose file held what ``path`` holds, and is gone."""
        entry = self._entries.get(path)
        alike = self._entries.with_digest(entry.digest) if entry is not None and entry.digest else ()
        gone = [other for other in alike if not exists(other)] if len(alike) <= MOST_ALIKE else []
        return {key for other in gone if (key := self.key_of(other)) is not None}

    def original_of(self, plugin: Plugin, is_known: Callable[[PluginKey], bool]) -> Path | None:
        """Return the file that ``plugin`` looks like a copy of; None if it may be created.

        The files beside one that the user named count too.
        """
        tree = self
        if plugin.path in self.roots:
            tree = self._with_roots(self._paths.beside(plugin.path))
            tree.survey()
        return original_of(plugin, tree._entries, tree._files.read, is_known)

    def relative(self, path: Path) -> PurePath:
        """Return the path that an id is inferred from. Raises ValueError for a path that is not watched."""
        return self._paths.relative(path)

    def assigned(self, path: Path) -> str | None:
        """Return the id that the settings have for ``path``."""
        return self._paths.assigned(path)

    def _read_lines(self, path: Path, may_be_link: bool) -> ParsedFile | None:
        scanned = self._files.read(path, scan=True, may_be_link=may_be_link)
        # What is no plugin by its lines is read in full: to say why. A second reading would not mention it.
        is_mentioned = isinstance(scanned, NotPlugin) and scanned.mention is Mention.ALWAYS
        return (
            scanned if isinstance(scanned, Plugin) or is_mentioned else self._files.read(path, may_be_link=may_be_link)
        )

    def _without_content(self, parsed: ParsedFile | None) -> ParsedFile | None:
        return replace(parsed, content="") if isinstance(parsed, Plugin) else parsed

    def _is_known(self, key: PluginKey) -> bool:
        return self._entries.has(key) or self._is_managed(key)

    def _with_reason(self, parsed: ParsedFile) -> ParsedFile:
        return replace(parsed, through=self._through.get(parsed.path)) if isinstance(parsed, Plugin) else parsed

    def _without_parts(self, read: Iterable[ParsedFile | None]) -> list[ParsedFile]:
        """Return all files of a tree; those that plugins import become modules, since all imports are known now."""
        files = [self._modules.as_module(parsed) or parsed for parsed in read if parsed is not None]
        for parsed in files:
            if isinstance(parsed, NotPlugin):
                self._forget(parsed.path)
        return files

    def _remember(self, path: Path, parsed: ParsedFile | None) -> ParsedFile | None:
        """Take note of what ``path`` holds; a file that held a plugin stays that plugin's, as a broken one."""
        if parsed is not None and (part := self._modules.as_module(parsed)) is not None:
            self._forget(path)
            parsed = part
        before = self._entries.get(path)
        if isinstance(parsed, NotPlugin) and before is not None:
            parsed = _no_longer(parsed, before)
        if isinstance(parsed, BrokenPlugin) and parsed.key is None and before is not None:
            parsed = replace(parsed, key=before.key, kind=parsed.kind or before.kind)
        key = parsed.key if isinstance(parsed, Plugin | BrokenPlugin) else None
        if before is not None and before.key != key:
            self._forget(path)
        if key is None:
            self._files.dependencies.note(path, {})
        elif isinstance(parsed, Plugin | BrokenPlugin):
            self._entries.put(path, _entry(key, parsed))
        return parsed

    def _forget(self, path: Path) -> None:
        self._entries.remove(path)
        self._through.pop(path, None)

    def _refuse_clash(self, parsed: ParsedFile) -> ParsedFile:
        """Return a plugin as a broken one if another file has its id even now: a change of it may not have settled."""
        if not isinstance(parsed, Plugin):
            return parsed
        for path in self.paths_of(parsed.key):
            other = self._files.read(path) if path != parsed.path else None
            held = other.key if isinstance(other, Plugin | BrokenPlugin) else None
            if other is not None and held in {parsed.key, None}:
                return BrokenPlugin(
                    parsed.path, (clash(parsed, other, self._paths),), parsed.key, parsed.kind, parsed.header
                )
        return parsed


def _entry(key: PluginKey, parsed: Plugin | BrokenPlugin) -> TreeEntry:
    inferred, sent = (parsed.inferred, digest(parsed.content)) if isinstance(parsed, Plugin) else (False, None)
    return TreeEntry(key, parsed.kind, parsed.header.get("title", ""), inferred, sent)


def _no_longer(parsed: NotPlugin, before: TreeEntry) -> BrokenPlugin:
    """Return a file that was a plugin and does not look like one any more as a broken one."""
    diagnostic = parsed.diagnostic or Diagnostic(
        f"no plugin any more: {parsed.reason}",
        hint="put its class back, or delete the file if the plugin is done with",
        rule="no-plugin",
    )
    return BrokenPlugin(parsed.path, (diagnostic,), before.key, before.kind)
