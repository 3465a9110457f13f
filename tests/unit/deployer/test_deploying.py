"""From a dirty plugin to the server: what is sent, how often, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from owui_watch.deployer.deployer import WORKERS
from owui_watch.openwebui.responses import Unavailable
from owui_watch.reporting.events import (
    BackedUp,
    Rejection,
    Updated,
    Working,
)
from tests.unit.deployer.bench import (
    UPDATE,
    T,
    X,
    bench,
    keys,
)
from tests.unit.fake_server import (
    BROKEN,
    ROLE,
    FakeServer,
    refused_connection,
    status,
)

pytestmark = pytest.mark.anyio


class TestOnePlugin:
    async def test_is_looked_at_and_updated_once(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X, "v0")
            b.save(X, "v1")
            await b.idle()

            assert server.content(X) == "v1"
            assert server.requests == ["GET /api/v1/functions/id/x", "POST /api/v1/functions/id/x/update"]
            [updated] = b.told
            assert isinstance(updated, Updated)
            assert updated.ms == round(2 * server.latency * 1000)

    async def test_is_updated_if_switched_on_with_its_file(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            b.deployer.disable(X)
            await b.idle()
            assert (server.row(X)["is_active"], b.events) == (False, ["disabled"])
            b.save(X, "v0")
            await b.idle()
            assert (server.row(X)["is_active"], b.events[-1]) == (True, "updated")

    async def test_is_updated_and_said_to_be_off(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X, active=False)
            b.save(X, "v1")
            await b.idle()
            assert [updated.disabled for updated in b.reported(Updated)] == [True]

    @pytest.mark.parametrize("content", ["v0", "from utils import y", "from main import z\r\n"])
    async def test_is_not_sent_if_the_server_holds_it(self, server: FakeServer, tmp_path: Path, content: str) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X, content.replace("from ", "from open_webui."))
            b.save(X, content)
            await b.idle()

            assert server.requests == ["GET /api/v1/functions/id/x"]
            assert b.events == ["unchanged"]

    async def test_is_never_deployed_twice_at_once(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.latency = 0.1
            b.known(X, "v0")
            for number in range(1, 11):
                b.save(X, f"v{number}")
                await anyio.sleep(0.01)
            await anyio.sleep(0.05)
            b.save(X, "v11")
            await b.idle()

            assert server.content(X) == "v11"
            assert server.count(UPDATE) == 2, "the newest when its turn came, and the one saved meanwhile"
            assert b.events == ["updated", "updated"]

    async def test_sends_what_the_file_holds_at_its_turn(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.always = [(".*", refused_connection())]
            b.availability.lost(Unavailable("gone"))
            b.known(X, "v0")
            for number in range(1, 50):
                b.save(X, f"v{number}")
                await anyio.sleep(1)
            b.write(X, "v50")
            server.always = []
            await b.idle()

            assert server.content(X) == "v50"
            assert server.count(UPDATE) == 1

    async def test_waits_for_a_slow_server_and_says_so(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X, "v0")
            b.write(X, "v1", requirements="numpy")
            server.latency = 100.0
            b.deployer.mark(X, anyio.current_time())
            await b.idle()

            slow = [(each.seconds, each.requirements) for each in b.reported(Working)]
            assert slow == [(seconds, "numpy") for seconds in (5, 35, 65, 95)]
            assert len(b.reported(Updated)) == 1
            assert server.count("/update") == 1

    async def test_is_rejected_until_its_file_changes(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X, "v0")
            b.save(X, BROKEN)
            await b.idle()
            await anyio.sleep(600)

            assert server.count(UPDATE) == 1
            [rejected] = b.told
            assert isinstance(rejected, Rejection)
            assert rejected.error == "name 'nope' is not defined"

            b.save(X, "v1")
            await b.idle()
            assert server.content(X) == "v1"

    async def test_is_rejected_alone_for_a_missing_right(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            b.known(T)
            server.always = [("/functions/id/x", status(401, ROLE))]
            b.save(X, "v1")
            b.save(T, "v1")
            await b.idle()

            assert sorted(b.events) == ["rejected", "updated"]
            assert "is not allowed to deploy" in b.reported(Rejection)[0].error
            assert b.availability.available

    async def test_is_pending_after_a_cancelled_deploy(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.latency = 60
            b.known(X)
            b.save(X, "v1")
            await anyio.sleep(90)
        assert b.deployer.pending() == {X}


class TestGoingBack:
    async def test_is_not_lost_during_an_update(self, server: FakeServer, tmp_path: Path) -> None:
        """A look that was begun while the update ran may still show what was there before it: v0, as the file has it."""
        async with bench(server, tmp_path) as b:
            server.latency = 0.1
            b.known(X, "v0")
            b.save(X, "v1")
            await anyio.sleep(0.12)
            assert server.at_work == [X]
            b.deployer.prefetch(X)
            b.save(X, "v0")
            await b.idle()

            assert server.content(X) == "v0"
            assert b.events == ["updated", "updated"], "and our own v1 is not backed up as someone else's"

    async def test_is_not_lost_in_a_storm(self, server: FakeServer, tmp_path: Path) -> None:
        """The same where the look is one that many share."""
        async with bench(server, tmp_path) as b:
            server.latency = 0.1
            b.known(X, "v0")
            for key in keys(10):
                b.known(key, "v0")
            b.save(X, "v1")
            await anyio.sleep(0.12)
            assert server.at_work == [X]
            b.save(X, "v0")
            for key in keys(10):
                b.save(key, "v1")
            await b.idle()

            assert server.content(X) == "v0"
            assert b.reported(BackedUp) == []


class TestForeignContent:
    async def test_is_backed_up_first(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X, "v0")
            server.put(X, "edited in the browser\r\n")
            b.save(X, "v1")
            await b.idle()

            assert b.events == ["backed_up", "updated"]
            assert b.reported(BackedUp)[0].backup.read_bytes() == b"edited in the browser\r\n"

    async def test_is_backed_up_once_over_failed_attempts(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.put(X, "someone else's")
            server.always = [(UPDATE, status(503))]
            b.save(X, "v1")
            await anyio.sleep(60)
            server.always = []
            await b.idle()

            assert len(b.reported(BackedUp)) == 1
            assert len(list((tmp_path / "state" / "backups" / "x").glob("*.py"))) == 1


class TestSeveral:
    async def test_are_deployed_at_once(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(WORKERS + 1):
                b.known(key)
                b.save(key, "v1")
            await b.idle()

            assert server.most_at_once == WORKERS > 1

    async def test_do_not_wait_for_a_slow_one(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.latency = 60
            b.known(X)
            b.save(X, "v1")
            await anyio.sleep(90)
            server.latency = 0.01
            for key in keys(5):
                b.known(key)
                b.save(key, "v1")
            await anyio.sleep(1)

            assert len(b.reported(Updated)) == 5
            assert b.deployer.pending() == {X}
