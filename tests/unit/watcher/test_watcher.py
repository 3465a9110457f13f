"""Every save shape on real files, seen by the real observer: exactly one settle each, and none is lost."""

# ruff: noqa: ASYNC240 - the editors that these tests play don't wait for anyone either

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, TextIO

import anyio
import pytest
from watchdog.events import FileClosedEvent
from watchdog.observers.api import BaseObserver

from owui_watch.files.regular import identity
from owui_watch.plugins.ignore import Ignore
from owui_watch.watcher import observer as events
from owui_watch.watcher import watcher as room
from owui_watch.watcher.debounce import CAP, Settled
from owui_watch.watcher.observer import Wanted, make_observer
from owui_watch.watcher.watcher import Watcher

pytestmark = pytest.mark.anyio

WINDOW = 0.1
PATIENCE = 20.0
"""Seconds after which a settle that never comes fails a test. None takes a tenth of it."""

Save = Callable[[Path], object]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A watched folder with a few files in it, as it was before the watch began."""
    root = tmp_path / "plugins"
    (root / "filters").mkdir(parents=True)
    for name in ("x.py", "y.py", "filters/z.py"):
        (root / name).write_text("old")
    return root


class Seen:
    """What a running watcher gives out, in order."""

    def __init__(self, watcher: Watcher, noticed: list[tuple[Path, bool]]) -> None:
        self.watcher = watcher
        self.settles: list[Settled] = []
        self.noticed = noticed
        self.looks = 0
        self._came = anyio.Event()

    async def collect(self) -> None:
        while True:
            self.settles += await self.watcher.settled()
            self.stir()

    def stir(self) -> None:
        came, self._came = self._came, anyio.Event()
        came.set()

    async def until(self, true: Callable[[], bool]) -> None:
        with anyio.fail_after(PATIENCE):
            while not true():
                await self._came.wait()

    async def settled(self, *paths: Path) -> None:
        """Wait until each of these paths has settled."""
        await self.until(lambda: set(paths) <= set(self.paths))

    async def looked(self, times: int) -> None:
        """Wait for that many more periodic looks."""
        enough = self.looks + times
        await self.until(lambda: self.looks >= enough)

    async def all_after(self, marker: Path) -> list[Path]:
        """Save ``marker``, and give what has settled by the time that nothing is under way any more, without it.

        Events come in order: what the marker's overtake is nothing.
        """
        marker.write_text("seen")
        await self.settled(marker)
        with anyio.fail_after(PATIENCE):
            await self.watcher.quiet()
        return sorted(path for path in self.paths if path != marker)

    @property
    def paths(self) -> list[Path]:
        return [settled.path for settled in self.settles]


@asynccontextmanager
async def watching(
    *roots: Path, ignore: Sequence[str] = (), looks: bool = False, window: float = WINDOW, **options: Any
) -> AsyncIterator[Seen]:
    """Watch ``roots``. Without ``looks`` only events tell: a look can't make good what they miss."""
    noticed: list[tuple[Path, bool]] = []
    watcher = Watcher(roots, Ignore(ignore), window, lambda *what: noticed.append(what), **options)
    seen = Seen(watcher, noticed)
    await watcher.start()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(seen.collect)
        if looks:
            _count_looks(seen)
            tasks.start_soon(watcher.look_now_and_then)
        try:
            yield seen
        finally:
            tasks.cancel_scope.cancel()
            await watcher.stop()


def _count_looks(seen: Seen) -> None:
    pause = seen.watcher._pause

    def paused(cost: float) -> float:
        seen.looks += 1
        seen.stir()
        return pause(cost)

    seen.watcher._pause = paused  # type: ignore[method-assign]


def _system_watches() -> int:
    """How many folders the kernel tells this process about (proc(5), fdinfo)."""
    return sum(info.read_text().count("inotify wd:") for info in Path("/proc/self/fdinfo").iterdir() if info.exists())


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look every 20 ms."""
    monkeypatch.setattr(room, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(room, "LOOK_SHARE", 0)


@pytest.fixture
def no_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose every event on its way from the observer."""
    monkeypatch.setattr("owui_watch.watcher.observer._Handler.dispatch", lambda *_: None)


# The shapes of a save


