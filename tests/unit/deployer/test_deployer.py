"""From a dirty plugin to the server: what is sent, how often, and what is told. In virtual time, on a fake server."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path, PurePath
from typing import Any, TypeVar

import anyio
import httpx
import pytest
from trio.testing import MockClock

from owui_watch.deployer.availability import Gate
from owui_watch.deployer.deployer import AT_ONCE, Deployer, Limits
from owui_watch.deployer.deployment import Deployment
from owui_watch.deployer.means import Means, Policy
from owui_watch.deployer.prefetch import FRESH, MOST_EARLY, SHARED_FRESH, Looks
from owui_watch.deployer.recovery import MOST_FAILURES, MOST_LOSSES
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.responses import Denied, Unavailable
from owui_watch.plugins.content import digest
from owui_watch.plugins.model import Kind, Plugin, PluginKey, Space
from owui_watch.reporting.events import (
    BackedUp,
    Created,
    Event,
    Held,
    Reachable,
    Rejection,
    Updated,
    Waiting,
    Warned,
    Working,
)
from owui_watch.reporting.runtime_events import Sending
from owui_watch.settings import OnForeign
from owui_watch.state import Intent, Journal, StateFolder, Store
from tests.unit.fake_server import (
    BROKEN,
    BROKEN_SPECS,
    KEY_DEAD,
    ROLE,
    FakeServer,
    Scripted,
    dropped,
    refused_connection,
    status,
)

pytestmark = pytest.mark.anyio

URL = "http://localhost:3000"
QUIET = 0.1
X = PluginKey(Space.FUNCTIONS, "x")
T = PluginKey(Space.TOOLS, "t")
UPDATE, TOGGLE, CREATE = r"POST .*/update", r"POST .*/toggle", r"POST .*/create"
LOOK, EXPORT = r"GET .*/id/", r"GET .*/export"

AnyEvent = TypeVar("AnyEvent", bound=Event)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
def server() -> FakeServer:
    return FakeServer(latency=0.01)


def journal_in(home: Path) -> Journal:
    return Journal(Store([StateFolder(home, PurePath("state"))]))


def keys(count: int, space: Space = Space.FUNCTIONS) -> list[PluginKey]:
    return [PluginKey(space, f"p{number:03}") for number in range(count)]


class Bench:
    """A deployer with all the rooms below it, files that are only remembered, and what was told."""

    def __init__(self, server: FakeServer, home: Path, tasks: anyio.abc.TaskGroup, max_new: int) -> None:
        self.server = server
        self.told: list[Event] = []
        self.files: dict[PluginKey, Plugin] = {}
        self.new_key = False
        self._client = OpenWebUI(URL, "sk-1", shown_url=URL, loopback=True, transport=httpx.MockTransport(server))
        self.gate = Gate(
            URL,
            self._probe,
            self._heard,
            lambda: len(self.deployer.pending()),
            advise=lambda denied: (denied.problem.value, "make a new one"),
            key_changed=lambda: self.new_key,
        )
        self.journal = journal_in(home)
        looks = Looks(self._client, tasks)
        policy = Policy(enable_new=True, global_new=False, on_foreign=OnForeign.BACKUP)
        self.deployer = Deployer(
            self,
            Deployment(Means(self._client, self.journal, looks, policy, self._heard, self.files_of)),
            looks,
            self.journal,
            self.gate,
            limits=Limits(QUIET, max_new),
            report=self._heard,
        )

    async def _probe(self) -> Unavailable | Denied | None:
        answer = await self._client.connect()
        return answer if isinstance(answer, Unavailable | Denied) else None

    async def close(self) -> None:
        await self._client.close()

    def _heard(self, event: Event) -> None:
        if not isinstance(event, Sending):
            self.told.append(event)

    def newest(self, key: PluginKey) -> Plugin | None:
        return self.files.get(key)

    def files_of(self, key: PluginKey) -> list[Path]:
        return [self.files[key].path] if key in self.files else []

    def known(self, key: PluginKey, content: str = "v0", *, active: bool = True, is_global: bool = False) -> None:
        """Have owui-watch's own ``content`` on the server already."""
        self.server.put(key, content, active=active, is_global=is_global)
        self.journal.settle(key, digest(content))

    def write(self, key: PluginKey, content: str, *, inferred: bool = False, **header: str) -> None:
        kind = Kind.TOOL if key.space is Space.TOOLS else Kind.FILTER
        self.files[key] = Plugin(key, kind, Path(f"/plugins/{key.id}.py"), content, header, inferred)

    def save(self, key: PluginKey, content: str, *, admitted: bool = False) -> None:
        self.write(key, content)
        self.deployer.mark(key, anyio.current_time(), admitted=admitted)

    async def idle(self) -> None:
        with anyio.fail_after(3600):
            await self.deployer.idle()

    def reported(self, kind: type[AnyEvent]) -> list[AnyEvent]:
        return [event for event in self.told if isinstance(event, kind)]

    @property
    def events(self) -> list[str]:
        return [event.event for event in self.told]


