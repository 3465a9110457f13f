"""The only room that knows HTTP: one method an endpoint of Open WebUI's plugin API."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from urllib.request import getproxies

import httpx

from owui_watch.openwebui.chat import Completion, read_body, read_event
from owui_watch.openwebui.releases import Release, release
from owui_watch.openwebui.responses import (
    Accepted,
    Ambiguous,
    Delivery,
    Denied,
    Forbidden,
    KeyProblem,
    Remote,
    Response,
    Unavailable,
    classify,
    not_open_webui,
    remote_from,
)
from owui_watch.openwebui.valves import unfit
from owui_watch.plugins.model import Kind, PluginKey, Space

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

CONNECT_TIMEOUT = 5.0
"""Seconds to connect. A live server answers the handshake at once, however busy it is."""
LOOK_TIMEOUT = 30.0
"""Seconds to answer a look. An update has no limit: pip may take minutes, and the server sets it none either."""

SILENT_PEER = (30, 10, 3)
"""Seconds of silence before TCP asks whether the peer is still there, seconds between two such questions, and how many
go unanswered before the connection counts as broken: a host that vanished in the midst of an update is noticed."""
ANSWER_TIMEOUT = 300.0
"""Seconds that a pipe may think before its answer begins, and between two parts of it."""
_NO_MODEL = "Model not found"


class OpenWebUI:
    """One Open WebUI. ``release`` is what it last said it is, None before the first ``connect``.

    ``url`` is sent requests, ``shown_url`` is what messages say. No method raises for what a server or a network does:
    every call gives an answer.
    """

    release: Release | None = None
    _sending = 0

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        shown_url: str,
        loopback: bool,
        ca_file: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self.shown_url = shown_url
        verify, limits = _tls(url, ca_file), httpx.Limits(keepalive_expiry=300)
        if transport is None and (loopback or not getproxies()):
            # Where the environment names a proxy httpx must make the transports itself.
            transport = httpx.AsyncHTTPTransport(verify=verify, limits=limits, socket_options=_keepalive())
        self._client = httpx.AsyncClient(
            verify=verify,
            trust_env=not loopback,
            timeout=httpx.Timeout(LOOK_TIMEOUT, connect=CONNECT_TIMEOUT),
            limits=limits,
            transport=transport,
            headers={"accept-encoding": "identity"} if loopback else None,  # packing costs more than it saves
        )
        self.use_key(key)

    def use_key(self, key: str | None) -> None:
        """Send ``key`` (an API key or a JWT) from now on.

        A URL with ``user:password@`` is behind a proxy that wants the Authorization header for itself: then the key
        goes as the cookie ``token``, which every release takes (0.3.35 to 0.12.4).
        """
        if httpx.URL(self._url).userinfo:
            self._client.cookies.set("token", key or "")
        elif key is not None:
            self._client.headers["authorization"] = f"Bearer {key}"

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def connect(self) -> Response:
        """Ask which release this is, and whether the key is let in."""
        answer = await self._call("GET", "/api/version")
        if not isinstance(answer, Accepted):
            return answer
        version = answer.body.get("version") if isinstance(answer.body, dict) else None
        if not isinstance(version, str):
            return not_open_webui("another program's JSON", self.shown_url)
        known = await self._call("GET", "/api/v1/functions/")
        if isinstance(known, Accepted | Forbidden):
            self.release = release(version)
            return Accepted(version)
        return Denied(KeyProblem.KEY_REFUSED) if isinstance(known, Ambiguous) else known

    async def look(self, key: PluginKey) -> Remote | Response:
        """Read one plugin as it stands on the server."""
        return await self._plugin(key.space, "GET", _path(key))

    async def list_plugins(self, space: Space) -> dict[PluginKey, Remote] | Response:
        """Read all functions or all tools, with their content, in one request."""
        answer = await self._call("GET", f"/api/v1/{space}/export")
        if not isinstance(answer, Accepted):
            return await self._settled(answer)
        if not isinstance(answer.body, list):
            return not_open_webui("another program's JSON", self.shown_url)
        remotes = [remote_from(space, item) for item in answer.body if _known(space, item)]
        return {remote.key: remote for remote in remotes}

    async def update(self, key: PluginKey, form: Mapping[str, Any]) -> Remote | Response:
        """Send new content for a plugin. The server runs it before it answers."""
        return await self._plugin(key.space, "POST", f"{_path(key)}/update", form)

    async def create(self, space: Space, form: Mapping[str, Any]) -> Remote | Response:
        """Make a new plugin. The answer never holds its content."""
        return await self._plugin(space, "POST", f"/api/v1/{space}/create", form)

    async def toggle(self, key: PluginKey) -> Remote | Response:
        """Flip a function's active flag; the answer tells what it is now. Never to be repeated blindly."""
        return await self._plugin(key.space, "POST", f"{_path(key)}/toggle")

    async def toggle_global(self, key: PluginKey) -> Remote | Response:
        """Flip a function's global flag; the answer tells what it is now. Never to be repeated blindly."""
        return await self._plugin(key.space, "POST", f"{_path(key)}/toggle/global")

    async def unfit_valves(self, key: PluginKey) -> str | None:
        """Say which stored valve the live code can't take; None where all fit, or nothing can be told."""
        stored = await self._call("GET", f"{_path(key)}/valves")
        if not isinstance(stored, Accepted) or not stored.body:
            return None
        spec = await self._call("GET", f"{_path(key)}/valves/spec")
        return unfit(stored.body, spec.body) if isinstance(spec, Accepted) else None

    async def ask(self, pipe: str, prompt: str, part: Callable[[str], None]) -> Completion:
        """Send ``prompt`` through a pipe, the first of its models where it has several. ``part`` gets what comes."""
        completion = await self._ask(pipe, prompt, part)
        if completion.error != _NO_MODEL:
            return completion
        # A pipe that makes models of its own has none of its own name; older servers also learn of a new one here.
        models = await self._call("GET", "/api/models?refresh=true")
        listed = models.body.get("data") if isinstance(models, Accepted) and isinstance(models.body, dict) else None
        names = [str(model.get("id")) for model in listed or () if isinstance(model, dict)]
        model = next((name for name in names if name == pipe or name.startswith(f"{pipe}.")), None)
        return await self._ask(model, prompt, part) if model else completion

    def editor(self, key: PluginKey) -> str:
        """Address of the plugin's editor in a browser."""
        place = "admin/functions" if key.space is Space.FUNCTIONS else "workspace/tools"
        return f"{self.shown_url}/{place}/edit?id={quote(key.id)}"

    async def _ask(self, model: str, prompt: str, part: Callable[[str], None]) -> Completion:
        question = {"model": model, "stream": True, "messages": [{"role": "user", "content": prompt}]}
        timeout = httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT)
        text = ""
        self._sending += 1  # a pipe that blocks its server keeps other calls waiting, too
        try:
            async with self._client.stream(
                "POST", f"{self._url}/api/chat/completions", json=question, timeout=timeout
            ) as response:
                if "event-stream" not in response.headers.get("content-type", ""):
                    return _whole(response.status_code, await response.aread())
                async for line in response.aiter_lines():
                    event = read_event(line)
                    if event.error is not None:
                        return Completion(text, event.error)
                    if event.text:
                        text += event.text
                        part(event.text)
        except httpx.TimeoutException:
            return Completion(text, f"no answer within {ANSWER_TIMEOUT:g} s")
        except (httpx.RequestError, httpx.InvalidURL) as error:
            return Completion(text, _unreachable(error).error)
        finally:
            self._sending -= 1
        return Completion(text)

    async def _plugin(
        self, space: Space, method: str, path: str, form: Mapping[str, Any] | None = None
    ) -> Remote | Response:
        answer = await self._call(method, path, form)
        if not isinstance(answer, Accepted):
            return await self._settled(answer)
        if not _known(space, answer.body):
            return not_open_webui("another program's JSON", self.shown_url)
        return remote_from(space, answer.body)

    async def _settled(self, answer: Response) -> Response:
        """Tell a dead key from a missing right, which answer alike: any verified user may list functions."""
        if not isinstance(answer, Ambiguous):
            return answer
        probe = await self._call("GET", "/api/v1/functions/")
        if isinstance(probe, Unavailable):
            return probe
        return Forbidden() if isinstance(probe, Accepted) else Denied(KeyProblem.KEY_REFUSED)

    async def _call(self, method: str, path: str, form: Mapping[str, Any] | None = None) -> Response:
        sends = method == "POST"
        self._sending += sends
        # While it takes in a plugin a server may answer nothing else either: up to 0.9.6 pip blocks it.
        timeout = httpx.Timeout(LOOK_TIMEOUT, connect=CONNECT_TIMEOUT, read=None if self._sending else LOOK_TIMEOUT)
        try:
            response = await self._client.request(method, self._url + path, json=form, timeout=timeout)
        except httpx.TimeoutException as error:
            connecting = isinstance(error, httpx.ConnectTimeout)
            if connecting:
                return Unavailable("cannot be connected to")
            return Unavailable(f"no answer within {LOOK_TIMEOUT:g} s", delivery=Delivery.UNKNOWN)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            return _unreachable(error)
        finally:
            self._sending -= sends
        content_type = response.headers.get("content-type", "").partition(";")[0]
        body = None
        if "json" in content_type:
            try:
                body = response.json()
            except (ValueError, RecursionError):
                content_type = "broken JSON"
        return classify(response.status_code, content_type, body, dict(response.headers), self.shown_url)


