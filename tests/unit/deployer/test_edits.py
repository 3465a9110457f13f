"""Edits that somebody else makes on the server, at every moment of a deploy: none is lost."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from owui_watch.deployer.overwritten_edits import MOST_VERSIONS
from owui_watch.deployer.prefetch import LISTING_AGE
from owui_watch.plugins.model import PluginKey
from owui_watch.reporting.events import BackedUp, Rejection, Updated
from tests.unit.deployer.bench import LOOK, UPDATE, T, X, bench, copies, keys, once
from tests.unit.fake_server import FakeServer, status

pytestmark = pytest.mark.anyio


class TestContent:
    async def test_edited_after_the_early_look_is_copied(self, server: FakeServer, tmp_path: Path) -> None:
        """The save's file is held open: look at 0 ms, edit at 300 ms, closed at 600 ms."""
        async with bench(server, tmp_path) as b:
            b.known(X)
            b.deployer.prefetch(X)
            await anyio.sleep(0.3)
            server.edit(X, "theirs")
            await anyio.sleep(0.3)
            b.save(X, "v1")
            await b.idle()
            assert copies(tmp_path) == {"theirs"}
            assert server.content(X) == "v1"

    async def test_is_looked_at_once_right_before_the_update(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            b.deployer.prefetch(X)
            await anyio.sleep(0.03)
            b.save(X, "v1")
            await b.idle()
            assert server.count(LOOK) == 1

    async def test_edited_in_a_storm_is_copied(self, server: FakeServer, tmp_path: Path) -> None:
        server.latency = 0.1
        storm = keys(200)
        async with bench(server, tmp_path) as b:
            for key in storm:
                b.known(key)
            for key in storm:
                b.save(key, "v1")
            edited = set()
            while b.deployer.pending():
                await anyio.sleep(4 * LISTING_AGE)
                left = sorted(b.deployer.pending())[-1:]
                for key in left:
                    if server.content(key) == "v0":
                        server.edit(key, f"theirs {key.id}")
                        edited.add(key)
            await b.idle()
            assert edited
            assert all(copies(tmp_path, key) == {f"theirs {key.id}"} for key in edited)
            assert {server.content(key) for key in storm} == {"v1"}

    async def test_edited_twice_during_a_backoff_is_copied_twice(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.edit(X, "first edit")
            server.always = [(UPDATE, status(503))]
            b.save(X, "v1")
            await anyio.sleep(10)
            server.edit(X, "second edit")
            await anyio.sleep(10)
            server.always = []
            await b.idle()
            assert copies(tmp_path) == {"first edit", "second edit"}
            assert len(b.reported(BackedUp)) == 2

    @pytest.mark.parametrize("key", [X, T])
    async def test_edit_between_look_and_update_is_found(
        self, server: FakeServer, tmp_path: Path, key: PluginKey
    ) -> None:
        async with bench(server, tmp_path) as b:
            b.known(key)
            server.before = once("/update", lambda: server.edit(key, "theirs"))
            b.save(key, "v1")
            await b.idle()
            await b.deployer.finish()
            assert copies(tmp_path, key) == {"theirs"}
            assert [(each.plugin, each.replaced) for each in b.reported(BackedUp)] == [
                (key.id, "an edit made during the deploy")
            ]

    async def test_of_ours_in_the_history_is_not_copied(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            for number in range(5):
                b.save(X, f"v{number + 1}")
                await b.idle()
            await b.deployer.finish()
            assert b.reported(BackedUp) == []

    async def test_of_ours_within_a_second_is_not_copied(self, server: FakeServer, tmp_path: Path) -> None:
        server.seconds_between_changes = 0
        async with bench(server, tmp_path) as b:
            for number in range(5):
                b.save(X, f"v{number}")
                await b.idle()
                if number == 2:
                    server.edit(X, "theirs")
            server.edit(X, name="renamed")
            b.save(X, "v5")
            await b.idle()
            await b.deployer.finish()
            assert copies(tmp_path) == {"theirs"}
            assert len(b.reported(BackedUp)) == 1

    async def test_of_ours_is_not_copied_during_more_saves(self, server: FakeServer, tmp_path: Path) -> None:
        server.seconds_between_changes = 0
        server.latency = 0.01
        async with bench(server, tmp_path) as b:
            for number in range(2 * MOST_VERSIONS):
                b.save(X, f"v{number}")
                await b.idle()
            server.before = once("/history/", lambda: b.save(X, "during"))
            b.save(X, "last")
            await b.idle()
            await b.deployer.finish()
            assert server.content(X) == "during"
            assert b.reported(BackedUp) == []

    async def test_of_an_earlier_run_is_not_copied(self, server: FakeServer, tmp_path: Path) -> None:
        server.seconds_between_changes = 0
        async with bench(server, tmp_path) as b:
            b.known(X)
            for number in range(3):
                b.save(X, f"v{number + 1}")
                await b.idle()
            server.edit(X, "theirs")
        async with bench(server, tmp_path) as b:
            b.save(X, "v4")
            await b.idle()
            await b.deployer.finish()
            assert copies(tmp_path) == {"theirs"}
            assert [each.replaced for each in b.reported(BackedUp)] == [None]

    async def test_after_a_restored_version_copies_that_alone(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            for number in range(5):
                b.save(X, f"v{number + 1}")
                await b.idle()
            server.restore(X, "v1")
            b.save(X, "v6")
            await b.idle()
            await b.deployer.finish()
            assert copies(tmp_path) == {"v1"}
            assert len(b.reported(BackedUp)) == 1

    async def test_is_found_while_another_plugin_stays_dirty(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            b.known(T)
            server.always = [(r"POST .*/t/update", status(200, None))]
            b.save(T, "v1")
            await anyio.sleep(0.05)
            server.before = once("x/update", lambda: server.edit(X, "theirs"))
            for number in range(2 * MOST_VERSIONS):
                b.save(X, f"v{number + 1}")
                await anyio.sleep(0.5)
            assert b.deployer.is_pending(T)
            assert copies(tmp_path) == {"theirs"}
            assert len(b.reported(BackedUp)) == 1

    async def test_is_found_once_every_version_can_be_read(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.before = once("/update", lambda: server.edit(X, "theirs"))
            server.always = [(r"GET .*/history/", status(503))]
            b.save(X, "v1")
            await anyio.sleep(60)
            server.always = []
            await b.deployer.finish()
            assert copies(tmp_path) == {"theirs"}

    async def test_sent_without_an_answer_stays_ours(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.script = [(UPDATE, status(502)), (UPDATE, status(502))]
            b.save(X, "v1")
            await anyio.sleep(0.02)
            b.save(X, "v2")
            await b.idle()
            server.edit(X, "v1")  # it arrives late
        async with bench(server, tmp_path) as b:
            b.save(X, "v3")
            await b.idle()
            assert b.reported(BackedUp) == []


class TestNaming:
    async def test_changed_on_the_server_alone_stays(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.write(X, "v0", title="Mine", description="What it does")
            b.deployer.mark(X, anyio.current_time(), admitted=True)
            await b.idle()
            server.edit(X, name="Theirs", meta={"description": "What they say"})
            for content in ("v1", "v2"):
                b.write(X, content, title="Mine", description="What it does")
                b.deployer.mark(X, anyio.current_time())
                await b.idle()
            assert (server.row(X)["name"], server.row(X)["meta"]["description"]) == ("Theirs", "What they say")
            assert b.reported(BackedUp) == []

    async def test_changed_by_both_is_the_headers_and_copied(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.write(X, "v0", title="Mine")
            b.deployer.mark(X, anyio.current_time(), admitted=True)
            await b.idle()
            server.edit(X, name="Theirs", meta={"description": "d", "tags": ["kept"]})
            b.write(X, "v1", title="Mine, too")
            b.deployer.mark(X, anyio.current_time())
            await b.idle()
            assert server.row(X)["name"] == "Mine, too"
            assert server.row(X)["meta"]["tags"] == ["kept"]
            [backed_up] = b.reported(BackedUp)
            assert backed_up.replaced == "name “Theirs”"
            described = json.loads(backed_up.backup.with_suffix(".json").read_text())
            assert (described["name"], described["description"]) == ("Theirs", "d")
            assert described["meta"]["tags"] == ["kept"]

    async def test_without_a_base_is_the_headers_and_copied(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.edit(X, name="Theirs")
            b.write(X, "v1", title="Mine")
            b.deployer.mark(X, anyio.current_time())
            await b.idle()
            assert server.row(X)["name"] == "Mine"
            assert [each.replaced for each in b.reported(BackedUp)] == ["name “Theirs”"]

    async def test_first_title_replaces_a_name_from_the_id(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.save(X, "v0", admitted=True)
            await b.idle()
            b.write(X, "v1", title="Mine")
            b.deployer.mark(X, anyio.current_time())
            await b.idle()
            assert server.row(X)["name"] == "Mine"
            assert b.reported(BackedUp) == []


class TestCopyThatCannotBeWritten:
    async def test_keeps_the_edit(self, server: FakeServer, tmp_path: Path) -> None:
        home = tmp_path / "file"
        home.write_text("in the way")
        async with bench(server, home) as b:
            server.put(X, "theirs")
            b.save(X, "v1")
            await b.idle()
            assert server.content(X) == "theirs"
            assert "could not be saved" in b.reported(Rejection)[0].error
            assert b.reported(Updated) == []
