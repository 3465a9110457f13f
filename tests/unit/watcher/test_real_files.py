"""Every shape of a save on real files, seen by the real observer: one settle each, and none is lost."""

# ruff: noqa: ASYNC240 - the editors that these tests play don't wait for anyone either

from __future__ import annotations

import errno
import logging
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import TextIO

import anyio
import pytest
from watchdog.observers.api import BaseObserver

from owui_watch.plugins.ignore import Ignore
from owui_watch.watcher.debounce import Settled
from owui_watch.watcher.observer import Wanted, make_observer
from owui_watch.watcher.watcher import Pace, Platform, Watcher
from tests.unit.watcher.fake_observer import FakePlatform

pytestmark = pytest.mark.anyio

WINDOW = 0.1
PATIENCE = 20.0
"""Seconds after which a settle that never comes fails a test. None takes a tenth of it."""
NEVER = Pace(shortest=3600.0, longest=3600.0, share=0, poll_share=0)
REAL = Platform()
OFTEN = Pace(shortest=0.02, longest=0.02, share=0, poll_share=0)

Save = Callable[[Path], object]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only inotify behaves this way")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A watched folder with a few files in it, as it was before the watch began."""
    return make_root(tmp_path)


def make_root(folder: Path) -> Path:
    root = folder / "plugins"
    (root / "filters").mkdir(parents=True)
    for name in ("x.py", "y.py", "filters/z.py"):
        (root / name).write_text("old")
    return root


