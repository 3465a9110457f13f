"""A deployer on a fake server in virtual time, with files that are only remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path, PurePath
from typing import TypeVar

import anyio
import httpx

from owui_watch.deployer.availability import Availability
from owui_watch.deployer.deployer import Deployer, Limits
from owui_watch.deployer.plan import Policy
from owui_watch.deployer.prefetch import Prefetch
from owui_watch.deployer.reconcile_context import ReconcileContext
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.responses import Denied, Unavailable
from owui_watch.plugins.model import Kind, Plugin, PluginKey, Space
from owui_watch.plugins.source import digest
from owui_watch.reporting.events import Event, Sending
from owui_watch.settings import OnForeign
from owui_watch.state.folder import StateFolder
from owui_watch.state.journal import Journal
from owui_watch.state.store import Store
from tests.unit.fake_server import (
    FakeServer,
)

URL = "http://localhost:3000"
QUIET = 0.1
X = PluginKey(Space.FUNCTIONS, "x")
T = PluginKey(Space.TOOLS, "t")
UPDATE, TOGGLE, CREATE = r"POST .*/update", r"POST .*/toggle", r"POST .*/create"
LOOK, EXPORT = r"GET .*/id/[^/]+$", r"GET .*/export"

AnyEvent = TypeVar("AnyEvent", bound=Event)


def keys(count: int, space: Space = Space.FUNCTIONS) -> list[PluginKey]:
    return [PluginKey(space, f"p{number:03}") for number in range(count)]


def journal_in(home: Path) -> Journal:
    """Return the journal that is kept in ``home``."""
    return Journal(Store([StateFolder(home, PurePath("state"))]))


def copies(home: Path, key: PluginKey = X) -> set[str]:
    """Return the contents of ``key`` that were backed up."""
    return {path.read_bytes().decode() for path in (home / "state" / "backups" / key.id).glob("*.py")}


class Bench:
    """A deployer with all the rooms below it, files that are only remembered, and what was told."""

    def __init__(self, server: FakeServer, home: Path, tasks: anyio.abc.TaskGroup, max_new: int) -> None:
        self.server = server
        self.told: list[Event] = []
        self.files: dict[PluginKey, Plugin] = {}
        self.new_key = False
        self._client = OpenWebUI(URL, "sk-1", shown_url=URL, loopback=True, transport=httpx.MockTransport(server))
        self.availability = Availability(
            URL,
            self.probe,
            self._heard,
            lambda: len(self.deployer.pending()),
            advise=lambda denied: (denied.problem.value, "make a new one"),
            key_changed=lambda: self.new_key,
        )
        self.journal = journal_in(home)
        prefetch = Prefetch(self._client, tasks)
        policy = Policy(enable_new=True, global_new=False, on_foreign=OnForeign.BACKUP)
        self.deployer = Deployer(
            self,
            ReconcileContext(self._client, self.journal, prefetch, policy, self._heard, self.files_of),
            self.availability,
            Limits(QUIET, max_new),
        )

    async def probe(self) -> Unavailable | Denied | None:
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
        self.journal.commit(key, digest(content))

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
        tasks.start_soon(bench.availability.run)
        bench.deployer.look_later(tasks)
        tasks.start_soon(bench.deployer.run, tasks)
        await bench.availability.wait_probed()
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


async def connected_to(b: Bench, version: str) -> None:
    """Have the server be of another release, and the client know."""
    b.server.version = version
    await b.probe()
    b.server.requests.clear()
