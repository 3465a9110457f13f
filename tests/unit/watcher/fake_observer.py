"""An observer that sends the events that a test tells it to, and a platform without threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

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
)
from watchdog.observers.api import BaseObserver

from owui_watch.watcher.observer import Wanted
from owui_watch.watcher.watcher import Platform

T = TypeVar("T")


async def in_place(work: Callable[[], T]) -> T:
    """Stand in for a thread."""
    return work()


def post_at_once() -> Callable[[Callable[[], object]], None]:
    """Stand in for the hand-over from the observer's thread to the event loop."""
    return lambda function: cast(None, function())


@dataclass
class FakeObserver:
    """One observer; ``alive`` is false after its threads have died."""

    folders: dict[str, bool] = field(default_factory=dict)
    handler: Any = None
    alive: bool = False
    stopped: bool = False
    ident: int | None = None
    fails: OSError | None = None

    def schedule(self, handler: Any, path: str, *, recursive: bool, event_filter: object) -> None:
        if not Path(path).is_dir():
            raise FileNotFoundError(path)
        self.handler = handler
        self.folders[path] = recursive

    def start(self) -> None:
        if self.fails is not None:
            raise self.fails
        self.ident, self.alive = 1, True

    def stop(self) -> None:
        self.alive, self.stopped = False, True

    def join(self) -> None:
        assert self.stopped

    def is_alive(self) -> bool:
        return self.alive

    @property
    def emitters(self) -> list[Any]:
        return [SimpleNamespace(watch=SimpleNamespace(path=path), is_alive=Path(path).is_dir) for path in self.folders]

    def send(self, event: FileSystemEvent) -> None:
        """Report an event of something in a watched folder; drop any other."""
        if self.alive and any(str(event.src_path).startswith(f"{folder}/") for folder in self.folders):
            self.handler.dispatch(event)


class FakePlatform:
    """Makes observers, and plays saves as inotify reports them. Without ``close_events`` as other systems do."""

    def __init__(self, *, close_events: bool = True) -> None:
        self.observers: list[FakeObserver] = []
        self.fails: OSError | None = None
        self.close_events = close_events

    @property
    def platform(self) -> Platform:
        return Platform(observer=self._make, in_thread=in_place, post=post_at_once)

    @property
    def observer(self) -> FakeObserver:
        return self.observers[-1]

    def _make(self, _wanted: Wanted) -> BaseObserver:
        self.observers.append(FakeObserver(fails=self.fails))
        return cast(BaseObserver, self.observers[-1])

    def send(self, *events: FileSystemEvent) -> None:
        for event in events:
            self.observer.send(event)

    def open(self, path: Path, text: str) -> None:
        """Begin to write; the file stays open."""
        new = not path.exists()
        path.write_text(text, "utf-8")
        if new:
            self.send(FileCreatedEvent(str(path)))
        self.send(FileModifiedEvent(str(path)))

    def close(self, path: Path) -> None:
        if self.close_events:
            self.send(FileClosedEvent(str(path)))

    def save(self, path: Path, text: str) -> None:
        """Write in place."""
        self.open(path, text)
        self.close(path)

    def move(self, path: Path, to: Path) -> None:
        is_folder = path.is_dir()
        path.rename(to)
        self.send((DirMovedEvent if is_folder else FileMovedEvent)(str(path), str(to)))

    def delete(self, path: Path) -> None:
        path.unlink()
        self.send(FileDeletedEvent(str(path)))

    def make_folder(self, path: Path) -> None:
        path.mkdir(parents=True)
        self.send(DirCreatedEvent(str(path)))

    def lose_folder(self, path: Path) -> None:
        """Report that a folder is gone."""
        self.send(DirDeletedEvent(str(path)))
