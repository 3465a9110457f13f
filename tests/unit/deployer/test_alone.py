"""Trouble of one plugin: it is tried again, or rejected, and nothing else waits for it."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import httpx
import pytest

from owui_watch.deployer import attempt, reconcile
from owui_watch.deployer.recovery import LONGEST_BACKOFF, MOST_LOSSES, PATIENCE
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.plugins.model import Kind, Plugin, PluginKey
from owui_watch.reporting.events import Created, Held, Rejection, Updated, Waiting, Warned
from tests.unit.deployer.bench import CREATE, LOOK, TOGGLE, UPDATE, Bench, T, X, bench, connected_to, keys
from tests.unit.fake_server import ID_TAKEN, FakeServer, Scripted, dropped, refused_connection, status

pytestmark = pytest.mark.anyio

DATABASE = "(psycopg.errors.ReadOnlySqlTransaction) cannot execute UPDATE in a read-only transaction"
NULL = Scripted(False, lambda: httpx.Response(200, json=None))


class TestDatabase:
    @pytest.mark.parametrize("code", [400, 500])
    async def test_makes_one_plugin_back_off(self, server: FakeServer, tmp_path: Path, code: int) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            b.known(T)
            server.always = [("/functions/id/x/update", status(code, DATABASE))]
            b.save(X, "v1")
            await anyio.sleep(60)
            b.save(T, "v1")
            await anyio.sleep(1)
            assert [updated.plugin for updated in b.reported(Updated)] == ["t"], "the others don't wait"
            assert server.count(UPDATE) < 12
            assert b.reported(Waiting) == []
            [warned] = b.reported(Warned)
            assert (warned.plugin, warned.kind) == ("x", Kind.FILTER)
            server.always = []
            await b.idle()
            assert server.content(X) == "v1"
            assert b.reported(Rejection) == []

    async def test_makes_all_wait_if_a_look_fails_too(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.before = lambda line: (
                server.always.append((".*", refused_connection())) if "/update" in line else None
            )
            server.script = [(UPDATE, status(400, DATABASE))]
            b.save(X, "v1")
            await anyio.sleep(5)
            assert len(b.reported(Waiting)) == 1
            server.before = lambda _: None
            server.always = []
            await b.idle()
            assert server.content(X) == "v1"

    async def test_is_a_rejection_after_a_long_while(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(UPDATE, status(400, DATABASE))]
            b.save(X, "v1")
            began = anyio.current_time()
            await b.idle()
            assert PATIENCE <= anyio.current_time() - began <= PATIENCE + 2 * LONGEST_BACKOFF
            assert "read-only transaction" in b.reported(Rejection)[0].error

    async def test_of_the_plugin_itself_is_its_own_fault(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(UPDATE, status(400, "(sqlite3.IntegrityError) UNIQUE constraint failed: notes.id"))]
            b.save(X, "v1")
            await b.idle()
            assert server.count(UPDATE) == 1
            assert len(b.reported(Rejection)) == 1


class TestNullResponse:
    async def test_to_an_update_is_tried_again(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, NULL)]
            b.save(X, "v1")
            await b.idle()
            assert b.events == ["updated"]

    async def test_again_and_again_holds_up_nobody_else(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            b.known(T)
            server.always = [("/functions/id/x/update", NULL)]
            b.save(X, "v1")
            await anyio.sleep(30)
            b.save(T, "v1")
            await anyio.sleep(1)
            assert [updated.plugin for updated in b.reported(Updated)] == ["t"]
            server.always = []
            await b.idle()
            assert server.content(X) == "v1"
            assert b.reported(Rejection) == []


class TestBrokenConnection:
    """A plugin over which the connection always breaks, though the server answers every other request."""

    @pytest.mark.parametrize("known", [True, False])
    @pytest.mark.parametrize("answer", [dropped(arrives=False), status(500), status(502), status(504)])
    async def test_holds_up_no_other_saved_with_it(
        self, server: FakeServer, tmp_path: Path, answer: Scripted, known: bool
    ) -> None:
        bad, *good = keys(3)
        async with bench(server, tmp_path) as b:
            if known:
                b.known(bad)
            server.always = [("GET .*/id/p000$", answer)]
            for key in (bad, *good):
                b.save(key, "v1")
            await anyio.sleep(10)
            assert {server.content(key) for key in good} == {"v1"}
            server.always = []
            await b.idle()
            assert server.content(bad) == "v1"

    async def test_by_its_content_holds_up_no_other(self, server: FakeServer, tmp_path: Path) -> None:
        bad, *good = keys(3)
        async with bench(server, tmp_path) as b:
            b.known(bad)
            server.always = [("/id/p000/update", dropped(arrives=False))]
            for key in (bad, *good):
                b.save(key, "v1")
            await anyio.sleep(10)
            assert {server.content(key) for key in good} == {"v1"}

    async def test_plugin_is_reported_once_and_deployed_when_possible(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(LOOK, dropped(arrives=False))]
            b.save(X, "v1")
            await anyio.sleep(300)
            assert len(b.reported(Warned)) == 1
            assert len(b.reported(Waiting)) <= 2
            server.always = []
            await anyio.sleep(LONGEST_BACKOFF + 1)
            assert server.content(X) == "v1"
            assert b.reported(Rejection) == []

    async def test_is_a_rejection_after_a_long_while(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            server.always = [(LOOK, dropped(arrives=False))]
            b.save(X, "v1", admitted=True)
            await b.idle()
            assert len(b.reported(Rejection)) == 1

    async def test_does_not_hide_that_the_server_goes_away(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            b.known(T)
            server.always = [("GET .*/functions/id/x$", dropped(arrives=False))]
            b.save(X, "v1")
            await anyio.sleep(30)
            b.save(T, "v1")
            await anyio.sleep(5)
            assert server.content(T) == "v1"
            b.told.clear()
            server.always = [(".*", refused_connection())]
            b.save(T, "v2")
            await anyio.sleep(5)
            assert len(b.reported(Waiting)) == 1
            server.always = []
            await b.idle()
            assert (server.content(X), server.content(T)) == ("v1", "v2")


class TestOurBug:
    async def test_keeps_the_plugin_dirty_and_goes_on(
        self, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            b.known(T)
            failing = FailingFiles(b, X)
            monkeypatch.setattr(b, "newest", failing.newest)
            b.save(X, "v1")
            b.save(T, "v1")
            await anyio.sleep(30)
            assert [updated.plugin for updated in b.reported(Updated)] == ["t"]
            assert b.deployer.pending() == {X}
            [warned] = {each.error for each in b.reported(Warned)}
            assert warned.startswith("bug in owui-watch: deploying x failed with ValueError: odd (at ")
            failing.key = None
            await b.idle()
            assert server.content(X) == "v1"

    @pytest.mark.parametrize("part", ["listing", "looking", "reporting", "deciding"])
    async def test_anywhere_ends_nothing(
        self, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
    ) -> None:
        """Each part raises for a while; then all goes on as if nothing had been."""
        raising = True
        targets: dict[str, tuple[object, str]] = {
            "listing": (OpenWebUI, "list_digests"),
            "looking": (OpenWebUI, "look"),
            "reporting": (attempt, "warning"),
            "deciding": (reconcile, "plan"),
        }
        owner, name = targets[part]
        original = getattr(owner, name)

        def fails(*arguments: object, **named: object) -> object:
            if raising:
                raise ZeroDivisionError
            return original(*arguments, **named)

        async with bench(server, tmp_path) as b:
            count = 3 if part == "looking" else 8  # eight are listed
            for key in keys(count):
                b.known(key)
            monkeypatch.setattr(owner, name, fails)
            for key in keys(count):
                b.save(key, "v1")
            await anyio.sleep(20)
            raising = False
            await b.idle()
            assert {server.content(key) for key in keys(count)} == {"v1"}
            assert len(b.reported(Updated)) == count
            assert all("bug in owui-watch" in warned.error for warned in b.reported(Warned))
            assert len(b.reported(Warned)) < 10


class FailingFiles:
    """Files of which one can't be read without a bug of ours."""

    def __init__(self, bench: Bench, key: PluginKey) -> None:
        self.key: PluginKey | None = key
        self._files = bench.files

    def newest(self, key: PluginKey) -> Plugin | None:
        if key == self.key:
            raise ValueError("odd")
        return self._files.get(key)


