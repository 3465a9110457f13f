"""What a refused update does to the live plugin on Open WebUI up to 0.11, and how it is undone."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from owui_watch.reporting.events import Restored
from tests.unit.deployer.bench import (
    TOGGLE,
    UPDATE,
    T,
    X,
    bench,
    connected_to,
    once,
)
from tests.unit.fake_server import (
    BROKEN,
    BROKEN_SPECS,
    FakeServer,
    dropped,
    status,
)

pytestmark = pytest.mark.anyio


class TestFunctionSwitchedOff:
    async def test_is_switched_on_again(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.9.6")
            b.known(X, is_global=True)
            b.save(X, BROKEN)
            await b.idle()

            assert (server.content(X), server.row(X)["is_active"], server.row(X)["is_global"]) == ("v0", True, True)
            assert server.count(TOGGLE) == 1
            assert b.events == ["restored", "rejected"]

    @pytest.mark.parametrize("jump", [-7200, 7200])
    async def test_wall_clock_does_not_count(
        self, server: FakeServer, tmp_path: Path, jump: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = time.time()
        monkeypatch.setattr("time.time", lambda: now + jump * server.count(UPDATE))
        server.latency = 0.25
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.9.6")
            b.known(X)
            b.save(X, BROKEN)
            await b.idle()

            [restored] = b.reported(Restored)
            assert restored.ms == 750, "an update, a look and a toggle"

    async def test_stays_off_if_it_was_off(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.9.6")
            b.known(X, active=False)
            b.save(X, BROKEN)
            await b.idle()

            assert server.row(X)["is_active"] is False
            assert server.count(TOGGLE) == 0
            assert b.events == ["rejected"]

    @pytest.mark.parametrize(("arrives", "toggles"), [(True, 1), (False, 2)])
    async def test_is_looked_at_before_a_second_toggle(
        self, server: FakeServer, tmp_path: Path, arrives: bool, toggles: int
    ) -> None:
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.9.6")
            b.known(X)
            server.script = [(TOGGLE, dropped(arrives=arrives))]
            b.save(X, BROKEN)
            await b.idle()

            after = server.requests[server.requests.index("POST /api/v1/functions/id/x/toggle") + 1]
            assert after == "GET /api/v1/functions/id/x"
            assert server.count(TOGGLE) == toggles
            assert server.row(X)["is_active"] is True
            assert b.events == ["restored", "rejected"]

    @pytest.mark.parametrize("trouble", [status(500), status(503), dropped(arrives=False)])
    async def test_is_switched_on_after_long_trouble(self, server: FakeServer, tmp_path: Path, trouble: Any) -> None:
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.9.6")
            b.known(X)
            server.always = [(TOGGLE, trouble)]
            b.save(X, BROKEN)
            await anyio.sleep(60)
            assert b.deployer.pending() == {X}
            assert server.count(TOGGLE) < 100
            server.always = []
            await b.idle()

            assert server.row(X)["is_active"] is True
            assert server.content(X) == "v0"
            assert b.events[-1] == "reachable" or b.events[-2:] == ["rejected", "reachable"]


class TestToolCode:
    async def test_is_put_back(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.9.6")
            b.known(T)
            b.save(T, BROKEN_SPECS)
            await b.idle()

            assert server.memory[T] == server.content(T) == "v0\n", "one more empty line makes other instances load it"
            assert server.count(UPDATE) == 2
            assert b.events == ["restored", "rejected"]

    async def test_is_restored_only_once_it_arrived(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.9.6")
            b.known(T)
            server.script = [
                (UPDATE, status(400, "[ERROR: name 'nope' is not defined]")),
                (UPDATE, dropped(arrives=False)),
            ]
            server.before = once("/update", lambda: server.memory.__setitem__(T, BROKEN_SPECS))
            b.save(T, BROKEN_SPECS)
            await b.idle()

            assert server.memory[T] == "v0\n"
            assert server.count(UPDATE) == 3
            assert b.events == ["restored", "rejected"]


class TestSeveralInstances:
    async def test_old_code_stays_known_as_ours(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.9.6")
            b.known(T)
            held = []
            for _ in range(3):
                b.save(T, BROKEN_SPECS)
                await b.idle()
                held.append(server.content(T))
                b.save(T, "v0")
                await b.idle()
            assert all(before != after for before, after in pairwise(["v0", *held])), "each differs from the one before"
            assert b.events == ["restored", "rejected", "unchanged"] * 3
            b.save(T, "v1")
            await b.idle()
            assert (server.content(T), b.events[-1]) == ("v1", "updated")

    async def test_older_release_lists_its_tools(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.6.43")
            b.known(T)
            b.save(T, BROKEN_SPECS)
            await b.idle()
            assert server.content(T) == "v0"
            assert server.count(r"GET .*/tools/$") >= 4

    async def test_refusal_of_an_older_instance_is_undone(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.version = "0.11.4"
            b.save(X, BROKEN)
            await b.idle()
            assert server.row(X)["is_active"] is True
            assert b.events == ["restored", "rejected"]

    async def test_older_instance_gets_the_old_tool_back(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(T)
            server.version = "0.11.4"
            b.save(T, BROKEN_SPECS)
            await b.idle()
            assert server.memory[T] == server.content(T) == "v0\n"
            assert b.events == ["restored", "rejected"]
            b.save(T, "v0")
            await b.idle()
            assert b.events[-1] == "unchanged"


class TestNewReleases:
    async def test_need_no_repair(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            b.known(T)
            b.save(X, BROKEN)
            b.save(T, BROKEN_SPECS)
            await b.idle()

            assert (server.count(TOGGLE), server.count(UPDATE)) == (0, 2)
            assert b.events == ["rejected", "rejected"]
