"""How each kind of plugin is called once, as Open WebUI would, and its result.

In a sandbox, ``sandbox.in_server`` records each method's input and output, and runs tools and event handlers. On another
server only the server's own API is used: a pipe, a filter with a model, an action.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from owui_watch.openwebui.chat import Completion
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.json_stream import Unreadable
from owui_watch.openwebui.responses import Unavailable
from owui_watch.plugins.model import Kind
from owui_watch.runtime.call.echo_model import Echo

PROMPT = "Hello?"
"""What is said to a filter or an action if no message is given."""
_CHAT = {"chat_id": "local:owui-watch", "session_id": "owui-watch", "id": "owui-watch"}
_HEADER = "x-owui-watch"


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: ``body`` is its JSON, None without one. ``status`` is 0 without a response."""

    status: int
    body: Any
    error: str


class Api:
    """The requests of a call to an Open WebUI. Never raises for what the server or the network does."""

    def __init__(self, server: OpenWebUI) -> None:
        self._server = server

    async def request(
        self, method: str, path: str, form: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send one request."""
        received = await self._server.request(method, path, form, headers or {})
        if isinstance(received, Unavailable):
            return Reply(0, None, received.error)
        body = None if isinstance(received.body, Unreadable) else received.body
        detail = body.get("detail", body) if isinstance(body, dict) else body
        return Reply(received.status, body, str(detail) if detail else f"the server answers {received.status}")

    async def chat(self, form: Mapping[str, Any], headers: Mapping[str, str]) -> Completion:
        """Send a message to a model, and return its whole answer."""
        return await self._server.chat.complete(form, headers, lambda _: None)


@dataclass(frozen=True, slots=True)
class Change:
    """What a filter's method made of its input."""

    method: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call gave: its result, the events that it emitted, and what a filter changed.

    ``raised`` are the sandbox's records of exceptions. ``unseen`` says what this server does not show.
    """

    result: Any = None
    emitted: tuple[Any, ...] = ()
    changes: tuple[Change, ...] = ()
    error: str | None = None
    hint: str | None = None
    unseen: str | None = None
    raised: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """The plugin to call, and a method of it where it may have several (``""``: the only one)."""

    kind: Kind
    plugin: str
    method: str = ""


class Caller:
    """Calls plugins of one server. ``token`` is that of the sandbox's channel, None on any other server."""

    def __init__(self, api: Api, token: str | None) -> None:
        self._api = api
        self._token = token

    async def tool(self, target: Target, arguments: Mapping[str, Any]) -> Outcome:
        """Run a tool's method."""
        if self._token is None:
            return _only_in_a_sandbox("a tool's method")
        return await self._run({"kind": "tool", "arguments": dict(arguments), "extra": _extra()}, target)

    async def event(self, target: Target, payload: Mapping[str, Any]) -> Outcome:
        """Pass an event to an event function."""
        if self._token is None:
            return _only_in_a_sandbox("an event function")
        event = {"event": "chat.created", **payload}
        return await self._run({"kind": "event", "event": event}, target)

    async def action(self, target: Target, message: str, fields: Mapping[str, Any], model: str | None) -> Outcome:
        """Run an action on a chat of one question and one answer."""
        async with Echo(self._api, wanted=model is None and self._token is not None) as echo:
            model = model or echo.model or await self._any_model()
            if model is None:
                return Outcome(
                    error="an action needs a chat with a model, and the server has none",
                    hint="name a model with --model ID",
                )
            messages = [
                {"id": "owui-watch-question", "role": "user", "content": message},
                {"id": _CHAT["id"], "role": "assistant", "content": message},
            ]
            body = {"model": model, "messages": messages, **_CHAT, **fields}
            name = f"{target.plugin}.{target.method}" if target.method else target.plugin
            trace = _trace_name()
            reply = await self._api.request("POST", f"/api/chat/actions/{name}", body, self._headers(trace))
            steps = await self._steps(trace, target)
        if reply.status != 200:
            return Outcome(error=reply.error, emitted=_emitted(steps), raised=_raised(steps))
        unseen = None if self._token else "the action's events go to a browser; a sandbox shows them here"
        return Outcome(reply.body, _emitted(steps), error=_hidden_error(steps), unseen=unseen, raised=_raised(steps))

    async def filter(self, target: Target, message: str, model: str | None) -> Outcome:
        """Send a message through a filter: on a sandbox to a model that echoes, else to ``model``."""
        if model is None and self._token is None:
            return Outcome(
                error="a filter needs a chat with a model",
                hint="name a model with --model ID, or call the filter in a sandbox (--sandbox)",
            )
        async with Echo(self._api, wanted=model is None, filters=(target.plugin,)) as echo:
            if (chosen := model or echo.model) is None:
                return Outcome(error=f"the sandbox's echo model could not be created: {echo.error}")
            trace = _trace_name()
            question = {"role": "user", "content": message}
            chat = {"model": chosen, "stream": True, "messages": [question], "filter_ids": [target.plugin]}
            completion = await self._api.chat(chat, self._headers(trace))
            answer, error = completion.text, completion.error
            steps = await self._steps(trace, target)
            if error is not None:
                return Outcome(answer, _emitted(steps), _changes(steps), error, raised=_raised(steps))
            done, after = None, answer
            if not any(step.get("method") == "outlet" for step in steps):
                messages = [{"id": "q", **question}, {"id": _CHAT["id"], "role": "assistant", "content": answer}]
                form = {"model": chosen, "messages": messages, "filter_ids": [target.plugin], **_CHAT}
                trace = _trace_name()
                done = await self._api.request("POST", "/api/chat/completed", form, self._headers(trace))
                steps += await self._steps(trace, target)
                after = _last_message(done.body, answer)
        changes, unseen = _changes(steps), None
        if self._token is None:
            changes = (Change("outlet", answer, after),)
            unseen = "only the model sees what inlet made of the message; a sandbox shows it here"
        failed = done.error if done is not None and done.status != 200 else None
        failed = failed or _hidden_error(steps)
        return Outcome(after, _emitted(steps), changes, failed, unseen=unseen, raised=_raised(steps))

    async def _run(self, asked: Mapping[str, Any], target: Target) -> Outcome:
        form = {**asked, "plugin": target.plugin, "method": target.method}
        trace = _trace_name()
        reply = await self._api.request("POST", "/owui-watch/run", form, self._headers(trace))
        if reply.status != 200 or not isinstance(reply.body, dict):
            steps = await self._steps(trace, target)
            return Outcome(error=reply.error, emitted=_emitted(steps), raised=_raised(steps))
        emitted = reply.body.get("emitted")
        return Outcome(reply.body.get("result"), tuple(emitted) if isinstance(emitted, list) else ())

    async def _steps(self, trace: str, target: Target) -> list[dict[str, Any]]:
        """Return what the plugin's methods got and gave in one request; empty on a server of one's own."""
        if self._token is None:
            return []
        reply = await self._api.request("GET", "/owui-watch/calls", None, self._headers(trace))
        steps = reply.body.get("steps") if isinstance(reply.body, dict) else None
        return [
            step
            for step in (steps if isinstance(steps, list) else [])
            if isinstance(step, dict) and step.get("plugin") == target.plugin and step.get("kind") == target.kind
        ]

    def _headers(self, trace: str) -> dict[str, str]:
        return {_HEADER: f"{self._token} {trace}"} if self._token else {}

    async def _any_model(self) -> str | None:
        reply = await self._api.request("GET", "/api/models")
        listed = reply.body.get("data") if isinstance(reply.body, dict) else None
        names = (one.get("id") for one in (listed if isinstance(listed, list) else []) if isinstance(one, dict))
        return next((name for name in names if isinstance(name, str)), None)


def _only_in_a_sandbox(what: str) -> Outcome:
    return Outcome(
        error=f"Open WebUI has no API to run {what}, and owui-watch installs nothing on your own server",
        hint="call the plugin in a sandbox (--sandbox)",
    )


def _trace_name() -> str:
    return secrets.token_hex(8)


def _extra() -> dict[str, Any]:
    """Return what a chat passes to a tool, as far as it is data."""
    return {
        "__metadata__": {**_CHAT, "message_id": _CHAT["id"]},
        "__messages__": [],
        "__files__": [],
        "__model__": {},
        "__chat_id__": _CHAT["chat_id"],
        "__session_id__": _CHAT["session_id"],
        "__message_id__": _CHAT["id"],
    }


def _last_message(body: Any, otherwise: str) -> str:
    messages = body.get("messages") if isinstance(body, dict) else None
    last = messages[-1] if isinstance(messages, list) and messages else None
    content = last.get("content") if isinstance(last, dict) else None
    return content if isinstance(content, str) else otherwise


def _emitted(steps: list[dict[str, Any]]) -> tuple[Any, ...]:
    return tuple(event for step in steps if isinstance(step.get("emitted"), list) for event in step["emitted"])


def _hidden_error(steps: list[dict[str, Any]]) -> str | None:
    """Return the exception of a method that did not end, if the response is silent about it (0.6.43, 0.9.6)."""
    if all(step.get("ended", True) for step in steps):
        return None
    return next((f"{record.get('type')}: {record.get('text')}" for record in _raised(steps)), None)


def _raised(steps: list[dict[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    return tuple(step["raised"] for step in steps if isinstance(step.get("raised"), dict))


def _changes(steps: list[dict[str, Any]]) -> tuple[Change, ...]:
    return tuple(
        Change(str(step.get("method")), step.get("before"), step.get("after")) for step in steps if step.get("ended")
    )