def in_place(path: Path) -> None:
    path.write_text("new")


def in_pieces(path: Path) -> None:
    with path.open("w") as file:
        for _ in range(20):
            file.write("new" * 1000)
            file.flush()


def appended(path: Path) -> None:
    with path.open("a") as file:
        file.write("new")


def renamed_over(temporary: str) -> Save:
    def save(path: Path) -> None:
        new = path.with_name(temporary)
        new.write_text("new")
        new.replace(path)

    return save


def renamed_over_from_elsewhere(path: Path) -> None:
    new = path.parents[1] / "new.py"
    new.write_text("new")
    new.replace(path)


def renamed_away_within(path: Path) -> None:
    path.rename(path.with_name(path.name + "~"))
    path.write_text("new")


def renamed_away_to_a_hidden_folder(path: Path) -> None:
    path.with_name(".backup").mkdir()
    path.rename(path.parent / ".backup" / path.name)
    path.write_text("new")


def renamed_away_outside(path: Path) -> None:
    backup = path.parents[1] / "backup"
    backup.mkdir(exist_ok=True)
    path.rename(backup / path.name)
    path.write_text("new")


def deleted_and_written(path: Path) -> None:
    path.unlink()
    path.write_text("new")


def hard_linked_backup(path: Path) -> None:
    os.link(path, path.with_name("x.py~"))
    renamed_over("x.py.tmp")(path)


SHAPES = [
    in_place,
    in_pieces,
    appended,
    pytest.param(renamed_over("x.py.tmp"), id="renamed_over_from_tmp"),
    pytest.param(renamed_over(".x.py.swp"), id="renamed_over_from_hidden"),
    pytest.param(renamed_over("x.py___jb_tmp___"), id="renamed_over_as_jetbrains_does"),
    pytest.param(renamed_over("sedAbC123"), id="renamed_over_as_sed_does"),
    pytest.param(renamed_over("4913"), id="renamed_over_from_4913"),
    renamed_over_from_elsewhere,
    renamed_away_within,
    renamed_away_to_a_hidden_folder,
    renamed_away_outside,
    deleted_and_written,
    hard_linked_backup,
]


@pytest.mark.parametrize("save", SHAPES)
async def test_a_save_of_any_shape_is_one_settle(root: Path, save: Save) -> None:
    async with watching(root) as seen:
        save(root / "x.py")
        await seen.settled(root / "x.py")

        assert await seen.all_after(root / "y.py") == [root / "x.py"]
        complete = [path for path, complete in seen.noticed if complete]
        assert complete == [root / "x.py", root / "y.py"], "noticed as complete once"


@pytest.mark.parametrize("save", SHAPES)
async def test_a_save_that_events_told_is_not_found_again_by_a_look(root: Path, save: Save, often: None) -> None:
    async with watching(root, looks=True) as seen:
        save(root / "x.py")
        await seen.settled(root / "x.py")
        await seen.looked(5)

        assert await seen.all_after(root / "y.py") == [root / "x.py"]


@pytest.mark.parametrize("save", SHAPES)
async def test_a_save_that_no_event_told_is_found_by_a_look(
    root: Path, save: Save, often: None, no_events: None
) -> None:
    async with watching(root, looks=True) as seen:
        save(root / "x.py")
        await seen.settled(root / "x.py")
        await seen.looked(5)

        assert await seen.all_after(root / "y.py") == [root / "x.py"]


@pytest.mark.parametrize("save", [in_place, renamed_over("x.py.tmp"), renamed_away_within])
async def test_a_finished_save_settles_well_within_the_full_window(root: Path, save: Save) -> None:
    async with watching(root, window=2 * PATIENCE) as seen:
        save(root / "x.py")
        await seen.settled(root / "x.py")

        assert seen.paths == [root / "x.py"]


