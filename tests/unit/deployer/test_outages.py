"""A server that is away, overloaded, or refuses the key."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from owui_watch.deployer.availability import REFUSED_EVERY
from owui_watch.deployer.deployer import WORKERS
from owui_watch.deployer.refusals import not_taken
from owui_watch.openwebui.responses import Unavailable
from owui_watch.plugins.model import PluginKey
from owui_watch.reporting.events import (
    Created,
    Reachable,
    Rejection,
    Updated,
    Waiting,
    Warned,
)
from tests.unit.deployer.bench import (
    CREATE,
    TOGGLE,
    UPDATE,
    T,
    X,
    bench,
    connected_to,
    keys,
)
from tests.unit.fake_server import (
    BROKEN_SPECS,
    KEY_DEAD,
    FakeServer,
    dropped,
    refused_connection,
    status,
)

pytestmark = pytest.mark.anyio


class TestOutage:
    async def test_keeps_plugins_dirty_and_sends_the_newest_once(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(".*", refused_connection())]
            for number in range(1, 21):
                b.save(X, f"v{number}")
                await anyio.sleep(3)
            assert b.deployer.pending() == {X}
            server.always = []
            await b.idle()

            assert server.content(X) == "v20"
            assert server.count(UPDATE) == 1
            assert b.events == ["waiting", "reachable", "updated"]
            assert b.reported(Waiting)[0].pending == 1

    @pytest.mark.parametrize("count", range(1, 2 * WORKERS + 3))
    async def test_is_survived_by_everything_under_way(self, server: FakeServer, tmp_path: Path, count: int) -> None:
        """However the failures of several at once fall together, and without another save."""
        async with bench(server, tmp_path) as b:
            for key in keys(count):
                b.known(key)
            server.always = [(".*", dropped(arrives=False))]
            for key in keys(count):
                b.save(key, "v1")
            await anyio.sleep(20)
            server.always = []
            await b.idle()

            assert {server.content(key) for key in keys(count)} == {"v1"}
            assert [type(event) for event in b.told if isinstance(event, Waiting | Reachable)] == [Waiting, Reachable]

    async def test_ends_when_the_last_pending_file_is_deleted(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(".*", refused_connection())]
            b.save(X, "v1")
            await anyio.sleep(5)
            del b.files[X]
            server.always = []
            await b.idle()

            assert b.events == ["waiting", "reachable"]

    async def test_reports_a_queued_save_once(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(".*", refused_connection())]
            b.availability.lost(Unavailable("gone"))
            await anyio.sleep(1)
            for number in range(3):
                b.save(X, f"v{number}")
                await anyio.sleep(1)
            server.always = []
            await b.idle()
            assert b.events == ["waiting", "queued", "reachable", "updated"]

    @pytest.mark.parametrize("answer", [408, 425, 429, 503, 507])
    async def test_of_an_overloaded_server_is_waited_out(self, server: FakeServer, tmp_path: Path, answer: int) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(UPDATE, status(answer))]
            b.save(X, "v1")
            await anyio.sleep(60)
            assert 10 <= server.count(UPDATE) <= 50
            assert b.events == ["waiting"]
            server.always = []
            await b.idle()

            assert b.events == ["waiting", "updated", "reachable"]

    async def test_lasts_as_long_as_retry_after_asks(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, status(429, headers={"retry-after": "30"}))]
            b.save(X, "v1")
            began = anyio.current_time()
            await b.idle()

            assert server.count(UPDATE) == 2
            assert 30 <= anyio.current_time() - began < 31


class TestRefusedKey:
    async def test_pauses_everything_until_a_new_one(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.always = [("/api/v1/", status(401, KEY_DEAD))]
            for key in keys(8):
                b.known(key)
                b.save(key, "v1")
            await anyio.sleep(600)
            assert b.deployer.pending() == set(keys(8))
            assert b.events == ["waiting"]
            assert b.reported(Waiting)[0].hint == "make a new one"
            updates = server.count(UPDATE)
            await anyio.sleep(600)
            assert server.count(UPDATE) == updates
            server.always, b.new_key = [], True
            await b.idle()

            assert len(b.reported(Updated)) == 8
            assert [event for event in b.events if event != "updated"] == ["waiting", "reachable"]

    async def test_that_was_accepted_before_is_tried_again(self, server: FakeServer, tmp_path: Path) -> None:
        """Up to 0.6.43 Open WebUI refuses every key while it can't read its database."""
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [("/api/v1/", status(401, KEY_DEAD))]
            b.save(X, "v1")
            await anyio.sleep(100)
            server.always = []
            await b.idle()
            assert server.content(X) == "v1"
            assert b.events == ["waiting", "reachable", "updated"]
            assert b.reported(Waiting)[0].error == "the API key is refused, though it was accepted before"
            assert b.reported(Waiting)[0].retry_in == REFUSED_EVERY


