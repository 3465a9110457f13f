"""Which of the watched folders are gone, which came back, and which were replaced by another folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from owui_watch.files import Identity, folder_of, identity, is_folder

Found = Mapping[Path, Identity | None]
"""The identity of each watched folder as it is now; None for a folder that is gone."""


@dataclass(frozen=True, slots=True)
class RootChanges:
    """What happened to watched folders since the last look: some went away, some are new in their place."""

    gone: tuple[Path, ...]
    renewed: tuple[Path, ...]


class WatchedFolders:
    """The folders to watch for ``roots`` (absolute folders or single files).

    A single file is watched through its folder, since editors replace the file. ``holds`` tells whether a root holds
    any file that matters: an empty folder on another device is what remains when a disk is unmounted.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        holds: Callable[[Path], bool],
        identity: Callable[[Path], Identity | None] = identity,
    ) -> None:
        self._folder_of = {root: folder_of(root) for root in roots}
        self._holds = holds
        self._identity = identity
        self._watched = {folder: identity(folder) for folder in self._folder_of.values()}
        self._renewed_at = dict.fromkeys(self._watched, -math.inf)
        self.gone: frozenset[Path] = frozenset()

    @property
    def recursive(self) -> Mapping[Path, bool]:
        """Whether a folder is watched with all that is below it (it is a root), or just the files in it."""
        return {folder: folder in self._folder_of for folder in self._watched}

    def find(self) -> Found:
        """Look at every watched folder. Changes nothing, so it may run in a thread."""
        return {folder: self._find(folder) for folder in self._watched}

    def update(self, found: Found, now: float) -> RootChanges:
        """Process what ``find`` returned at the moment ``now`` (seconds of anyio's clock)."""
        gone = frozenset(folder for folder, identity in found.items() if identity is None)
        renewed = tuple(
            folder
            for folder, identity in found.items()
            # A disk that is mounted again may have the identity that it had before.
            if identity is not None and (folder in self.gone or identity != self._watched[folder])
        )
        new = tuple(folder for folder in self._watched if folder in gone - self.gone)
        self.gone = gone
        for folder in renewed:
            self._watched[folder] = found[folder]
            self._renewed_at[folder] = now
        return RootChanges(new, renewed)

    def is_gone(self, path: Path) -> bool:
        """Return whether the folder that ``path`` is watched through is gone now, so that its files went with it."""
        return any(self._find(folder) is None for folder in self._folders_of(path))

    def renewed_since(self, path: Path, moment: float) -> bool:
        """Return whether the folder that ``path`` is watched through came back, or was replaced, after ``moment``."""
        return any(self._renewed_at[folder] > moment for folder in self._folders_of(path))

    def _folders_of(self, path: Path) -> Collection[Path]:
        return [folder for folder in self._watched if path.is_relative_to(folder)]

    def _find(self, folder: Path) -> Identity | None:
        if not is_folder(folder):
            return None
        known, now = self._watched[folder], self._identity(folder)
        moved_to_another_device = known is not None and now is not None and known[0] != now[0]
        if moved_to_another_device and not any(
            self._holds(root) for root, its_folder in self._folder_of.items() if its_folder == folder
        ):
            return None
        return now