async def test_looks_in_the_midst_of_a_save_do_not_make_it_late(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LOOK_EVERY", 0.0005)
    monkeypatch.setattr(room, "LOOK_SHARE", 0)
    async with watching(root, looks=True, window=2 * PATIENCE) as seen:
        (root / "x.py").write_text("new")
        await seen.settled(root / "x.py")

        assert seen.paths == [root / "x.py"]


@pytest.mark.skipif(sys.platform != "linux", reason="only inotify pairs moves")
async def test_a_backup_folder_outside_the_tree_does_not_make_a_save_late(root: Path) -> None:
    """By itself watchdog would hold it back for half a second."""
    async with watching(root) as seen:
        took: dict[Save, list[float]] = {in_place: [], renamed_away_outside: []}
        for _ in range(5):
            for save, times in took.items():
                save(root / "x.py")
                written_at = time.perf_counter()
                await seen.settled(root / "x.py")
                times.append(time.perf_counter() - written_at)
                seen.settles.clear()

        assert median(took[renamed_away_outside]) - median(took[in_place]) < 0.2


@contextmanager
def written_slowly(path: Path, first: str) -> Iterator[TextIO]:
    with path.open("w") as file:
        file.write(first)
        file.flush()
        yield file
        file.write("the rest")


@pytest.mark.skipif(sys.platform != "linux", reason="only inotify tells when a file is closed")
@pytest.mark.parametrize("first", ["", "half"])
@pytest.mark.parametrize("is_new", [False, True])
async def test_a_save_whose_writer_pauses_is_one_settle(root: Path, first: str, is_new: bool) -> None:
    path = root / ("new.py" if is_new else "x.py")
    async with watching(root, window=0.5) as seen:
        (root / "notes.txt").write_text("a first end that is told")
        with written_slowly(path, first):
            os.link(root / "filters" / "z.py", linked := root / "linked.py")
            await seen.settled(linked)
        await seen.settled(path)

        assert await seen.all_after(root / "y.py") == [linked, path]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no end is told anyway")
async def test_where_no_end_of_a_write_is_told_none_is_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "EVENTS", [event for event in events.EVENTS if event is not FileClosedEvent])
    async with watching(root, window=0.5) as seen:
        for number in range(2):
            seen.settles.clear()
            began = time.perf_counter()
            (root / "x.py").write_text(f"{number}")
            await seen.settled(root / "x.py")
            assert time.perf_counter() - began < CAP * 0.5 / 2


async def test_a_file_moved_in_from_elsewhere_is_one_settle(root: Path) -> None:
    async with watching(root) as seen:
        (root.parent / "new.py").write_text("new")
        (root.parent / "new.py").rename(root / "filters" / "new.py")
        await seen.settled(root / "filters" / "new.py")

        assert await seen.all_after(root / "y.py") == [root / "filters" / "new.py"]


async def test_a_file_moved_within_is_a_settle_of_both_its_paths(root: Path) -> None:
    async with watching(root) as seen:
        (root / "x.py").rename(root / "filters" / "x.py")
        await seen.settled(root / "x.py", root / "filters" / "x.py")

        assert await seen.all_after(root / "y.py") == [root / "filters" / "x.py", root / "x.py"]


async def test_each_event_is_noticed_and_only_the_first_finished_write_as_complete(root: Path) -> None:
    async with watching(root) as seen:
        for number in range(3):
            (root / "x.py").write_text(f"{number}")
        await seen.settled(root / "x.py")
        await seen.all_after(root / "y.py")

        assert seen.noticed.count((root / "x.py", True)) == seen.paths.count(root / "x.py")
        assert len(seen.noticed) >= 6


async def test_an_event_that_fails_keeps_no_other_from_being_seen(root: Path) -> None:
    failed: list[BaseException | None] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context.get("exception")))
    async with watching(root) as seen:
        notice = seen.watcher._noticed

        def fail_for_x(path: Path, written: bool) -> None:
            if path.name == "x.py":
                raise LookupError(path)
            notice(path, written)

        seen.watcher._noticed = fail_for_x
        made = [root / f"made{number}.py" for number in range(50)]
        for path in made:
            (root / "x.py").write_text("new")
            path.write_text("new")
        await seen.settled(*made)
    assert {type(error) for error in failed} == {LookupError}


async def test_a_file_that_is_deleted_is_never_noticed_as_complete(root: Path) -> None:
    async with watching(root) as seen:
        (root / "x.py").unlink()
        await seen.settled(root / "x.py")

        assert set(seen.noticed) == {(root / "x.py", False)}


async def test_a_deleted_file_is_one_settle(root: Path) -> None:
    async with watching(root) as seen:
        (root / "x.py").unlink()
        await seen.settled(root / "x.py")

        assert await seen.all_after(root / "y.py") == [root / "x.py"]


