"""Which run owns the state of a tree on a server: one at a time, also if watched trees overlap.

Each watched folder (its real path, device and inode) has a folder of its own below the user's state folder, and in it
one for each server. Another folder at the same path is another tree: its state starts empty.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from owui_watch.files import Identity, exclusive, exists, folder_of, identity, is_locked, is_open_file
from owui_watch.plugins.ignore import Ignore
from owui_watch.settings import Settings, SettingsError
from owui_watch.state.folder import StateFolder
from owui_watch.state.journal import Journal
from owui_watch.state.requests import Requests
from owui_watch.state.running import RunningWatch, announced_watch, watch_in
from owui_watch.state.store import Store, not_renewed

_TREES, _TREE, _LOCK = PurePath("trees"), "tree.json", "lock"
_OLD_STATE, _REPORTED = ".owui-watch", "old-state-reported"
"""The folder in a tree in which early releases kept their state, and the file that records that it was reported."""
_LOOPBACK = re.compile(r"^(https?://(?:[^/@]*@)?)(?:127\.0\.0\.1|\[::1\])(?=[:/]|$)")
_LOCK_SECONDS = 0.5
"""Seconds: longer than a run that only looks for locks holds one."""


class AlreadyRunningError(SettingsError):
    """Another run owns the state of this tree on this server, or of a tree that overlaps.

    ``folder`` is where that run takes requests.
    """

    def __init__(self, url: str, tree: _Tree) -> None:
        self.folder = tree.server(url)
        watch = watch_in(self.folder)
        who = f"another owui-watch ({watch})" if watch else "another owui-watch"
        super().__init__(f"{who} already deploys {tree.path} to {url}: stop it first")


@dataclass(frozen=True, slots=True)
class Owned:
    """The journal of one run, the requests of other runs to it, and what the user should know about both at the start."""

    journal: Journal
    requests: Requests
    warnings: tuple[str, ...]


@contextmanager
def own(settings: Settings, url: str) -> Iterator[Owned]:
    """Open the journal of ``settings.roots`` for this run alone.

    Each run locks its own trees and then looks for a lock on a tree that overlaps, so the later of two runs sees the
    earlier one. It also looks before, so that a refused run leaves nothing behind. Raises AlreadyRunningError if
    another run has the journal, SettingsError if there is no state folder.
    """
    trees = _Trees(settings)
    trees.refuse_overlaps(url)
    with ExitStack() as stack:
        locks = stack.enter_context(_Locks(trees, url))
        folders = locks.take()
        trees.refuse_overlaps(url, folders)
        store = _store(trees, folders, url, locks.renewed)
        warnings = (*locks.troubles, *_open_to_all(trees.state_dir), *_old_state(settings, trees.own(), url))
        requests = Requests(folders)
        requests.clear()
        stack.enter_context(announced_watch(folders, RunningWatch(os.getpid(), time.time(), url, settings.roots)))
        yield Owned(Journal(store), requests, warnings)


def running_watches(settings: Settings) -> list[tuple[StateFolder, RunningWatch | None]]:
    """Return the runs that own ``settings.roots``, a tree around or a tree inside, whatever their server.

    Each run comes with the folder in which it takes requests. Raises SettingsError if there is no state folder.
    """
    trees = _Trees(settings)
    parts, wider = trees.overlaps()
    folders = (folder for tree in (*trees.own(), *parts, *wider) for folder in tree.servers())
    return [(folder, watch_in(folder)) for folder in folders if is_locked(folder.path / _LOCK)]


def read_journal(settings: Settings, url: str) -> Journal:
    """Open the journal of ``settings.roots`` to read it: nothing is locked or written."""
    trees = _Trees(settings)
    return Journal(_store(trees, [tree.server(url) for tree in trees.own()], url))


def forget(settings: Settings, url: str) -> None:
    """Delete what is remembered of a throwaway server that is gone; backups stay."""
    for tree in _Trees(settings).own():
        folder = tree.server(url)
        with contextlib.suppress(OSError):
            Store([folder]).forget()
            folder.remove(_LOCK)
            folder.path.rmdir()  # fails if there are backups


def _store(
    trees: _Trees,
    folders: Sequence[StateFolder],
    url: str,
    renewed: Callable[[], Sequence[StateFolder] | None] | None = None,
) -> Store:
    parts, wider = trees.overlaps()
    return Store(
        folders, [tree.server(url) for tree in parts], [tree.server(url) for tree in wider], renewed or not_renewed
    )


@dataclass(frozen=True, slots=True)
class _Tree:
    """A watched folder, and the folder of its state."""

    path: Path
    identity: Identity
    folder: StateFolder

    def server(self, url: str) -> StateFolder:
        """Return the folder for one server. All names of this computer count as one server."""
        url = _LOOPBACK.sub(r"\1localhost", url)
        return StateFolder(self.folder.base, self.folder.relative / _folder_name(url.partition("://")[2], url))

    def servers(self) -> list[StateFolder]:
        """Return the folders for all servers to which the tree was ever deployed."""
        try:
            names = sorted(entry.name for entry in os.scandir(self.folder.path) if entry.is_dir())
        except OSError:
            return []
        return [StateFolder(self.folder.base, self.folder.relative / name) for name in names]

    def register(self) -> None:
        """Record whose state this is: the path and identity of the watched folder. Raises OSError."""
        entry = {"path": str(self.path), "device": self.identity[0], "inode": self.identity[1]}
        if not exists(self.folder.path / _TREE):
            self.folder.replace(_TREE, json.dumps(entry).encode())


class _Trees:
    """The trees of a run among all that have a record."""

    def __init__(self, settings: Settings) -> None:
        self.state_dir = settings.require_state_dir()
        self._ignore = Ignore(settings.ignore)
        folders = {folder_of(root) for root in settings.roots}
        self.folders = sorted(folder for folder in folders if folders.isdisjoint(folder.parents))

    def own(self) -> list[_Tree]:
        """Return the run's trees as far as their folders exist now."""
        found = ((path, identity(path)) for path in self.folders)
        return [self._tree(path, known) for path, known in found if known is not None]

    def overlaps(self) -> tuple[list[_Tree], list[_Tree]]:
        """Return the trees that are inside those of the run, and those around them, unless they were replaced since."""
        known = [tree for tree in self._registered() if identity(tree.path) == tree.identity]
        return [tree for tree in known if self._is_part(tree.path)], [
            tree for tree in known if any(tree.path in folder.parents for folder in self.folders)
        ]

    def refuse_overlaps(self, url: str, own: Sequence[StateFolder] = ()) -> None:
        """Raise AlreadyRunningError if a run other than the owner of ``own`` has one of these trees, or an overlap."""
        for tree in self._registered():
            around = any(tree.path == folder or tree.path in folder.parents for folder in self.folders)
            folder = tree.server(url)
            if folder not in own and (around or self._is_part(tree.path)) and is_locked(folder.path / _LOCK):
                raise AlreadyRunningError(url, tree)

    def _is_part(self, path: Path) -> bool:
        above = (folder for folder in self.folders if folder in path.parents)
        return any(not self._ignore.folder(path.relative_to(folder)) for folder in above)

    def _registered(self) -> list[_Tree]:
        trees = []
        with contextlib.suppress(OSError):
            for name in StateFolder(self.state_dir, _TREES).names():
                folder = StateFolder(self.state_dir, _TREES / name)
                with contextlib.suppress(OSError, ValueError, RecursionError):
                    match json.loads(folder.read(_TREE, 2**16) or b"null"):
                        case {"path": str(path), "device": int(device), "inode": int(inode)}:
                            trees.append(_Tree(Path(path), (device, inode), folder))
        return trees

    def _tree(self, path: Path, known: Identity) -> _Tree:
        device, inode = known
        name = _folder_name(path.name, f"{os.fsencode(path)!r} {device} {inode}")
        return _Tree(path, known, StateFolder(self.state_dir, _TREES / name))


