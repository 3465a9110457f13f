"""What is found a while after a deploy: a function that is off, a server that holds older content again."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from owui_watch.deployer.follow_up import LATER_LOOKS, LEAST_PAUSE, LISTING_FACTOR, REVERTED_EVERY
from owui_watch.reporting.events import Rejection, Updated, Warned
from tests.unit.deployer.bench import X, bench, keys
from tests.unit.fake_server import FakeServer

pytestmark = pytest.mark.anyio

LIST = r"GET .*/functions/$"


class TestSwitchedOff:
    async def test_is_reported_once(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            b.save(X, "v1")
            await b.idle()
            server.clock += 11
            server.edit(X, is_active=False)
            await anyio.sleep(2 * LATER_LOOKS[-1])
            [warned] = b.reported(Warned)
            assert warned.plugin == "x"
            assert warned.error.startswith(
                "switched off 5 s after the deploy: an instance of the server could not load it"
            )

    async def test_looks_three_times_for_all(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(20):
                b.known(key)
                b.save(key, "v1")
            await b.idle()
            listed = server.count(LIST)
            await anyio.sleep(10 * LATER_LOOKS[-1])
            assert server.count(LIST) - listed <= 2 * len(LATER_LOOKS) + 3
            assert b.reported(Warned) == []

    @pytest.mark.parametrize(("count", "latency"), [(200, 1.0), (600, 0.05)])
    async def test_looks_rarely_while_many_are_deployed(
        self, server: FakeServer, tmp_path: Path, count: int, latency: float
    ) -> None:
        async with bench(server, tmp_path) as b:
            server.latency = latency
            for key in keys(count):
                b.known(key)
                b.save(key, "v1")
            began = anyio.current_time()
            await b.idle()
            took = anyio.current_time() - began
            assert took > 7
            assert server.count(LIST) <= took / max(LEAST_PAUSE, LISTING_FACTOR * latency) + 3

    async def test_is_not_reported_if_it_was_off_before(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X, active=False)
            b.save(X, "v1")
            await b.idle()
            await anyio.sleep(2 * LATER_LOOKS[-1])
            assert server.count(LIST) == 0
            assert b.reported(Warned) == []


class TestRestoredBackup:
    async def test_is_noticed_after_a_save(self, server: FakeServer, tmp_path: Path) -> None:
        old, changed, *others = keys(4)
        async with bench(server, tmp_path) as b:
            for key in (old, changed, *others):
                b.save(key, "v0", admitted=True)
            await b.idle()
            backup = {key: dict(server.row(key)) for key in (old, *others)}
            b.save(old, "v1")
            await b.idle()
            server.spaces[old.space] = {key.id: row for key, row in backup.items()}
            await anyio.sleep(REVERTED_EVERY)
            b.save(others[0], "v1")
            await b.idle()
            await anyio.sleep(1)
            await b.idle()
            assert {key: server.content(key) for key in (old, changed)} == {old: "v1", changed: "v0"}
            assert any("holds older content again: p000" in warned.error for warned in b.reported(Warned))

    async def test_is_not_an_edit(self, server: FakeServer, tmp_path: Path) -> None:
        first, second = keys(2)
        async with bench(server, tmp_path) as b:
            for key in (first, second):
                b.save(key, "v0", admitted=True)
            await b.idle()
            server.edit(first, "theirs")
            await anyio.sleep(REVERTED_EVERY)
            b.save(second, "v1")
            await b.idle()
            await anyio.sleep(1)
            assert server.content(first) == "theirs"
            assert b.reported(Warned) == []

    async def test_is_looked_for_once_a_minute(self, server: FakeServer, tmp_path: Path) -> None:
        first, second = keys(2)
        async with bench(server, tmp_path) as b:
            for key in (first, second):
                b.save(key, "v0", admitted=True)
            await b.idle()
            await anyio.sleep(1)  # the listing of this minute follows the last deploy
            listed = server.count(LIST)
            for number in range(10):
                b.save(first, f"v{number + 1}")
                await b.idle()
            assert server.count(LIST) == listed
            assert (len(b.reported(Updated)), b.reported(Rejection)) == (10, [])


class TestNewPipes:
    MODELS = r"GET /api/models$"

    async def test_models_are_listed_anew_once_for_all(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(3):
                b.save(key, "class Pipe: ...", admitted=True)
            await b.idle()
            await anyio.sleep(1)
            assert server.count(self.MODELS) == 4  # each may reach another instance

    async def test_from_a_filter_have_the_models_listed_anew(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.before = lambda line: server.row(X).update(type="pipe") if "/update" in line else None
            b.save(X, "class Pipe: ...")
            await b.idle()
            await anyio.sleep(1)
            listed = server.count(self.MODELS)
            assert listed == 4
            b.save(X, "class Pipe: # 2")
            await b.idle()
            await anyio.sleep(1)
            assert server.count(self.MODELS) == listed, "it is known already"

    async def test_other_deploys_list_no_models(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.save(X, "class Filter: ...", admitted=True)
            await b.idle()
            b.save(X, "class Filter: # 2")
            await b.idle()
            await anyio.sleep(1)
            assert server.count(self.MODELS) == 0