async def test_a_new_folder_with_a_file_in_it_is_one_settle(root: Path) -> None:
    async with watching(root) as seen:
        (root / "new").mkdir()
        (root / "new" / "main.py").write_text("new")
        await seen.settled(root / "new" / "main.py")

        assert await seen.all_after(root / "y.py") == [root / "new" / "main.py"]


async def test_no_file_in_new_folders_within_new_folders_is_lost(root: Path) -> None:
    """Watchdog races with whoever makes them, and warns of it."""
    async with watching(root) as seen:
        made = [root / f"a{a}" / f"b{b}" / "c" / "d" / "x.py" for a in range(20) for b in range(3)]
        for path in made:
            path.parent.mkdir(parents=True)
            path.write_text("new")
        await seen.settled(*made)

        assert await seen.all_after(root / "y.py") == sorted(made)


async def test_a_save_in_a_folder_that_is_new_is_seen_too(root: Path) -> None:
    async with watching(root) as seen:
        new = root / "a" / "b" / "x.py"
        new.parent.mkdir(parents=True)
        new.write_text("new")
        await seen.settled(new)
        seen.settles.clear()
        new.write_text("newer")
        await seen.settled(new)

        assert await seen.all_after(root / "y.py") == [new]


async def test_a_folder_moved_in_is_a_settle_of_each_file_below_it(root: Path) -> None:
    async with watching(root) as seen:
        made = [root.parent / "pack" / name for name in ("a.py", "b/c.py", "b/d/e.py", "b/.hidden.py", "tests/f.py")]
        for path in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("new")
        (root.parent / "pack").rename(root / "pack")
        there = [root / "pack" / name for name in ("a.py", "b/c.py", "b/d/e.py")]
        await seen.settled(*there)

        assert await seen.all_after(root / "y.py") == there


async def test_a_folder_moved_out_and_back_in_is_a_settle_of_each_file_each_time(root: Path) -> None:
    async with watching(root) as seen:
        moved = [root / "filters" / "z.py"]
        for _ in range(2):
            (root / "filters").rename(root.parent / "elsewhere")
            await seen.settled(*moved)
            assert await seen.all_after(root / "y.py") == moved
            seen.settles.clear()
            (root.parent / "elsewhere").rename(root / "filters")
            await seen.settled(*moved)
            assert await seen.all_after(root / "y.py") == moved
            seen.settles.clear()


async def test_a_folder_renamed_within_is_a_settle_of_both_paths_of_each_file(root: Path) -> None:
    async with watching(root) as seen:
        (root / "filters").rename(root / "pipes")
        await seen.settled(root / "filters" / "z.py", root / "pipes" / "z.py")
        seen.settles.clear()
        (root / "pipes" / "z.py").write_text("new")
        await seen.settled(root / "pipes" / "z.py")

        assert await seen.all_after(root / "y.py") == [root / "pipes" / "z.py"]


async def test_a_deleted_folder_is_a_settle_of_each_file_below_it(root: Path) -> None:
    async with watching(root) as seen:
        shutil.rmtree(root / "filters")
        await seen.settled(root / "filters" / "z.py")

        assert await seen.all_after(root / "y.py") == [root / "filters" / "z.py"]


async def test_a_checkout_of_three_hundred_files_is_one_settle_each(root: Path) -> None:
    changed = [root / f"folder{number % 10}" / f"p{number}.py" for number in range(200)]
    for path in changed:
        path.parent.mkdir(exist_ok=True)
        path.write_text("old")
    new = [root / f"new{number % 10}" / "deep" / f"p{number}.py" for number in range(100)]
    # A busy machine may take longer than the usual window over so many: each is deleted and written in one save.
    async with watching(root, window=1.0) as seen:
        for path in changed:
            path.unlink()
            path.write_text("new")
        for path in new:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("new")
        await seen.settled(*changed, *new)

        assert await seen.all_after(root / "y.py") == sorted([*changed, *new])


