"""Saves while the server is killed again and again: every file's last content is live, and none was taken twice.

By default the way to the server is cut; ``RESILIENCE=full`` kills a real one, 20 times in 1,000 saves.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from owui_watch.plugins.model import Kind
from owui_watch.sandbox import DEFAULT_VERSION
from tests.live.conftest import Project, make_project
from tests.live.harness import Run, until
from tests.live.samples import source
from tests.live.server import Server
from tests.resilience.conftest import FULL
from tests.resilience.model import Way
from tests.resilience.mortal import Mortal
from tests.resilience.tcp_proxy import CUT_AFTER, CUT_BEFORE, Diagnostic, TcpProxy

NAMES = {f"plugin_{number}": kind for number, kind in enumerate([*Kind, *Kind])}
SEND = "POST .*/(update|create|toggle)$"


class Writer:
    """Saves plugins, each time with content that was never there before. ``last`` is what each file holds."""

    def __init__(self, project: Project, run: Run, seed: int) -> None:
        self._project = project
        self._run = run
        self._random = random.Random(seed)
        self.last: dict[str, str] = {}
        self.saves = 0

    def save(self) -> str:
        name = self._random.choice(sorted(NAMES))
        self.last[name] = source(NAMES[name], f"save {self.saves}")
        self._project.save(f"{name}.py", self.last[name])
        self.saves += 1
        return name

    def save_many(self, count: int) -> None:
        """Save now faster than the server takes it in, now so that every save is deployed before the next one."""
        for _ in range(count):
            name = self.save()
            if self._random.random() < 0.3:
                self.await_deployed(name)

    def await_deployed(self, name: str) -> None:
        before = len(self._run.deploys(name))
        self._project.save(f"{name}.py", self.last[name] + "\n")
        self.last[name] += "\n"
        until(lambda: len(self._run.deploys(name)) > before, f"{name} is deployed")


def hold(writer: Writer, run: Run, proxy: TcpProxy, server: Server) -> None:
    """Hold the outcome against the promise."""
    until(lambda: all(server.content(NAMES[n], n) == text for n, text in writer.last.items()), "all is live", 30)
    run.stop()
    contents = proxy.accepted
    assert [entry for entry in set(contents) if contents.count(entry) > 1] == []
    for name, kind in NAMES.items():
        assert proxy.taken(f"{kind.space}/{name}")[-1:] in ([writer.last.get(name)], [])
        if kind is not Kind.TOOL and name in writer.last:
            assert server.plugin(kind, name)["is_active"] is True
    said = [line["event"] for line in run.of("waiting", "reachable")]
    assert said == ["waiting", "reachable"] * (len(said) // 2)
    assert run.of("rejected", "held", "warning") == []


def test_hundred_saves_survive_four_cut_connections(bare_project: Project, server: Server) -> None:
    with Way(server.url) as proxy:
        bare_project.use(proxy.url, server.key)
        _cut_four_times(bare_project, proxy, server)


def _cut_four_times(project: Project, proxy: Way, server: Server) -> None:
    with project.watch("--max-new", "100") as run:
        writer = Writer(project, run, seed=4)
        for cut in (CUT_BEFORE, CUT_AFTER, CUT_AFTER, CUT_BEFORE):
            writer.save_many(15)
            proxy.next(SEND, cut)
            writer.save()
            run.wait_for("waiting")
            for _ in range(9):
                writer.save()
            proxy.drain()  # a server that is gone takes nothing in any more
            proxy.open()
            run.wait_for("reachable")
        hold(writer, run, proxy, server)
    assert writer.saves == 100


@pytest.mark.skipif(not FULL or sys.platform != "linux", reason="takes minutes: RESILIENCE=full, on Linux")
def test_thousand_saves_survive_twenty_server_kills(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    with Mortal(DEFAULT_VERSION, tmp_path / "data") as mortal, TcpProxy(mortal.now.url) as proxy:
        project.use(proxy.url, _session(mortal))
        with project.watch("--max-new", "100") as run:
            writer = Writer(project, run, seed=20)
            for number in range(20):
                writer.save_many(40)
                proxy.next(SEND, _killed(mortal, midst=number % 2 == 0))
                writer.save()
                run.wait_for("waiting")
                for _ in range(9):
                    writer.save()
                mortal.bury()
                proxy.upstream = (mortal.start().url,)
                run.wait_for("reachable", timeout=60)
            server = Server(mortal.now)
            try:
                hold(writer, run, proxy, server)
            finally:
                server.close()
    print(f"{writer.saves} saves, {mortal.kills} kills, {len(proxy.accepted)} updates taken")
    assert (writer.saves, mortal.kills) == (1000, 20)


def _session(mortal: Mortal) -> str:
    """Sign in: a session outlives a restart of the server, whose sandbox makes a new API key each time."""
    server = Server(mortal.now)
    server.close()
    return server.session


def _killed(mortal: Mortal, *, midst: bool) -> Diagnostic:
    """Kill the server when it has a request and has not answered, or right before."""
    kill: Callable[[], None] = mortal.kill
    return Diagnostic(strike=kill) if midst else Diagnostic(before=kill)
