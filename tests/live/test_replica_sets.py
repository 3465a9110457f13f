"""Two and three instances on PostgreSQL and Redis behind nginx: what holds on which release.

Run with ``pytest -m replicas``; ``--replicas-table=FILE`` adds one JSON line for each scenario to FILE, from which
``python -m tests.live.replicas_table FILE --write`` makes the table in ``docs/replicas.md``.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from owui_watch.openwebui.releases import version_number
from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.harness import PATIENCE, Run, until
from tests.live.replicas import Replicas, replicas
from tests.live.samples import source, with_broken_specs
from tests.live.services import Postgres, Service, binaries, nginx, postgres, postgres_driver, redis

pytestmark = [
    pytest.mark.replicas,
    pytest.mark.skipif(len(binaries()) < 3, reason="PostgreSQL, Redis and nginx are not installed"),
]
SETS = {
    "2 × 0.6.43": ("0.6.43", "0.6.43"),
    "2 × 0.9.6": ("0.9.6", "0.9.6"),
    "3 × 0.9.6": ("0.9.6", "0.9.6", "0.9.6"),
    "2 × 0.12.4": ("0.12.4", "0.12.4"),
    "3 × 0.12.4": ("0.12.4", "0.12.4", "0.12.4"),
    "0.11.4 and 0.12.4": ("0.11.4", "0.12.4"),
}
ROLLING_SAVES = 300


BROKEN = "import no_such_module_here"
LIVE = "live on every instance"
LATER = "deployed when the database takes it"


def marked(kind: Kind, mark: str, *, top: str = "", version: str | None = None) -> str:
    return source(kind, mark, valve=f'mark: str = "{mark}"', top=top, version=version)


@dataclass(frozen=True)
class Stack:
    """Instances and the services that they share. ``name`` is the column in the table."""

    name: str
    replicas: Replicas
    database: Postgres
    redis: Service
    url: str

    def all_since(self, *version: int) -> bool:
        """Return whether no instance is older than ``version``."""
        return all(version_number(server.version) >= version for server in self.replicas.servers)


class Samples:
    """One plugin of each kind that all instances know, with a mark by which each instance shows the code that it runs."""

    def __init__(self, project: Project, stack: Stack) -> None:
        self._project = project
        self._stack = stack
        self.kinds = [kind for kind in Kind if kind is not Kind.EVENT or stack.all_since(0, 10)]

    def save(self, mark: str, *, top: str = "", version: str | None = None) -> None:
        for kind in self.kinds:
            self._project.replace(f"{_name(kind)}.py", marked(kind, mark, top=top, version=version))

    def wait_for(self, run: Run, event: str, timeout: float = PATIENCE, **fields: object) -> None:
        """Wait for a line about each plugin."""
        for kind in self.kinds:
            run.wait_for(event, timeout, plugin=_name(kind), **fields)

    def create(self, run: Run) -> None:
        self.save("one")
        self.wait_for(run, "created")
        self.assert_live("one")

    def assert_live(self, mark: str) -> None:
        """Ask each instance which code it runs, and whether the functions are active."""
        replicas = self._stack.replicas
        if not self._stack.all_since(0, 9, 3):
            replicas.list_tools()
        for kind in self.kinds:
            assert replicas.marks(kind, _name(kind)) == [mark] * len(replicas.servers)
            assert kind is Kind.TOOL or all(replicas.active(_name(kind)))


def _name(kind: Kind) -> str:
    return f"sample_{kind.value}"


def events(run: Run) -> set[str]:
    """Return the events that a run has reported, without those about a slow server."""
    return {line["event"] for line in run.lines} - {"working"}


@pytest.fixture(scope="module", params=list(SETS), ids=[name.replace(" × ", "x").replace(" ", "") for name in SETS])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("set")
    with ExitStack() as exits:
        driver = postgres_driver(folder)
        database = exits.enter_context(postgres(folder / "postgres"))
        cache = exits.enter_context(redis(folder / "redis"))
        address = f"redis://127.0.0.1:{cache.port}/0"
        environ = {
            "DATABASE_URL": database.url,
            "PYTHONPATH": str(driver),
            "REDIS_URL": address,
            "WEBSOCKET_MANAGER": "redis",
            "WEBSOCKET_REDIS_URL": address,
        }
        (folder / "instances").mkdir()
        running = exits.enter_context(replicas(SETS[request.param], folder / "instances", environ))
        url = exits.enter_context(nginx(folder / "nginx", [server.url for server in running.servers]))
        yield Stack(request.param, running, database, cache, url)


@pytest.fixture
def project(bare_project: Project, stack: Stack) -> Project:
    bare_project.use(stack.url, stack.replicas.key)
    stack.replicas.servers[0].delete_all()
    return bare_project


@pytest.fixture
def samples(project: Project, stack: Stack) -> Samples:
    return Samples(project, stack)


@pytest.fixture
def passed(request: pytest.FixtureRequest, stack: Stack) -> Callable[[str, str], None]:
    """Write down what a scenario has shown, at the end of its test."""

    def add(scenario: str, result: str) -> None:
        if file := request.config.getoption("--replicas-table"):
            with Path(file).open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"scenario": scenario, "set": stack.name, "result": result}) + "\n")

    return add


Passed = Callable[[str, str], None]


class TestUpdate:
    def test_is_live_on_every_instance(self, project: Project, stack: Stack, samples: Samples, passed: Passed) -> None:
        with project.watch() as run:
            samples.create(run)
            samples.save("two")
            samples.wait_for(run, "updated")
            samples.assert_live("two")
            assert events(run) == {"watching", "created", "updated"}
        for kind in samples.kinds:
            at_once = kind is not Kind.TOOL or stack.all_since(0, 9, 3)
            passed(f"{kind} updated", LIVE if at_once else "live on every instance that has listed its tools since")


class TestRefusal:
    def test_leaves_every_instance_as_before(
        self, project: Project, stack: Stack, samples: Samples, passed: Passed
    ) -> None:
        with project.watch() as run:
            samples.create(run)
            for number in range(3):
                samples.save(f"bad{number}", top=BROKEN)
                samples.wait_for(run, "rejected")
                samples.assert_live("one")
            # A tool whose code runs is refused later, when an instance up to 0.11 has the new code in its memory.
            project.save("sample_tool.py", with_broken_specs(marked(Kind.TOOL, "specs")))
            run.wait_for("rejected", plugin="sample_tool")
            samples.assert_live("one")
            samples.save("one")
            samples.wait_for(run, "unchanged")
            samples.assert_live("one")
            restored = set() if stack.all_since(0, 12) else {"restored"}
            assert events(run) == {"watching", "created", "rejected", "unchanged"} | restored
        for kind in samples.kinds:
            passed(f"{kind} refused", "as before on every instance")


class TestDatabase:
    def test_read_only_for_a_moment_delays_deploys(
        self, project: Project, stack: Stack, samples: Samples, passed: Passed
    ) -> None:
        if any((0, 10) <= version_number(server.version) < (0, 12) for server in stack.replicas.servers):
            pytest.skip("0.10 and 0.11 do not say that their database refused the update")
        with project.watch() as run:
            samples.create(run)
            with stack.database.read_only():
                stack.replicas.reconnect()
                samples.save("two")
                # With an API key some releases write at each request, looks included: then they wait for the server.
                until(
                    lambda: run.of("waiting") or len(run.of("warning")) == len(samples.kinds),
                    "a line about the database for each plugin",
                    60,
                )
            samples.wait_for(run, "updated", 90)
            samples.assert_live("two")
            assert run.of("rejected") == []
        passed("database read-only for a moment", LATER)

    def test_restart_delays_deploys(self, project: Project, stack: Stack, samples: Samples, passed: Passed) -> None:
        with project.watch() as run:
            samples.create(run)
            stack.database.stop(signal.SIGINT)
            samples.save("two")
            until(lambda: {"warning", "waiting"} & events(run), "a line about the database", 60)
            stack.database.start()
            samples.wait_for(run, "updated", 90)
            stack.replicas.reconnect()
            samples.assert_live("two")
            assert run.of("rejected") == []
        passed("database restarted", LATER)


class TestRedis:
    def test_killed_and_started_again_loses_no_deploy(
        self, project: Project, stack: Stack, samples: Samples, passed: Passed
    ) -> None:
        with project.watch() as run:
            samples.create(run)
            stack.redis.stop(signal.SIGKILL)
            try:
                samples.save("two")
                threading.Event().wait(2)
            finally:
                stack.redis.start()
            samples.wait_for(run, "updated", 90)
            stack.replicas.reconnect()
            samples.assert_live("two")
            assert run.of("rejected") == []
        passed("Redis killed and started again", LIVE)


class TestInstance:
    def test_killed_during_updates_loses_no_deploy(
        self, project: Project, stack: Stack, samples: Samples, passed: Passed
    ) -> None:
        """The new code takes a second to load, so that the instance is killed while it works on an update."""
        if len(set(SETS[stack.name])) > 1:
            pytest.skip("an instance of an older release can't start again on a newer one's database")
        with project.watch() as run:
            samples.create(run)
            began = project.folder / "began"
            began.mkdir()
            mark_process = f"import os, pathlib, time\n(pathlib.Path({str(began)!r}) / str(os.getpid())).touch()"
            samples.save("two", top=f"{mark_process}\ntime.sleep(1)")
            until(lambda: list(began.iterdir()), "an update has begun")
            killed = stack.replicas.kill_process(int(next(began.iterdir()).name))
            try:
                samples.wait_for(run, "updated", 90)
            finally:
                stack.replicas.restart(killed)
            samples.assert_live("two")
            assert run.of("rejected") == []
        passed("instance killed during updates", "live through the others")

    def test_that_cannot_load_a_function_is_reported(self, project: Project, stack: Stack, passed: Passed) -> None:
        """An instance that cannot load a function disables it for all, after the deploy."""
        loads = project.folder / "loads"
        loads.mkdir()
        only_now = f"import pathlib\nassert pathlib.Path({str(loads)!r}).exists(), 'not here'"
        with project.watch() as run:
            project.save("sample.py", marked(Kind.FILTER, "one"))
            run.wait_for("created", plugin="sample")
            project.save("sample.py", marked(Kind.FILTER, "two", top=only_now))
            run.wait_for("updated", plugin="sample")
            loads.rmdir()
            for server in stack.replicas.servers:
                server.tries_spec(Kind.FILTER, "sample")
            assert not any(stack.replicas.active("sample"))
            warning = run.wait_for("warning", 90, plugin="sample")
            assert "an instance of the server could not load it" in warning["error"]
        passed("function that an instance cannot load", "reported at the next look (5, 60, 300 s)")


class TestProxyThatRepeatsPosts:
    def test_after_a_timeout_deploys_all_the_same(
        self, bare_project: Project, stack: Stack, tmp_path: Path, passed: Passed
    ) -> None:
        """The first instance that loads the code takes longer than the proxy waits: it asks the next one too."""
        slow = bare_project.folder / "slow"
        slow.mkdir()

        def slow_once(mark: str) -> str:
            taken = f"pathlib.Path({str(slow / mark)!r})"
            return f"import pathlib, time\nif not {taken}.exists():\n    {taken}.touch()\n    time.sleep(6)"

        stack.replicas.servers[0].delete_all()
        urls = [server.url for server in stack.replicas.servers]
        with nginx(tmp_path / "nginx", urls, repeat_posts=True, patience=4) as url:
            bare_project.use(url, stack.replicas.key)
            with bare_project.watch() as run:
                for event, mark in [("created", "one"), ("updated", "two")]:
                    bare_project.save("sample.py", marked(Kind.FILTER, mark, top=slow_once(mark)))
                    run.wait_for(event, 90, plugin="sample")
                    assert set(stack.replicas.marks(Kind.FILTER, "sample")) == {mark}
                    assert all(stack.replicas.active("sample"))
                assert run.of("rejected") == []
        passed("POST repeated by the proxy after a time-out", LIVE)


class TestRollingRestart:
    def test_under_saves_loses_nothing(self, project: Project, stack: Stack, samples: Samples, passed: Passed) -> None:
        with project.watch() as run:
            samples.create(run)
            roller = threading.Thread(target=stack.replicas.restart_all)
            roller.start()
            try:
                saves = 0
                while saves < ROLLING_SAVES or roller.is_alive():
                    samples.save(f"save{saves}")
                    saves += len(samples.kinds)
                    threading.Event().wait(0.5)
            finally:
                roller.join()
            samples.save("last", version="2.0.0")
            samples.wait_for(run, "updated", 90, version="2.0.0")
            samples.assert_live("last")
            assert run.of("rejected") == []
        passed(f"rolling restart under {ROLLING_SAVES} saves", "nothing lost")