@pytest.mark.parametrize("name", ["ünï cödé.py", "with space.py", "quote'\".py", "x" * 240 + ".py", "new\nline.py"])
async def test_a_file_of_any_name_is_seen(root: Path, name: str) -> None:
    async with watching(root) as seen:
        (root / name).write_text("new")
        await seen.settled(root / name)

        assert await seen.all_after(root / "y.py") == [root / name]


async def test_a_save_with_a_time_in_the_past_is_found_by_a_look(root: Path, often: None, no_events: None) -> None:
    """As rsync, cp -p and tar do it; here even with the size and the time that the old file had."""
    old = (root / "x.py").stat()
    async with watching(root, looks=True) as seen:
        new = root.parent / "new.py"
        new.write_text("new")
        os.utime(new, ns=(old.st_atime_ns, old.st_mtime_ns))
        new.replace(root / "x.py")
        assert (root / "x.py").stat().st_mtime_ns == old.st_mtime_ns
        assert (root / "x.py").stat().st_size == old.st_size
        await seen.settled(root / "x.py")

        assert await seen.all_after(root / "y.py") == [root / "x.py"]


# What must not settle


IGNORED = [
    ".x.py",
    ".#x.py",
    ".x.py.swp",
    ".git/x.py",
    ".venv/x.py",
    "__pycache__/x.py",
    "__pycache__/x.cpython-311.pyc",
    "venv/lib/x.py",
    "lib/site-packages/x.py",
    "node_modules/x.py",
    "4913",
    "x.py~",
    "#x.py#",
    "x.py___jb_tmp___",
    "x.py___jb_old___",
    "x.py.tmp",
    "x.tmp",
    "README.md",
    "test_x.py",
    "x_test.py",
    "conftest.py",
    "tests/x.py",
    "filters/tests/deep/x.py",
    "drafts/x.py",
    "filters/wip_x.py",
]


async def test_what_is_ignored_never_settles_between_two_saves_that_do(root: Path) -> None:
    async with watching(root, ignore=["drafts", "**/wip_*.py"]) as seen:
        (root / "x.py").write_text("new")
        await seen.settled(root / "x.py")
        for name in IGNORED:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("new")
            path.write_text("newer")
            path.rename(path.with_name(f".{path.name}.old"))
            path.write_text("newest")

        assert await seen.all_after(root / "y.py") == [root / "x.py"]


@pytest.mark.skipif(sys.platform != "linux", reason="only inotify takes a watch a folder")
async def test_what_is_ignored_takes_no_watch_of_the_system(root: Path) -> None:
    for name in ("node_modules/left/pad", ".owui-watch", ".git/objects", "drafts"):
        (root / name).mkdir(parents=True)
    before = _system_watches()
    async with watching(root, ignore=["drafts"]) as seen:
        (root / "node_modules" / "right").mkdir()
        (root / "new").mkdir()
        (root / "new" / "x.py").write_text("new")
        await seen.settled(root / "new" / "x.py")

        assert _system_watches() - before == len([root, root / "filters", root / "new"])


async def test_a_folder_is_watched_from_the_moment_that_its_name_is_no_longer_ignored(root: Path) -> None:
    (root / ".later" / "within").mkdir(parents=True)
    (root / ".later" / "within" / "x.py").write_text("old")
    async with watching(root) as seen:
        (root / ".later" / "within" / "x.py").write_text("new")
        (root / ".later").rename(root / "now")
        await seen.settled(moved := root / "now" / "within" / "x.py")
        seen.settles.clear()
        moved.write_text("newer")
        await seen.settled(moved)
        assert (moved, True) in seen.noticed

        seen.settles.clear()
        (root / "now").rename(root / ".later")
        await seen.settled(moved)
        seen.settles.clear()
        (root / ".later" / "within" / "x.py").write_text("newest")
        assert await seen.all_after(root / "y.py") == []


async def test_what_is_ignored_is_found_by_no_look(root: Path, often: None, no_events: None) -> None:
    async with watching(root, ignore=["drafts", "**/wip_*.py"], looks=True) as seen:
        for name in IGNORED:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("new")
        await seen.looked(3)

        assert await seen.all_after(root / "y.py") == []


