"""Watchdog's observer for Linux, changed in two points: it skips ignored folders, and doesn't delay moves.

A folder that isn't watched causes no work, for example during an install into ``node_modules/``, and takes nothing of
the system's limit of watches.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyFullEmitter, InotifyObserver
from watchdog.observers.inotify_c import InotifyFD
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

if TYPE_CHECKING:
    from watchdog.observers.inotify_c import CallbackId, Mask, WatchCallback, WatchDescriptor

PAIRING = 0.002
"""Seconds that watchdog may hold back the first half of a move, and all events behind it, to find the second half. With
its own 0.5 s, a save that renames the old file into a backup folder elsewhere is always late. No pair is needed
here."""


class Observer(InotifyObserver):
    """Watches the folders of a tree that ``wanted`` accepts; also reports moves into and out of the tree as moves."""

    def __init__(self, wanted: Callable[[Path], bool]) -> None:
        InotifyMoveEventGrouper.delay = PAIRING
        self._folders = _WantedFolders(wanted)
        self._inotify_fd = self._folders
        self._inotify_fd.start()
        BaseObserver.__init__(self, InotifyFullEmitter, inotify_fd=self._inotify_fd)

    def start(self) -> None:
        """Start to watch. Raises OSError if the system's limit of watches left a folder out: its threads run then."""
        super().start()
        if self._folders.limit is not None:
            raise self._folders.limit

    def is_alive(self) -> bool:
        """Return whether both threads run (the kernel's reader, the handler's caller) and every folder has a watch."""
        return super().is_alive() and self._inotify_fd.is_alive() and self._folders.limit is None


class _WantedFolders(InotifyFD):
    """``limit`` is the error of the first folder for which the system gave no watch; watchdog passes over it."""

    def __init__(self, wanted: Callable[[Path], bool]) -> None:
        super().__init__()
        self._wanted = wanted
        self.limit: OSError | None = None

    def add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        """Watch a folder, or refuse it as if it had vanished, which watchdog passes over."""
        if not self._wanted(Path(os.fsdecode(path))):
            raise FileNotFoundError(errno.ENOENT, "ignored", os.fsdecode(path))
        try:
            return super().add_callback(path, mask, callback, id_)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self.limit = error
            raise
