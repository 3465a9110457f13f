"""The signatures of all files at the last look: comparing them finds the changes that no event reported."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from owui_watch.files import Signature, is_file, is_link, read_regular, signature
from owui_watch.plugins.ignore import Ignore, walk

COARSEST = 2.0
"""Seconds between two file times that a file system can tell apart, at most: FAT; old NFS and HFS+ have one second."""
_SECOND = 10**9

DataFiles = Callable[[], Mapping[Path, Signature | None]]
"""Returns files that matter whatever their names, each with its signature from before it was first read. None: it was
missing then."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The files that were there during a scan.

    ``digests`` holds the content's digest of each file whose signature may hide a change; ``data_files`` are those of
    ``DataFiles``; ``refreshes`` counts the calls of ``refresh`` before the scan.
    """

    refreshes: int
    data_files: Mapping[str, Signature | None]
    signatures: dict[str, Signature]
    digests: dict[str, bytes]


class Snapshot:
    """The signature of every file that matters at or below ``roots`` (absolute paths), as of the last look.

    A data file is known from the first look at which ``data_files`` has it. It has changed if its signature differs
    from the one in ``data_files``. ``signature`` and ``clock`` (wall-clock nanoseconds) are replaced in tests.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        ignore: Ignore,
        *,
        data_files: DataFiles = dict,
        signature: Callable[[str], Signature | None] = signature,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._roots = tuple(roots)
        self._ignore = ignore
        self._data_files = data_files
        self._signature = signature
        self._clock = clock
        self._known: dict[str, Signature] = {}
        self._digests: dict[str, bytes] = {}
        self._refreshes = 0
        self._refreshed: dict[str, int] = {}

    def scan(self, within: Collection[Path] | None = None) -> Scan:
        """Look at every file, or at those in the folders ``within``. Changes nothing, so it may run in a thread."""
        refreshes, unsure = self._refreshes, frozenset(self._digests)
        data_files = {str(path): read for path, read in self._data_files().items()}
        signatures: dict[str, Signature] = {}
        digests: dict[str, bytes] = {}
        found = set(self._files(within))
        found.update(data_files if within is None else _below(data_files, within))
        # A known file that the walk did not reach may still be there: its folder may be unreadable for a moment.
        known = tuple(self._known) if within is None else _below(tuple(self._known), within)
        found |= {path for path in known if path not in found and not self._is_behind_a_link(Path(path))}
        for path in found:
            now = self._signature(path)
            if now is None:
                continue
            signatures[path] = now
            if path in unsure or self._may_hide_a_change(now):
                digests[path] = _digest(path)
        return Scan(refreshes, data_files, signatures, digests)

    def begin(self, scan: Scan) -> None:
        """Take the first scan as the state that changes are measured from."""
        self._known = dict(scan.signatures)
        self._digests = dict(scan.digests)

    def compare(self, scan: Scan, *, gone: Collection[Path] = (), within: Collection[Path] | None = None) -> list[Path]:
        """Return the files that changed, appeared or disappeared, and take their new state as known.

        Files below the folders ``gone`` are not returned: they did not disappear one by one, and may be back.
        ``within`` is that of the scan. A file that was refreshed since the scan began is left out: the scan may show an
        older state of it.
        """
        self._refreshed = {path: count for path, count in self._refreshed.items() if count > scan.refreshes}
        scope = self._known.keys() if within is None else _below(self._known, within)
        absent = set(scope) - scan.signatures.keys()
        absent -= set(_below(absent, gone)) if gone else set()
        present = [path for path in scan.signatures if self._differs(path, scan)]
        changed = [path for path in (*present, *absent) if path not in self._refreshed]
        new = [path for path in scan.data_files if path in scan.signatures and path not in self._known]
        for path in (*changed, *(path for path in new if path not in self._refreshed)):
            self._set(path, scan.signatures.get(path), scan.digests.get(path))
        for path in scan.digests.keys() - self._refreshed.keys():
            if not self._may_hide_a_change(scan.signatures[path]):
                self._digests.pop(path, None)
        return [Path(path) for path in changed]

    def refresh(self, path: Path) -> bool:
        """Take the present state of one file as known; return whether it has changed."""
        name = str(path)
        self._refreshes += 1
        self._refreshed[name] = self._refreshes
        before, now = self._known.get(name), self._signature(name)
        self._set(name, now, _digest(name) if now is not None and self._may_hide_a_change(now) else None)
        return now != before

    def knows(self, path: Path) -> bool:
        """Return whether there was a file at ``path`` at the last look."""
        return str(path) in self._known

    def holds(self, root: Path) -> bool:
        """Return whether there is any file that matters at or below ``root`` now."""
        return any(True for _ in self._files_of(root, PurePath()))

    def _differs(self, path: str, scan: Scan) -> bool:
        before = self._known.get(path)
        if before is None and (read := scan.data_files.get(path)) is not None:
            return scan.signatures[path] != read or _is_coarse(read)
        if scan.signatures[path] != before:
            return True
        return path in self._digests and path in scan.digests and self._digests[path] != scan.digests[path]

    def _set(self, path: str, now: Signature | None, digest: bytes | None) -> None:
        self._known.pop(path, None)
        self._digests.pop(path, None)
        if now is not None:
            self._known[path] = now
        if digest is not None:
            self._digests[path] = digest

    def _may_hide_a_change(self, now: Signature) -> bool:
        """Return whether another save of that size could leave ``now`` as it is: its times are coarse and recent."""
        return _is_coarse(now) and self._clock() - int(now.split()[2]) < COARSEST * _SECOND

    def _is_behind_a_link(self, path: Path) -> bool:
        """Return whether a folder on the way from a root to ``path`` is a link: no file behind it matters."""
        return any(is_link(folder) for folder in path.parents if any(root in folder.parents for root in self._roots))

    def _files(self, within: Collection[Path] | None) -> Iterator[str]:
        for root in self._roots:
            if within is None:
                yield from self._files_of(root, PurePath())
            else:
                for folder in within:
                    if folder.is_relative_to(root) and not self._is_behind_a_link(folder / "any"):
                        yield from self._files_of(root, folder.relative_to(root))

    def _files_of(self, root: Path, below: PurePath) -> Iterator[str]:
        if is_file(root):
            yield str(root)
        elif not self._ignore.folder(below):
            for entry in walk(root, self._ignore, below):
                yield entry.path


def _is_coarse(now: Signature) -> bool:
    """Return whether the times seem to be those of a file system that keeps whole seconds."""
    _, _, mtime, ctime = map(int, now.split())
    return not mtime % _SECOND and not ctime % _SECOND


def _digest(path: str) -> bytes:
    """Return a digest of the content; a constant for a file that can't be read."""
    try:
        content = read_regular(Path(path))
    except OSError:
        return b""
    return hashlib.blake2b(content if isinstance(content, bytes) else content.encode()).digest()


def _below(paths: Collection[str], folders: Collection[Path]) -> list[str]:
    """Return those of ``paths`` that are one of ``folders`` or lie below one."""
    names = frozenset(map(str, folders))
    prefixes = tuple(f"{name.rstrip(os.sep)}{os.sep}" for name in names)
    return [path for path in paths if path in names or path.startswith(prefixes)]
