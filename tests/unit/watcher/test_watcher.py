"""From events to settled paths, in virtual time and on an observer that sends what the test tells it to."""

# ruff: noqa: ASYNC240 - files are written in place of an editor

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from trio.testing import MockClock
from watchdog.events import DirModifiedEvent, FileModifiedEvent

from owui_watch.concurrency.supervisor import supervise
from owui_watch.files import Signature, signature
from owui_watch.plugins.ignore import Ignore
from owui_watch.watcher.debounce import CAP, NOTICE, SHORTEST_WINDOW, Settled
from owui_watch.watcher.watcher import Pace, Watcher
from tests.unit.watcher.fake_observer import FakePlatform

pytestmark = pytest.mark.anyio

WINDOW = 0.1


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "plugins"
    (root / "filters").mkdir(parents=True)
    for name in ("x.py", "y.py", "filters/z.py"):
        (root / name).write_text("old")
    return root


class Bench:
    """A running watcher: what settled and when, what was expected and when, and the problems it reported.

    ``broken``: every file's content is bad.
    """

    def __init__(self, *roots: Path, close_events: bool = True, broken: bool = False, **options: Any) -> None:
        self.broken = broken
        self.files = FakePlatform(close_events=close_events)
        self.settled: list[tuple[float, Settled]] = []
        self.expected: list[tuple[float, Path]] = []
        self.problems: list[str] = []
        self.expect: Callable[[Path], None] = lambda _: None
        self.watcher = Watcher(
            roots,
            Ignore(),
            WINDOW,
            report=lambda error, _hint: self.problems.append(error),
            expect=self._expect,
            platform=self.files.platform,
            **options,
        )
        self.began = anyio.current_time()

    def _expect(self, path: Path) -> None:
        self.expected.append((anyio.current_time() - self.began, path))
        self.expect(path)

    async def collect(self) -> None:
        while True:
            for settled in await self.watcher.settled():
                self.settled.append((anyio.current_time() - self.began, settled))
                if self.broken and settled.provisional:
                    self.watcher.recheck(settled)

    async def quiet(self) -> None:
        with anyio.fail_after(60):
            await self.watcher.quiet()

    @property
    def paths(self) -> list[Path]:
        return [settled.path for _, settled in self.settled]


@asynccontextmanager
async def watching(*roots: Path, **options: Any) -> AsyncIterator[Bench]:
    bench = Bench(*roots, **options)
    await bench.watcher.start()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.collect)
        tasks.start_soon(
            supervise, "looking for changes", bench.watcher.run, lambda error, _hint: bench.problems.append(error)
        )
        yield bench
        tasks.cancel_scope.cancel()
    await bench.watcher.stop()


