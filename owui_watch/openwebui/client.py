"""Open WebUI's plugin API: one method per endpoint, each returning what the response means."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from owui_watch.openwebui.chat import ANSWER_SECONDS, Chat
from owui_watch.openwebui.connection import Connection, Sink
from owui_watch.openwebui.json_stream import MAX_BYTES, Unreadable
from owui_watch.openwebui.listing import Contents, Listing, ListReader, OddRows
from owui_watch.openwebui.releases import Release, Sharing, release
from owui_watch.openwebui.remote import (
    ListedPlugin,
    Remote,
    Snapshot,
    Version,
    read_plugin,
    read_snapshot,
    read_version,
    without_content,
)
from owui_watch.openwebui.responses import (
    NOT_WRITTEN,
    Accepted,
    Ambiguous,
    Denied,
    Forbidden,
    KeyProblem,
    Received,
    Refused,
    Response,
    Unavailable,
    classify,
    not_open_webui,
    unusable,
)
from owui_watch.openwebui.valves import unfit
from owui_watch.plugins.model import PluginKey, Space

MODELS = "/api/models?refresh=true"
"""Lists the models anew, which a new pipe needs."""
MAX_CONTENTS = 2**30
"""Characters of all contents of a list that are kept in memory at once."""
_NO_FUNCTION = "No Function class found in the module"
_MAX_VERSION = 100
_PAGE = 20
"""Entries of a page of the history."""


class OpenWebUI:
    """One Open WebUI. ``chat`` asks its models.

    ``release`` is the one that the server named last, None before the first ``connect``. Messages show ``shown_url``,
    which has no password. ``on_problem`` is called with an error and a hint, once for each row of a list that can't be
    used. No method raises for what a server or a network does; the constructor raises SettingsError.
    """

    release: Release | None = None

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        shown_url: str,
        loopback: bool,
        ca_file: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        on_problem: Callable[[str, str], None] = lambda _error, _hint: None,
    ) -> None:
        self.shown_url = shown_url
        self._connection = Connection(url, loopback=loopback, ca_file=ca_file, transport=transport)
        self._odd_rows = OddRows(on_problem)
        self.chat = Chat(self._connection, lambda rows: self._call("GET", MODELS, sink=rows))
        self.use_key(key)

    def use_key(self, key: str | None) -> None:
        """Send ``key`` (an API key or a JWT) from now on."""
        self._connection.use_key(key)

    async def close(self) -> None:
        """Close all connections."""
        await self._connection.close()

    async def connect(self) -> Response:
        """Ask which release this is, and whether the key is accepted."""
        response = await self._call("GET", "/api/version")
        if not isinstance(response, Accepted):
            return response
        version = response.body.get("version") if isinstance(response.body, dict) else None
        if not isinstance(version, str) or len(version) > _MAX_VERSION:
            return not_open_webui("another program's JSON", self.shown_url)
        access = await self._classified("GET", "/api/v1/functions/", sink=_Discard())
        if isinstance(access, Accepted | Forbidden):
            self.release = release(version)
            return Accepted(version)
        return Denied(KeyProblem.KEY_REFUSED) if isinstance(access, Ambiguous) else access

    async def look(self, key: PluginKey) -> Remote | Response:
        """Read one plugin with its content."""
        response = await self._call("GET", _path(key))
        if isinstance(response, Accepted) and response.body is None and key.space is Space.TOOLS:
            return Forbidden()  # 0.4.8 to 0.6.43: a tool that the user has no right to read
        plugin = _plugin(key, response)
        if isinstance(plugin, ListedPlugin) and key.space is Space.TOOLS:
            return Forbidden()  # 0.11 and newer: a tool that the user has no right to change
        return _with_content(plugin)

    async def list_digests(
        self, space: Space, is_wanted: Callable[[ListedPlugin], bool] = lambda _: True
    ) -> Listing | Response:
        """Read all functions or all tools, with digests of their contents, in one request.

        If ``is_wanted`` rejects a plugin, the listing keeps only its key.
        """
        return await self._list(space, f"/api/v1/{space}/export", is_wanted=is_wanted)

    async def list_contents(self, space: Space) -> Contents | Response:
        """Read all functions or all tools with their contents in one request."""
        remotes: dict[PluginKey, Remote] = {}
        size = 0

        def add(plugin: Remote | ListedPlugin) -> None:
            nonlocal size
            if isinstance(plugin, Remote):
                size += len(plugin.content)
                if size <= MAX_CONTENTS:
                    remotes[plugin.key] = plugin

        listing = await self._list(space, f"/api/v1/{space}/export", add)
        if size > MAX_CONTENTS:
            return Unavailable(f"its {space} have more than {MAX_CONTENTS:,} characters")
        return Contents(remotes, listing.skipped) if isinstance(listing, Listing) else listing

    async def list_states(
        self, space: Space, is_wanted: Callable[[ListedPlugin], bool] = lambda _: True
    ) -> Listing | Response:
        """Read all functions or all tools without contents: whether each is active, and when it was last changed.

        If ``is_wanted`` rejects a plugin, the listing keeps only its key. A digest is None unless the release lists the content all the same. Tools come from ``/tools/list`` if the
        release has it (0.4 and newer): ``/tools/`` imports every tool on 0.6.33 to 0.8.0.
        """
        has_list = self.release is not None and self.release.sharing is not Sharing.NONE
        path = f"/api/v1/{space}/{'list' if space is Space.TOOLS and has_list else ''}"
        return await self._list(space, path, is_wanted=is_wanted)

    async def reload_tools(self) -> Response:
        """Make the instance that answers load all tools again: on 0.6.33 to 0.8.0 that replaces code in its memory."""
        return await self._call("GET", "/api/v1/tools/", sink=_Discard())

    async def update(self, key: PluginKey, form: Mapping[str, Any]) -> Remote | Response:
        """Send new content for a plugin. The server runs the content before it answers."""
        return _with_content(_plugin(key, await self._call("POST", f"{_path(key)}/update", form)))

    async def create(self, space: Space, form: Mapping[str, Any]) -> ListedPlugin | Response:
        """Create a plugin. The response holds no content."""
        plugin = _plugin(PluginKey(space, form["id"]), await self._call("POST", f"/api/v1/{space}/create", form))
        return without_content(plugin) if isinstance(plugin, Remote) else plugin

    async def toggle(self, key: PluginKey) -> Remote | Response:
        """Flip a function's active flag; the response has its new value. Never repeat this without a look."""
        return await self._flip(f"{_path(key)}/toggle", key)

    async def toggle_global(self, key: PluginKey) -> Remote | Response:
        """Flip a function's global flag; the response has its new value. Never repeat this without a look."""
        return await self._flip(f"{_path(key)}/toggle/global", key)

    async def _flip(self, path: str, key: PluginKey) -> Remote | Response:
        response = await self._call("POST", path)
        if isinstance(response, Refused) and response.hidden:  # no code is loaded: only the database can refuse it
            response = Refused(NOT_WRITTEN, database=True)
        return _with_content(_plugin(key, response))

    async def unfit_valves(self, key: PluginKey) -> str | None:
        """Name a stored valve that the live code can't take; None if all fit, or if the server does not say."""
        stored = await self._call("GET", f"{_path(key)}/valves")
        if not isinstance(stored, Accepted) or not stored.body:
            return None
        schema = await self._call("GET", f"{_path(key)}/valves/spec")
        return unfit(stored.body, schema.body) if isinstance(schema, Accepted) else None

    async def tool_refusal(self, form: Mapping[str, Any]) -> Refused | None:
        """Find out why a new tool was refused, which 0.10 and newer hide; None if that stays unknown.

        On 0.12 an update of a function that does not exist runs the code, says what fails and stores nothing. Older
        releases run the code too, but hide the reason there as well. An existing function would be overwritten, so the
        id is a random one.
        """
        if self.release is None or not self.release.update_tells_why:
            return None
        absent = PluginKey(Space.FUNCTIONS, f"owui_watch_{secrets.token_hex(16)}")
        response = await self._call("POST", f"{_path(absent)}/update", {**form, "id": absent.id})
        if not isinstance(response, Refused) or response.hidden or response.reason == _NO_FUNCTION:
            return None  # every tool that loads ends with _NO_FUNCTION, whatever its constructor does
        return response

    async def list_versions(self, key: PluginKey, *, most: int = _PAGE) -> tuple[Version, ...] | Response:
        """Read the newest entries of a plugin's history, at most ``most`` of them, newest first (0.12 and newer)."""
        versions: list[Version] = []
        for page in range(1, -(-most // _PAGE) + 1):
            response = await self._call("GET", f"{_path(key)}/history?page={page}")
            if not isinstance(response, Accepted):
                return response
            if not isinstance(response.body, list):
                return unusable("no list of versions")
            found = [version for row in response.body if isinstance(version := read_version(row), Version)]
            versions += found
            if len(response.body) < _PAGE:
                break
        return tuple(versions[:most])

    async def read_version(self, key: PluginKey, version: str) -> Snapshot | Response:
        """Read one version of a plugin's history (0.12 and newer)."""
        response = await self._call("GET", f"{_path(key)}/history/{quote(version, safe='')}")
        if not isinstance(response, Accepted):
            return response
        snapshot = read_snapshot(response.body)
        return unusable(snapshot.reason) if isinstance(snapshot, Unreadable) else snapshot

    async def request(
        self, method: str, path: str, form: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> Received | Unavailable:
        """Send a request that is no part of deploying a plugin."""
        return await self._connection.request(method, path, form, silence=ANSWER_SECONDS, headers=headers)

    def editor(self, key: PluginKey) -> str:
        """Return the address of the plugin's editor in a browser."""
        page = "admin/functions" if key.space is Space.FUNCTIONS else "workspace/tools"
        return f"{self.shown_url}/{page}/edit?id={quote(key.id)}"

    async def _list(
        self,
        space: Space,
        path: str,
        on_plugin: Callable[[Remote | ListedPlugin], None] = lambda _: None,
        *,
        is_wanted: Callable[[ListedPlugin], bool] = lambda _: True,
    ) -> Listing | Response:
        reader = ListReader(space, on_plugin, self._odd_rows.report, is_wanted)
        response = await self._call("GET", path, sink=reader)
        return reader.listing() if isinstance(response, Accepted) else response

    async def _call(
        self, method: str, path: str, form: Mapping[str, Any] | None = None, *, sink: Sink | None = None
    ) -> Response:
        """Send a request and return what its response means. If that is Ambiguous, a second request decides."""
        response = await self._classified(method, path, form, sink=sink)
        if not isinstance(response, Ambiguous):
            return response
        # Any verified user may list functions. A refusal means that the key is dead.
        probe = await self._classified("GET", "/api/v1/functions/", sink=_Discard())
        if isinstance(probe, Unavailable):
            return probe
        return Forbidden() if isinstance(probe, Accepted) else Denied(KeyProblem.KEY_REFUSED)

    async def _classified(
        self, method: str, path: str, form: Mapping[str, Any] | None = None, *, sink: Sink | None = None
    ) -> Response:
        received = await self._connection.request(method, path, form, sink=sink)
        if isinstance(received, Unavailable):
            return received
        content = form.get("content") if form else None
        return classify(received, self.shown_url, content=content if isinstance(content, str) else "")


class _Discard:
    """Reads a response of which only the status matters, up to a limit."""

    content_type = "json"

    def __init__(self) -> None:
        self._bytes = 0

    def feed(self, data: bytes) -> bool:
        """Discard the part, and want the next one: the connection can be used again only after the last."""
        self._bytes += len(data)
        return self._bytes <= MAX_BYTES


def _path(key: PluginKey) -> str:
    return f"/api/v1/{key.space}/id/{quote(key.id)}"


def _plugin(key: PluginKey, response: Response) -> Remote | ListedPlugin | Response:
    if not isinstance(response, Accepted):
        return response
    plugin = read_plugin(key.space, response.body)
    if isinstance(plugin, Unreadable):
        return unusable(plugin.reason)
    return plugin if plugin.key == key else unusable(f"it is another plugin, {plugin.key.id}")


def _with_content(plugin: Remote | ListedPlugin | Response) -> Remote | Response:
    return unusable("it has no content") if isinstance(plugin, ListedPlugin) else plugin
