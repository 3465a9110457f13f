"""Two and three instances on PostgreSQL and Redis behind nginx: what holds on which release.

Run with ``pytest -m replicas``; ``--replicas-table=FILE`` adds one JSON line for each scenario to FILE, from which
``python -m tests.live.replicas_table FILE --write`` makes the table in ``docs/replicas.md``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from owui_watch.openwebui.releases import version_number
from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.harness import until
from tests.live.replicas import Replicas, replicas
from tests.live.samples import source
from tests.live.services import Postgres, Service, binaries, nginx, postgres, postgres_driver, redis

pytestmark = [
    pytest.mark.replicas,
    pytest.mark.skipif(len(binaries()) < 3, reason="PostgreSQL, Redis and nginx are not installed"),
]
SETS = {
    "0.6.43": ("0.6.43", "0.6.43"),
    "0.9.6": ("0.9.6", "0.9.6"),
    "0.12.4": ("0.12.4", "0.12.4", "0.12.4"),
    "0.11.4 and 0.12.4": ("0.11.4", "0.12.4"),
}
ROLLING_SAVES = 300


def marked(kind: Kind, mark: str, *, top: str = "", header: str = "") -> str:
    return source(kind, mark, valve=f'mark: str = "{mark}"', top=top, header=header)


@dataclass(frozen=True)
class Stack:
    """Instances and the services that they share. ``name`` is the column in the table."""

    name: str
    replicas: Replicas
    database: Postgres
    redis: Service
    url: str

    def has(self, kind: Kind, mark: str) -> bool:
        """Return whether every instance runs the code with this mark; a pipe's models are listed first."""
        return set(self.replicas.marks(kind, "sample")) == {mark}


@pytest.fixture(scope="module", params=list(SETS))
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
def passed(request: pytest.FixtureRequest, stack: Stack) -> Callable[[str, str], None]:
    """Write down what a scenario has shown, at the end of its test."""

    def add(scenario: str, result: str) -> None:
        if file := request.config.getoption("--replicas-table"):
            with Path(file).open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"scenario": scenario, "set": stack.name, "result": result}) + "\n")

    return add


Passed = Callable[[str, str], None]


@pytest.mark.parametrize("kind", [Kind.PIPE, Kind.FILTER, Kind.ACTION, Kind.TOOL])
def test_update_reaches_every_instance(kind: Kind, project: Project, stack: Stack, passed: Passed) -> None:
    with project.watch() as run:
        project.save("sample.py", marked(kind, "one"))
        run.wait_for("created", plugin="sample")
        until(lambda: stack.has(kind, "one"), "the first version on every instance")
        project.save("sample.py", marked(kind, "two"))
        run.wait_for("updated", plugin="sample")
        until(lambda: stack.has(kind, "two"), "the second version on every instance")
    passed(f"update of a {kind}", "live on every instance")


@pytest.mark.parametrize("kind", [Kind.FILTER, Kind.TOOL])
def test_refusal_leaves_every_instance_as_before(kind: Kind, project: Project, stack: Stack, passed: Passed) -> None:
    with project.watch() as run:
        project.save("sample.py", marked(kind, "one"))
        run.wait_for("created", plugin="sample")
        until(lambda: stack.has(kind, "one"), "the first version on every instance")
        for number in range(3):
            project.save("sample.py", marked(kind, f"bad{number}", top="import no_such_module_here"))
            run.wait_for("rejected", plugin="sample")
            assert stack.has(kind, "one")
            assert kind is Kind.TOOL or all(stack.replicas.active("sample"))
        project.save("sample.py", marked(kind, "one"))
        run.wait_for("unchanged", plugin="sample")
        assert stack.has(kind, "one")
    passed(f"refused update of a {kind}", "as before on every instance")


def test_database_read_only_for_a_moment(project: Project, stack: Stack, passed: Passed) -> None:
    with project.watch() as run:
        project.save("sample.py", marked(Kind.FILTER, "one"))
        run.wait_for("created", plugin="sample")
        with stack.database.read_only():
            project.save("sample.py", marked(Kind.FILTER, "two"))
            threading.Event().wait(2)
            assert run.of("rejected") == []
        run.wait_for("updated", timeout=60, plugin="sample")
        until(lambda: stack.has(Kind.FILTER, "two"), "the new version on every instance")
    passed("database read-only for 2 s", "deployed when it is writable")