class TestSave:
    async def test_finished_write_settles_after_the_shortest_window(self, root: Path) -> None:
        async with watching(root) as bench:
            bench.files.save(root / "x.py", "the first close event")
            await bench.quiet()
            began = anyio.current_time() - bench.began
            bench.files.save(root / "x.py", "new")
            await bench.quiet()

        (_, first), (at, second) = bench.settled
        assert first.path == second.path == root / "x.py"
        assert at - began == pytest.approx(SHORTEST_WINDOW)

    async def test_file_held_open_settles_when_closed(self, root: Path) -> None:
        async with watching(root) as bench:
            bench.files.save(root / "y.py", "the first close event")
            await bench.quiet()
            began = anyio.current_time() - bench.began
            bench.files.open(root / "x.py", "half")
            await anyio.sleep(0.6)
            bench.files.close(root / "x.py")
            await bench.quiet()

        at, settled = bench.settled[-1]
        assert settled.path == root / "x.py"
        assert at - began == pytest.approx(0.6 + SHORTEST_WINDOW)
        assert [moment - began for moment, path in bench.expected if path == root / "x.py"] == pytest.approx([0.6])

    async def test_without_close_events_the_full_window_is_waited(self, root: Path) -> None:
        async with watching(root, close_events=False) as bench:
            bench.files.save(root / "x.py", "new")
            await bench.quiet()

        [(at, settled)] = bench.settled
        assert at == pytest.approx(WINDOW)
        [(expected_at, path)] = bench.expected
        assert path == settled.path
        assert expected_at == pytest.approx(WINDOW - NOTICE)

    async def test_new_path_of_a_renamed_file_comes_first(self, root: Path) -> None:
        async with watching(root, poll=3600.0) as bench:
            for name in ("x.py", "y.py", "filters/z.py"):
                (root / name).rename(root / f"{name}.new.py")
            await bench.watcher.look()
            await bench.quiet()

        assert [path.exists() for path in bench.paths] == [True] * 3 + [False] * 3

    async def test_data_file_settles_once_a_plugin_uses_it(self, root: Path) -> None:
        used: dict[Path, Signature | None] = {}
        words, other = root / "words.json", root / "other.json"
        async with watching(root, data_files=lambda: used) as bench:
            bench.files.save(words, "[]")
            used[words] = signature(words)
            bench.files.save(other, "[]")
            bench.files.save(words, "[1]")
            await bench.quiet()

        assert bench.paths == [words]

    async def test_still_changing_file_waits_without_events(self, root: Path) -> None:
        async with watching(root, poll=3600.0) as bench:
            (root / "x.py").write_text("half")
            await bench.watcher.look()
            await anyio.sleep(WINDOW / 2)
            (root / "x.py").write_text("half and the other half")
            await bench.quiet()
            await bench.watcher.look()
            assert not bench.watcher.unsettled

        [(at, _)] = bench.settled
        assert at == pytest.approx(2 * WINDOW)


class TestRecheck:
    async def test_quiet_waits_for_it(self, root: Path) -> None:
        async with watching(root, broken=True) as bench:
            bench.files.save(root / "x.py", "")
            await bench.quiet()

        assert [settled.provisional for _, settled in bench.settled] == [True, False]

    async def test_broken_file_written_on_and_on_becomes_final(self, root: Path) -> None:
        async with watching(root, broken=True) as bench:
            for number in range(100):
                bench.files.save(root / "x.py", f"( # {number}")
                await anyio.sleep(0.050)

        final = [at for at, settled in bench.settled if not settled.provisional]
        assert len(final) >= 4
        assert final[0] <= CAP * WINDOW + SHORTEST_WINDOW + 1e-6


class TestFlood:
    async def test_one_busy_file_delays_no_other(self, root: Path) -> None:
        async with watching(root, close_events=False) as bench:
            for number in range(1000):
                bench.files.send(FileModifiedEvent(str(root / "x.py")))
                if number == 100:
                    bench.files.save(root / "y.py", "new")
                    began = anyio.current_time() - bench.began
                await anyio.sleep(0.001)
            await bench.quiet()

        [at] = [at for at, settled in bench.settled if settled.path == root / "y.py"]
        assert at - began == pytest.approx(WINDOW)

    async def test_ten_thousand_files_settle_once_each(self, root: Path) -> None:
        files = [root / f"p{number}.py" for number in range(10_000)]
        async with watching(root) as bench:
            for path in files:
                bench.files.send(FileModifiedEvent(str(path)))
            await bench.quiet()

        assert sorted(bench.paths) == sorted(files)


class TestFolders:
    async def test_event_of_a_folder_finds_its_files(self, root: Path) -> None:
        async with watching(root) as bench:
            bench.files.move(root / "filters", root / "pipes")
            await anyio.sleep(WINDOW / 2)
            await bench.quiet()

        assert bench.paths == [root / "pipes" / "z.py", root / "filters" / "z.py"]

    async def test_events_of_many_folders_find_every_file(self, root: Path) -> None:
        made = [root / f"new{number}" / "x.py" for number in range(200)]
        async with watching(root) as bench:
            for path in made:
                bench.files.make_folder(path.parent)
                path.write_text("new")
            await anyio.sleep(WINDOW / 2)
            await bench.quiet()

        assert sorted(bench.paths) == sorted(made)

    async def test_folder_named_like_a_plugin_settles_once(self, root: Path) -> None:
        folder = root / "new.py"
        async with watching(root) as bench:
            bench.files.make_folder(folder)
            await anyio.sleep(WINDOW / 2)
            await bench.quiet()
            bench.files.save(folder / "main.py", "new")
            bench.files.send(DirModifiedEvent(str(folder)))
            await anyio.sleep(WINDOW / 2)
            await bench.quiet()
            await bench.watcher.look()
            await bench.quiet()

        assert bench.paths == [folder, folder / "main.py"]


