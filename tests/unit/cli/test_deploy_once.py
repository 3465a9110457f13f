"""One deploy of a whole tree on a fake server, in virtual time: what is sent, and what is not even read closely."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import anyio
import httpx
import pytest
from trio.testing import MockClock

from owui_watch.cli.deploy_once import PATIENCE, View, deploy_once
from owui_watch.cli.errors import CommandError
from owui_watch.cli.terminal import Terminal
from owui_watch.deployer.deployer import WORKERS
from owui_watch.deployer.follow_up import LATER_LOOKS
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import PluginKey, Space
from owui_watch.reporting.events import BackedUp, Created, Event, Rejection, Skipped, Unchanged, Updated
from owui_watch.reporting.output import Output
from owui_watch.reporting.redaction import Secrets
from owui_watch.settings import load
from owui_watch.state import own
from tests.unit.fake_server import FakeServer, Scripted, dropped, status
from tests.unit.plugins.compiling import compiled

pytestmark = pytest.mark.anyio

URL = "http://localhost:3000"
MANY = 10
BROKEN = "class Filter:\n    def inlet(self, body)\n        return body\n"
E = TypeVar("E", bound=Event)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


def source(title: str, mark: str = "one") -> str:
    return f'"""\ntitle: {title}\n"""\nclass Filter:\n    def inlet(self, body):\n        return body  # {mark}\n'


def function(name: str) -> PluginKey:
    return PluginKey(Space.FUNCTIONS, name)


class Deploys:
    """A folder of plugins, all of them on the server as they are, and deploys of it."""

    def __init__(self, base: Path, count: int = MANY) -> None:
        self.base = base
        self.server = FakeServer(latency=0.02)
        self.events: list[Event] = []
        (base / "plugins").mkdir(parents=True)
        for number in range(count):
            self.write(f"p{number}", source(f"P {number}"))
            self.server.put(function(f"p{number}"), source(f"P {number}"))["name"] = f"P {number}"

    def write(self, name: str, text: str) -> Path:
        path = self.base / "plugins" / f"{name}.py"
        path.write_text(text, newline="")
        return path

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def run(self) -> None:
        self.events.clear()
        self.server.requests.clear()
        environ = {
            "OPENWEBUI_URL": URL,
            "OPENWEBUI_API_KEY": "sk-1",
            "OWUI_WATCH_STATE_DIR": str(self.base / "state"),
        }
        settings = load([self.base / "plugins"], {}, environ=environ, cwd=self.base)
        session = Session(settings, environ, lambda _: None)
        await session.server.close()
        session.server = OpenWebUI(
            URL, "sk-1", shown_url=URL, loopback=True, transport=httpx.MockTransport(self.server)
        )
        view = View(every=True, live=False, progress=False, terminal=Terminal(Output(io.StringIO()), Secrets()))
        with own(settings, session.url) as owned:
            await deploy_once(None, settings, session, owned.journal, self.events.append, view)
            owned.journal.flush()


@pytest.fixture
def deploys(tmp_path: Path) -> Deploys:
    return Deploys(tmp_path)


class TestInSync:
    async def test_is_neither_looked_at_nor_parsed(self, deploys: Deploys) -> None:
        with compiled() as sources:
            await deploys.run()
        assert len(deploys.of(Unchanged)) == MANY
        assert deploys.server.count("/id/") == 0
        assert sources == []

    async def test_is_not_sent_beside_what_differs(self, deploys: Deploys) -> None:
        deploys.write("p3", source("P 3", "two"))
        deploys.write("new", source("New"))
        await deploys.run()
        assert [event.plugin for event in deploys.of(Updated)] == ["p3"]
        assert [event.plugin for event in deploys.of(Created)] == ["new"]
        assert len(deploys.of(Unchanged)) == MANY - 1
        assert deploys.server.count("POST .*/update") == 1

    async def test_is_ours_from_then_on(self, deploys: Deploys) -> None:
        await deploys.run()
        deploys.write("p3", source("P 3", "two"))
        await deploys.run()
        assert deploys.of(BackedUp) == []
        assert deploys.server.content(function("p3")) == source("P 3", "two")

    async def test_is_looked_at_if_the_server_lists_nothing(self, deploys: Deploys) -> None:
        deploys.server.always.append(("GET .*/export", status(403)))
        await deploys.run()
        assert len(deploys.of(Unchanged)) == MANY

    async def test_is_not_believed_after_an_unanswered_create(self, deploys: Deploys) -> None:
        deploys.write("new", source("New"))
        deploys.server.script += [("POST .*/create", dropped(arrives=True))] + [
            ("GET .*/id/new", status(503)) for _ in range(3)
        ]
        await deploys.run()
        assert deploys.server.row(function("new"))["is_active"]


class TestSameTitle:
    async def test_of_a_renamed_file_is_a_twin(self, deploys: Deploys) -> None:
        await deploys.run()
        (deploys.base / "plugins" / "p3.py").rename(deploys.base / "plugins" / "renamed.py")
        await deploys.run()
        [rejection] = deploys.of(Rejection)
        assert rejection.error == "the server seems to have this plugin already, as p3 (“P 3”)"

    async def test_beside_the_other_file_is_created(self, deploys: Deploys) -> None:
        await deploys.run()
        deploys.write("copied", source("P 3", "all of it is new") + "\n" * 9 + "MORE = 1\n" * 99)
        await deploys.run()
        [created] = deploys.of(Created)
        assert created.plugin == "copied", "p3 has a file of its own"


class TestFirstDeploy:
    async def test_begins_before_the_other_files_are_parsed(self, deploys: Deploys) -> None:
        for number in range(MANY):
            deploys.write(f"p{number}", source(f"P {number}", "parsed by no other test"))
        parsed: list[int] = []
        with compiled() as sources:
            deploys.server.before = lambda line: parsed.append(len(sources)) if "/update" in line else None
            await deploys.run()
            assert len(sources) == MANY
        assert len(deploys.of(Updated)) == MANY
        assert parsed[0] <= WORKERS

    async def test_reports_a_file_that_only_resembles_a_plugin(self, deploys: Deploys) -> None:
        path = deploys.write("quoted", f"TEXT = '''\n{source('Quoted').partition(chr(10) * 2)[0]}'''\n")
        await deploys.run()
        assert [event.path for event in deploys.of(Skipped)] == [path]
        assert len(deploys.of(Unchanged)) == MANY

    async def test_finds_a_kind_that_no_line_shows(self, deploys: Deploys) -> None:
        text = '"""\ntitle: Both\n"""\nclass Tools:\n    pass\nFilter = type("Filter", (), {"inlet": print})\n'
        deploys.write("both", text)
        await deploys.run()
        sent = [(event.plugin, event.kind) for event in deploys.of(Created)]
        assert len(sent) == 1
        assert sent[0][0] == "both"


@contextmanager
def counted_calls() -> Iterator[Counter[str]]:
    """Count the Python functions that are called in the block, by the names of their modules."""
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            calls[frame.f_globals.get("__name__", "").partition(".")[0]] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(before)


class TestWork:
    async def test_per_plugin_does_not_grow_with_their_number(self, tmp_path: Path) -> None:
        first, again = [], []
        for count in (25, 75):
            deploys = Deploys(tmp_path / str(count), count)
            deploys.server.spaces[Space.FUNCTIONS].clear()
            with counted_calls() as calls:
                await deploys.run()
            assert len(deploys.of(Created)) == count
            first.append(calls["owui_watch"] / count)
            with counted_calls() as calls:
                await deploys.run()
            assert len(deploys.of(Unchanged)) == count
            again.append(calls["owui_watch"] / count)
        assert first[1] <= 1.15 * first[0]
        assert again[1] <= 1.15 * again[0]


class TestOneThatFails:
    @pytest.mark.parametrize("answer", [dropped(arrives=False), status(200), status(502)])
    async def test_keeps_no_deploy_for_long(self, deploys: Deploys, answer: Scripted) -> None:
        deploys.write("new", source("New"))
        deploys.write("p1", source("P 1", "two"))
        deploys.server.always = [("GET .*/id/new$", answer)]
        began, unreachable = anyio.current_time(), False
        try:
            await deploys.run()
        except* CommandError:
            unreachable = True
        assert anyio.current_time() < began + 3 * PATIENCE
        assert unreachable or [event.plugin for event in deploys.of(Rejection)] == ["new"]
        assert all("the server could not take" in event.diagnostics[0].error for event in deploys.of(Rejection))
        assert [event.plugin for event in deploys.of(Updated)] == ["p1"]


class TestBroken:
    async def test_is_rejected_when_its_turn_comes(self, deploys: Deploys) -> None:
        paths = [deploys.write(f"broken{number}", BROKEN) for number in range(3)]
        await deploys.run()
        assert sorted(event.path for event in deploys.of(Rejection)) == paths
        assert deploys.server.count("POST") == 0

    async def test_is_rejected_beside_what_is_in_sync(self, deploys: Deploys) -> None:
        path = deploys.write("p3", BROKEN)
        await deploys.run()
        assert [event.path for event in deploys.of(Rejection)] == [path]
        assert len(deploys.of(Unchanged)) == MANY - 1

    async def test_clash_rejects_both_even_if_one_is_synced(self, deploys: Deploys) -> None:
        (deploys.base / "plugins" / "more").mkdir()
        deploys.write("more/p3", source("P 3", "two"))
        await deploys.run()
        assert len(deploys.of(Rejection)) == 2
        assert len(deploys.of(Unchanged)) == MANY - 1
        assert deploys.server.count("POST") == 0


class TestSlowServer:
    async def test_is_not_looked_at_later(self, tmp_path: Path) -> None:
        deploys = Deploys(tmp_path, 40)
        for number in range(40):
            deploys.write(f"p{number}", source(f"P {number}", "two"))
        deploys.server.latency = 1.0
        began = anyio.current_time()
        await deploys.run()
        assert anyio.current_time() - began > 2 * LATER_LOOKS[0]
        assert len(deploys.of(Updated)) == 40
        # One listing shows at the start whether the key is valid, one at the end whether content went back.
        assert deploys.server.count(r"GET .*/functions/$") == 2
