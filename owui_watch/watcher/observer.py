"""Events from the platform's observer, and whether it still works. With ``inotify`` the only code that knows watchdog."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import warnings
from collections.abc import Callable, Collection, Mapping
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

from owui_watch.watcher.debounce import Write

EVENTS: tuple[type[FileSystemEvent], ...] = (
    FileCreatedEvent,
    FileModifiedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
)
"""Without FileOpenedEvent and FileClosedNoWriteEvent: our own reads would come back as events."""

Deliver = Callable[[Path, Write, bool], object]
"""Takes a path that changed, the state of its write, and whether it is a folder. Called in the observer's thread."""
Relevant = Callable[[Path, bool], bool]
"""Decides by name alone whether a path matters; the second argument tells whether it is a folder."""
Wanted = Callable[[Path], bool]
"""Decides whether a folder below a watched one is to be watched."""


class ObserverError(Exception):
    """There are no events: ``str()`` says why, ``hint`` what to do."""

    def __init__(self, error: str, hint: str | None = None) -> None:
        super().__init__(error)
        self.hint = hint


def make_observer(wanted: Wanted) -> BaseObserver:
    """Return this platform's observer. Only the one for Linux needs a watch per folder, and asks ``wanted``."""
    if sys.platform == "linux":
        from owui_watch.watcher.inotify import Observer  # noqa: PLC0415

        return Observer(wanted)
    else:  # noqa: RET505 - mypy checks one platform a run, and this is the other one
        from watchdog.observers import Observer  # noqa: PLC0415

        return Observer()


MakeObserver = Callable[[Wanted], BaseObserver]


class Observation:
    """One watchdog observer over ``folders`` (each with whether it is watched recursively), from ``start`` to ``stop``.

    ``overflowed`` is called if events were lost. It, ``relevant`` and ``deliver`` are called in the observer's threads.
    """

    def __init__(
        self,
        folders: Mapping[Path, bool],
        relevant: Relevant,
        deliver: Deliver,
        overflowed: Callable[[], object],
        *,
        make: MakeObserver = make_observer,
        events: Collection[type[FileSystemEvent]] = EVENTS,
    ) -> None:
        self._folders = dict(folders)
        self._relevant = relevant
        self._handler = _Handler(relevant, deliver, overflowed)
        self._make = make
        self._events = list(events)
        self._observer: BaseObserver | None = None
        self._complete = False
        silence_watchdog(overflowed)

    def start(self) -> None:
        """Begin to watch. Raises ObserverError; if that is because of a limit, some events come all the same."""
        try:
            self._observer = self._make(self._wanted)
            for folder, recursive in self._folders.items():
                # A folder that has just vanished is found to be gone by the next look.
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    self._observer.schedule(self._handler, str(folder), recursive=recursive, event_filter=self._events)
            self._observer.start()
            self._complete = True
        except OSError as error:
            raise _explained(error) from error

    def stop(self) -> None:
        """Stop, and wait for the threads to end."""
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            if observer.ident is not None:
                observer.join()

    def works(self, folders: Collection[Path]) -> bool:
        """Return whether events of ``folders`` still come; after ``start`` stopped at a limit, whether it still would.

        Neither this nor any event (inotify(7)) reports another folder in the place of a watched one.
        """
        if not self._complete:
            return not _has_room()
        if self._observer is None or not self._observer.is_alive():
            return False
        alive = {emitter.watch.path for emitter in self._observer.emitters if emitter.is_alive()}
        return alive >= {str(folder) for folder in folders}

    def _wanted(self, folder: Path) -> bool:
        return folder in self._folders or self._relevant(folder, True)


def _has_room() -> bool:
    """Return whether inotify would give one watch more; false on systems without such limits."""
    if sys.platform != "linux":
        return False
    from watchdog.observers.inotify_c import InotifyConstants, inotify_add_watch, inotify_init  # noqa: PLC0415

    descriptor = inotify_init()
    if descriptor == -1:
        return False
    try:
        return inotify_add_watch(descriptor, b"/", InotifyConstants.IN_DELETE_SELF) != -1
    finally:
        os.close(descriptor)


def _explained(error: OSError) -> ObserverError:
    """Name the limit of Linux that was reached and how to raise it, or another error in the system's own words."""
    limits = {
        errno.ENOSPC: ("watches", "max_user_watches", 524288),
        errno.EMFILE: ("instances", "max_user_instances", 1024),
    }
    if error.errno not in limits:
        return ObserverError(f"the file system sends no events: {error.strerror or error}")
    what, name, enough = limits[error.errno]
    return ObserverError(
        f"the system's limit of inotify {what} is reached",
        hint=f"raise it: sudo sysctl fs.inotify.{name}={enough}",
    )


class _Handler(FileSystemEventHandler):
    """Drops irrelevant events and delivers the rest. An exception here would kill the observer's thread.

    Close events are trusted only after the first one: inotify(7) sends one for every file closed after writing, but not
    for files that a host writes into a container's mount (docker/for-mac#896), and no other platform sends any.
    """

    def __init__(self, relevant: Relevant, deliver: Deliver, lost: Callable[[], object]) -> None:
        self._relevant = relevant
        self._deliver = deliver
        self._lost = lost
        self._close_events_come = False

    def dispatch(self, event: FileSystemEvent) -> None:
        write = Write.UNKNOWN
        if isinstance(event, FileClosedEvent):
            self._close_events_come = True
            write = Write.FINISHED
        elif self._close_events_come and _starts_a_write(event):
            write = Write.STARTED
        self._pass_on(event.src_path, write, event.is_directory)
        if isinstance(event, FileMovedEvent | DirMovedEvent):
            self._pass_on(event.dest_path, Write.FINISHED, event.is_directory)

    def _pass_on(self, name: str | bytes, write: Write, is_folder: bool) -> None:
        try:
            if name and self._relevant(path := Path(os.fsdecode(name)), is_folder):
                self._deliver(path, write, is_folder)
        except Exception:  # a name that no path can have, or the loop is closed because the watch ends
            with contextlib.suppress(RuntimeError):
                self._lost()


def _starts_a_write(event: FileSystemEvent) -> bool:
    """Return whether a file is being written. A new file that isn't empty may be a link to a complete one."""
    if isinstance(event, FileCreatedEvent):
        try:
            return os.lstat(event.src_path).st_size == 0
        except (OSError, ValueError):
            return False
    return isinstance(event, FileModifiedEvent)


class _OverflowHandler(logging.Handler):
    """Watchdog reports lost events only in its log."""

    def __init__(self, overflowed: Callable[[], object]) -> None:
        super().__init__(logging.WARNING)
        self._overflowed = overflowed

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._overflowed()


def silence_watchdog(overflowed: Callable[[], object]) -> None:
    """Keep watchdog's log records and warnings off the terminal; call ``overflowed`` if it lost events."""
    log = logging.getLogger("watchdog")
    log.handlers = [_OverflowHandler(overflowed)]
    log.propagate = False
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog|owui_watch\.watcher\.inotify")
