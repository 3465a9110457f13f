"""A whole watch: saves in, requests and events out. In virtual time, on a fake server and an observer without threads."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx
import pytest
from trio.testing import MockClock

from owui_watch.concurrency.signals import Signals
from owui_watch.concurrency.wakeup import Wakeup
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import PluginKey, Space
from owui_watch.reporting.events import (
    Affected,
    BackedUp,
    Created,
    Event,
    Held,
    Missing,
    Note,
    Queued,
    Reachable,
    Rejection,
    Saved,
    Skipped,
    Stopped,
    Stopping,
    Unchanged,
    Updated,
    Waiting,
    Warned,
    Watching,
)
from owui_watch.settings import load
from owui_watch.start_and_stop import watch
from owui_watch.watcher.debounce import CAP, SHORTEST_WINDOW
from tests.unit.fake_server import FakeServer, refused_connection
from tests.unit.watcher.fake_observer import FakePlatform

pytestmark = pytest.mark.anyio

URL = "http://localhost:3000"
WINDOW = 0.1
PATIENCE = 600.0
"""Virtual seconds after which a test fails that waits for something."""
E = TypeVar("E", bound=Event)
T = TypeVar("T")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


def source(mark: str = "one", **header: str) -> str:
    lines = "".join(f"{name}: {value}\n" for name, value in {"title": "X", **header}.items())
    return f'"""\n{lines}"""\n\n\nclass Filter:\n    def inlet(self, body):\n        return body  # {mark}\n'


BROKEN = "class Filter:\n    def inlet(self, body)\n        return body\n"


def function(name: str) -> PluginKey:
    return PluginKey(Space.FUNCTIONS, name)


class Bench:
    """A project folder, a server, and what a watch of the one reported about the other."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "plugins"
        self.root.mkdir()
        self.server = FakeServer(latency=0.02)
        self.files = FakePlatform()
        self.platform = self.files.platform
        self.events: list[Event] = []
        self.times: list[float] = []
        self.fail_at: type[Event] | None = None
        self.forward: Callable[[Event], object] = lambda _: None
        self.signals = Signals()
        self.stopping = False
        self.code: int | None = None
        self._reported = Wakeup()

    def path(self, name: str) -> Path:
        return self.root / name

    def save(self, name: str, text: str) -> Path:
        self.files.save(self.path(name), text)
        return self.path(name)

    def content(self, name: str) -> str | None:
        return self.server.content(function(name))

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def wait_for(self, kind: type[E], times: int = 1) -> E:
        """Wait until ``times`` events of this kind have been reported; return the last one of them."""
        with anyio.fail_after(PATIENCE):
            await self._reported.until(lambda: len(self.of(kind)) >= times)
        return self.of(kind)[times - 1]

    def stop(self) -> None:
        """Send a signal."""
        self.stopping = True
        self.signals.arrive()

    def report(self, event: Event) -> None:
        if self.fail_at is not None and isinstance(event, self.fail_at):
            raise LookupError(f"no room for {event.event}")
        self.events.append(event)
        self.times.append(anyio.current_time())
        self.forward(event)
        self._reported.notify()

    def time_of(self, event: Event) -> float:
        return self.times[self.events.index(event)]

    async def run(self, **flags: Any) -> int:
        environ = {
            "OPENWEBUI_URL": URL,
            "OPENWEBUI_API_KEY": "sk-1",
            "OWUI_WATCH_DEBOUNCE": str(WINDOW),
            "OWUI_WATCH_STATE_DIR": str(self.base / "state"),
        }
        settings = load([self.root], {"sync": False, **flags}, environ=environ, cwd=self.base)
        session = Session(settings, environ, lambda _: None)
        await session.server.close()
        session.server = OpenWebUI(
            URL, "sk-1", shown_url=URL, loopback=True, transport=httpx.MockTransport(self.server)
        )
        self.code = await watch(settings, session, self.report, platform=self.platform, take_signals=self._take_signals)
        return self.code

    @contextmanager
    def _take_signals(self) -> Iterator[Signals]:
        yield self.signals


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@asynccontextmanager
async def watching(bench: Bench, **flags: Any) -> AsyncIterator[None]:
    """Run a watch; wait until it watches, and at the end for its end."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: bench.run(**flags))
        await bench.wait_for(Watching, len(bench.of(Watching)) + 1)
        yield
        if not bench.stopping:
            bench.stop()
    bench.signals = Signals()
    bench.stopping = False


class TestStart:
    async def test_watching_is_reported_first(self, bench: Bench) -> None:
        bench.path("x.py").write_text(source())
        async with watching(bench):
            pass

        assert bench.events[0] == Watching(URL, (bench.root,), 1, "0.12.4")
        assert bench.events[-1] == Stopped(())
        assert bench.code == 0

    async def test_without_a_server_watching_comes_before_waiting(self, bench: Bench) -> None:
        bench.server.always.append((".*", refused_connection()))
        async with watching(bench):
            await bench.wait_for(Waiting)

        assert [type(event) for event in bench.events[:2]] == [Watching, Waiting]
        assert bench.of(Watching)[0].server_version is None

    async def test_uploads_nothing_that_nobody_saved(self, bench: Bench) -> None:
        bench.path("x.py").write_text(source())
        async with watching(bench):
            await anyio.sleep(60)

        assert bench.server.count("POST") == 0

    async def test_deploys_what_changed_since_the_last_run(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("x.py", source("one"))
            await bench.wait_for(Created)
        bench.path("x.py").write_text(source("two"))
        async with watching(bench):
            await bench.wait_for(Updated)

        assert bench.content("x") == source("two")

    async def test_save_at_once_is_not_held_with_leftovers(self, bench: Bench) -> None:
        names = [f"p{number}.py" for number in range(8)]
        for name in names:
            bench.path(name).write_text(source(id=name[:2]))
        async with watching(bench, sync=True):
            await bench.wait_for(Created, len(names))
        bench.server.spaces[Space.FUNCTIONS].clear()
        for name in names:
            bench.path(name).write_text(source("two", id=name[:2]))
        async with watching(bench):
            bench.save("p0.py", source("three", id="p0"))
            await bench.wait_for(Created, len(names) + 1)

        assert bench.content("p0") == source("three", id="p0")
        assert [event.plugins for event in bench.of(Held)] == [tuple(name[:2] for name in names[1:])]

    async def test_sync_deploys_every_plugin(self, bench: Bench) -> None:
        for name in ("x.py", "y.py"):
            bench.path(name).write_text(source(id=name[0]))
        async with watching(bench, sync=True):
            await bench.wait_for(Created, 2)

        assert bench.content("x") == source(id="x")

    async def test_signal_during_the_start_stops_it(self, bench: Bench) -> None:
        bench.server.latency = 30
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.run)
            await anyio.sleep(0.5)
            bench.stop()
        assert bench.code == 0
        assert isinstance(bench.events[-1], Stopped)

    @pytest.mark.parametrize("after", [0.1, 10, 29.9, 30.1, 59.9])
    async def test_signal_during_a_slow_scan_deploys_nothing(self, bench: Bench, after: float) -> None:
        async def slowly(work: Callable[[], T]) -> T:
            await anyio.sleep(30)
            return work()

        bench.path("x.py").write_text(source())
        bench.platform = replace(bench.files.platform, in_thread=slowly)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.run)
            await anyio.sleep(after)
            began = anyio.current_time()
            bench.stop()
        assert anyio.current_time() - began < 10
        assert isinstance(bench.events[-1], Stopped)
        assert bench.server.count("POST") == 0


class TestSave:
    async def test_new_file_is_created(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("x.py", source())
            created = await bench.wait_for(Created)

        assert (created.plugin, bench.content("x")) == ("x", source())

    async def test_saved_file_is_updated(self, bench: Bench) -> None:
        bench.path("x.py").write_text(source("old"))
        bench.server.put(function("x"), source("old"))
        async with watching(bench):
            bench.save("y.py", "y = 1\n")
            await bench.wait_for(Skipped)
            began = anyio.current_time()
            bench.save("x.py", source("new"))
            updated = await bench.wait_for(Updated)

        assert bench.content("x") == source("new")
        assert bench.time_of(updated) - began == pytest.approx(2 * bench.server.latency, abs=0.005)

    async def test_content_that_the_server_has_is_unchanged(self, bench: Bench) -> None:
        bench.server.put(function("x"), source())
        async with watching(bench):
            bench.save("x.py", source())
            await bench.wait_for(Unchanged)

        assert bench.server.count("POST") == 0

    async def test_prefetch_runs_in_the_quiet_window(self, bench: Bench) -> None:
        bench.path("x.py").write_text(source("old"))
        bench.server.put(function("x"), source("old"))
        async with watching(bench):
            bench.save("y.py", "y = 1\n")
            await bench.wait_for(Skipped)
            bench.save("x.py", source("new"))
            await anyio.sleep(SHORTEST_WINDOW / 2)
            assert bench.server.count("GET .*/id/x$") == 1
            await bench.wait_for(Updated)

    async def test_file_that_is_no_plugin_is_skipped(self, bench: Bench) -> None:
        async with watching(bench):
            path = bench.save("helper.py", "x = 1\n")
            skipped = await bench.wait_for(Skipped)

        assert skipped.path == path

    async def test_copy_of_a_new_plugin_is_skipped(self, bench: Bench) -> None:
        text = source() + "".join(f"    def f{number}(self): ...\n" for number in range(20))
        async with watching(bench):
            bench.save("x.py", text)
            await bench.wait_for(Created)
            path = bench.save("x2.py", text)
            skipped = await bench.wait_for(Skipped)
            await anyio.sleep(60)

        assert (skipped.path, skipped.reason) == (
            path,
            "looks like a copy of x.py: give it a title or an `id:` of its own",
        )
        assert bench.server.count("POST .*/create") == 1

    async def test_copy_is_skipped_at_no_later_start(self, bench: Bench) -> None:
        text = source() + "".join(f"    def f{number}(self): ...\n" for number in range(20))
        async with watching(bench):
            bench.save("x.py", text)
            await bench.wait_for(Created)
            bench.save("x2.py", text)
            await bench.wait_for(Skipped)
        async with watching(bench):
            await anyio.sleep(60)

        assert len(bench.of(Skipped)) == 1
        assert bench.server.count("POST .*/create") == 1

    async def test_copy_that_is_saved_again_is_skipped_again(self, bench: Bench) -> None:
        text = source() + "".join(f"    def f{number}(self): ...\n" for number in range(20))
        async with watching(bench):
            bench.save("x.py", text)
            await bench.wait_for(Created)
            bench.save("x2.py", text)
            await bench.wait_for(Skipped)
        async with watching(bench):
            bench.save("x2.py", f"{text}# more\n")
            await bench.wait_for(Skipped, 2)

    async def test_copy_with_its_own_id_is_created(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("x.py", source())
            await bench.wait_for(Created)
            bench.save("x2.py", source(id="other"))
            created = await bench.wait_for(Created, 2)

        assert created.plugin == "other"

    @pytest.mark.parametrize("name", ["x_LOCAL_4711.py", "x - Copy.py", "test_x.py"])
    async def test_copies_and_tests_by_name_are_passed_over(self, bench: Bench, name: str) -> None:
        async with watching(bench):
            bench.save(name, "class Filter:\n    def inlet(self, body): ...\n")
            await anyio.sleep(60)

        assert bench.of(Skipped) == []
        assert [note.text.partition(":")[0] for note in bench.of(Note) if not isinstance(note, Saved)] == [
            "not deployed"
        ]
        assert bench.server.count("POST") == 0

    async def test_plugin_named_like_a_test_is_mentioned(self, bench: Bench) -> None:
        path = bench.path("speed_test.py")
        path.write_text(source())
        async with watching(bench):
            skipped = await bench.wait_for(Skipped)
            await anyio.sleep(60)

        assert bench.of(Skipped) == [skipped]
        assert (skipped.path, skipped.reason) == (
            path,
            "its name is that of a test: rename it if it should be deployed",
        )

    async def test_link_to_nowhere_is_skipped(self, bench: Bench) -> None:
        async with watching(bench):
            bench.path("x.py").symlink_to(bench.base / "nowhere.py")
            bench.files.close(bench.path("x.py"))
            skipped = await bench.wait_for(Skipped)

        assert "symlink" in skipped.reason

    async def test_ten_saves_are_one_deploy(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("y.py", "y = 1\n")
            await bench.wait_for(Skipped)
            for number in range(10):
                bench.save("x.py", source(f"{number}"))
                await anyio.sleep(0.010)
            await bench.wait_for(Created)
            await anyio.sleep(5)

        assert bench.server.count("POST .*/(create|update)") == 1
        assert bench.content("x") == source("9")

    async def test_overtakes_a_bulk(self, bench: Bench) -> None:
        names = [f"p{number}" for number in range(100)]
        for name in (*names, "x"):
            bench.path(f"{name}.py").write_text(source("old"))
            bench.server.put(function(name), source("old"))
        bench.server.latency = 1.0
        async with watching(bench):
            for name in names:
                bench.save(f"{name}.py", source("one", title=name))
            await bench.wait_for(Updated, 10)
            saved_at = anyio.current_time()
            bench.save("x.py", source("two"))
            with anyio.fail_after(PATIENCE):
                while not (updated := [event for event in bench.of(Updated) if event.plugin == "x"]):
                    await bench.wait_for(Updated, len(bench.of(Updated)) + 1)
            assert bench.time_of(updated[0]) - saved_at < 5
            assert len(bench.of(Updated)) < 50

    async def test_during_an_outage_is_deployed_later(self, bench: Bench) -> None:
        async with watching(bench):
            bench.server.always.append((".*", refused_connection()))
            bench.save("x.py", source("one"))
            await bench.wait_for(Waiting)
            bench.save("x.py", source("two"))
            await anyio.sleep(60)
            bench.server.always.clear()
            await bench.wait_for(Created)

        assert bench.of(Reachable)
        assert bench.content("x") == source("two")


class TestForeignEdit:
    @pytest.mark.parametrize("edited_at", [0.0, 0.3, 0.59])
    async def test_while_the_file_is_open_is_backed_up(self, bench: Bench, edited_at: float) -> None:
        async with watching(bench):
            path = bench.save("x.py", source("old"))
            await bench.wait_for(Created)
            await anyio.sleep(60)
            bench.files.open(path, source("new"))
            await anyio.sleep(edited_at)
            bench.server.row(function("x"))["content"] = source("edited in the browser")
            await anyio.sleep(0.6 - edited_at)
            bench.files.close(path)
            await bench.wait_for(Updated)

        [backed_up] = bench.of(BackedUp)
        assert "edited in the browser" in backed_up.backup.read_text()
        assert bench.content("x") == source("new")

    async def test_during_a_burst_is_backed_up(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("x.py", source("old"))
            await bench.wait_for(Created)
            await anyio.sleep(60)
            for number in range(30):
                bench.save("x.py", source(f"{number}"))
                await anyio.sleep(0.010)
                if number == 15:
                    bench.server.row(function("x"))["content"] = source("edited in the browser")
            await bench.wait_for(Updated)

        assert len(bench.of(BackedUp)) == 1

    async def test_prefetch_of_a_burst_is_renewed_before_settling(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("x.py", source("old"))
            await bench.wait_for(Created)
            await anyio.sleep(60)
            bench.server.requests.clear()
            for number in range(30):
                bench.save("x.py", source(f"{number}"))
                await anyio.sleep(0.010)
            await anyio.sleep(WINDOW - 0.010 - 0.001)
            looks = bench.server.count("GET .*/id/x$")
            settles = anyio.current_time() + 0.001
            updated = await bench.wait_for(Updated)

        assert (looks, bench.server.count("GET .*/id/x$")) == (2, 2)
        assert bench.time_of(updated) - settles == pytest.approx(bench.server.latency, abs=0.002)


class TestBroken:
    async def test_is_rejected_after_a_second_reading(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("y.py", "y = 1\n")
            await bench.wait_for(Skipped)
            began = anyio.current_time()
            bench.save("x.py", BROKEN)
            rejected = await bench.wait_for(Rejection)

        assert (rejected.plugin, rejected.line, rejected.stage) == ("x", 2, "check")
        assert bench.time_of(rejected) - began == pytest.approx(WINDOW, abs=0.01)
        assert bench.server.count("POST") == 0

    async def test_half_a_file_is_not_reported(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("x.py", "")
            await anyio.sleep(WINDOW / 2)
            bench.save("x.py", source())
            await bench.wait_for(Created)

        assert bench.of(Rejection) + bench.of(Skipped) == []

    async def test_is_reported_during_endless_writes(self, bench: Bench) -> None:
        async with watching(bench):
            began = anyio.current_time()
            for number in range(60):
                bench.save("x.py", f"{BROKEN}# {number}\n")
                await anyio.sleep(0.05)

        first = bench.of(Rejection)[0]
        assert bench.time_of(first) - began < 2 * CAP * WINDOW

    async def test_fixed_file_is_deployed(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("x.py", BROKEN)
            await bench.wait_for(Rejection)
            bench.save("x.py", source())
            await bench.wait_for(Created)

    async def test_clash_rejects_both_files_and_ends_with_one(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("a.py", source("a", id="x"))
            await bench.wait_for(Created)
            bench.save("b.py", source("b", id="x"))
            await bench.wait_for(Rejection, 2)
            bench.save("b.py", source("b", id="y"))
            await bench.wait_for(Created, 2)
            await bench.wait_for(Unchanged)

        assert {rejection.path.name for rejection in bench.of(Rejection)} == {"a.py", "b.py"}
        assert (bench.content("x"), bench.content("y")) == (source("a", id="x"), source("b", id="y"))


PACKAGE = '''"""
title: Many
"""

from .words import text


class Filter:
    def inlet(self, body):
        return text(body)
'''


def with_data(*names: str) -> str:
    """Return a plugin that reads a text file of each of these names."""
    texts = " + ".join(f"(Path(__file__).parent / '{name}.txt').read_text()" for name in names)
    return f"from pathlib import Path\n\n\nclass Filter:\n    def inlet(self, body):\n        return {texts}\n"


class TestManyFiles:
    async def package(self, bench: Bench, names: tuple[str, ...] = ("many",)) -> None:
        for name in names:
            bench.path(name).mkdir()
            bench.path(f"{name}/words.py").write_text("def text(body):\n    return body\n")
            bench.path(f"{name}/main.py").write_text(PACKAGE.replace("Many", name))

    async def test_saved_module_deploys_its_plugin(self, bench: Bench) -> None:
        await self.package(bench)
        async with watching(bench):
            bench.save("many/main.py", PACKAGE + "# saved\n")
            await bench.wait_for(Created)
            path = bench.save("many/words.py", "def text(body):\n    return dict(body)\n")
            updated = await bench.wait_for(Updated)

        assert (updated.plugin, updated.through) == ("many", path)
        assert "dict(body)" in (bench.content("many") or "")
        assert bench.of(Skipped) == []

    async def test_unchanged_data_file_is_never_named(self, bench: Bench) -> None:
        bench.path("many").mkdir()
        for name in ("words", "numbers"):
            bench.path(f"many/{name}.txt").write_text("one")
        async with watching(bench):
            bench.save("many/main.py", with_data("words", "numbers"))
            await bench.wait_for(Created)
            await anyio.sleep(600)
            words = bench.save("many/words.txt", "two")
            updated = await bench.wait_for(Updated)
            await anyio.sleep(600)

        assert updated.through == words
        assert (len(bench.of(Updated)), bench.of(Unchanged)) == (1, [])

    async def test_data_file_saved_before_a_look_is_live(self, bench: Bench) -> None:
        bench.path("many").mkdir()
        bench.path("many/words.txt").write_text("one")
        async with watching(bench):
            bench.save("many/main.py", with_data("words"))
            await bench.wait_for(Created)
            bench.path("many/words.txt").write_text("two")  # no event
            updated = await bench.wait_for(Updated)

        assert updated.through == bench.path("many/words.txt")

    async def test_broken_module_rejects_its_plugin_until_fixed(self, bench: Bench) -> None:
        await self.package(bench)
        async with watching(bench):
            bench.save("many/main.py", PACKAGE + "# saved\n")
            await bench.wait_for(Created)
            bench.save("many/words.py", "def text(body:\n")
            rejected = await bench.wait_for(Rejection)
            bench.save("many/words.py", "def text(body):\n    return dict(body)\n")
            await bench.wait_for(Updated)

        assert (rejected.plugin, len(bench.of(Rejection))) == ("many", 1)

    @pytest.mark.parametrize("statement", ["from .lib.words import text", "from .lib import words"])
    async def test_folder_of_modules_that_goes_and_comes_back(self, statement: str, bench: Bench) -> None:
        bench.path("many/lib").mkdir(parents=True)  # without __init__.py
        bench.path("many/lib/words.py").write_text("def text(body):\n    return body\n")
        async with watching(bench):
            source = f'"""\ntitle: Many\n"""\n{statement}\n\n\nclass Filter:\n    def inlet(self, body):\n        return body\n'
            bench.save("many/main.py", source)
            await bench.wait_for(Created)
            bench.files.move(bench.path("many/lib"), bench.path("many/gone"))
            rejected = await bench.wait_for(Rejection)
            bench.files.make_folder(bench.path("many/lib"))
            bench.save("many/lib/words.py", "def text(body):\n    return dict(body)\n")
            updated = await bench.wait_for(Updated)

        assert (rejected.plugin, updated.through) == ("many", bench.path("many/lib/words.py"))

    async def test_half_saved_module_is_not_reported(self, bench: Bench) -> None:
        await self.package(bench)
        async with watching(bench):
            bench.save("many/main.py", PACKAGE + "# saved\n")
            await bench.wait_for(Created)
            bench.save("many/words.py", "def text(bo")
            await anyio.sleep(WINDOW / 2)
            bench.save("many/words.py", "def text(body):\n    return dict(body)\n")
            await bench.wait_for(Updated)

        assert bench.of(Rejection) == []

    async def test_module_of_many_plugins_deploys_each_once(self, bench: Bench) -> None:
        names = tuple(f"p{number}" for number in range(10))
        bench.path("shared").mkdir()
        bench.path("shared/text.py").write_text("def text(body):\n    return body\n")
        for name in names:
            source = PACKAGE.replace("Many", name).replace(".words", ".shared.text")
            bench.path(f"{name}.py").write_text(source)
            bench.server.put(function(name), source)
        async with watching(bench):
            bench.save("shared/text.py", "def text(body):\n    return dict(body)\n")
            await bench.wait_for(Updated, 10)
            affected = await bench.wait_for(Affected)
            await anyio.sleep(60)

        assert affected.plugins == 10
        assert sorted(updated.plugin for updated in bench.of(Updated)) == sorted(names)

    async def test_module_that_nobody_imports_is_skipped(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("helper.py", "x = 1\n")
            skipped = await bench.wait_for(Skipped)

        assert skipped.reason.endswith("no plugin imports it")


class TestRemoved:
    async def test_deleted_file_is_missing(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("x.py", source())
            await bench.wait_for(Created)
            bench.files.delete(bench.path("x.py"))
            missing = await bench.wait_for(Missing)

        assert (missing.plugin, missing.live, bench.content("x")) == ("x", True, source())

    async def test_renamed_file_names_its_new_id(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("x.py", source(id="x"))
            await bench.wait_for(Created)
            bench.save("x.py", source())
            await bench.wait_for(Updated)
            bench.files.move(bench.path("x.py"), bench.path("y.py"))
            missing = await bench.wait_for(Missing)

        assert (missing.plugin, missing.moved_to) == ("x", "y")

    async def test_folder_that_is_gone_is_reported_once(self, bench: Bench) -> None:
        async with watching(bench):
            bench.save("x.py", source())
            await bench.wait_for(Created)
            shutil.rmtree(bench.root)
            warned = await bench.wait_for(Warned)
            await anyio.sleep(120)

        assert " is gone" in warned.error
        assert bench.of(Missing) == []
        assert len(bench.of(Warned)) == 1


class TestStop:
    async def test_finishes_what_is_in_flight(self, bench: Bench) -> None:
        bench.server.latency = 0.8
        async with watching(bench):
            bench.save("x.py", source())
            await anyio.sleep(0.5)
            bench.stop()
        assert bench.code == 0
        assert bench.content("x") == source()
        assert bench.of(Stopping) == [Stopping(("x",), 5.0)]
        assert bench.events[-1] == Stopped(())

    async def test_names_what_could_not_be_deployed(self, bench: Bench) -> None:
        async with watching(bench, drain=3.0):
            bench.server.always.append((".*", refused_connection()))
            bench.save("x.py", source())
            await bench.wait_for(Waiting)
            began = anyio.current_time()
            bench.stop()
        assert bench.code == 1
        assert bench.events[-1] == Stopped(("x",))
        assert anyio.current_time() - began == pytest.approx(3.0, abs=0.1)

    async def test_save_without_an_event_is_still_found(self, bench: Bench) -> None:
        async with watching(bench):
            bench.path("x.py").write_text(source())
            bench.stop()
        assert bench.content("x") == source()

    async def test_unsettled_save_is_left_to_the_next_run(self, bench: Bench) -> None:
        async with watching(bench, drain=0.0):
            bench.save("x.py", source())
            bench.stop()
        assert bench.events[-1] == Stopped(("x",))
        async with watching(bench):
            await bench.wait_for(Created)

    async def test_second_signal_ends_at_once(self, bench: Bench) -> None:
        bench.server.latency = 3600
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: bench.run(drain=600.0))
            await anyio.sleep(2)
            bench.save("x.py", source())
            await anyio.sleep(2)
            began = anyio.current_time()
            bench.stop()
            await anyio.sleep(1)
            bench.stop()
        assert bench.code == 130
        assert anyio.current_time() - began == pytest.approx(1, abs=0.1)


class TestBug:
    async def test_in_one_save_is_reported_and_tried_again(self, bench: Bench) -> None:
        async with watching(bench):
            bench.fail_at = Saved
            bench.save("x.py", source())
            warned = await bench.wait_for(Warned)
            bench.fail_at = None
            await bench.wait_for(Created)

        assert "bug in owui-watch" in warned.error
        assert "LookupError: no room for note" in warned.error

    async def test_in_one_save_leaves_others_alone(self, bench: Bench) -> None:
        async with watching(bench):
            bench.fail_at = Skipped
            bench.save("helper.py", "x = 1\n")
            await bench.wait_for(Warned)
            bench.save("x.py", source())
            await bench.wait_for(Created)
            await anyio.sleep(600)

        assert len(bench.of(Warned)) == 1
        assert bench.of(Queued) == []