READ_ONLY = "(psycopg.errors.ReadOnlySqlTransaction) cannot execute UPDATE in a read-only transaction"
HIDDEN = "[ERROR: 400: [ERROR: Error {}]]"
"""The text of releases up to 0.9.6 for a database that can't be written."""


class TestDatabaseThatCannotBeWritten:
    @pytest.mark.parametrize(
        ("version", "key", "text"),
        [
            ("0.12.4", X, READ_ONLY),
            ("0.12.4", T, READ_ONLY),
            ("0.9.6", X, HIDDEN.format("updating function")),
            ("0.9.6", T, HIDDEN.format("updating tools")),
        ],
    )
    async def test_delays_an_update(
        self, version: str, key: PluginKey, text: str, server: FakeServer, tmp_path: Path
    ) -> None:
        async with bench(server, tmp_path) as b:
            await connected_to(b, version)
            b.known(key)
            server.script = [(UPDATE, status(400, text))] * 4
            b.save(key, "v1")
            await b.idle()
            assert server.content(key) == "v1"
            assert [each.plugin for each in b.reported(Warned)] == [key.id]
            assert (len(b.reported(Updated)), len(b.reported(Rejection)), len(b.reported(Waiting))) == (1, 0, 0)

    async def test_delays_an_update_whose_refusal_has_no_reason(self, server: FakeServer, tmp_path: Path) -> None:
        """Open WebUI 0.10 and 0.11 hide the database's text, but they disable a function only for its own code."""
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.11.4")
            b.known(X)
            server.script = [(UPDATE, status(400, "[ERROR: Error updating function]"))] * 4
            b.save(X, "v1")
            await b.idle()
            assert server.content(X) == "v1"
            assert (len(b.reported(Updated)), len(b.reported(Rejection)), len(b.reported(Warned))) == (1, 0, 1)

    @pytest.mark.parametrize("case", ["was off", "switched off", "has requirements", "is a tool"])
    async def test_does_not_delay_what_the_plugin_may_cause(
        self, case: str, server: FakeServer, tmp_path: Path
    ) -> None:
        key = T if case == "is a tool" else X

        def before(line: str) -> None:
            if "/update" in line and case == "switched off":
                server.row(X)["is_active"] = False

        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.11.4")
            b.known(key, active=case != "was off")
            server.before = before
            server.always = [(UPDATE, status(400, "[ERROR: Error updating function]"))]
            b.write(key, "class Filter: ...", requirements="nope" if case == "has requirements" else "")
            b.deployer.mark(key, anyio.current_time())
            await b.idle()
            assert (len(b.reported(Updated)), len(b.reported(Rejection))) == (0, 1)
            assert server.count(UPDATE) <= 2

    @pytest.mark.parametrize(("key", "what"), [(X, "creating function"), (T, "creating tools")])
    async def test_delays_a_create(self, key: PluginKey, what: str, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.9.6")
            server.script = [(CREATE, status(400, HIDDEN.format(what)))] * 4
            b.save(key, "class Filter: ...", admitted=True)
            await b.idle()
            assert (len(b.reported(Created)), len(b.reported(Rejection))) == (1, 0)

    async def test_delays_switching_a_new_function_on(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.script = [(TOGGLE, status(400, "[ERROR: Error updating function]"))] * 4
            b.save(X, "class Filter: ...", admitted=True)
            await b.idle()
            assert server.row(X)["is_active"]
            assert (len(b.reported(Created)), len(b.reported(Rejection))) == (1, 0)

    async def test_delays_putting_a_refused_tool_back(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.9.6")
            b.known(T)

            def before(line: str) -> None:
                if "/update" in line and server.count(UPDATE) == 1:  # this is the second one
                    server.script.append((UPDATE, status(400, READ_ONLY)))

            server.before = before
            b.save(T, BROKEN_SPECS)
            await b.idle()
            assert len(b.reported(Rejection)) == 1
            assert server.memory[T] != BROKEN_SPECS

    async def test_rejects_after_ten_minutes(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(UPDATE, status(400, READ_ONLY))]
            b.save(X, "v1")
            await b.idle()
            assert [each.error for each in b.reported(Rejection)] == [not_taken(READ_ONLY)]