class TestRepair:
    async def test_missing_folder_does_not_stop_others(self, root: Path) -> None:
        other = root.with_name("other")
        other.mkdir()
        async with watching(root, other) as bench:
            shutil.rmtree(root)
            await anyio.sleep(120)
            bench.files.observer.alive = False  # as after an error in its thread
            await anyio.sleep(120)
            assert list(bench.files.observer.folders) == [str(other)]
            bench.files.save(other / "new.py", "new")
            await bench.quiet()
            assert bench.watcher.is_gone(root / "x.py")
            assert not bench.watcher.is_gone(other / "new.py")

        assert bench.paths == [other / "new.py"], "files of a folder that is gone were not deleted one by one"
        assert [error.partition(" is gone")[0] for error in bench.problems] == [str(root)]

    async def test_folder_that_came_back_sends_events_again(self, root: Path) -> None:
        async with watching(root) as bench:
            shutil.rmtree(root)
            await anyio.sleep(100)
            before = anyio.current_time()
            root.mkdir()
            await anyio.sleep(100)
            assert bench.watcher.was_away(root / "x.py", before)
            assert len(bench.files.observers) == 2
            bench.files.save(root / "x.py", "new")
            await bench.quiet()

        assert bench.paths[-1] == root / "x.py"

    async def test_sound_observer_is_left_alone(self, root: Path) -> None:
        async with watching(root) as bench:
            await anyio.sleep(600)

        assert len(bench.files.observers) == 1


class TestPace:
    async def test_looks_have_the_pauses_asked_for(self, root: Path) -> None:
        pace = Pace(shortest=5.0, longest=5.0, share=0, poll_share=0)
        async with watching(root, pace=pace, poll=7.0) as bench:
            (root / "x.py").write_text("new")
            await anyio.sleep(6.9)
            assert not bench.watcher.unsettled
            await anyio.sleep(0.11)
            await bench.quiet()

        [(at, _)] = bench.settled
        assert at == pytest.approx(7.0 + WINDOW)


class TestBugs:
    async def test_failing_expect_loses_no_save(self, root: Path) -> None:
        async with watching(root) as bench:

            def fail(path: Path) -> None:
                if path.name == "x.py":
                    raise LookupError(path)

            bench.expect = fail
            bench.files.save(root / "x.py", "new")
            bench.files.save(root / "y.py", "new")
            await bench.quiet()

        assert sorted(bench.paths) == [root / "x.py", root / "y.py"]
        assert all("LookupError" in problem for problem in bench.problems)
        assert bench.problems

    async def test_failing_look_is_reported_and_tried_again(self, root: Path) -> None:
        fails = True

        def data_files() -> dict[Path, Signature | None]:
            if fails:
                raise LookupError("no such data file")
            return {}

        bench = Bench(root, data_files=data_files)
        fails = False
        await bench.watcher.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.collect)
            tasks.start_soon(
                supervise, "looking for changes", bench.watcher.run, lambda error, _hint: bench.problems.append(error)
            )
            fails = True
            await anyio.sleep(5)
            fails = False
            (root / "x.py").write_text("newer")
            await anyio.sleep(120)
            tasks.cancel_scope.cancel()
        await bench.watcher.stop()

        [problem] = bench.problems
        assert "looking for changes failed with LookupError: no such data file" in problem
        assert bench.paths == [root / "x.py"]
