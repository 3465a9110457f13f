"""Many saves at once while somebody edits the same plugins in Open WebUI."""

from __future__ import annotations

import re
import time
from typing import Any

from owui_watch.deployer.prefetch import LISTING_AGE, LISTING_FACTOR
from owui_watch.openwebui.releases import release
from owui_watch.plugins.model import Kind, Space
from tests.live.conftest import Project
from tests.live.harness import until
from tests.live.samples import source
from tests.live.server import Server
from tests.resilience.conftest import FULL
from tests.resilience.tcp_proxy import TcpProxy

COUNT = 200 if FULL else 40
EVERY = 4
"""One of so many plugins is edited."""


class Times(TcpProxy):
    """The proxy; ``updated`` are the times at which updates came, by plugin, ``listing`` is how long the longest took."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.url)
        self.updated: dict[str, float] = {}
        self.listing = 0.0

    def _answer(self, client: Any, line: str, headers: dict[str, str], body: bytes) -> bool:
        if match := re.search(r"POST .*/id/(\w+)/update$", line):
            self.updated.setdefault(match[1], time.monotonic())
        began = time.monotonic()
        goes_on = super()._answer(client, line, headers, body)
        if line.endswith("/export"):
            self.listing = max(self.listing, time.monotonic() - began)
        return goes_on


def test_edits_made_during_a_storm_are_copied(project: Project, server: Server) -> None:
    names = [f"plugin_{number:03}" for number in range(COUNT)]
    edited: dict[str, float] = {}
    with Times(server) as proxy:
        project.use(proxy.url, server.key)
        for name in names:
            project.save(f"{name}.py", source(Kind.FILTER, "one"))
        with project.watch("--sync") as run:
            until(lambda: len(run.of("created")) == COUNT, "all created", seconds=300)
            for name in names:
                project.save(f"{name}.py", source(Kind.FILTER, "two"))
            for name in names[::EVERY]:
                if name not in proxy.updated:
                    server.edit(Kind.FILTER, name, source(Kind.FILTER, f"edit of {name}"))
                    edited[name] = time.monotonic()
            until(lambda: len(run.of("updated")) == COUNT, "all updated", seconds=300)
            run.stop()
    live = {plugin["id"]: plugin["content"] for plugin in server.all(Space.FUNCTIONS)}
    lost = {
        name
        for name in edited
        if live[name] != (theirs := source(Kind.FILTER, f"edit of {name}"))
        and theirs not in {path.read_text("utf-8") for path in project.backups(name)}
    }
    seconds = max(LISTING_AGE, LISTING_FACTOR * proxy.listing)
    print(f"{len(edited)} edited, {len(lost)} lost; a listing took {proxy.listing:.2f} s")
    if release(server.version).history:
        assert not lost
    else:  # the window that docs/settings.md states
        late = {name for name in lost if proxy.updated[name] - edited[name] > seconds}
        assert not late
