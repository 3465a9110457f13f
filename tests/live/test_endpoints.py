"""The client's endpoints on a real server: what no fake can promise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from owui_watch.openwebui import Listing, OpenWebUI, Remote
from owui_watch.openwebui.payloads import update_form
from owui_watch.openwebui.releases import is_older
from owui_watch.openwebui.remote import ListedPlugin, Snapshot, Version
from owui_watch.openwebui.responses import Absent, Accepted, Denied, KeyProblem, Refused
from owui_watch.plugins.frontmatter import parse_header
from owui_watch.plugins.model import Kind, Plugin, PluginKey, Space
from owui_watch.plugins.source import digest
from tests.live.samples import source
from tests.live.server import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def client(server: Server) -> AsyncIterator[OpenWebUI]:
    found = OpenWebUI(server.url, server.session, shown_url=server.url, loopback=True)
    assert isinstance(await found.connect(), Accepted)
    yield found
    await found.close()


def plugin(kind: Kind, content: str) -> Plugin:
    return Plugin(
        PluginKey(kind.space, "mine"), kind, Path("/w/mine.py"), content, parse_header(content), inferred=True
    )


async def created(client: OpenWebUI, kind: Kind, mark: str = "one") -> Plugin:
    made = plugin(kind, source(kind, mark, title="Mine", version="1.0"))
    assert client.release is not None
    listed = await client.create(kind.space, update_form(made, None, client.release))
    assert isinstance(listed, ListedPlugin), listed
    assert listed.digest is None
    return made


@pytest.mark.parametrize("kind", [Kind.PIPE, Kind.TOOL])
class TestPlugin:
    async def test_lists_and_look_agree(self, client: OpenWebUI, kind: Kind) -> None:
        made = await created(client, kind)
        digests, states = await client.list_digests(kind.space), await client.list_states(kind.space)
        look = await client.look(made.key)
        assert isinstance(digests, Listing)
        assert isinstance(states, Listing)
        assert isinstance(look, Remote)
        assert digests.plugins[made.key].digest == look.digest == digest(made.content)
        for listing in (digests, states):
            listed = listing.plugins[made.key]
            assert (listed.name, listed.version, listed.active) == ("Mine", "1.0", look.active)
            assert (listed.updated_at, listing.skipped) == (look.updated_at, 0)
            assert listed.updated_at is not None

    async def test_unknown_id_is_absent(self, client: OpenWebUI, kind: Kind) -> None:
        assert await client.look(PluginKey(kind.space, "absent")) == Absent()

    async def test_history_has_each_version(self, client: OpenWebUI, kind: Kind) -> None:
        made = await created(client, kind)
        if client.release is None or not client.release.history:
            pytest.skip("this release keeps no history")
        look = await client.look(made.key)
        assert isinstance(look, Remote)
        second = plugin(kind, source(kind, "two", title="Mine", version="1.1"))
        assert isinstance(await client.update(made.key, update_form(second, look, client.release)), Remote)
        versions = await client.list_versions(made.key)
        assert isinstance(versions, tuple), versions
        assert [type(version) for version in versions] == [Version, Version]
        assert {version.parent for version in versions} == {None, look.version_id}
        # Open WebUI stamps versions in whole seconds: either of two in one second can come first.
        snapshots = {version.id: await client.read_version(made.key, version.id) for version in versions}
        contents = {name: each.content for name, each in snapshots.items() if isinstance(each, Snapshot)}
        assert sorted(contents.values()) == sorted((made.content, second.content))
        assert await client.read_version(made.key, "absent") == Absent()
        now = await client.look(made.key)
        assert isinstance(now, Remote)
        assert now.version_id is not None
        assert contents[now.version_id] == second.content


class TestRefusedTool:
    async def test_reason_of_a_new_tool(self, client: OpenWebUI, server: Server) -> None:
        made = plugin(Kind.TOOL, source(Kind.TOOL, top="import zz_not_there"))
        assert client.release is not None
        form = update_form(made, None, client.release)
        refused = await client.create(Space.TOOLS, form)
        assert isinstance(refused, Refused)
        reason = await client.tool_refusal(form)
        if is_older(server.version, "0.12"):
            assert reason is None
        else:
            assert refused.hidden
            assert reason == Refused("No module named 'zz_not_there'")
        assert server.ids() == set()


class TestKeyAndModels:
    async def test_dead_key_is_refused_everywhere(self, server: Server) -> None:
        for key in ("sk-" + "0" * 32, "no.jwt.at-all", server.session[:-3] + "abc"):
            client = OpenWebUI(server.url, key, shown_url=server.url, loopback=True)
            assert await client.connect() == Denied(KeyProblem.KEY_REFUSED)
            assert await client.look(PluginKey(Space.FUNCTIONS, "x")) == Denied(KeyProblem.KEY_REFUSED)
            assert await client.look(PluginKey(Space.TOOLS, "x")) == Denied(KeyProblem.KEY_REFUSED)
            assert await client.list_digests(Space.TOOLS) == Denied(KeyProblem.KEY_REFUSED)
            await client.close()

    async def test_model_list_and_tools_are_reloaded(self, client: OpenWebUI) -> None:
        assert await client.chat.refresh_models(times=2) == Accepted(None)
        assert await client.reload_tools() == Accepted(None)
