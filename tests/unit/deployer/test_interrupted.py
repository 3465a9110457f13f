"""What a killed run leaves behind, and how the next one goes on from there."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import pytest

from owui_watch.deployer.overwritten_edits import MOST_VERSIONS
from owui_watch.plugins.model import Kind, PluginKey
from owui_watch.plugins.source import digest
from owui_watch.reporting.events import (
    BackedUp,
    Updated,
    Warned,
)
from owui_watch.state.record import Intent
from tests.unit.deployer.bench import (
    CREATE,
    T,
    X,
    bench,
    connected_to,
    copies,
    journal_in,
    once,
)
from tests.unit.fake_server import (
    BROKEN,
    FakeServer,
    status,
)

pytestmark = pytest.mark.anyio


def killed(home: Path, sent: str, *, fresh: bool = False, active: bool = True) -> None:
    """Leave behind what an owui-watch that was killed in the midst of an update leaves behind."""
    journal = journal_in(home)
    journal.commit(X, digest("v0"))
    journal.flush()
    journal.begin(Intent(X, digest(sent), active, False, fresh=fresh, began=time.time()))


class TestIntent:
    async def test_is_on_the_disk_before_the_request(self, server: FakeServer, tmp_path: Path) -> None:
        on_disk: list[Intent | None] = []
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.before = once("/update", lambda: on_disk.append(journal_in(tmp_path).intent(X)))
            b.save(X, "v1")
            await b.idle()
            await anyio.wait_all_tasks_blocked()

        [intent] = on_disk
        assert intent is not None
        assert (intent.sent, intent.active, intent.is_global, intent.fresh) == (digest("v1"), True, False, False)
        after = journal_in(tmp_path)
        assert after.unfinished() == set()
        assert after.record(X).digest == digest("v1")

    async def test_of_a_refused_update_is_struck_out(self, server: FakeServer, tmp_path: Path) -> None:
        async with bench(server, tmp_path) as b:
            b.known(X)
            b.save(X, BROKEN)
            await b.idle()
            await anyio.wait_all_tasks_blocked()

        after = journal_in(tmp_path)
        assert after.unfinished() == set()
        assert after.record(X).digest == digest("v0")


class TestKilledRun:
    @pytest.mark.parametrize("there", [True, False])
    async def test_leaves_a_function_to_switch_on(self, server: FakeServer, tmp_path: Path, there: bool) -> None:
        """Whether its file can be sent now, or is gone."""
        killed(tmp_path, BROKEN)
        server.put(X, "v0", active=False)
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.9.6")
            if there:
                b.write(X, "v1")
            for key in b.journal.unfinished():
                b.deployer.mark(key, anyio.current_time())
            await b.idle()
            await anyio.wait_all_tasks_blocked()

            assert server.row(X)["is_active"] is True
            assert server.content(X) == ("v1" if there else "v0")
            assert b.events == (["restored", "updated"] if there else ["restored"])
        assert journal_in(tmp_path).unfinished() == set()

    async def test_is_reported_once_if_the_file_is_unchanged(self, server: FakeServer, tmp_path: Path) -> None:
        killed(tmp_path, BROKEN)
        server.put(X, "v0", active=False)
        async with bench(server, tmp_path) as b:
            await connected_to(b, "0.9.6")
            b.save(X, "v0")
            await b.idle()

            assert server.row(X)["is_active"] is True
            assert b.events == ["restored", "unchanged"]

    async def test_leaves_content_that_is_ours(self, server: FakeServer, tmp_path: Path) -> None:
        killed(tmp_path, "v1")
        server.put(X, "v1")
        async with bench(server, tmp_path) as b:
            b.save(X, "v2")
            await b.idle()

            assert b.events == ["updated"], "and not backed up as someone else's"

    async def test_leaves_ours_though_the_file_was_gone(self, server: FakeServer, tmp_path: Path) -> None:
        killed(tmp_path, "v1")
        server.put(X, "v1")
        async with bench(server, tmp_path) as b:
            b.deployer.mark(X, anyio.current_time())
            await b.idle()
            b.save(X, "v2")
            await b.idle()

            assert b.events == ["updated"]

    async def test_leaves_a_create_to_enable(self, server: FakeServer, tmp_path: Path) -> None:
        killed(tmp_path, "v1", fresh=True)
        server.put(X, "v1", active=False)
        async with bench(server, tmp_path) as b:
            b.save(X, "v1")
            await b.idle()

            assert server.row(X)["is_active"] is True
            assert server.count(CREATE) == 0
            assert b.events == ["created"]


class TestReadOnlyState:
    async def test_is_reported_once_and_deploys_go_on(self, server: FakeServer, tmp_path: Path) -> None:
        (home := tmp_path / "file").write_text("in the way")
        async with bench(server, home) as b:
            b.known(X)
            for number in range(1, 4):
                b.save(X, f"v{number}")
                await b.idle()
            await anyio.wait_all_tasks_blocked()

            assert server.content(X) == "v3"
            warned = b.reported(Warned)
            assert len(warned) == len({each.error for each in warned}) > 0
            assert all("deploys go on" in (each.hint or "") for each in warned)
            assert len(b.reported(Updated)) == 3
        assert home.read_text() == "in the way"


class TestOverwrittenEdit:
    """Somebody's edit that an update replaced right before the run was killed. The history has it."""

    def updated(self, server: FakeServer, home: Path, key: PluginKey, *edits: str, ended: bool) -> None:
        """Leave behind an update over ``edits``; ``ended``: its response came, and the history was not searched yet."""
        server.put(key, "v0")
        journal = journal_in(home)
        journal.commit(key, digest("v0"))
        journal.flush()
        active, is_global = (True, False) if key is X else (None, None)
        intent = Intent(key, digest("v1"), active, is_global, fresh=False, began=time.time())
        kind = Kind.FILTER if key is X else Kind.TOOL
        journal.begin(intent, server.row(key)["version_id"], kind)
        for edit in edits:
            server.edit(key, edit)
        server.edit(key, "v1")
        if ended:
            journal.commit(key, digest("v1"))
            journal.flush()

    @pytest.mark.parametrize("key", [X, T])
    @pytest.mark.parametrize("ended", [True, False])
    @pytest.mark.parametrize("edits", [["theirs"], ["first", "second"], []])
    async def test_is_copied_at_the_next_start(
        self, server: FakeServer, tmp_path: Path, key: PluginKey, ended: bool, edits: list[str]
    ) -> None:
        self.updated(server, tmp_path, key, *edits, ended=ended)
        async with bench(server, tmp_path) as b:
            b.write(key, "v1")
            for left in b.journal.unfinished():
                b.deployer.mark(left, anyio.current_time())
            await anyio.sleep(60)
            await b.idle()
        assert copies(tmp_path, key) == set(edits)
        assert [event.replaced for event in b.reported(BackedUp)] == ["an edit made during the deploy"] * len(edits)
        assert journal_in(tmp_path).unsearched() == {}

    @pytest.mark.parametrize("ended", [True, False])
    async def test_of_the_same_second_is_copied(self, server: FakeServer, tmp_path: Path, ended: bool) -> None:
        server.seconds_between_changes = 0
        self.updated(server, tmp_path, X, "theirs", ended=ended)
        async with bench(server, tmp_path) as b:
            b.write(X, "v1")
            for left in b.journal.unfinished():
                b.deployer.mark(left, anyio.current_time())
            await anyio.sleep(60)
        assert copies(tmp_path) == {"theirs"}

    async def test_is_copied_once(self, server: FakeServer, tmp_path: Path) -> None:
        self.updated(server, tmp_path, X, "theirs", ended=True)
        for _ in range(3):
            async with bench(server, tmp_path) as b:
                await anyio.sleep(60)
        assert copies(tmp_path) == {"theirs"}
        assert b.reported(BackedUp) == []

    async def test_is_copied_once_the_history_is_readable_again(self, server: FakeServer, tmp_path: Path) -> None:
        server.always = [("/history", status(503))]
        async with bench(server, tmp_path) as b:
            b.known(X)
            server.before = once("/update", lambda: server.edit(X, "theirs"))
            b.save(X, "v1")
            await b.idle()
            await anyio.wait_all_tasks_blocked()
        assert copies(tmp_path) == set()
        server.always = []
        async with bench(server, tmp_path):
            await anyio.sleep(60)
        assert copies(tmp_path) == {"theirs"}

    async def test_is_told_from_what_the_killed_run_sent(self, server: FakeServer, tmp_path: Path) -> None:
        server.always = [("/history", status(503))]
        async with bench(server, tmp_path) as b:
            b.known(X)
            for number in range(MOST_VERSIONS - 1):
                b.save(X, f"v{number + 1}")
                await b.idle()
                await anyio.wait_all_tasks_blocked()
        server.always = []
        async with bench(server, tmp_path) as b:
            await anyio.sleep(60)
        assert copies(tmp_path) == set()
        assert journal_in(tmp_path).unsearched() == {}