class TestFatalContent:
    async def test_stays_rejected_over_restarts(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(UPDATE, status(502))]
            b.save(X, "v1")
            await b.idle()
        for _ in range(2):
            async with bench(server, tmp_path) as b:
                b.write(X, "v1")
                b.deployer.mark(X, anyio.current_time(), insist=False)
                await b.idle()
                assert "closes the connection" in b.reported(Rejection)[0].error
        assert server.count(UPDATE) == 0, "since the first run"

    @pytest.mark.parametrize("why", ["changed", "saved again", "another release"])
    async def test_is_sent_again_when(self, server: FakeServer, tmp_path: Path, why: str) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(UPDATE, status(502))]
            b.save(X, "v1")
            await b.idle()
            assert server.count(UPDATE) == MOST_LOSSES
        server.always = []
        async with bench(server, tmp_path) as b:
            if why == "another release":
                await connected_to(b, "0.12.5")
            b.write(X, "v2" if why == "changed" else "v1")
            b.deployer.mark(X, anyio.current_time(), insist=why == "saved again")
            await b.idle()
            assert len(b.reported(Updated)) == 1


class TestRepeatedPost:
    async def test_of_a_flip_is_flipped_again(self, server: FakeServer, tmp_path: Path) -> None:
        """Two flips leave the function off: the response to the second one shows that."""

        def before(line: str) -> None:
            if re.search(TOGGLE, line) and server.count(TOGGLE) == 0:
                server.row(X)["is_active"] = True  # the proxy gave up waiting for this one

        server.before = before
        async with bench(server, tmp_path) as b:
            b.save(X, "class Filter: ...", admitted=True)
            await b.idle()
            assert (server.row(X)["is_active"], server.count(TOGGLE)) == (True, 2)
            assert b.events == ["created"]

    async def test_of_each_flip_is_reported_as_it_ends(self, server: FakeServer, tmp_path: Path) -> None:
        def before(line: str) -> None:
            if re.search(TOGGLE, line):
                server.row(X)["is_active"] = not server.row(X)["is_active"]

        server.before = before
        async with bench(server, tmp_path) as b:
            b.save(X, "class Filter: ...", admitted=True)
            await b.idle()
            [rejected] = b.reported(Rejection)
            assert rejected.error == "X is off on the server and could not be switched on"
            server.before = lambda _line: None
            b.save(X, "class Filter: # 2")
            await b.idle()
            assert (server.content(X), server.row(X)["is_active"]) == ("class Filter: # 2", True)
            assert "backed_up" not in b.events

    async def test_of_a_create_is_our_create(self, server: FakeServer, tmp_path: Path) -> None:
        """A proxy repeats the request: the first is carried out, the response is that to the second."""

        def before(line: str) -> None:
            if re.search(LOOK, line) and server.content(X) is not None:
                server.row(X)["meta"] = {"manifest": {"version": "1.0"}}

        server.before = before
        async with bench(server, tmp_path) as b:
            server.script = [(CREATE, Scripted(True, lambda: httpx.Response(400, json={"detail": ID_TAKEN})))]
            b.save(X, "v1", admitted=True)
            await b.idle()
            [created] = b.told
            assert isinstance(created, Created)
            assert created.previous_version is None
            assert server.row(X)["is_active"] is True
            assert (server.count(CREATE), server.count(TOGGLE)) == (1, 1)


