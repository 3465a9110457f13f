"""Other memories of the same files: runs on a wider tree, or on parts of this one, keep them in their own folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from owui_watch.files.regular import is_folder
from owui_watch.plugins.ignore import Ignore, entered
from owui_watch.settings import STATE_FOLDER


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Folders with a ``.owui-watch/``: of a ``wider`` tree, nearest first, and of ``parts`` of the watched one."""

    wider: tuple[Path, ...]
    parts: tuple[Path, ...]


def find_overlaps(roots: Sequence[Path], ignore: Ignore, home: Path) -> Overlaps:
    """Find the memories other than that in ``home``. What is passed over below ``roots`` is no part of the tree."""
    wider = (folder for root in roots for folder in root.parents if is_folder(folder / STATE_FOLDER))
    parts = (
        root / place
        for root in roots
        for place, found in entered(root, ignore)
        if any(entry.name == STATE_FOLDER and entry.is_dir() for entry in found)
    )
    return Overlaps(*(tuple(each for each in dict.fromkeys(some) if each != home) for some in (wider, parts)))
