"""An edit that arrives between the last look and the update is found in the history of Open WebUI 0.12 and copied."""

from __future__ import annotations

import socket

import pytest

from owui_watch.openwebui.releases import release
from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.samples import source
from tests.live.server import Server
from tests.resilience.tcp_proxy import TcpProxy


class EditingProxy(TcpProxy):
    """Saves other content in Open WebUI right before it passes the first update on."""

    def __init__(self, server: Server, kind: Kind, name: str) -> None:
        super().__init__(server.url)
        self._server, self._kind, self._name = server, kind, name
        self._is_edited = False

    def _answer(self, client: socket.socket, line: str, headers: dict[str, str], body: bytes) -> bool:
        if "/update" in line and not self._is_edited:
            self._is_edited = True
            self._server.edit(self._kind, self._name, source(self._kind, "theirs"))
        return super()._answer(client, line, headers, body)


@pytest.mark.parametrize("kind", [Kind.FILTER, Kind.TOOL])
def test_edit_during_an_update_is_copied(kind: Kind, project: Project, server: Server) -> None:
    if not release(server.version).history:
        pytest.skip("older releases keep no history")
    server.create(kind, "sample", source(kind, "one"), title="sample")
    with EditingProxy(server, kind, "sample") as proxy:
        project.use(proxy.url, server.key)
        with project.watch() as run:
            project.save("sample.py", source(kind, "one"))
            run.wait_for("unchanged", plugin="sample")
            project.save("sample.py", source(kind, "two"))
            run.wait_for("updated", plugin="sample")
            run.wait_for("backed_up", plugin="sample", replaced="an edit made during the deploy")
            run.stop()
    assert [path.read_text("utf-8") for path in project.backups("sample")] == [source(kind, "theirs")]