class Seen:
    """What a running watcher returns, in order."""

    def __init__(self) -> None:
        self.watcher: Watcher
        self.settles: list[Settled] = []
        self.expected: list[Path] = []
        self.problems: list[tuple[str, str | None]] = []
        self._came = anyio.Event()

    async def collect(self) -> None:
        while True:
            self.settles += await self.watcher.settled()
            came, self._came = self._came, anyio.Event()
            came.set()

    async def settled(self, *paths: Path) -> None:
        """Wait until each of these paths has settled."""
        with anyio.fail_after(PATIENCE):
            while not set(paths) <= set(self.paths):
                await self._came.wait()

    async def looked(self, times: int) -> None:
        for _ in range(times):
            await self.watcher.look()

    async def all_after(self, marker: Path) -> list[Path]:
        """Save ``marker``; return the paths that have settled once nothing is under way any more, without it.

        Events come in order: nothing overtakes those of the marker.
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
    *roots: Path,
    ignore: Sequence[str] = (),
    pace: Pace = NEVER,
    window: float = WINDOW,
    poll: float | None = None,
    platform: Platform = REAL,
) -> AsyncIterator[Seen]:
    """Watch ``roots``. By default only events tell of saves: no look makes good what they miss."""
    seen = Seen()
    seen.watcher = watcher = Watcher(
        roots,
        Ignore(ignore),
        window,
        report=lambda *problem: seen.problems.append(problem),
        expect=seen.expected.append,
        poll=poll,
        pace=pace,
        platform=platform,
    )
    await watcher.start()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(seen.collect)
        tasks.start_soon(watcher.run)
        try:
            yield seen
        finally:
            tasks.cancel_scope.cancel()
            await watcher.stop()


def silent() -> Platform:
    """A platform whose observer sends no events; its threads are real."""
    return Platform(observer=FakePlatform().platform.observer)


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


SHAPES: dict[str, Save] = {
    "in_place": in_place,
    "in_pieces": in_pieces,
    "appended": appended,
    "renamed_over_from_tmp": renamed_over("x.py.tmp"),
    "renamed_over_from_hidden": renamed_over(".x.py.swp"),
    "renamed_over_as_jetbrains_does": renamed_over("x.py___jb_tmp___"),
    "renamed_over_as_sed_does": renamed_over("sedAbC123"),
    "renamed_over_from_4913": renamed_over("4913"),
    "renamed_over_from_elsewhere": renamed_over_from_elsewhere,
    "renamed_away_within": renamed_away_within,
    "renamed_away_to_a_hidden_folder": renamed_away_to_a_hidden_folder,
    "renamed_away_outside": renamed_away_outside,
    "deleted_and_written": deleted_and_written,
    "hard_linked_backup": hard_linked_backup,
}
Settles = dict[str, list[str] | str]


def settles_of_each(folder: Path, cases: Iterable[str], play: Callable[[str, Path], Awaitable[list[Path]]]) -> Settles:
    """Play each case in a watched folder of its own, all at once; return what settled for each, or what failed.

    A case waits for quiet windows; together they take as long as one.
    """
    settles: Settles = {}

    async def play_one(case: str) -> None:
        root = make_root(folder / case)
        try:
            paths = await play(case, root)
        except Exception as error:
            settles[case] = repr(error)
        else:
            settles[case] = [path.relative_to(root).as_posix() for path in paths]

    async def play_all() -> None:
        async with anyio.create_task_group() as tasks:
            for case in cases:
                tasks.start_soon(play_one, case)

    anyio.run(play_all, backend="asyncio")
    return settles


def settles_of_all_shapes(folder: Path, looks: int = 0, pace: Pace = NEVER, platform: Platform = REAL) -> Settles:
    async def save(shape: str, root: Path) -> list[Path]:
        async with watching(root, pace=pace, platform=platform) as seen:
            SHAPES[shape](root / "x.py")
            await seen.settled(root / "x.py")
            await seen.looked(looks)
            return await seen.all_after(root / "y.py")

    return settles_of_each(folder, SHAPES, save)


@pytest.fixture(scope="module")
def by_events(tmp_path_factory: pytest.TempPathFactory) -> Settles:
    return settles_of_all_shapes(tmp_path_factory.mktemp("events"))


@pytest.fixture(scope="module")
def by_events_and_looks(tmp_path_factory: pytest.TempPathFactory) -> Settles:
    return settles_of_all_shapes(tmp_path_factory.mktemp("both"), looks=3, pace=OFTEN)


@pytest.fixture(scope="module")
def by_looks(tmp_path_factory: pytest.TempPathFactory) -> Settles:
    return settles_of_all_shapes(tmp_path_factory.mktemp("looks"), looks=3, pace=OFTEN, platform=silent())


@pytest.mark.parametrize("shape", SHAPES)
class TestShapes:
    def test_one_settle_by_events(self, by_events: Settles, shape: str) -> None:
        assert by_events[shape] == ["x.py"]

    def test_look_does_not_find_a_reported_save_again(self, by_events_and_looks: Settles, shape: str) -> None:
        assert by_events_and_looks[shape] == ["x.py"]

    def test_one_settle_by_looks_without_events(self, by_looks: Settles, shape: str) -> None:
        assert by_looks[shape] == ["x.py"]


# The file, and what is in it when its writer pauses.
WRITERS = {
    "of_new": ("new.py", ""),
    "of_new_half": ("new.py", "half"),
    "of_old": ("x.py", ""),
    "of_half": ("x.py", "half"),
}


@pytest.fixture(scope="module")
def by_slow_writers(tmp_path_factory: pytest.TempPathFactory) -> Settles:
    async def write(writer: str, root: Path) -> list[Path]:
        name, first = WRITERS[writer]
        async with watching(root, window=0.5) as seen:
            (root / "notes.txt").write_text("the first close event")
            with written_slowly(root / name, first):
                os.link(root / "filters" / "z.py", linked := root / "linked.py")
                await seen.settled(linked)
            await seen.settled(root / name)
            return await seen.all_after(root / "y.py")

    return settles_of_each(tmp_path_factory.mktemp("writers"), WRITERS, write)


class TestTiming:
    @pytest.mark.parametrize("save", [in_place, renamed_over("x.py.tmp"), renamed_away_within])
    @pytest.mark.parametrize("pace", [NEVER, Pace(shortest=0.0005, share=0)])
    async def test_finished_save_settles_before_the_full_window(self, root: Path, save: Save, pace: Pace) -> None:
        async with watching(root, window=2 * PATIENCE, pace=pace) as seen:
            save(root / "x.py")
            await seen.settled(root / "x.py")

            assert seen.paths == [root / "x.py"]

    @linux_only
    async def test_backup_folder_outside_delays_no_save(self, root: Path) -> None:
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

    @linux_only
    @pytest.mark.parametrize("writer", WRITERS)
    def test_writer_that_pauses_makes_one_settle(self, by_slow_writers: Settles, writer: str) -> None:
        assert by_slow_writers[writer] == ["linked.py", WRITERS[writer][0]]


@contextmanager
def written_slowly(path: Path, first: str) -> Iterator[TextIO]:
    with path.open("w") as file:
        file.write(first)
        file.flush()
        yield file
        file.write("the rest")


class TestFiles:
    async def test_moved_in_is_one_settle(self, root: Path) -> None:
        async with watching(root) as seen:
            (root.parent / "new.py").write_text("new")
            (root.parent / "new.py").rename(root / "filters" / "new.py")
            await seen.settled(root / "filters" / "new.py")

            assert await seen.all_after(root / "y.py") == [root / "filters" / "new.py"]

    async def test_moved_within_settles_both_paths(self, root: Path) -> None:
        async with watching(root) as seen:
            (root / "x.py").rename(root / "filters" / "x.py")
            await seen.settled(root / "x.py", root / "filters" / "x.py")

            assert await seen.all_after(root / "y.py") == [root / "filters" / "x.py", root / "x.py"]

    async def test_deleted_is_one_settle(self, root: Path) -> None:
        async with watching(root) as seen:
            (root / "x.py").unlink()
            await seen.settled(root / "x.py")

            assert await seen.all_after(root / "y.py") == [root / "x.py"]

    @pytest.mark.parametrize("name", ["ünï cödé.py", "with space.py", "quote'\".py", "x" * 240 + ".py", "new\nline.py"])
    async def test_any_name_is_seen(self, root: Path, name: str) -> None:
        async with watching(root) as seen:
            (root / name).write_text("new")
            await seen.settled(root / name)

            assert await seen.all_after(root / "y.py") == [root / name]

    async def test_save_with_old_time_and_size_is_found(self, root: Path) -> None:
        """As rsync, cp -p and tar write files."""
        old = (root / "x.py").stat()
        async with watching(root, pace=OFTEN, platform=silent()) as seen:
            new = root.parent / "new.py"
            new.write_text("new")
            os.utime(new, ns=(old.st_atime_ns, old.st_mtime_ns))
            new.replace(root / "x.py")
            assert (root / "x.py").stat().st_mtime_ns == old.st_mtime_ns
            assert (root / "x.py").stat().st_size == old.st_size
            await seen.settled(root / "x.py")

            assert await seen.all_after(root / "y.py") == [root / "x.py"]

    async def test_our_own_reads_settle_nothing(self, root: Path) -> None:
        async with watching(root) as seen:
            (root / "x.py").write_text("new")
            await seen.settled(root / "x.py")
            for _ in range(50):
                (root / "x.py").read_bytes()
                (root / "x.py").stat()
                list(root.iterdir())

            assert await seen.all_after(root / "y.py") == [root / "x.py"]

    async def test_files_from_before_the_start_do_not_settle(self, root: Path) -> None:
        async with watching(root) as seen:
            await seen.looked(3)

            assert await seen.all_after(root / "y.py") == []


class TestFolders:
    async def test_new_folder_with_a_file_is_one_settle(self, root: Path) -> None:
        async with watching(root) as seen:
            (root / "new").mkdir()
            (root / "new" / "main.py").write_text("new")
            await seen.settled(root / "new" / "main.py")

            assert await seen.all_after(root / "y.py") == [root / "new" / "main.py"]

    async def test_nested_new_folders_lose_no_file(self, root: Path) -> None:
        """Watchdog races with whoever makes them, and warns of it."""
        async with watching(root) as seen:
            made = [root / f"a{a}" / f"b{b}" / "c" / "d" / "x.py" for a in range(20) for b in range(3)]
            for path in made:
                path.parent.mkdir(parents=True)
                path.write_text("new")
            await seen.settled(*made)

            assert await seen.all_after(root / "y.py") == sorted(made)

    async def test_save_in_a_new_folder_is_seen(self, root: Path) -> None:
        async with watching(root) as seen:
            new = root / "a" / "b" / "x.py"
            new.parent.mkdir(parents=True)
            new.write_text("new")
            await seen.settled(new)
            seen.settles.clear()
            new.write_text("newer")
            await seen.settled(new)

            assert await seen.all_after(root / "y.py") == [new]

    async def test_folder_moved_in_settles_each_file(self, root: Path) -> None:
        async with watching(root) as seen:
            for name in ("a.py", "b/c.py", "b/d/e.py", "b/.hidden.py", "tests/f.py"):
                path = root.parent / "pack" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("new")
            (root.parent / "pack").rename(root / "pack")
            there = [root / "pack" / name for name in ("a.py", "b/c.py", "b/d/e.py")]
            await seen.settled(*there)

            assert await seen.all_after(root / "y.py") == there

    async def test_folder_moved_out_and_back_settles_each_time(self, root: Path) -> None:
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

    async def test_folder_renamed_within_settles_both_paths(self, root: Path) -> None:
        async with watching(root) as seen:
            (root / "filters").rename(root / "pipes")
            await seen.settled(root / "filters" / "z.py", root / "pipes" / "z.py")
            seen.settles.clear()
            (root / "pipes" / "z.py").write_text("new")
            await seen.settled(root / "pipes" / "z.py")

            assert await seen.all_after(root / "y.py") == [root / "pipes" / "z.py"]

    async def test_deleted_folder_settles_each_file(self, root: Path) -> None:
        async with watching(root) as seen:
            shutil.rmtree(root / "filters")
            await seen.settled(root / "filters" / "z.py")

            assert await seen.all_after(root / "y.py") == [root / "filters" / "z.py"]

    async def test_checkout_of_three_hundred_files_settles_each_once(self, root: Path) -> None:
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
    "tests/x.py",
    "filters/tests/deep/x.py",
    "drafts/x.py",
    "filters/wip_x.py",
]


class TestIgnored:
    async def test_settles_never_between_two_saves(self, root: Path) -> None:
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

    async def test_is_found_by_no_look(self, root: Path) -> None:
        async with watching(root, ignore=["drafts", "**/wip_*.py"], pace=OFTEN, platform=silent()) as seen:
            for name in IGNORED:
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("new")
            await seen.looked(3)

            assert await seen.all_after(root / "y.py") == []

    @linux_only
    async def test_folders_take_no_inotify_watch(self, root: Path) -> None:
        for name in ("node_modules/left/pad", ".owui-watch", ".git/objects", "drafts"):
            (root / name).mkdir(parents=True)
        before = inotify_watches()
        async with watching(root, ignore=["drafts"]) as seen:
            (root / "node_modules" / "right").mkdir()
            (root / "new").mkdir()
            (root / "new" / "x.py").write_text("new")
            await seen.settled(root / "new" / "x.py")

            assert inotify_watches() - before == len([root, root / "filters", root / "new"])

    async def test_folder_is_watched_once_its_name_is_allowed(self, root: Path) -> None:
        (root / ".later" / "within").mkdir(parents=True)
        (root / ".later" / "within" / "x.py").write_text("old")
        async with watching(root) as seen:
            (root / ".later" / "within" / "x.py").write_text("new")
            (root / ".later").rename(root / "now")
            await seen.settled(moved := root / "now" / "within" / "x.py")
            seen.settles.clear()
            moved.write_text("newer")
            await seen.settled(moved)

            seen.settles.clear()
            (root / "now").rename(root / ".later")
            await seen.settled(moved)
            seen.settles.clear()
            (root / ".later" / "within" / "x.py").write_text("newest")
            assert await seen.all_after(root / "y.py") == []

    async def test_path_is_ignored_in_a_folder_moved_in(self, root: Path) -> None:
        pack = root.parent / "pack"
        (pack / "wip").mkdir(parents=True)
        for name in ("x.py", "wip/x.py", ".x.py"):
            (pack / name).write_text("new")
        async with watching(root, ignore=["pack/wip/*.py"]) as seen:
            pack.rename(root / "pack")
            await seen.settled(root / "pack" / "x.py")

            assert await seen.all_after(root / "y.py") == [root / "pack" / "x.py"]


def inotify_watches() -> int:
    """How many folders the kernel tells this process about (proc(5), fdinfo)."""
    return sum(info.read_text().count("inotify wd:") for info in Path("/proc/self/fdinfo").iterdir() if info.exists())


class TestSingleFiles:
    @pytest.mark.parametrize(
        "save", [in_place, renamed_over("x.py.tmp"), renamed_away_within, renamed_away_outside, deleted_and_written]
    )
    async def test_neighbours_do_not_settle(self, root: Path, save: Save) -> None:
        async with watching(root / "x.py", root / "y.py") as seen:
            (root / "other.py").write_text("new")
            (root / "filters" / "x.py").write_text("new")
            save(root / "x.py")
            await seen.settled(root / "x.py")

            assert await seen.all_after(root / "y.py") == [root / "x.py"]

    async def test_may_have_a_name_ignored_elsewhere(self, root: Path) -> None:
        (root / "test_x.py").write_text("old")
        async with watching(root / "test_x.py", root / "y.py") as seen:
            (root / "test_x.py").write_text("new")
            await seen.settled(root / "test_x.py")

            assert await seen.all_after(root / "y.py") == [root / "test_x.py"]

    async def test_away_for_a_moment_is_no_folder_gone(self, root: Path) -> None:
        async with watching(root / "x.py") as seen:
            (root / "x.py").unlink()
            await seen.settled(root / "x.py")
            await seen.looked(3)

            assert not seen.watcher.is_gone(root / "x.py")
            assert seen.problems == []


class TestSeveralRoots:
    async def test_all_are_watched_also_nested_ones(self, root: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        async with watching(root, other, root / "filters") as seen:
            (other / "x.py").write_text("new")
            (root / "filters" / "z.py").write_text("new")
            await seen.settled(other / "x.py", root / "filters" / "z.py")

            assert await seen.all_after(root / "y.py") == [other / "x.py", root / "filters" / "z.py"]

    async def test_missing_one_does_not_block_others_repair(self, root: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        async with watching(root, other) as seen:
            shutil.rmtree(other)
            await seen.watcher.look()
            root.rename(root.with_name("old"))
            shutil.copytree(root.with_name("old"), root)
            await seen.watcher.look()
            with anyio.fail_after(PATIENCE):
                await seen.watcher.quiet()
            seen.settles.clear()
            (root / "x.py").write_text("by an event: no look follows")
            await seen.settled(root / "x.py")

            other.mkdir()
            await seen.watcher.look()
            (other / "x.py").write_text("new")
            await seen.settled(other / "x.py")

        assert [error.partition(" is gone")[0] for error, _hint in seen.problems] == [str(other)]


class TestRepair:
    async def test_folder_made_again_is_watched_again(self, root: Path) -> None:
        async with watching(root) as seen:
            shutil.rmtree(root)
            assert seen.watcher.is_gone(root / "x.py")
            await seen.looked(3)
            assert [error.partition(" is gone")[0] for error, _hint in seen.problems] == [str(root)]
            root.mkdir()
            (root / "x.py").write_text("new")
            await seen.watcher.look()
            await seen.settled(root / "x.py")
            with anyio.fail_after(PATIENCE):
                await seen.watcher.quiet()
            seen.settles.clear()
            (root / "x.py").write_text("by an event: no look follows")
            await seen.settled(root / "x.py")

        assert len(seen.problems) == 1

    async def test_replaced_folder_is_watched_in_its_place(self, root: Path) -> None:
        async with watching(root) as seen:
            root.rename(root.with_name("old"))
            shutil.copytree(root.with_name("old"), root)
            await seen.watcher.look()
            await seen.settled(root / "x.py", root / "y.py", root / "filters" / "z.py")
            seen.settles.clear()
            (root / "x.py").write_text("new")
            await seen.settled(root / "x.py")

            (root.with_name("old") / "x.py").write_text("elsewhere")
            seen.settles.clear()
            assert await seen.all_after(root / "y.py") == []

    async def test_replaced_folder_is_found_without_events(self, root: Path) -> None:
        async with watching(root, poll=3600.0) as seen:
            before = anyio.current_time()
            root.rename(root.with_name("old"))
            shutil.copytree(root.with_name("old"), root)
            await seen.watcher.look()
            await seen.settled(root / "x.py")

            assert seen.watcher.was_away(root / "x.py", before)
            assert not seen.watcher.was_away(root / "x.py", anyio.current_time())

    async def test_dead_observer_is_replaced(self, root: Path) -> None:
        observers: list[BaseObserver] = []

        def observer(wanted: Wanted) -> BaseObserver:
            observers.append(make_observer(wanted))
            return observers[-1]

        async with watching(root, platform=Platform(observer=observer)) as seen:
            before = set(threading.enumerate())
            observers[0].stop()
            observers[0].join()
            assert before - set(threading.enumerate())
            await seen.watcher.look()
            assert len(observers) == 2
            (root / "x.py").write_text("new")
            await seen.settled(root / "x.py")

    @pytest.mark.parametrize(
        ("code", "says", "hint"),
        [
            (errno.EMFILE, "limit of inotify instances", "fs.inotify.max_user_instances"),
            (errno.ENOSPC, "limit of inotify watches", "fs.inotify.max_user_watches"),
            (errno.ENOSYS, "the file system sends no events", None),
        ],
    )
    async def test_without_an_observer_looks_find_every_save(
        self, root: Path, code: int, says: str, hint: str | None
    ) -> None:
        def observer(wanted: Wanted) -> BaseObserver:
            raise OSError(code, os.strerror(code))

        async with watching(root, pace=OFTEN, platform=Platform(observer=observer)) as seen:
            (root / "x.py").write_text("new")
            await seen.settled(root / "x.py")

            assert await seen.all_after(root / "y.py") == [root / "x.py"]
        [(error, advice)] = seen.problems
        assert says in error
        assert (hint in advice) if hint and advice else hint is advice

    async def test_overflow_of_the_kernels_queue_starts_a_look(self, root: Path) -> None:
        async with watching(root, platform=silent()) as seen:
            (root / "x.py").write_text("new")
            logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; events were lost")
            await seen.settled(root / "x.py")

    async def test_polling_starts_no_observer(self, root: Path) -> None:
        def observer(wanted: Wanted) -> BaseObserver:
            pytest.fail("an observer was started")

        async with watching(root, pace=OFTEN, poll=0.02, platform=Platform(observer=observer)) as seen:
            (root / "x.py").write_text("new")
            await seen.settled(root / "x.py")

            assert await seen.all_after(root / "y.py") == [root / "x.py"]


class TestWatchdog:
    async def test_logs_and_warnings_stay_off_the_terminal(self, root: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Also if the program logs to it and shows warnings."""
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

    async def test_stop_joins_every_thread_off_the_loop(self, root: Path) -> None:
        before, joined_in = set(threading.enumerate()), list[threading.Thread]()

        def observer(wanted: Wanted) -> BaseObserver:
            made = make_observer(wanted)
            join = made.join

            def joined(timeout: float | None = None) -> None:
                joined_in.append(threading.current_thread())
                join(timeout)

            made.join = joined  # type: ignore[method-assign]
            return made

        async with watching(root, platform=Platform(observer=observer)) as seen:
            started = {thread for thread in set(threading.enumerate()) - before if "owui" not in thread.name}
            assert len(started) >= 2
            await seen.watcher.stop()
            await seen.watcher.stop()

        assert not [thread for thread in started if thread.is_alive()]
        [where] = joined_in
        assert where is not threading.main_thread()

    async def test_events_during_the_stop_harm_nothing(self, root: Path) -> None:
        """A handler that raised would end watchdog's thread, which pytest would report."""
        async with watching(root) as seen:
            for _ in range(100):
                (root / "x.py").write_text("new")
        for _ in range(100):
            (root / "x.py").write_text("newer")
        assert set(seen.paths) <= {root / "x.py"}