def test_database_restarted(project: Project, stack: Stack, passed: Passed) -> None:
    with project.watch() as run:
        project.save("sample.py", marked(Kind.FILTER, "one"))
        run.wait_for("created", plugin="sample")
        stack.database.stop()
        project.save("sample.py", marked(Kind.FILTER, "two"))
        threading.Event().wait(2)
        stack.database.start()
        run.wait_for("updated", timeout=90, plugin="sample")
        assert run.of("rejected") == []
        until(lambda: stack.has(Kind.FILTER, "two"), "the new version on every instance")
    passed("database restarted", "deployed when it is back")


def test_redis_killed(project: Project, stack: Stack, passed: Passed) -> None:
    with project.watch() as run:
        project.save("sample.py", marked(Kind.FILTER, "one"))
        run.wait_for("created", plugin="sample")
        stack.redis.stop()
        try:
            project.save("sample.py", marked(Kind.FILTER, "two"))
            threading.Event().wait(2)
        finally:
            stack.redis.start()
        run.wait_for("updated", timeout=90, plugin="sample")
        until(lambda: stack.has(Kind.FILTER, "two"), "the new version on every instance")
    passed("Redis killed and started again", "deployed")


def test_instance_killed(project: Project, stack: Stack, passed: Passed) -> None:
    last = len(stack.replicas.instances) - 1
    with project.watch() as run:
        project.save("sample.py", marked(Kind.FILTER, "one"))
        run.wait_for("created", plugin="sample")
        stack.replicas.instances[last].kill()
        try:
            project.save("sample.py", marked(Kind.FILTER, "two"))
            run.wait_for("updated", timeout=60, plugin="sample")
        finally:
            stack.replicas.restart(last)
        until(lambda: stack.has(Kind.FILTER, "two"), "the new version on every instance")
    passed("instance killed", "deployed through the others")


def test_switched_off_by_an_instance_that_cannot_load_it(project: Project, stack: Stack, passed: Passed) -> None:
    """An instance that cannot import a module disables the function for all, after the deploy."""
    folder = project.folder / "only-here"
    folder.mkdir()
    content = marked(Kind.FILTER, "two", top=f"import pathlib\nassert pathlib.Path({str(folder)!r}).exists()")
    with project.watch() as run:
        project.save("sample.py", marked(Kind.FILTER, "one"))
        run.wait_for("created", plugin="sample")
        project.save("sample.py", content)
        run.wait_for("updated", plugin="sample")
        folder.rmdir()
        threading.Thread(target=lambda: [server.models() for server in stack.replicas.servers]).start()
        for server in stack.replicas.servers:
            server.toggle("sample")
            server.toggle("sample")
        disabled = version_number(stack.replicas.servers[0].version) >= (0, 6, 12)
        if disabled and not all(stack.replicas.active("sample")):
            warning = run.wait_for("warning", timeout=15, plugin="sample")
            assert "off since" in warning["error"]
    passed("switched off after the deploy", "reported within 5 s")


def test_rolling_restart_under_saves(project: Project, stack: Stack, passed: Passed) -> None:
    names = [f"rolling{number}" for number in range(5)]
    with project.watch("--max-new", "10") as run:
        for name in names:
            project.save(f"{name}.py", marked(Kind.FILTER, "first"))
            run.wait_for("created", plugin=name)
        done = threading.Event()

        def roll() -> None:
            try:
                for number in range(len(stack.replicas.instances)):
                    stack.replicas.restart(number)
            finally:
                done.set()

        roller = threading.Thread(target=roll)
        roller.start()
        saves = 0
        while saves < ROLLING_SAVES or not done.is_set():
            if saves < ROLLING_SAVES:
                project.save(f"{names[saves % len(names)]}.py", marked(Kind.FILTER, f"save{saves}"))
                saves += 1
            threading.Event().wait(0.1)
        roller.join()
        last = {name: f"save{ROLLING_SAVES - len(names) + number}" for number, name in enumerate(names)}
        until(
            lambda: all(set(stack.replicas.marks(Kind.FILTER, name)) == {mark} for name, mark in last.items()),
            f"the last save of each plugin on every instance: {last}",
            90,
        )
        assert run.of("rejected") == []
    passed(f"rolling restart under {ROLLING_SAVES} saves", "nothing lost")
