"""The watched folders and files: what lies below them, which symlinks count, and the path that an id is inferred from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath

from owui_watch.files import is_file, is_link
from owui_watch.plugins.ignore import Ignore, walk
from owui_watch.plugins.model import Mention, NotPlugin


class WatchedPaths:
    """The files below the watched folders and files.

    ``roots`` are absolute folders or single files; names of folders count for ids up to ``base``, which holds them.
    ``ids`` maps ends of paths to the ids that their author gave them in the settings. ``elsewhere`` are more folders
    that modules are taken from.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        ignore: Ignore,
        ids: Mapping[str, str],
        base: Path,
        *,
        elsewhere: Sequence[Path] = (),
    ) -> None:
        self.roots = tuple(roots)
        self._folders = (*roots, *elsewhere)
        self._ignore = ignore
        self._ids = ids
        self._origins = tuple((root, base if root.is_relative_to(base) else None) for root in roots)

    def files(self) -> dict[Path, bool]:
        """Return every file that is not ignored, and whether it is a symlink."""
        return dict(file for root in self.roots for file in self._files(root))

    def is_below_roots(self, path: Path) -> bool:
        """Return whether ``path`` lies where plugins are looked for."""
        place = str(path)
        return any(path == root or place.startswith(f"{root}{os.sep}") for root in self.roots)

    def is_ignored(self, path: Path) -> bool:
        """Return whether saves of ``path``, below a watched folder or one with modules for plugins, are ignored."""
        holding = [folder for folder in self._folders if path.is_relative_to(folder) and folder != path]
        return all(self._ignore.file(path.relative_to(folder)) for folder in holding)

    def relative(self, path: Path) -> PurePath:
        """Return the path below the base, or below the watched folder if that lies elsewhere.

        Ids are inferred from it. It begins as far up as possible, so that it doesn't matter which PATH the user named.
        Raises ValueError for a path that is not watched.
        """
        place = str(path)  # ten times as fast as pathlib's own way, for thousands of files at the start
        for root, base in self._origins:
            if path == root or place.startswith(f"{root}{os.sep}"):
                origin = base or (root.parent if path == root else root)
                return PurePath(place[len(str(origin)) :].lstrip(os.sep))
        raise ValueError(f"{path} does not lie below a watched path")

    def below_root(self, path: Path) -> PurePath:
        """Return the path below the watched folder that holds ``path``, as globs of `ignore` are matched with it."""
        roots = [root for root in self.roots if path.is_relative_to(root)]
        return PurePath(path.relative_to(roots[0])) if roots and path != roots[0] else PurePath(path.name)

    def assigned(self, path: Path) -> str | None:
        """Return the id that the settings have for ``path``: under the longest key that it ends with."""
        if not self._ids:
            return None
        place = path.as_posix()
        keys = [key for key in self._ids if place.endswith(f"/{key}")]
        return self._ids[max(keys, key=len)] if keys else None

    def lies_behind_link(self, path: Path) -> bool:
        """Return whether a folder on the way is a symlink: those are not entered, so nothing counts as below them."""
        folder = path.parent
        return any(
            os.path.realpath(folder) != f"{os.path.realpath(root)}{os.sep}{folder.relative_to(root)}"
            for root in self.roots
            if folder.is_relative_to(root) and folder != root
        )

    def link_problem(self, path: Path) -> NotPlugin | None:
        """Say why the symlink at ``path`` is no plugin: it leads out, or to a file that is one itself. None if it may be."""
        if path in self.roots or not is_link(path):
            return None
        # Path.resolve raises for a link that leads to itself in Python 3.11 and 3.12; realpath doesn't.
        real = Path(os.path.realpath(path))
        inside = [self._below(root, real) for root in self.roots if real.is_relative_to(os.path.realpath(root))]
        if not inside:
            reason = "it is a symlink that leads out of the watched folder"
            return NotPlugin(path, reason, "put the file itself there, or watch its folder", Mention.ALWAYS)
        target = next((each for each in inside if each != path and self._is_watched(each)), None)
        if target is not None:
            reason = f"it is a symlink to {self.relative(target).as_posix()}, which is deployed from there"
            return NotPlugin(path, reason)
        return None

    def folders_around(self, path: Path) -> list[Path]:
        """Return the watched folders that ``path`` lies in; of a watched file its folder."""
        return [root.parent if path == root else root for root in self.roots if path.is_relative_to(root)]

    def beside(self, path: Path) -> list[Path]:
        """Return ``path`` and the files in its folder that would be looked at if the folder was watched."""
        with suppress(OSError), os.scandir(path.parent) as entries:
            names = sorted(entry.name for entry in entries)
            return [path, *(path.with_name(name) for name in names if self._is_beside(path.with_name(name), path))]
        return [path]

    def _is_beside(self, other: Path, path: Path) -> bool:
        return other != path and not self._ignore.passes_over(PurePath(other.name)) and is_file(other)

    def _below(self, root: Path, real: Path) -> Path:
        return root / real.relative_to(os.path.realpath(root))

    def _is_watched(self, path: Path) -> bool:
        """Return whether ``path`` is a file that is looked at itself."""
        if not is_file(path) or is_link(path):
            return False
        holding = [root for root in self.roots if path.is_relative_to(root)]
        return any(path == root or not self._ignore.file(path.relative_to(root)) for root in holding)

    def _files(self, root: Path) -> Iterator[tuple[Path, bool]]:
        if is_file(root):
            yield root, False
        else:
            for entry in sorted(walk(root, self._ignore), key=lambda entry: entry.path):
                yield Path(entry.path), entry.is_symlink()
