"""What ``status`` says of plugins that the server's list may hide."""

from __future__ import annotations

import json

import httpx
import pytest

from owui_watch.plugins.model import PluginKey, Space
from tests.unit.cli.runs import FILTER, Run
from tests.unit.fake_server import FakeServer, status


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """Return a server that every command reaches."""
    server = FakeServer()
    monkeypatch.setattr(
        "owui_watch.openwebui.tls_and_proxies.httpx.AsyncHTTPTransport", lambda **_: httpx.MockTransport(server)
    )
    monkeypatch.setenv("OPENWEBUI_API_KEY", "sk-0123456789abcdef")
    return server


def states(run: Run) -> dict[str, str | None]:
    code, out, _ = run("status", "--json", "plugins")
    assert code == 0
    return {row["plugin"]: row["state"] for row in json.loads(out)}


class TestUnlisted:
    def test_plugin_is_not_on_the_server(self, run: Run, server: FakeServer) -> None:
        server.put(PluginKey(Space.FUNCTIONS, "foo"), FILTER)
        assert states(run) == {"foo": "in_sync", "my_rag": "not_on_server"}

    @pytest.mark.parametrize("odd", [{"id": 5}, {"content": None, "type": []}])
    def test_state_is_unknown_if_an_entry_is_unusable(
        self, run: Run, server: FakeServer, odd: dict[str, object]
    ) -> None:
        server.put(PluginKey(Space.FUNCTIONS, "foo"), FILTER)
        server.put(PluginKey(Space.FUNCTIONS, "my_rag"), FILTER).update(odd)
        assert states(run)["my_rag"] is None

    def test_state_is_unknown_if_the_list_is_forbidden(self, run: Run, server: FakeServer) -> None:
        prohibited = (
            "You do not have permission to access this resource. Please contact your administrator for assistance."
        )
        server.always.append(("GET .*functions/export", status(401, prohibited)))
        assert states(run) == {"foo": None, "my_rag": None}

    def test_unlisted_plugin_is_not_called_absent(self, run: Run, server: FakeServer) -> None:
        server.put(PluginKey(Space.FUNCTIONS, "foo"), FILTER)["type"] = []
        code, out, _ = run("pull", "foo")
        assert (code, "not written  foo is not in the server's list" in out) == (1, True)
