"""Plugins that are not on the server yet: created, held, or rejected as twins."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import anyio
import pytest

from owui_watch.plugins.model import PluginKey, Space
from owui_watch.reporting.events import (
    Created,
    Held,
    Rejection,
    Updated,
)
from tests.unit.deployer.bench import (
    CREATE,
    EXPORT,
    QUIET,
    TOGGLE,
    UPDATE,
    X,
    bench,
    keys,
    once,
)
from tests.unit.fake_server import (
    FakeServer,
    dropped,
)

pytestmark = pytest.mark.anyio


class TestNewPlugin:
    async def test_is_created_and_enabled(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.save(X, "v1")
            await b.idle()

            assert server.content(X) == "v1"
            assert server.row(X)["is_active"] is True
            assert (server.count(CREATE), server.count(TOGGLE), server.count(UPDATE)) == (1, 1, 0)
            assert b.events == ["created"]

    async def test_is_created_if_deleted_after_the_look(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.before = once("/update", server.spaces[X.space].clear)
            b.save(X, "v1")
            await b.idle()

            assert server.content(X) == "v1"
            assert server.row(X)["is_active"] is True
            assert b.events == ["created"]

    async def test_is_updated_if_someone_else_created_it(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.before = once("/create", lambda: server.put(X, "theirs", active=False))
            b.save(X, "v1")
            await b.idle()

            assert server.content(X) == "v1"
            assert server.row(X)["is_active"] is False, "theirs, so not ours to enable"
            assert b.events == ["backed_up", "updated"]

    async def test_is_not_created_again_after_a_lost_response(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.script = [(CREATE, dropped(arrives=True))]
            b.save(X, "v1")
            await b.idle()

            assert server.count(CREATE) == 1
            assert server.row(X)["is_active"] is True
            assert b.events == ["created"]


class TestBulk:
    async def test_of_five_is_created(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(5):
                b.save(key, "v1")
            await b.idle()

            assert {created.plugin for created in b.reported(Created)} == {key.id for key in keys(5)}

    async def test_of_six_is_held_and_updates_go_out(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            for key in keys(6):
                b.save(key, "v1")
                await anyio.sleep(QUIET / 2)
            b.save(X, "v1")
            await b.idle()

            assert b.reported(Held) == [Held(tuple(key.id for key in keys(6)))]
            assert [updated.plugin for updated in b.reported(Updated)] == ["x"]
            assert server.count(CREATE) == 0
            assert b.deployer.pending() == set()

    async def test_releases_one_that_is_saved_again(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(6):
                b.save(key, "v1")
            await b.idle()
            b.save(keys(6)[3], "v2")
            await b.idle()

            assert [created.plugin for created in b.reported(Created)] == ["p003"]

    async def test_is_created_if_admitted(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(20):
                b.save(key, "v1", admitted=True)
            await b.idle()

            assert len(b.reported(Created)) == 20

    async def test_stays_admitted_over_an_outage(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.always = [(CREATE, dropped(arrives=False))]
            for key in keys(20):
                b.save(key, "v1", admitted=True)
            await anyio.sleep(0.025)
            for key in keys(20):
                b.save(key, "v2")
            await anyio.sleep(10)
            server.always = []
            await b.idle()

            assert b.reported(Held) == []
            assert {server.content(key) for key in keys(20)} == {"v2"}

    async def test_is_not_managed_while_held(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for key in keys(6):
                b.journal.manage(key)
                b.save(key, "v1")
            await b.idle()
            assert len(b.reported(Held)) == 1
            assert b.journal.managed() == set()


class TestTwin:
    async def test_search_is_shared(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.put(X, "v0")["name"] = "P 7"
            for number, key in enumerate(keys(30)):
                b.write(key, "v1", inferred=True, title=f"P {number}")
                b.deployer.mark(key, anyio.current_time(), admitted=True)
            await b.idle()

            assert [rejection.plugin for rejection in b.reported(Rejection)] == ["p007"]
            assert len(b.reported(Created)) == 29
            assert server.count(EXPORT) == 1

    async def test_is_found_if_it_came_just_before(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            for number, key in enumerate(keys(2)):
                server.put(PluginKey(Space.FUNCTIONS, f"theirs_{number}"), "v0")["name"] = f"P {number}"
                b.write(key, "v1", inferred=True, title=f"P {number}")
                b.deployer.mark(key, anyio.current_time(), admitted=True)
                await b.idle()

            assert [rejection.plugin for rejection in b.reported(Rejection)] == ["p000", "p001"]

    async def test_with_a_file_of_its_own_is_none(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.put(X, "v0")["name"] = "Big"
            b.write(X, "v0", title="Big")
            (tmp_path / "big.py").touch()
            b.files[X] = dataclasses.replace(b.files[X], path=tmp_path / "big.py")
            copy = PluginKey(Space.FUNCTIONS, "x2")
            b.write(copy, "v0", inferred=True, title="Big")
            b.deployer.mark(copy, anyio.current_time(), admitted=True)
            await b.idle()

            assert [created.plugin for created in b.reported(Created)] == ["x2"]
            assert b.reported(Rejection) == []
