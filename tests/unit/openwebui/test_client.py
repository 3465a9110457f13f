"""What a request says of itself."""

from __future__ import annotations

import httpx
import pytest

from owui_watch.openwebui.client import OpenWebUI
from owui_watch.plugins.model import PluginKey, Space


@pytest.mark.anyio
@pytest.mark.parametrize(("loopback", "packed"), [(True, False), (False, True)])
async def test_answers_are_packed_unless_they_come_from_this_machine(loopback: bool, packed: bool) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["accept-encoding"])
        return httpx.Response(404, json={"detail": "Not Found"})

    url = "http://127.0.0.1:9" if loopback else "http://open-webui.example"
    server = OpenWebUI(url, "sk-key", shown_url=url, loopback=loopback, transport=httpx.MockTransport(answer))
    await server.look(PluginKey(Space.FUNCTIONS, "x"))
    await server.close()

    [encodings] = asked
    assert ("gzip" in encodings) is packed
