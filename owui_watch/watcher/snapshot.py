"""What the files looked like when they were last looked at. Finds what no event told."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from owui_watch.files.regular import Signature, is_file, read_regular, signature
from owui_watch.plugins.ignore import Ignore, walk

COARSEST = 2.0
"""Seconds between two times that a file system can tell apart, at the most: FAT's; old NFS and HFS+ keep whole ones."""
_SECOND = 10**9


def _may_change_unseen(now: Signature) -> bool:
    """Return whether one more save of that size would leave ``now`` as it is: its times are coarse and of this moment."""
    _, _, mtime, ctime = map(int, now.split())
    return not mtime % _SECOND and not ctime % _SECOND and time.time_ns() - mtime < COARSEST * _SECOND


def _fingerprint(path: Path) -> bytes | None:
    try:
        content = read_regular(path)
    except OSError:
        return None
    return hashlib.blake2b(content if isinstance(content, bytes) else content.encode()).digest()


class Snapshot:
    """Signatures of all files that matter below ``roots``."""

    def __init__(self, roots: Sequence[Path], ignore: Ignore) -> None:
        self._roots = tuple(roots)
        self._ignore = ignore
        self._seen: dict[str, Signature | None] = {}
        self._unsure: dict[str, tuple[float, bytes | None]] = {}

    def scan(self) -> dict[str, Signature | None]:
        """Look at every file. Changes nothing, so that it can run in a thread of its own."""
        return {path: signature(path) for root in self._roots for path in self._files(root, PurePath())}

    def begin(self, now: dict[str, Signature | None]) -> None:
        """Take ``now`` as seen: what the first look found."""
        for path, seen in now.items():
            self._see(path, seen)

    def compare(self, now: dict[str, Signature | None], gone: Sequence[Path] = ()) -> list[Path]:
        """Return the files that changed, came or went since they were last seen, and take them as seen.

        ``now`` may be a moment old, so each difference is looked at once more: an event may have told it meanwhile.
        Of what lay in ``gone`` folders nothing is told: it did not go file by file, and may be back.
        """
        away = tuple(f"{folder}{os.sep}" for folder in gone)
        known = [path for path in self._seen if not path.startswith(away)] if away else self._seen.keys()
        different = {path for path in now.keys() | set(known) if now.get(path) != self._seen.get(path)}
        changed = [path for path in different if signature(path) != self._seen.get(path)]
        changed += [path for path in self._rewritten(away) if path not in different]
        for path in changed:
            self.refresh(Path(path))
        return [Path(path) for path in changed]

    def refresh(self, path: Path) -> bool:
        """Take note of one file as it is now: its change has been seen. True where it is not as it was last seen."""
        name, now = str(path), signature(path)
        before = self._seen.pop(name, None)
        self._unsure.pop(name, None)
        self._see(name, now)
        return now != before

    def _see(self, path: str, now: Signature | None) -> None:
        if now is not None:
            self._seen[path] = now
            if _may_change_unseen(now):
                self._unsure[path] = time.monotonic() + COARSEST, _fingerprint(Path(path))

    def knows(self, path: Path) -> bool:
        """Return whether there was a file at ``path`` when it was last looked at."""
        return str(path) in self._seen

    def holds(self, root: Path) -> bool:
        """Return whether any file that matters stands at or below ``root`` now."""
        return any(True for _ in self._files(root, PurePath()))

    def _rewritten(self, away: tuple[str, ...]) -> list[str]:
        """Return the files that changed within what their times can tell, once that time has passed."""
        now = time.monotonic()
        due = [path for path, (then, _) in self._unsure.items() if then <= now and not path.startswith(away)]
        unsure = {path: self._unsure.pop(path)[1] for path in due}
        return [path for path, before in unsure.items() if _fingerprint(Path(path)) != before]

    def below(self, folder: Path) -> list[Path]:
        """Return the files below ``folder``, those that were there and those that are there."""
        prefix = str(folder) + os.sep
        there = {
            path
            for root in self._roots
            if folder.is_relative_to(root)
            for path in self._files(root, folder.relative_to(root))
        }
        return [Path(path) for path in there.union(path for path in self._seen if path.startswith(prefix))]

    def _files(self, root: Path, below: PurePath) -> Iterator[str]:
        if is_file(root):
            yield str(root)
        elif not self._ignore.folder(below):
            for entry in walk(root, self._ignore, below):
                yield entry.path
