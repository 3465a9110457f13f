"""Looks that are begun early, and looks that many plugins share."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx
import pytest

from owui_watch.deployer.deployer import WORKERS
from owui_watch.deployer.prefetch import EARLY_AGE, LISTING_AGE, LISTING_FACTOR, MOST_EARLY, SHARE_FROM, Prefetch
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.remote import AnyCopy
from owui_watch.plugins.model import Space
from owui_watch.plugins.source import digest
from owui_watch.reporting.events import (
    BackedUp,
    Created,
    Updated,
)
from tests.unit.deployer.bench import (
    EXPORT,
    LOOK,
    UPDATE,
    URL,
    X,
    bench,
    keys,
)
from tests.unit.fake_server import (
    ROLE,
    FakeServer,
    refused_connection,
    status,
)

pytestmark = pytest.mark.anyio


class TestEarlyLook:
    async def test_runs_while_the_save_settles(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X, "v0")
            b.deployer.prefetch(X)
            await anyio.sleep(0.015)
            assert server.count(LOOK) == 1
            b.save(X, "v1")
            await b.idle()

            assert server.count(LOOK) == 1
            [updated] = b.reported(Updated)
            assert updated.ms == round(server.latency * 1000)

    async def test_is_not_used_when_old(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X, "v0")
            b.deployer.prefetch(X)
            await anyio.sleep(EARLY_AGE + 0.1)
            server.put(X, "someone else's")
            b.save(X, "v1")
            await b.idle()

            assert b.events == ["backed_up", "updated"]

    async def test_is_free_again_if_never_used(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(MOST_EARLY):
                b.deployer.prefetch(key)
            await anyio.sleep(EARLY_AGE)
            server.requests.clear()
            b.deployer.prefetch(X)
            await anyio.sleep(0.1)

            assert server.count(LOOK) == 1


class TestSharedLook:
    @pytest.mark.parametrize("spaces", [[Space.FUNCTIONS], [Space.TOOLS], [Space.FUNCTIONS, Space.TOOLS]])
    async def test_serves_a_storm_twice_a_second(self, server: FakeServer, tmp_path: Path, spaces: list[Space]) -> None:
        async with bench(server, tmp_path) as b:
            storm = [key for space in spaces for key in keys(200 // len(spaces), space)]
            for key in storm:
                b.known(key)
            for key in storm:
                b.save(key, "v1")
            began = anyio.current_time()
            await b.idle()

            listings = 1 + (anyio.current_time() - began) / LISTING_AGE
            assert len(spaces) <= server.count(EXPORT) <= len(spaces) * listings
            assert server.count(LOOK) == 0
            assert server.count(UPDATE) == len(storm) == len(b.reported(Updated))

    async def test_serves_a_storm_that_settles_slowly(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(200):
                b.known(key)
            for key in keys(200):
                b.save(key, "v1")
                await anyio.sleep(0.003)
            await b.idle()

            assert server.count(EXPORT) <= 3
            assert server.count(LOOK) <= 4 * WORKERS, "those that were at work before and when it was asked for"
            assert server.count(UPDATE) == 200

    async def test_is_not_used_for_content_sent_since(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(20):
                b.known(key, "v0")
            for content in ("v1", "v0"):
                for key in keys(20):
                    b.save(key, content)
                await b.idle()

            assert {server.content(key) for key in keys(20)} == {"v0"}
            assert server.count(UPDATE) == 40
            assert not b.reported(BackedUp)

    async def test_is_not_used_for_content_sent_meanwhile(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.latency = 0.5
            for key in keys(20):
                b.known(key, "v0")
            b.save(keys(20)[0], "v1")
            await anyio.sleep(0.6)
            assert server.at_work == [keys(20)[0]]
            for key in keys(20):
                b.save(key, "v1" if key != keys(20)[0] else "v0")
            await b.idle()

            assert [server.content(key) for key in keys(20)] == ["v0"] + 19 * ["v1"]

    async def test_is_renewed_after_an_outage(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(200):
                b.known(key)
            for key in keys(200):
                b.save(key, "v1")
            await anyio.sleep(0.25)
            done = len(b.reported(Updated))
            assert 10 < done < 190
            server.always = [(".*", refused_connection())]
            await anyio.sleep(1)
            server.put(keys(200)[-1], "edited while it was away")
            server.always = []
            await b.idle()

            assert {server.content(key) for key in keys(200)} == {"v1"}
            assert [backed_up.plugin for backed_up in b.reported(BackedUp)] == ["p199"]
            assert server.count(EXPORT) <= 3
            assert server.count(LOOK) <= 4 * WORKERS
            assert server.count(UPDATE) <= 200 + 2 * WORKERS

    async def test_is_renewed_in_a_long_storm(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.latency = 1.0
            for key in keys(100):
                b.known(key)
                b.save(key, "v1")
            await b.idle()

            assert server.count(LOOK) <= 2 * WORKERS
            assert server.count(EXPORT) <= 60 / (LISTING_FACTOR * server.latency), (
                "50 s of updates, and the listings themselves"
            )

    async def test_is_not_used_for_a_newer_save(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.latency = 1.0
            for key in keys(20):
                b.known(key)
                b.save(key, "v1")
            await anyio.sleep(5)
            server.put(keys(20)[-1], "edited in the browser")
            b.save(keys(20)[-1], "v2")
            await b.idle()

            assert [backed_up.plugin for backed_up in b.reported(BackedUp)] == ["p019"]

    async def test_is_asked_for_once_if_refused(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(20, Space.TOOLS):
                b.known(key)
                b.save(key, "v1")
            server.always = [(EXPORT, status(401, ROLE))]
            await b.idle()
            assert server.count(EXPORT) == 1
            assert len(b.reported(Updated)) == 20

    async def test_is_read_once_for_all_that_wait(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(3):
                b.write(key, key.id, inferred=True, title=key.id)
                b.deployer.mark(key, anyio.current_time(), admitted=True)
            await b.idle()
            assert server.count(LOOK) == len(b.reported(Created)) == 3
            assert server.count(EXPORT) == 1

    async def test_has_only_the_keys_of_what_is_settled(self, server: FakeServer) -> None:
        for key in keys(2):
            server.put(key, key.id)
        client = OpenWebUI(URL, "sk-1", shown_url=URL, loopback=True, transport=httpx.MockTransport(server))
        settled, dirty = keys(2)
        async with anyio.create_task_group() as tasks:
            prefetch = Prefetch(client, tasks, lambda listed: listed.key == settled)
            await prefetch.prepare(dirty, SHARE_FROM)
            for key in (dirty, settled):
                look = await prefetch.take(key)
                assert isinstance(look.response, AnyCopy)
                assert look.response.digest == digest(key.id)
        assert [line for line in server.requests if "/id/" in line] == [f"GET /api/v1/functions/id/{settled.id}"]
        await client.close()

    async def test_ends_with_its_storm(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(6):
                b.known(key)
            for key in keys(5):
                b.save(key, "v1")
            await b.idle()
            server.put(keys(6)[5], "edited in the browser")
            b.save(keys(6)[5], "v1")
            await b.idle()
            assert [backed_up.plugin for backed_up in b.reported(BackedUp)] == ["p005"]