async def test_what_is_ignored_by_its_path_is_ignored_in_a_folder_moved_in(root: Path) -> None:
    pack = root.parent / "pack"
    (pack / "wip").mkdir(parents=True)
    for name in ("x.py", "wip/x.py", "test_x.py"):
        (pack / name).write_text("new")
    async with watching(root, ignore=["pack/wip/*.py"]) as seen:
        pack.rename(root / "pack")
        await seen.settled(root / "pack" / "x.py")

        assert await seen.all_after(root / "y.py") == [root / "pack" / "x.py"]


async def test_our_own_reads_do_not_come_back(root: Path) -> None:
    async with watching(root) as seen:
        (root / "x.py").write_text("new")
        await seen.settled(root / "x.py")
        for _ in range(50):
            (root / "x.py").read_bytes()
            (root / "x.py").stat()
            list(root.iterdir())

        assert await seen.all_after(root / "y.py") == [root / "x.py"]


async def test_what_was_there_before_does_not_settle(root: Path, often: None) -> None:
    async with watching(root, looks=True) as seen:
        await seen.looked(3)

        assert await seen.all_after(root / "y.py") == []


# Bad content, single files, several roots


async def test_a_save_held_back_settles_again_after_the_full_window(root: Path) -> None:
    async with watching(root) as seen:
        (root / "x.py").write_text("")
        await seen.settled(root / "x.py")
        [settled] = seen.settles
        seen.watcher.not_yet(settled)
        await seen.until(lambda: len(seen.settles) == 2)

        assert seen.settles[1] == Settled(root / "x.py", settled.last, held=True)


@pytest.mark.parametrize(
    "save", [in_place, renamed_over("x.py.tmp"), renamed_away_within, renamed_away_outside, deleted_and_written]
)
async def test_a_watched_file_is_seen_in_every_shape_and_its_neighbours_are_not(root: Path, save: Save) -> None:
    async with watching(root / "x.py", root / "y.py") as seen:
        (root / "other.py").write_text("new")
        (root / "filters" / "x.py").write_text("new")
        save(root / "x.py")
        await seen.settled(root / "x.py")

        assert await seen.all_after(root / "y.py") == [root / "x.py"]


async def test_a_watched_file_may_have_a_name_that_is_ignored_elsewhere(root: Path) -> None:
    (root / "test_x.py").write_text("old")
    async with watching(root / "test_x.py", root / "y.py") as seen:
        (root / "test_x.py").write_text("new")
        await seen.settled(root / "test_x.py")

        assert await seen.all_after(root / "y.py") == [root / "test_x.py"]