@asynccontextmanager
async def bench(server: FakeServer, home: Path, *, max_new: int = 5) -> AsyncIterator[Bench]:
    """Return a running deployer whose server has been asked once."""
    async with anyio.create_task_group() as tasks:
        bench = Bench(server, home, tasks, max_new)
        tasks.start_soon(bench.gate.run)
        tasks.start_soon(bench.deployer.run, tasks)
        await bench.gate.probed()
        await anyio.wait_all_tasks_blocked()
        server.requests.clear()
        yield bench
        tasks.cancel_scope.cancel()
    await bench.close()


def once(pattern: str, do: Callable[[], object]) -> Callable[[str], None]:
    """Return a hook for the server: do something right before the first request that holds ``pattern``."""
    done = False

    def before(line: str) -> None:
        nonlocal done
        if pattern in line and not done:
            done = True
            do()

    return before


# One plugin


async def test_a_saved_plugin_is_looked_at_and_updated_once(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X, "v0")
        b.save(X, "v1")
        await b.idle()

        assert server.content(X) == "v1"
        assert server.requests == ["GET /api/v1/functions/id/x", "POST /api/v1/functions/id/x/update"]
        [updated] = b.told
        assert isinstance(updated, Updated)
        assert updated.ms == round(2 * server.latency * 1000)


async def test_a_slow_server_is_waited_for_told_now_and_then_and_sent_nothing_twice(
    server: FakeServer, tmp_path: Path
) -> None:
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


@pytest.mark.parametrize("content", ["v0", "from utils import y", "from main import z\r\n"])
async def test_content_that_the_server_has_is_not_sent(server: FakeServer, tmp_path: Path, content: str) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X, content.replace("from ", "from open_webui."))
        b.save(X, content)
        await b.idle()

        assert server.requests == ["GET /api/v1/functions/id/x"]
        assert b.events == ["unchanged"]


async def test_a_plugin_at_work_is_not_begun_again_and_ends_with_its_newest_content(
    server: FakeServer, tmp_path: Path
) -> None:
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