def _whole(status: int, raw: bytes) -> Completion:
    """Read an answer that isn't streamed: an error, or what a pipe gave as a whole."""
    try:
        completion = read_body(json.loads(raw))
    except ValueError:
        completion = Completion("")
    return completion if completion.error or status == 200 else Completion("", f"the server answers {status}")


def _path(key: PluginKey) -> str:
    return f"/api/v1/{key.space}/id/{quote(key.id)}"


def _known(space: Space, body: Any) -> bool:
    """Tell a plugin from what else a list can hold: tool servers, kinds that a later release may add."""
    if not isinstance(body, dict) or not isinstance(body.get("id"), str) or "name" not in body:
        return False
    return space is Space.TOOLS or body.get("type") in set(Kind)


def _unreachable(error: Exception) -> Unavailable:
    text = str(error).lower()
    if "wrong_version_number" in text or "wrong version number" in text:
        return Unavailable(
            "TLS failed: what answers there speaks no TLS", hint="is its address http:// and not https://?"
        )
    if "certificate" in text or "ssl" in text:
        return Unavailable(f"TLS failed: {error}", hint="if a private authority signed it, name its file in ca_file")
    if "name or service not known" in text or "nodename" in text or "getaddrinfo" in text or "resolution" in text:
        return Unavailable("its host name is not known")
    if isinstance(error, httpx.ConnectError):
        return Unavailable("connection refused" if "refused" in text or "all connection" in text else f"{error}")
    why = f"the connection broke off: {error}" if text else "the connection broke off"
    return Unavailable(why, delivery=Delivery.UNKNOWN)


def _keepalive() -> list[tuple[int, int, int]]:
    """Return the socket options for ``SILENT_PEER``, as far as the platform has them."""
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))  # the second is macOS' name
    numbers = (idle, getattr(socket, "TCP_KEEPINTVL", None), getattr(socket, "TCP_KEEPCNT", None))
    options = [(socket.IPPROTO_TCP, n, value) for n, value in zip(numbers, SILENT_PEER, strict=True) if n is not None]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *options]


def _tls(url: str, ca_file: Path | None) -> ssl.SSLContext | bool:
    """Load certificates only where TLS is spoken: it takes time and memory at start."""
    if not url.startswith("https://"):
        return False
    context = httpx.create_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context