class TestSavedTogether:
    async def test_excludes_single_saves_of_an_outage(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.always = [(".*", refused_connection())]
            b.save(X, "v1")
            for key in keys(6):
                await anyio.sleep(5)
                b.save(key, "v1")
            server.always = []
            await b.idle()
            assert len(b.reported(Created)) == 6
            assert b.reported(Held) == []

    async def test_does_not_count_a_file_renamed_at_once(self, server: FakeServer, tmp_path: Path) -> None:
        before, after = keys(2)
        async with bench(server, tmp_path, max_new=1) as b:
            b.save(before, "v1")
            await anyio.sleep(0.06)
            del b.files[before]
            b.save(after, "v1")
            await b.idle()
            assert [created.plugin for created in b.reported(Created)] == [after.id]

    async def test_waits_for_no_slow_plugin_saved_before(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.latency = 20.0
            b.save(X, "v1")
            await anyio.sleep(5)
            server.latency = 0.01
            b.save(keys(1)[0], "v1")
            await anyio.sleep(3)
            assert len(b.reported(Created)) == 1
            assert b.reported(Updated) == []
            await b.idle()
            assert len(b.reported(Updated)) == 1

    async def test_waits_for_a_slow_one_saved_with_it(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path, max_new=1) as b:
            server.latency = 20.0
            b.save(keys(2)[0], "v1")
            await anyio.sleep(0.5)
            server.latency = 0.01
            b.save(keys(2)[1], "v1")
            await anyio.sleep(10)
            assert b.reported(Created) == []
            await b.idle()
            assert len(b.reported(Held)) == 1