class _Locks:
    """The locks on the trees of one run. A tree that was replaced, or whose state was deleted, is locked anew."""

    def __init__(self, trees: _Trees, url: str) -> None:
        self._all = trees
        self._url = url
        self._trees: list[_Tree] = []
        self._held = ExitStack()
        self._files: list[tuple[Path, int]] = []
        self.troubles: list[str] = []

    def __enter__(self) -> _Locks:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def take(self) -> list[StateFolder]:
        """Lock the trees and return their folders. A folder that can't be written is not locked.

        Raises AlreadyRunningError.
        """
        self._trees = self._all.own()
        self._files.clear()
        for tree in self._trees:
            folder = tree.server(self._url)
            lock = folder.path / _LOCK
            try:
                folder.make()
                tree.register()
                descriptor = self._held.enter_context(exclusive(lock, busy=lambda: None, patience=_LOCK_SECONDS))
                self._files.append((lock, descriptor))
            except TimeoutError:
                raise AlreadyRunningError(self._url, tree) from None
            except OSError as error:
                self.troubles.append(
                    f"{error.filename or folder.path}: {error.strerror or error} (owui-watch can't lock or save its state): "
                    "correct that, or name another folder with --state-dir"
                )
        return [tree.server(self._url) for tree in self._trees]

    def renewed(self) -> list[StateFolder] | None:
        """Lock anew and return the folders, if a tree was replaced or its state deleted.

        Raises OSError if another run has them by now.
        """
        now = self._all.own()
        is_complete = len(now) == len(self._all.folders)
        if not is_complete or (now == self._trees and all(is_open_file(*each) for each in self._files)):
            return None
        self._held.close()
        try:
            return self.take()
        except AlreadyRunningError as error:
            raise OSError(
                errno.EBUSY, "another owui-watch uses this folder now: stop one of them", error.folder.path
            ) from None


def _open_to_all(state_dir: Path) -> Iterator[str]:
    """Warn of a state folder in which every user may write. Windows has no such mode."""
    with contextlib.suppress(OSError):
        if os.name != "nt" and state_dir.stat().st_mode & stat.S_IWOTH:
            yield (
                "every user of this machine can write to the state folder, and so make owui-watch deploy or overwrite "
                f"plugins: run chmod o-w on {state_dir}, or name another folder with --state-dir"
            )


def _old_state(settings: Settings, trees: Sequence[_Tree], url: str) -> Iterator[str]:
    """Name each folder in which an early release kept its state, once for each tree and server."""
    for tree in trees:
        above = [folder for folder in tree.path.parents if folder.is_relative_to(settings.base)]
        found = [folder / _OLD_STATE for folder in (tree.path, *above) if exists(folder / _OLD_STATE)]
        state = tree.server(url)
        if found and not exists(state.path / _REPORTED):
            with contextlib.suppress(OSError):
                state.append(_REPORTED, b"")
            yield (
                f"{found[0]} is ignored: an early version of owui-watch wrote it, or it came with the files. State and backups are now "
                f"in {state.path}; copy what you need from the backups/ of the old folder, then delete it"
            )


def _folder_name(shown: str, identifying: str) -> str:
    readable = re.sub(r"[^a-z0-9]+", "-", shown.lower())[:32].strip("-")
    return f"{readable or 'tree'}-{hashlib.sha256(identifying.encode()).hexdigest()[:12]}"
