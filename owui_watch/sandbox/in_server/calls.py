"""What ``owui-watch call`` asks of a sandbox's server beyond its own API, as ASGI middleware.

A request with the header ``x-owui-watch: TOKEN NAME`` is served as any other, and the plugin methods that it reaches are
recorded under NAME. ``GET /owui-watch/calls`` returns what was recorded. ``POST /owui-watch/run`` runs a tool's method
or an event handler with what Open WebUI passes; no endpoint of the server's own does that.
"""

from __future__ import annotations

import hmac
import inspect
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from . import trace
from .errors import text_of

HEADER = b"x-owui-watch"
_MOST_BYTES = 2_000_000
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class UnknownMethodError(Exception):
    """The plugin has no such method that the server would call."""


class Calls:
    """ASGI middleware. ``token`` is the secret that only owui-watch knows."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        header = dict(scope["headers"]).get(HEADER) if scope["type"] == "http" else None
        if header is None:
            return await self._app(scope, receive, send)
        token, _, name = header.partition(b" ")
        if not hmac.compare_digest(token, self._token):
            return await _answer(send, 403, {"detail": "wrong token"})
        if scope["path"] == "/owui-watch/calls":
            return await _answer(send, 200, {"steps": trace.read(name.decode("latin-1"))})
        trace.start(name.decode("latin-1"))
        if scope["path"] != "/owui-watch/run":
            return await self._app(scope, receive, send)
        try:
            asked = json.loads(await _body(receive))
            return await _answer(send, 200, await _run(scope, asked))
        except UnknownMethodError as error:
            return await _answer(send, 404, {"detail": str(error)})
        except BaseException as error:
            await _answer(send, 500, {"detail": f"{type(error).__name__}: {text_of(error)}"})
            if not isinstance(error, Exception):
                raise


async def _run(scope: Scope, asked: dict[str, Any]) -> dict[str, Any]:
    """Run a method, and return its result and the events that it emitted."""
    from starlette.requests import Request  # noqa: PLC0415 - the server's packages

    request = Request(scope)
    request.state.direct = False
    emitted: list[Any] = []
    if asked["kind"] == "tool":
        function = await _tool(request, asked["plugin"], asked["method"], asked["extra"], emitted)
        result = function(**asked["arguments"])
    else:
        result = await _event(request, asked["plugin"], asked["event"])
    return {"result": trace.plain(await _awaited(result)), "emitted": emitted}


async def _tool(request: Any, plugin: str, method: str, extra: dict[str, Any], emitted: list[Any]) -> Any:
    """Return a tool's method with Open WebUI's own arguments bound, as a chat's model gets it."""
    from open_webui.models.users import Users  # noqa: PLC0415
    from open_webui.utils.tools import get_tools  # noqa: PLC0415

    user = await _awaited(Users.get_super_admin_user())
    passed = {
        **extra,
        "__event_emitter__": trace.recording(None, emitted),
        "__event_call__": trace.recording(None, emitted),
        "__user__": user.model_dump(),
        "__request__": request,
        "__oauth_token__": None,
    }
    tools = await _awaited(get_tools(request, [plugin], user, passed))
    if method not in tools:
        raise UnknownMethodError(f"{plugin} has no method {method}; it has {', '.join(sorted(tools)) or 'none'}")
    return tools[method]["callable"]


async def _event(request: Any, plugin: str, given: dict[str, Any]) -> Any:
    """Call an event function as the server's own dispatch does, with an event of its making; ``given`` fields win."""
    from open_webui.events import build_event  # noqa: PLC0415
    from open_webui.models.functions import Functions  # noqa: PLC0415
    from open_webui.models.users import Users  # noqa: PLC0415
    from open_webui.utils.plugin import get_function_module_from_cache  # noqa: PLC0415

    user = await _awaited(Users.get_super_admin_user())
    try:
        event = build_event(request, given["event"], actor=user)
    except ValueError as error:
        raise UnknownMethodError(f"{error} (one of Open WebUI's own is chat.created)") from None
    payload = event.model_dump() | given
    module = (await _awaited(get_function_module_from_cache(request, plugin)))[0]
    handler = getattr(module, "event", None)
    if handler is None:
        raise UnknownMethodError(f"{plugin} has no method event")
    if hasattr(module, "valves") and hasattr(module, "Valves"):
        module.valves = module.Valves(**(await _awaited(Functions.get_function_valves_by_id(plugin)) or {}))
    parameters = inspect.signature(handler).parameters
    takes_all = any(one.kind == inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    possible = {
        "event": payload,
        "__id__": plugin,
        "__event__": event,
        "__event_id__": payload["id"],
        "__event_name__": payload["event"],
        "__app__": request.app,
        "__request__": request,
    }
    return handler(**{name: value for name, value in possible.items() if takes_all or name in parameters})


async def _awaited(value: Any) -> Any:
    """Wait for a value where this release of Open WebUI is asynchronous."""
    return await value if inspect.isawaitable(value) else value


async def _body(receive: Receive) -> bytes:
    body = b""
    while len(body) <= _MOST_BYTES:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body


async def _answer(send: Send, status: int, content: dict[str, Any]) -> None:
    body = json.dumps(content, default=repr).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