async def test_several_folders_are_watched_at_once_also_one_within_another(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with watching(root, other, root / "filters") as seen:
        (other / "x.py").write_text("new")
        (root / "filters" / "z.py").write_text("new")
        await seen.settled(other / "x.py", root / "filters" / "z.py")

        assert await seen.all_after(root / "y.py") == [other / "x.py", root / "filters" / "z.py"]


# The watch itself goes away


async def test_an_overflow_of_the_kernels_queue_hastens_the_look(
    root: Path, no_events: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LOOK_EVERY", 3600.0)
    async with watching(root, looks=True) as seen:
        (root / "x.py").write_text("new")
        await seen.until(lambda: seen.looks > 0)
        logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; events were lost")
        await seen.settled(root / "x.py")


async def test_nothing_of_watchdogs_own_reaches_the_terminal(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not even where the program logs to it, and shows warnings."""
    terminal = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(terminal)
    try:
        with warnings.catch_warnings(record=True) as shown:
            async with watching(root):
                logging.getLogger("watchdog.observers.inotify").error("queue_events() called when inactive")
                logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed")
                where = ("inotify.py", 1, "watchdog.observers.inotify")
                warnings.warn_explicit("Callback with that id exists", RuntimeWarning, *where)
    finally:
        logging.getLogger().removeHandler(terminal)

    assert shown == []
    assert capfd.readouterr() == ("", "")


async def test_a_folder_that_is_deleted_and_made_again_is_said_once_and_watched_again(root: Path, often: None) -> None:
    said: list[str] = []
    async with watching(root, looks=True, troubled=lambda error, _hint: said.append(error)) as seen:
        shutil.rmtree(root)
        assert seen.watcher.is_gone()
        await seen.looked(5)
        assert [error.partition(" is gone")[0] for error in said] == [str(root)]
        root.mkdir()
        (root / "x.py").write_text("new")
        seen.settles.clear()
        await seen.settled(root / "x.py")
        await seen.looked(3)
        seen.settles.clear()
        seen.noticed.clear()
        (root / "x.py").write_text("newer")
        await seen.settled(root / "x.py")

        assert (root / "x.py", True) in seen.noticed, "told by an event, not by a look"
        assert len(said) == 1


async def test_a_folder_that_is_renamed_and_replaced_is_watched_in_its_place(root: Path, often: None) -> None:
    async with watching(root, looks=True) as seen:
        root.rename(root.with_name("old"))
        shutil.copytree(root.with_name("old"), root)
        await seen.settled(root / "x.py", root / "y.py", root / "filters" / "z.py")
        seen.settles.clear()
        seen.noticed.clear()
        (root / "x.py").write_text("new")
        await seen.settled(root / "x.py")
        assert (root / "x.py", True) in seen.noticed

        (root.with_name("old") / "x.py").write_text("elsewhere")
        seen.settles.clear()
        assert await seen.all_after(root / "y.py") == []


async def test_an_observer_whose_thread_died_is_replaced(root: Path, often: None) -> None:
    observers: list[BaseObserver] = []

    def observer(wanted: Wanted) -> BaseObserver:
        observers.append(make_observer(wanted))
        return observers[-1]

    async with watching(root, looks=True, observer=observer) as seen:
        observers[0].stop()
        await seen.until(lambda: len(observers) == 2)
        await seen.looked(2)
        (root / "x.py").write_text("new")
        await seen.settled(root / "x.py")

        assert (root / "x.py", True) in seen.noticed


@pytest.mark.parametrize(
    ("code", "says", "hint"),
    [
        (errno.EMFILE, "limit of inotify instances", "fs.inotify.max_user_instances"),
        (errno.ENOSPC, "limit of inotify watches", "fs.inotify.max_user_watches"),
        (errno.ENOSYS, "no events can be had", None),
    ],
)
async def test_where_no_observer_can_be_had_it_is_said_and_looks_find_every_save(
    root: Path, often: None, code: int, says: str, hint: str | None
) -> None:
    said: list[tuple[str, str | None]] = []

    def observer(wanted: Wanted) -> BaseObserver:
        raise OSError(code, os.strerror(code))

    async with watching(root, looks=True, observer=observer, troubled=lambda *what: said.append(what)) as seen:
        (root / "x.py").write_text("new")
        await seen.settled(root / "x.py")

        assert await seen.all_after(root / "y.py") == [root / "x.py"]
    [(error, advice)] = said
    assert says in error
    assert (hint in advice) if hint and advice else hint is advice


async def test_polling_starts_no_thread_and_finds_every_save(root: Path) -> None:
    before = set(threading.enumerate())
    async with watching(root, looks=True, poll=0.02) as seen:
        assert not [thread for thread in set(threading.enumerate()) - before if "anyio" not in thread.name.lower()]
        (root / "x.py").write_text("new")
        await seen.settled(root / "x.py")

        assert await seen.all_after(root / "y.py") == [root / "x.py"]


async def test_stop_waits_for_every_thread_of_the_observer_off_the_loop(root: Path) -> None:
    before, joined_in = set(threading.enumerate()), list[threading.Thread]()

    def observer(wanted: Wanted) -> BaseObserver:
        made = make_observer(wanted)
        join = made.join

        def joined(timeout: float | None = None) -> None:
            joined_in.append(threading.current_thread())
            join(timeout)

        made.join = joined  # type: ignore[method-assign]
        return made

    watcher = Watcher([root], Ignore(), WINDOW, lambda *_: None, observer=observer)
    await watcher.start()
    started = {thread for thread in set(threading.enumerate()) - before if "anyio" not in thread.name.lower()}
    assert len(started) >= 2

    await watcher.stop()
    await watcher.stop()

    assert not [thread for thread in started if thread.is_alive()]
    [where] = joined_in
    assert where is not threading.main_thread()


async def test_events_that_arrive_while_it_stops_harm_nothing(root: Path) -> None:
    """A handler that raised would end watchdog's thread, which the runner would tell."""
    async with watching(root) as seen:
        for _ in range(100):
            (root / "x.py").write_text("new")
    for _ in range(100):
        (root / "x.py").write_text("newer")
    assert set(seen.paths) <= {root / "x.py"}


async def test_where_one_of_two_folders_is_gone_the_other_is_still_looked_at(root: Path, often: None) -> None:
    other = root.with_name("other")
    other.mkdir()
    (other / "o.py").write_text("old")
    said: list[str] = []
    async with watching(root, other, looks=True, poll=0.1, troubled=lambda error, _hint: said.append(error)) as seen:
        shutil.rmtree(root)
        await seen.looked(2)
        (other / "o.py").write_text("newer")
        await seen.settled(other / "o.py")

        assert seen.paths == [other / "o.py"], "the files of the folder that is gone did not go one by one"
        assert seen.watcher.is_gone(root / "x.py")
        assert not seen.watcher.is_gone(other / "o.py")
        assert [error.partition(" is gone")[0] for error in said] == [str(root)]


async def test_an_empty_mount_point_is_a_folder_that_is_gone_until_a_file_is_in_it(
    root: Path, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no observer tells of it; the other folder goes on."""
    other = root.with_name("other")
    other.mkdir()
    said: list[str] = []
    async with watching(root, other, looks=True, poll=0.02, troubled=lambda error, _hint: said.append(error)) as seen:
        root.rename(root.with_name("unmounted"))
        monkeypatch.setattr(room, "identity", lambda folder: (1, 1) if folder == root else identity(folder))
        root.mkdir()
        await seen.looked(3)
        assert seen.watcher.is_gone(root / "x.py")
        assert not seen.watcher.is_gone(other / "o.py")
        (other / "o.py").write_text("new")
        await seen.settled(other / "o.py")
        assert seen.paths == [other / "o.py"]
        assert [error.partition(" is gone")[0] for error in said] == [str(root)]

        before = anyio.current_time()
        (root / "new.py").write_text("new")
        await seen.settled(root / "new.py")
        assert not seen.watcher.is_gone()
        assert seen.watcher.renewed > before
        assert len(said) == 1


async def test_another_folder_in_its_place_is_noticed_without_an_observer(root: Path) -> None:
    async with watching(root, looks=True, poll=0.02) as seen:
        before = anyio.current_time()
        root.rename(root.with_name("old"))
        shutil.copytree(root.with_name("old"), root)
        await seen.settled(root / "x.py")

        assert seen.watcher.renewed > before


async def test_without_events_a_save_that_goes_on_while_it_settles_waits_for_another_window(root: Path) -> None:
    async with watching(root, poll=3600.0) as seen:
        (root / "x.py").write_text("half")
        await seen.watcher.look()
        looked = anyio.current_time()
        (root / "x.py").write_text("half and the other half")
        await seen.settled(root / "x.py")
        [settled] = seen.settles
        assert settled.last > looked

        await seen.watcher.look()
        assert await seen.watcher.waiting() == set()


async def test_it_tells_how_many_saves_are_on_their_way(root: Path) -> None:
    async with watching(root, poll=3600.0) as seen:
        assert seen.watcher.unsettled == 0
        for name in ("x.py", "y.py"):
            (root / name).write_text("new")
        await seen.watcher.look()
        assert seen.watcher.unsettled == 2
        await seen.settled(root / "x.py", root / "y.py")
        assert seen.watcher.unsettled == 0


async def test_of_a_renamed_file_the_new_path_settles_first(root: Path) -> None:
    async with watching(root, poll=3600.0) as seen:
        for name in ("x.py", "y.py", "filters/z.py"):
            (root / name).rename(root / f"{name}.new.py")
        await seen.watcher.look()
        assert await seen.watcher.waiting() >= {root / "x.py", root / "x.py.new.py"}
        await seen.settled(root / "x.py")

        assert [path.exists() for path in seen.paths] == [True] * 3 + [False] * 3


async def test_a_watched_file_that_is_away_for_a_moment_is_no_folder_that_is_gone(root: Path, often: None) -> None:
    said: list[str] = []
    async with watching(root / "x.py", looks=True, troubled=lambda error, _hint: said.append(error)) as seen:
        (root / "x.py").unlink()
        await seen.settled(root / "x.py")
        await seen.looked(3)

        assert not seen.watcher.is_gone()
        assert said == []