async def test_what_is_sent_is_what_the_file_holds_when_its_turn_comes(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        server.always = [(".*", refused_connection())]
        b.gate.close(Unavailable("gone"))
        b.known(X, "v0")
        for number in range(1, 50):
            b.save(X, f"v{number}")
            await anyio.sleep(1)
        b.write(X, "v50")
        server.always = []
        await b.idle()

        assert server.content(X) == "v50"
        assert server.count(UPDATE) == 1


async def test_going_back_while_an_update_is_under_way_is_not_lost(server: FakeServer, tmp_path: Path) -> None:
    """A look that was begun while the update ran may still show what was there before it: v0, as the file has it."""
    async with bench(server, tmp_path) as b:
        server.latency = 0.1
        b.known(X, "v0")
        b.save(X, "v1")
        await anyio.sleep(0.12)
        assert server.at_work == [X]
        b.deployer.anticipate(X)
        b.save(X, "v0")
        await b.idle()

        assert server.content(X) == "v0"
        assert b.events == ["updated", "updated"], "and our own v1 is not backed up as someone else's"


async def test_going_back_in_a_storm_is_not_lost(server: FakeServer, tmp_path: Path) -> None:
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


async def test_the_look_runs_while_the_save_settles(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X, "v0")
        b.deployer.anticipate(X)
        await anyio.sleep(0.015)
        assert server.count(LOOK) == 1
        b.save(X, "v1")
        await b.idle()

        assert server.count(LOOK) == 1
        [updated] = b.reported(Updated)
        assert updated.ms == round(server.latency * 1000)


async def test_a_look_that_was_begun_long_ago_is_not_used(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X, "v0")
        b.deployer.anticipate(X)
        await anyio.sleep(FRESH + 0.1)
        server.put(X, "someone else's")
        b.save(X, "v1")
        await b.idle()

        assert b.events == ["backed_up", "updated"]


async def test_saves_that_come_to_nothing_do_not_use_the_early_looks_up(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        for key in keys(MOST_EARLY):
            b.deployer.anticipate(key)
        await anyio.sleep(FRESH)
        server.requests.clear()
        b.deployer.anticipate(X)
        await anyio.sleep(0.1)

        assert server.count(LOOK) == 1


async def test_content_that_someone_else_put_there_is_saved_first(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X, "v0")
        server.put(X, "edited in the browser\r\n")
        b.save(X, "v1")
        await b.idle()

        assert b.events == ["backed_up", "updated"]
        assert b.reported(BackedUp)[0].backup.read_bytes() == b"edited in the browser\r\n"


async def test_a_refused_update_is_final_until_the_file_changes(server: FakeServer, tmp_path: Path) -> None:
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


# Many plugins


async def test_several_plugins_are_deployed_at_once(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        for key in keys(AT_ONCE + 1):
            b.known(key)
            b.save(key, "v1")
        await b.idle()

        assert server.most_at_once == AT_ONCE > 1


async def test_a_slow_plugin_does_not_hold_up_the_others(server: FakeServer, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("spaces", [[Space.FUNCTIONS], [Space.TOOLS], [Space.FUNCTIONS, Space.TOOLS]])
async def test_a_storm_of_saves_shares_one_look_a_space(
    server: FakeServer, tmp_path: Path, spaces: list[Space]
) -> None:
    async with bench(server, tmp_path) as b:
        storm = [key for space in spaces for key in keys(200 // len(spaces), space)]
        for key in storm:
            b.known(key)
        for key in storm:
            b.save(key, "v1")
        await b.idle()

        assert server.count(EXPORT) == len(spaces)
        assert server.count(LOOK) == 0
        assert server.count(UPDATE) == len(storm) == len(b.reported(Updated))


async def test_a_storm_that_settles_file_by_file_shares_one_look_too(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        for key in keys(200):
            b.known(key)
        for key in keys(200):
            b.save(key, "v1")
            await anyio.sleep(0.003)
        await b.idle()

        assert server.count(EXPORT) == 1
        assert server.count(LOOK) <= 2 * AT_ONCE, "those that were at work before and when it was asked for"
        assert server.count(UPDATE) == 200


async def test_a_shared_look_tells_nothing_of_what_was_sent_since(server: FakeServer, tmp_path: Path) -> None:
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


async def test_a_plugin_sent_while_all_are_listed_is_looked_at_anew(server: FakeServer, tmp_path: Path) -> None:
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


async def test_many_new_plugins_share_the_search_for_twins(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        server.put(X, "v0")["name"] = "P 7"
        for number, key in enumerate(keys(30)):
            b.write(key, "v1", inferred=True, title=f"P {number}")
            b.deployer.mark(key, anyio.current_time(), admitted=True)
        await b.idle()

        assert [rejection.plugin for rejection in b.reported(Rejection)] == ["p007"]
        assert len(b.reported(Created)) == 29
        assert server.count(EXPORT) == 1


async def test_a_twin_that_came_a_moment_before_the_save_is_found(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        for number, key in enumerate(keys(2)):
            server.put(PluginKey(Space.FUNCTIONS, f"theirs_{number}"), "v0")["name"] = f"P {number}"
            b.write(key, "v1", inferred=True, title=f"P {number}")
            b.deployer.mark(key, anyio.current_time(), admitted=True)
            await b.idle()

        assert [rejection.plugin for rejection in b.reported(Rejection)] == ["p000", "p001"]


async def test_a_copy_of_a_file_is_created_beside_what_the_file_deployed(server: FakeServer, tmp_path: Path) -> None:
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


async def test_a_storm_that_the_server_fails_in_the_midst_of_shares_a_new_look(
    server: FakeServer, tmp_path: Path
) -> None:
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
        assert server.count(LOOK) <= 4 * AT_ONCE
        assert server.count(UPDATE) <= 200 + 2 * AT_ONCE


async def test_a_storm_slower_than_a_shared_look_stays_fresh_shares_another(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        server.latency = 1.0
        for key in keys(100):
            b.known(key)
            b.save(key, "v1")
        await b.idle()

        assert server.count(LOOK) <= 2 * AT_ONCE
        assert server.count(EXPORT) <= 60 / SHARED_FRESH, "50 s of updates, and the listings themselves"


async def test_a_plugin_saved_after_the_shared_look_is_looked_at_anew(server: FakeServer, tmp_path: Path) -> None:
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


# New plugins


async def test_a_plugin_that_is_not_there_is_created_and_enabled(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.save(X, "v1")
        await b.idle()

        assert server.content(X) == "v1"
        assert server.row(X)["is_active"] is True
        assert (server.count(CREATE), server.count(TOGGLE), server.count(UPDATE)) == (1, 1, 0)
        assert b.events == ["created"]


async def test_five_new_plugins_at_once_are_all_created(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        for key in keys(5):
            b.save(key, "v1")
        await b.idle()

        assert {created.plugin for created in b.reported(Created)} == {key.id for key in keys(5)}


async def test_six_new_plugins_at_once_are_held_and_updates_go_out(server: FakeServer, tmp_path: Path) -> None:
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


async def test_one_of_those_held_is_created_when_it_is_saved_again(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        for key in keys(6):
            b.save(key, "v1")
        await b.idle()
        b.save(keys(6)[3], "v2")
        await b.idle()

        assert [created.plugin for created in b.reported(Created)] == ["p003"]


async def test_new_plugins_that_were_admitted_are_never_held(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        for key in keys(20):
            b.save(key, "v1", admitted=True)
        await b.idle()

        assert len(b.reported(Created)) == 20


async def test_new_plugins_that_were_admitted_stay_so_over_an_outage_and_a_save(
    server: FakeServer, tmp_path: Path
) -> None:
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


async def test_a_plugin_that_was_deleted_after_the_look_is_created(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.before = once("/update", server.spaces[X.space].clear)
        b.save(X, "v1")
        await b.idle()

        assert server.content(X) == "v1"
        assert server.row(X)["is_active"] is True
        assert b.events == ["created"]


async def test_a_plugin_that_someone_else_created_after_the_look_is_backed_up_and_updated(
    server: FakeServer, tmp_path: Path
) -> None:
    async with bench(server, tmp_path) as b:
        server.before = once("/create", lambda: server.put(X, "theirs", active=False))
        b.save(X, "v1")
        await b.idle()

        assert server.content(X) == "v1"
        assert server.row(X)["is_active"] is False, "theirs, so not ours to enable"
        assert b.events == ["backed_up", "updated"]


async def test_a_create_whose_answer_was_lost_is_not_sent_again(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        server.script = [(CREATE, dropped(arrives=True))]
        b.save(X, "v1")
        await b.idle()

        assert server.count(CREATE) == 1
        assert server.row(X)["is_active"] is True
        assert b.events == ["created"]


# The server goes away


async def test_while_the_server_is_away_plugins_stay_dirty_and_the_newest_content_goes_out_once(
    server: FakeServer, tmp_path: Path
) -> None:
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


@pytest.mark.parametrize("count", range(1, 2 * AT_ONCE + 3))
async def test_whatever_was_under_way_when_the_server_went_away_is_tried_again(
    server: FakeServer, tmp_path: Path, count: int
) -> None:
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


async def test_what_was_said_of_the_server_is_over_when_the_last_pending_file_is_deleted(
    server: FakeServer, tmp_path: Path
) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.always = [(".*", refused_connection())]
        b.save(X, "v1")
        await anyio.sleep(5)
        del b.files[X]
        server.always = []
        await b.idle()

        assert b.events == ["waiting", "reachable"]


@pytest.mark.parametrize("answer", [408, 425, 429, 503, 507])
async def test_an_overloaded_server_is_tried_again_until_it_takes_the_update(
    server: FakeServer, tmp_path: Path, answer: int
) -> None:
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


async def test_retry_after_is_honoured(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.script = [(UPDATE, status(429, headers={"retry-after": "30"}))]
        b.save(X, "v1")
        began = anyio.current_time()
        await b.idle()

        assert server.count(UPDATE) == 2
        assert 30 <= anyio.current_time() - began < 31


async def test_an_update_whose_answer_was_lost_is_told_and_not_sent_again(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.script = [(UPDATE, dropped(arrives=True))]
        b.save(X, "v1")
        await b.idle()

        assert server.count(UPDATE) == 1
        assert b.events == ["updated"]


async def test_an_update_that_did_not_arrive_is_looked_for_and_sent_again(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.script = [(UPDATE, dropped(arrives=False))]
        b.save(X, "v1")
        await b.idle()

        assert [line.split()[0] for line in server.requests] == ["GET", "POST", "GET", "POST"]
        assert server.content(X) == "v1"
        assert b.events == ["updated"]


async def test_an_update_that_arrived_while_the_server_went_away_is_told_and_not_sent_again(
    server: FakeServer, tmp_path: Path
) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.script = [(UPDATE, dropped(arrives=True))]
        server.before = once("/update", lambda: server.script.append((LOOK, refused_connection())))
        b.save(X, "v1")
        await b.idle()

        assert server.count(UPDATE) == 1
        assert b.events == ["waiting", "updated", "reachable"]


async def test_an_update_that_always_fails_while_looks_succeed_is_rejected_after_three_tries(
    server: FakeServer, tmp_path: Path
) -> None:
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
        assert b.gate.is_open


async def test_content_that_brings_the_server_down_is_not_sent_for_ever(server: FakeServer, tmp_path: Path) -> None:
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
        assert rejected.error == "the server goes away, or cuts the connection, whenever it is sent this"
        assert rejected.live == "version", "what is live is untouched"
        server.always = []
        b.save(X, "v1")
        await b.idle()
        assert server.content(X) == "v1"


async def test_it_is_not_sent_for_ever_either_where_others_serve_on(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.always = [(UPDATE, status(502))]
        b.save(X, "v1")
        await b.idle()

        assert server.count(UPDATE) == MOST_LOSSES
        assert len(b.reported(Rejection)) == 1


async def test_lost_connections_are_counted_over_a_restart(server: FakeServer, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(("code", "said"), [(413, "413 too large"), (403, "403 teapot"), (405, "405 teapot")])
async def test_what_something_in_front_of_the_server_refuses_is_not_sent_again(
    server: FakeServer, tmp_path: Path, code: int, said: str
) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.always = [(UPDATE, status(code, said.partition(" ")[2]))]
        b.save(X, "v1")
        await b.idle()

        assert server.count(UPDATE) == 1
        [rejected] = b.told
        assert isinstance(rejected, Rejection)
        assert rejected.error == f"something in front of Open WebUI refuses it: it answers with {said}"


# Someone in between gives up waiting


async def test_what_a_proxy_gave_up_waiting_for_is_not_sent_again_while_it_may_be_under_way(
    server: FakeServer, tmp_path: Path
) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.script = [(UPDATE, status(504))]
        b.save(X, "v1")
        await anyio.sleep(100)
        assert server.count(UPDATE) == 1
        assert b.deployer.pending() == {X}
        server.put(X, "v1")
        await b.idle()

        assert server.count(UPDATE) == 1
        assert b.events == ["updated"]


async def test_what_was_lost_behind_a_proxy_is_sent_again_after_some_minutes(
    server: FakeServer, tmp_path: Path
) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.script = [(UPDATE, status(504))]
        b.save(X, "v1")
        began = anyio.current_time()
        await b.idle()

        assert 200 < anyio.current_time() - began < 300
        assert server.count(UPDATE) == 2
        assert server.content(X) == "v1"


async def test_a_newer_save_does_not_wait_and_is_not_lost_to_the_older_one(server: FakeServer, tmp_path: Path) -> None:
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
        sent = len(server.requests)
        await anyio.sleep(1000)
        assert len(server.requests) <= sent + 2, "two more looks, and then it is over"
        assert b.events == ["updated", "updated"]


async def test_making_sure_leaves_alone_what_someone_else_put_there_since(server: FakeServer, tmp_path: Path) -> None:
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


async def test_what_takes_a_while_to_bring_the_server_down_is_no_proxy_that_gave_up(
    server: FakeServer, tmp_path: Path
) -> None:
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


PAGE = Scripted(False, lambda: httpx.Response(403, html="<html>no</html>"))


async def test_what_a_firewall_keeps_from_a_tool_is_sent_once(server: FakeServer, tmp_path: Path) -> None:
    server.version = "0.9.6"
    async with bench(server, tmp_path) as b:
        b.known(T)
        server.always = [(UPDATE, PAGE)]
        b.save(T, "v1")
        await b.idle()

        assert server.count(UPDATE) == 1
        [rejected] = b.told
        assert isinstance(rejected, Rejection)
        assert rejected.error == "something in front of Open WebUI refuses it: it answers with a web page (403)"
        assert rejected.live == "version"


async def test_a_firewall_that_keeps_a_function_off_is_told_with_what_to_click_and_mended_at_the_next_start(
    server: FakeServer, tmp_path: Path
) -> None:
    server.version = "0.9.6"
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.always = [(TOGGLE, PAGE)]
        b.save(X, BROKEN)
        await b.idle()

        assert server.count(TOGGLE) == 1
        [rejected] = b.told
        assert isinstance(rejected, Rejection)
        assert "could not be switched on again" in rejected.error
        assert rejected.live is None
    server.always = []
    async with bench(server, tmp_path) as b:
        for key in b.journal.unsettled():
            b.deployer.mark(key, anyio.current_time())
        await b.idle()
        assert server.row(X)["is_active"] is True


async def test_refused_code_is_not_sent_again_since_putting_back_was_given_up_by_a_proxy(
    server: FakeServer, tmp_path: Path
) -> None:
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
        assert server.memory[T] == "v0"
        assert b.events == ["restored", "rejected"]


async def test_a_look_that_is_given_up_too_leads_to_no_second_send(server: FakeServer, tmp_path: Path) -> None:
    def look_too(line: str) -> None:
        if "/update" in line and server.count(UPDATE) == 0:
            server.script = [(UPDATE, status(504)), (LOOK, status(504))]

    async with bench(server, tmp_path) as b:
        server.before = look_too
        b.known(X)
        b.save(X, "v1")
        await anyio.sleep(60)
        assert server.count(UPDATE) == 1
        server.put(X, "v1")
        await b.idle()
        assert server.count(UPDATE) == 1


async def test_a_newer_save_during_the_call_that_is_given_up_is_the_only_one_left(
    server: FakeServer, tmp_path: Path
) -> None:
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


@pytest.mark.parametrize("late", [5, 30, 200])
async def test_an_older_content_that_comes_late_is_put_right(server: FakeServer, tmp_path: Path, late: int) -> None:
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


async def test_making_sure_waits_for_a_server_that_is_away_just_then(server: FakeServer, tmp_path: Path) -> None:
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


async def test_a_list_that_is_refused_is_not_asked_for_by_every_plugin(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        for key in keys(20, Space.TOOLS):
            b.known(key)
            b.save(key, "v1")
        server.always = [(EXPORT, status(401, ROLE))]
        await b.idle()
        assert server.count(EXPORT) == 1
        assert len(b.reported(Updated)) == 20


async def test_a_listing_ends_with_its_storm(server: FakeServer, tmp_path: Path) -> None:
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


async def test_a_connection_that_breaks_after_a_while_is_one_that_someone_gave_up(
    server: FakeServer, tmp_path: Path
) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.latency = 30
        server.script = [(UPDATE, dropped(arrives=False))]
        b.save(X, "v1")
        await anyio.sleep(120)
        assert server.count(UPDATE) == 1


async def test_a_save_while_the_server_is_away_is_told_once(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.always = [(".*", refused_connection())]
        b.gate.close(Unavailable("gone"))
        await anyio.sleep(1)
        for number in range(3):
            b.save(X, f"v{number}")
            await anyio.sleep(1)
        server.always = []
        await b.idle()
        assert b.events == ["waiting", "queued", "reachable", "updated"]


async def test_what_is_held_is_not_taken_for_something_to_deploy_at_the_next_start(
    server: FakeServer, tmp_path: Path
) -> None:
    async with bench(server, tmp_path) as b:
        for key in keys(6):
            b.journal.manage(key)
            b.save(key, "v1")
        await b.idle()
        assert len(b.reported(Held)) == 1
        assert b.journal.managed() == set()


async def test_a_try_that_failed_does_not_copy_the_same_content_again(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        server.put(X, "someone else's")
        server.always = [(UPDATE, status(503))]
        b.save(X, "v1")
        await anyio.sleep(60)
        server.always = []
        await b.idle()

        assert len(b.reported(BackedUp)) == 1
        assert len(list((tmp_path / "state" / "backups" / "x").iterdir())) == 1


async def test_an_update_that_fails_twice_goes_out_the_third_time(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        server.script = [(UPDATE, status(500)), (UPDATE, status(500))]
        b.save(X, "v1")
        began = anyio.current_time()
        await b.idle()

        assert b.events == ["updated"]
        assert anyio.current_time() - began > 1, "without a pause between"


async def test_a_missing_right_rejects_just_that_plugin(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        b.known(T)
        server.always = [("/functions/id/x", status(401, ROLE))]
        b.save(X, "v1")
        b.save(T, "v1")
        await b.idle()

        assert sorted(b.events) == ["rejected", "updated"]
        assert "may not deploy" in b.reported(Rejection)[0].error
        assert b.gate.is_open


async def test_a_refused_key_pauses_everything_until_there_is_a_new_one(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        server.always = [("/api/v1/", status(401, KEY_DEAD))]
        for key in keys(8):
            b.known(key)
            b.save(key, "v1")
        await anyio.sleep(600)
        assert b.deployer.pending() == set(keys(8))
        assert b.events == ["waiting"]
        assert b.reported(Waiting)[0].hint == "make a new one"
        asked = len(server.requests)
        await anyio.sleep(600)
        assert len(server.requests) == asked
        server.always, b.new_key = [], True
        await b.idle()

        assert len(b.reported(Updated)) == 8
        assert [event for event in b.events if event != "updated"] == ["waiting", "reachable"]


async def test_a_deploy_that_is_cut_off_is_still_pending(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        server.latency = 60
        b.known(X)
        b.save(X, "v1")
        await anyio.sleep(90)
    assert b.deployer.pending() == {X}


# What a refusal does up to 0.11


async def test_a_function_that_a_refusal_switched_off_is_switched_on_again(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        await _connected_to(b, "0.9.6")
        b.known(X, is_global=True)
        b.save(X, BROKEN)
        await b.idle()

        assert (server.content(X), server.row(X)["is_active"], server.row(X)["is_global"]) == ("v0", True, True)
        assert server.count(TOGGLE) == 1
        assert b.events == ["restored", "rejected"]


async def test_a_function_that_was_off_before_a_refusal_stays_off(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        await _connected_to(b, "0.9.6")
        b.known(X, active=False)
        b.save(X, BROKEN)
        await b.idle()

        assert server.row(X)["is_active"] is False
        assert server.count(TOGGLE) == 0
        assert b.events == ["rejected"]


@pytest.mark.parametrize(("arrives", "toggles"), [(True, 1), (False, 2)])
async def test_a_toggle_without_an_answer_is_looked_at_before_it_is_repeated(
    server: FakeServer, tmp_path: Path, arrives: bool, toggles: int
) -> None:
    async with bench(server, tmp_path) as b:
        await _connected_to(b, "0.9.6")
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
async def test_a_function_is_switched_on_again_however_long_the_server_fails_at_it(
    server: FakeServer, tmp_path: Path, trouble: Any
) -> None:
    async with bench(server, tmp_path) as b:
        await _connected_to(b, "0.9.6")
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


async def test_a_tool_whose_refused_code_runs_gets_its_old_code_back(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        await _connected_to(b, "0.9.6")
        b.known(T)
        b.save(T, BROKEN_SPECS)
        await b.idle()

        assert server.memory[T] == server.content(T) == "v0"
        assert server.count(UPDATE) == 2
        assert b.events == ["restored", "rejected"]


async def test_a_tool_is_not_called_restored_before_its_old_code_has_arrived(
    server: FakeServer, tmp_path: Path
) -> None:
    async with bench(server, tmp_path) as b:
        await _connected_to(b, "0.9.6")
        b.known(T)
        server.script = [(UPDATE, status(400, "[ERROR: name 'nope' is not defined]")), (UPDATE, dropped(arrives=False))]
        server.before = once("/update", lambda: server.memory.__setitem__(T, BROKEN_SPECS))
        b.save(T, BROKEN_SPECS)
        await b.idle()

        assert server.memory[T] == "v0"
        assert server.count(UPDATE) == 3
        assert b.events == ["restored", "rejected"]


async def test_a_refusal_that_harms_nothing_is_left_alone(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        b.known(T)
        b.save(X, BROKEN)
        b.save(T, BROKEN_SPECS)
        await b.idle()

        assert (server.count(TOGGLE), server.count(UPDATE)) == (0, 2)
        assert b.events == ["rejected", "rejected"]


# The journal


async def test_what_is_about_to_be_sent_stands_on_the_disk_first_and_is_struck_out_after(
    server: FakeServer, tmp_path: Path
) -> None:
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
    assert after.unsettled() == set()
    assert after.put(X) == digest("v1")


async def test_a_refused_plugin_leaves_no_intent_and_keeps_what_was_put(server: FakeServer, tmp_path: Path) -> None:
    async with bench(server, tmp_path) as b:
        b.known(X)
        b.save(X, BROKEN)
        await b.idle()
        await anyio.wait_all_tasks_blocked()

    after = journal_in(tmp_path)
    assert after.unsettled() == set()
    assert after.put(X) == digest("v0")


def killed(home: Path, sent: str, *, fresh: bool = False, active: bool = True) -> None:
    """Leave behind what an owui-watch that was killed in the midst of an update leaves behind."""
    journal = journal_in(home)
    journal.settle(X, digest("v0"))
    journal.flush()
    journal.intend(Intent(X, digest(sent), active, False, fresh=fresh, began=time.time()))


@pytest.mark.parametrize("there", [True, False])
async def test_a_function_that_was_left_switched_off_by_a_killed_process_is_switched_on(
    server: FakeServer, tmp_path: Path, there: bool
) -> None:
    """Whether its file can be sent now, or is gone."""
    killed(tmp_path, BROKEN)
    server.put(X, "v0", active=False)
    async with bench(server, tmp_path) as b:
        await _connected_to(b, "0.9.6")
        if there:
            b.write(X, "v1")
        for key in b.journal.unsettled():
            b.deployer.mark(key, anyio.current_time())
        await b.idle()
        await anyio.wait_all_tasks_blocked()

        assert server.row(X)["is_active"] is True
        assert server.content(X) == ("v1" if there else "v0")
        assert b.events == (["restored", "updated"] if there else ["restored"])
    assert journal_in(tmp_path).unsettled() == set()


async def test_an_update_that_arrived_before_the_process_was_killed_is_ours(server: FakeServer, tmp_path: Path) -> None:
    killed(tmp_path, "v1")
    server.put(X, "v1")
    async with bench(server, tmp_path) as b:
        b.save(X, "v2")
        await b.idle()

        assert b.events == ["updated"], "and not backed up as someone else's"


async def test_an_update_that_arrived_before_the_process_was_killed_is_ours_though_its_file_was_gone_at_first(
    server: FakeServer, tmp_path: Path
) -> None:
    killed(tmp_path, "v1")
    server.put(X, "v1")
    async with bench(server, tmp_path) as b:
        b.deployer.mark(X, anyio.current_time())
        await b.idle()
        b.save(X, "v2")
        await b.idle()

        assert b.events == ["updated"]


async def test_a_create_that_arrived_before_the_process_was_killed_is_enabled(
    server: FakeServer, tmp_path: Path
) -> None:
    killed(tmp_path, "v1", fresh=True)
    server.put(X, "v1", active=False)
    async with bench(server, tmp_path) as b:
        b.save(X, "v1")
        await b.idle()

        assert server.row(X)["is_active"] is True
        assert server.count(CREATE) == 0
        assert b.events == ["created"]


async def test_deploys_go_on_where_nothing_can_be_written_down_and_it_is_said_once(
    server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "gone").touch()
    async with bench(server, tmp_path / "gone") as b:
        b.known(X)
        for number in range(1, 4):
            b.save(X, f"v{number}")
            await b.idle()
        await anyio.wait_all_tasks_blocked()

        assert server.content(X) == "v3"
        [warned] = b.reported(Warned)
        assert "deploys go on" in (warned.hint or "")
        assert len(b.reported(Updated)) == 3


async def _connected_to(b: Bench, version: str) -> None:
    """Have the server be of another release, and the client know."""
    b.server.version = version
    await b._probe()
    b.server.requests.clear()
