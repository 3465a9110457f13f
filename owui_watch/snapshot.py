"""What the files looked like when they were last looked at. Finds what no event told."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from owui_watch.ignore import Ignore, walk

Signature = bytes
"""Inode, size, mtime and ctime (nanoseconds), in a third of a tuple's memory: a save that changes none of them is none.
"""


def signature(path: str | os.PathLike[str]) -> Signature | None:
    """Give the signature of the file at ``path``, links followed; None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return b"%d %d %d %d" % (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Snapshot:
    """Signatures of all files that matter below ``roots``."""

    def __init__(self, roots: Sequence[Path], ignore: Ignore) -> None:
        self._roots = tuple(roots)
        self._ignore = ignore
        self._seen: dict[str, Signature | None] = {}

    def scan(self) -> dict[str, Signature | None]:
        """Look at every file. Changes nothing, so that it can run in a thread of its own."""
        return {path: signature(path) for root in self._roots for path in self._files(root, PurePath())}

    def compare(self, now: dict[str, Signature | None], gone: Sequence[Path] = ()) -> list[Path]:
        """Give the files that changed, came or went since they were last seen, and take them as seen.

        ``now`` may be a moment old, so each difference is looked at once more: an event may have told it meanwhile.
        Of what lay in ``gone`` folders nothing is told: it did not go file by file, and may be back.
        """
        away = tuple(f"{folder}{os.sep}" for folder in gone)
        known = [path for path in self._seen if not path.startswith(away)] if away else self._seen.keys()
        different = [path for path in now.keys() | set(known) if now.get(path) != self._seen.get(path)]
        changed = [path for path in different if signature(path) != self._seen.get(path)]
        for path in changed:
            self.refresh(Path(path))
        return [Path(path) for path in changed]

    def refresh(self, path: Path) -> None:
        """Take note of one file as it is now: its change has been seen."""
        if (now := signature(path)) is None:
            self._seen.pop(str(path), None)
        else:
            self._seen[str(path)] = now

    def below(self, folder: Path) -> list[Path]:
        """Give the files below ``folder``, those that were there and those that are there."""
        prefix = str(folder) + os.sep
        there = {
            path
            for root in self._roots
            if folder.is_relative_to(root)
            for path in self._files(root, folder.relative_to(root))
        }
        return [Path(path) for path in there.union(path for path in self._seen if path.startswith(prefix))]

    def _files(self, root: Path, below: PurePath) -> Iterator[str]:
        if root.is_file():
            yield str(root)
        elif not self._ignore.folder(below):
            for entry in walk(root, self._ignore, below):
                yield entry.path
