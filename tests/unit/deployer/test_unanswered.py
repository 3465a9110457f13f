"""Requests that got no usable response."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from owui_watch.deployer.recovery import MOST_FAILURES, MOST_LOSSES
from owui_watch.reporting.events import (
    Rejection,
    Working,
)
from tests.unit.deployer.bench import (
    LOOK,
    TOGGLE,
    UPDATE,
    T,
    X,
    bench,
    once,
)
from tests.unit.fake_server import (
    BROKEN,
    BROKEN_SPECS,
    FakeServer,
    Scripted,
    dropped,
    refused_connection,
    status,
)

pytestmark = pytest.mark.anyio


PAGE = Scripted(False, lambda: httpx.Response(403, html="<html>no</html>"))


class TestLostResponse:
    async def test_of_an_update_that_arrived_sends_nothing(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, dropped(arrives=True))]
            b.save(X, "v1")
            await b.idle()

            assert server.count(UPDATE) == 1
            assert b.events == ["updated"]

    async def test_of_a_lost_update_sends_it_again(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, dropped(arrives=False))]
            b.save(X, "v1")
            await b.idle()

            assert [line.split()[0] for line in server.requests[:4]] == ["GET", "POST", "GET", "POST"]
            assert server.content(X) == "v1"
            assert b.events == ["updated"]

    async def test_before_an_outage_sends_nothing_again(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, dropped(arrives=True))]
            server.before = once("/update", lambda: server.script.append((LOOK, refused_connection())))
            b.save(X, "v1")
            await b.idle()

            assert server.count(UPDATE) == 1
            assert b.events == ["waiting", "updated", "reachable"]


class TestServerError:
    async def test_twice_is_tried_a_third_time(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, status(500)), (UPDATE, status(500))]
            b.save(X, "v1")
            began = anyio.current_time()
            await b.idle()

            assert b.events == ["updated"]
            assert anyio.current_time() - began > 1, "without a pause between"

    async def test_three_times_rejects_the_plugin(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(UPDATE, status(500))]
            b.save(X, "raise SystemExit")
            await b.idle()

            assert server.count(UPDATE) == MOST_FAILURES == 3
            [rejected] = b.told
            assert isinstance(rejected, Rejection)
            assert "SystemExit" in rejected.error
            assert server.content(X) == "v0"
            assert b.availability.available


class TestFatalContent:
    async def test_that_ends_the_server_is_sent_three_times(self, server: FakeServer, tmp_path: Path) -> None:
        """Someone starts it again each time, as containers are: it must not be kept from ever being up."""

        def fall(line: str) -> None:
            if "/update" in line:
                server.script = [(LOOK, refused_connection())]

        async with bench(server, tmp_path) as b:
            server.before = fall
            b.known(X)
            server.always = [(UPDATE, dropped(arrives=False))]
            b.save(X, "import os; os._exit(1)")
            await b.idle()

            assert server.count(UPDATE) == 3
            [rejected] = b.reported(Rejection)
            assert rejected.error == "the server stops, or closes the connection, each time it receives this plugin"
            assert rejected.live == "version", "what is live is untouched"
            server.always = []
            b.save(X, "v1")
            await b.idle()
            assert server.content(X) == "v1"

    async def test_that_cuts_connections_is_not_sent_for_ever(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(UPDATE, status(502))]
            b.save(X, "v1")
            await b.idle()

            assert server.count(UPDATE) == MOST_LOSSES
            assert len(b.reported(Rejection)) == 1

    async def test_is_counted_over_a_restart(self, server: FakeServer, tmp_path: Path) -> None:
        for _ in range(3):
            async with bench(server, tmp_path) as b:
                b.known(X)
                server.always = [(UPDATE, dropped(arrives=False))]
                b.save(X, "v1")
                with anyio.move_on_after(3):
                    await b.deployer.idle()
        assert server.count(UPDATE) < MOST_LOSSES
        async with bench(server, tmp_path) as b:
            b.save(X, "v1")
            await b.idle()
            assert len(b.reported(Rejection)) == 1

    async def test_that_ends_the_server_slowly_counts_too(self, server: FakeServer, tmp_path: Path) -> None:
        def fall(line: str) -> None:
            if "/update" in line:
                server.script = [(LOOK, refused_connection())]

        async with bench(server, tmp_path) as b:
            server.before = fall
            server.latency = 6
            b.known(X)
            server.always = [(UPDATE, dropped(arrives=False))]
            b.save(X, "x = [0] * 10**12")
            await b.idle()

            assert server.count(UPDATE) == 3
            assert len(b.reported(Rejection)) == 1


class TestBlocked:
    @pytest.mark.parametrize(("code", "said"), [(413, "413 too large"), (403, "403 teapot"), (405, "405 teapot")])
    async def test_is_sent_once(self, server: FakeServer, tmp_path: Path, code: int, said: str) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(UPDATE, status(code, said.partition(" ")[2]))]
            b.save(X, "v1")
            await b.idle()

            assert server.count(UPDATE) == 1
            [rejected] = b.told
            assert isinstance(rejected, Rejection)
            assert (
                rejected.error
                == f"a proxy or firewall in front of Open WebUI refuses the request: it answers with {said}"
            )

    async def test_by_a_web_page_is_sent_once(self, server: FakeServer, tmp_path: Path) -> None:
        server.version = "0.9.6"
        async with bench(server, tmp_path) as b:
            b.known(T)
            server.always = [(UPDATE, PAGE)]
            b.save(T, "v1")
            await b.idle()

            assert server.count(UPDATE) == 1
            [rejected] = b.told
            assert isinstance(rejected, Rejection)
            assert (
                rejected.error
                == "a proxy or firewall in front of Open WebUI refuses the request: it answers with a web page (403)"
            )
            assert rejected.live == "version"

    async def test_repair_is_made_at_the_next_start(self, server: FakeServer, tmp_path: Path) -> None:
        server.version = "0.9.6"
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(TOGGLE, PAGE)]
            b.save(X, BROKEN)
            await b.idle()

            assert server.count(TOGGLE) == 1
            [rejected] = b.told
            assert isinstance(rejected, Rejection)
            assert "is off on the server and could not be switched on" in rejected.error
            assert rejected.live is None
        server.always = []
        async with bench(server, tmp_path) as b:
            for key in b.journal.unfinished():
                b.deployer.mark(key, anyio.current_time())
            await b.idle()
            assert server.row(X)["is_active"] is True


class TestProxyGaveUp:
    async def test_sends_nothing_while_the_server_works(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, status(504))]
            b.save(X, "v1")
            await anyio.sleep(40)
            assert server.count(UPDATE) == 1
            assert b.deployer.pending() == {X}
            server.put(X, "v1")
            await b.idle()

            assert server.count(UPDATE) == 1
            assert [event for event in b.events if event != "working"] == ["updated"]

    @pytest.mark.parametrize(("header", "at_least", "at_most"), [({"requirements": "numpy"}, 200, 300), ({}, 50, 80)])
    async def test_sends_again_after_a_while(
        self, server: FakeServer, tmp_path: Path, header: dict[str, Any], at_least: int, at_most: int
    ) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, status(504))]
            b.write(X, "v1", **header)
            began = anyio.current_time()
            b.deployer.mark(X, began)
            await b.idle()

            assert at_least < anyio.current_time() - began < at_most
            assert server.count(UPDATE) == 2
            assert server.content(X) == "v1"

    async def test_is_reported_every_fifteen_seconds(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, status(504))]
            b.write(X, "v1", requirements="numpy")
            b.deployer.mark(X, anyio.current_time())
            await b.idle()

            seconds = [working.seconds for working in b.reported(Working)]
            assert len(seconds) > 10
            assert all(14 <= after - before <= 31 for before, after in pairwise([0, *seconds]))

    async def test_does_not_delay_a_newer_save(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, status(504))]
            b.save(X, "v1")
            await anyio.sleep(5)
            b.save(X, "v2")
            await b.idle()
            assert server.content(X) == "v2"

            server.put(X, "v1")  # the server has done at last what it was first asked for
            await anyio.sleep(20)
            assert server.content(X) == "v2"
            assert b.events == ["updated", "updated"], "and our own v1 is not backed up as someone else's"
            looks = server.count(LOOK)
            await anyio.sleep(1000)
            assert server.count(LOOK) <= looks + 2, "two more looks, and then it is over"
            assert b.events == ["updated", "updated"]

    async def test_leaves_only_the_newer_save(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.latency = 60
            server.script = [(UPDATE, status(504))]
            b.save(X, "v1")
            await anyio.sleep(70)
            b.save(X, "v2")
            await b.idle()
            await anyio.sleep(1000)
            assert server.content(X) == "v2"
            assert b.events.count("updated") == 1
            assert "unchanged" not in b.events

    async def test_on_the_look_too_sends_nothing(self, server: FakeServer, tmp_path: Path) -> None:
        def look_too(line: str) -> None:
            if "/update" in line and server.count(UPDATE) == 0:
                server.script = [(UPDATE, status(504)), (LOOK, status(504))]

        async with bench(server, tmp_path) as b:
            server.before = look_too
            b.known(X)
            b.save(X, "v1")
            await anyio.sleep(30)
            assert server.count(UPDATE) == 1
            server.put(X, "v1")
            await b.idle()
            assert server.count(UPDATE) == 1

    async def test_is_assumed_for_a_late_break(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.latency = 30
            server.script = [(UPDATE, dropped(arrives=False))]
            b.save(X, "v1")
            await anyio.sleep(120)
            assert server.count(UPDATE) == 1

    async def test_on_a_put_back_repeats_only_that(self, server: FakeServer, tmp_path: Path) -> None:
        server.version = "0.9.6"

        def second_update(line: str) -> None:
            if "/update" in line and server.count(UPDATE) == 1:
                server.script = [(UPDATE, status(504))]

        async with bench(server, tmp_path) as b:
            server.before = second_update
            b.known(T)
            b.save(T, BROKEN_SPECS)
            await b.idle()

            assert server.count(UPDATE) == 3, "the refused one, putting back in vain, and once more"
            assert server.memory[T] == "v0\n"
            assert b.events == ["restored", "rejected"]


class TestLateContent:
    @pytest.mark.parametrize("late", [5, 30, 200])
    async def test_is_replaced_by_the_newest(self, server: FakeServer, tmp_path: Path, late: int) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, status(504))]
            b.save(X, "v1")
            await anyio.sleep(0.5)
            b.save(X, "v2")
            await b.idle()
            await anyio.sleep(late)
            server.put(X, "v1")
            await anyio.sleep(2000)
            assert server.content(X) == "v2"
            assert b.events == ["updated", "updated"]

    async def test_of_someone_else_stays(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, status(504))]
            b.save(X, "v1")
            await anyio.sleep(5)
            b.save(X, "v2")
            await b.idle()
            server.put(X, "edited in the browser")
            await anyio.sleep(1000)
            assert server.content(X) == "edited in the browser"
            assert b.events == ["updated"]

    async def test_is_found_after_an_outage(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, status(504))]
            b.save(X, "v1")
            await anyio.sleep(0.5)
            b.save(X, "v2")
            await b.idle()
            await anyio.sleep(250)
            server.put(X, "v1")
            server.always = [(".*", refused_connection())]
            await anyio.sleep(100)
            server.always = []
            await anyio.sleep(100)
            assert server.content(X) == "v2"
