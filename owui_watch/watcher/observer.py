"""The only room that knows watchdog: events from the platform's observer, and whether they can still be trusted."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver

from owui_watch.files.regular import folder_of
from owui_watch.watcher.debounce import Write

# Without open and close-no-write: our own reads would come back as events.
EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]
Deliver = Callable[[Path, Write, bool], object]
"""Takes a path that an event named, how far its write is, and whether it is a folder. Called in the observer's
thread."""


class ObserverError(Exception):
    """Why no events come: ``str()`` says what happened, ``hint`` what to do."""

    def __init__(self, error: str, hint: str | None = None) -> None:
        super().__init__(error)
        self.hint = hint


Wanted = Callable[[Path], bool]
"""Tells of a folder below a watched one whether it matters."""


def make_observer(wanted: Wanted) -> BaseObserver:
    """Return this platform's observer; only Linux' takes a watch a folder, and none for what isn't ``wanted``."""
    if sys.platform == "linux":
        from owui_watch.watcher.inotify import Observer  # noqa: PLC0415

        return Observer(wanted)
    else:  # noqa: RET505 - mypy checks one platform a run, and this is the other one
        from watchdog.observers import Observer  # noqa: PLC0415

        return Observer()


class Observation:
    """One watchdog observer over ``roots`` (absolute folders or single files), from ``start`` to ``stop``.

    ``relevant`` judges a path and whether it is a folder, by name alone; ``overflowed`` is called where the kernel
    dropped events. Both, and ``deliver``, are called in the observer's threads.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        relevant: Callable[[Path, bool], bool],
        deliver: Deliver,
        overflowed: Callable[[], object],
        observer: Callable[[Wanted], BaseObserver] = make_observer,
    ) -> None:
        self._roots = tuple(roots)
        self._folders = tuple(map(folder_of, roots))  # of a single file too, since editors replace it
        self._relevant = relevant
        self._handler = _Handler(relevant, deliver)
        self._make_observer = observer
        self._observer: BaseObserver | None = None
        self._complete = False
        silence_watchdog(overflowed)

    def start(self) -> None:
        """Watch. Raises ObserverError; some events may come all the same where a limit was reached on the way."""
        try:
            self._observer = self._make_observer(self._wanted)
            for root, folder in zip(self._roots, self._folders, strict=True):
                self._observer.schedule(self._handler, str(folder), recursive=folder == root, event_filter=EVENTS)
            self._observer.start()
            _probe_limits(self._folders[0])
            self._complete = True
        except OSError as error:
            raise _explained(error) from error

    def stop(self) -> None:
        """Stop, and wait for the threads to end."""
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            if observer.is_alive():
                observer.join()

    def sound(self) -> bool:
        """Return whether the threads that were started live. Where a limit kept one from it: whether it still does.

        That another folder stands in a root's place is told neither here nor by any event (inotify(7)).
        """
        if not self._complete:
            return not _has_room(self._roots[0])
        threads = [self._observer, *self._observer.emitters] if self._observer else []
        return all(thread.is_alive() for thread in threads)

    def _wanted(self, folder: Path) -> bool:
        return folder in self._folders or self._relevant(folder, True)


def _probe_limits(folder: Path) -> None:
    """Ask for one watch more. Watchdog drops in silence what it gets no watch for below the root."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415

        from watchdog.observers.inotify_c import InotifyConstants, inotify_add_watch, inotify_init  # noqa: PLC0415

        descriptor = inotify_init()
        if descriptor == -1:
            raise OSError(code := ctypes.get_errno(), os.strerror(code))
        try:
            if inotify_add_watch(descriptor, os.fsencode(folder), InotifyConstants.IN_DELETE_SELF) == -1:
                raise OSError(code := ctypes.get_errno(), os.strerror(code))
        finally:
            os.close(descriptor)


def _has_room(folder: Path) -> bool:
    """Return whether inotify would give one watch more; false where there is no such limit to be lifted."""
    try:
        _probe_limits(folder)
    except OSError:
        return False
    return sys.platform == "linux"


def _explained(error: OSError) -> ObserverError:
    """Say which of Linux' two limits it is and how to lift it; anything else in the system's words."""
    limits = {
        errno.ENOSPC: ("watches", "max_user_watches", 524288),
        errno.EMFILE: ("instances", "max_user_instances", 1024),
    }
    if error.errno not in limits:
        return ObserverError(f"no events can be had from the file system: {error.strerror or error}")
    what, name, enough = limits[error.errno]
    return ObserverError(
        f"the system's limit of inotify {what} is reached",
        hint=f"lift it: sudo sysctl fs.inotify.{name}={enough}",
    )


class _Handler(FileSystemEventHandler):
    """Drops what can't matter and delivers the rest. An exception here would kill the observer's thread.

    That the end of a write will be told is believed once one has been: inotify(7) tells of every file that is closed,
    but not of those that a host writes into a container's mount (docker/for-mac#896), and no other system does.
    """

    def __init__(self, relevant: Callable[[Path, bool], bool], deliver: Deliver) -> None:
        self._relevant = relevant
        self._deliver = deliver
        self._ends_are_told = False

    def dispatch(self, event: FileSystemEvent) -> None:
        write = Write.UNTOLD
        if isinstance(event, FileClosedEvent):
            self._ends_are_told = True
            write = Write.ENDED
        elif self._ends_are_told and _begins(event):
            write = Write.BEGUN
        self._pass_on(event.src_path, write, event.is_directory)
        if isinstance(event, FileMovedEvent | DirMovedEvent):
            self._pass_on(event.dest_path, Write.ENDED, event.is_directory)

    def _pass_on(self, name: str | bytes, write: Write, is_folder: bool) -> None:
        try:
            if name and self._relevant(path := Path(str(name)), is_folder):
                self._deliver(path, write, is_folder)
        except (RuntimeError, ValueError):
            # The loop is closed (we are stopping), or the name is none that a path can have.
            pass


def _begins(event: FileSystemEvent) -> bool:
    """Return whether someone is writing: a new file that holds something may be a link to one that is complete."""
    if isinstance(event, FileCreatedEvent):
        try:
            return os.lstat(event.src_path).st_size == 0
        except (OSError, ValueError):
            return False
    return isinstance(event, FileModifiedEvent)


class _Overflow(logging.Handler):
    """Watchdog tells lost events only to its log: then a look finds what they would have told."""

    def __init__(self, hasten: Callable[[], object]) -> None:
        super().__init__(logging.WARNING)
        self._hasten = hasten

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            with contextlib.suppress(RuntimeError):
                self._hasten()


def silence_watchdog(overflowed: Callable[[], object]) -> None:
    """Keep watchdog's log records and warnings off the terminal; call ``overflowed`` where it lost events."""
    log = logging.getLogger("watchdog")
    log.handlers = [_Overflow(overflowed)]
    log.propagate = False
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog|owui_watch\.watcher\.inotify")
