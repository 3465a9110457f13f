"""Watchdog's observer for Linux, but for two things: it has no eye on folders that are passed over, and tells any move.

What nobody watches wakes nobody: neither an install into ``node_modules/`` does, nor our own memory, which is written
with every deploy (in a storm that took a third of the processor time). The system's watches are few, too.
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
"""Seconds that watchdog may hold the first half of a move back, and all events behind it, to find the second. Its own
0.5 s would make every save late that renames the old file to a backup folder elsewhere; no pair is needed here."""


class Observer(InotifyObserver):
    """Watches the folders of a tree that ``wanted`` says yes to, and tells moves into and out of it as moves."""

    def __init__(self, wanted: Callable[[Path], bool]) -> None:
        InotifyMoveEventGrouper.delay = PAIRING
        self._inotify_fd = _Watches(wanted)
        self._inotify_fd.start()
        BaseObserver.__init__(self, InotifyFullEmitter, inotify_fd=self._inotify_fd)


class _Watches(InotifyFD):
    def __init__(self, wanted: Callable[[Path], bool]) -> None:
        super().__init__()
        self._wanted = wanted

    def add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        """Watch a folder. One that isn't wanted is refused; watchdog goes on, as with a folder that has vanished."""
        if not self._wanted(Path(os.fsdecode(path))):
            raise FileNotFoundError(errno.ENOENT, "passed over", os.fsdecode(path))
        return super().add_callback(path, mask, callback, id_)
