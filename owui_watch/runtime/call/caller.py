"""One call, from the words of the command line to the event that reports its result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

import anyio

from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.remote import ListedPlugin, Remote
from owui_watch.openwebui.responses import Denied, Forbidden, Unavailable
from owui_watch.plugins.model import Kind, PluginKey, Space
from owui_watch.reporting.events import Event
from owui_watch.reporting.runtime_events import Called, CallFailed
from owui_watch.runtime.call.arguments import ArgumentError, Method, check, methods, parse
from owui_watch.runtime.call.kinds import PROMPT, Api, Caller, Change, Outcome, Target
from owui_watch.runtime.sandbox_messages import events_of

_MOST_LINES = 60
_MOST_TEXT = 20_000
_MOST_EMITTED = 50


class CallError(Exception):
    """Why a plugin can't be called: what is wrong, and what to do."""


class UnreachableError(CallError):
    """The server gave no usable response; ``why`` says more."""

    def __init__(self, url: str, why: Unavailable) -> None:
        super().__init__(f"{url}: {why.error}")
        self.why = why


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user wants called. ``words`` are the arguments, ``as_json`` those of ``--json``."""

    name: str
    words: tuple[str, ...]
    as_json: str | None = None
    model: str | None = None

    @property
    def plugin(self) -> str:
        """Return the id, without the method."""
        return self.name.partition(".")[0]

    @property
    def method(self) -> str:
        """Return the method, or the model of a pipe; empty if none is named."""
        return self.name.partition(".")[2]

    @property
    def is_bare(self) -> bool:
        """Whether nothing but the plugin is named."""
        return not self.method and not self.words and self.as_json is None


class PluginCaller:
    """Calls plugins of one server. ``token`` is that of a sandbox's channel, None elsewhere."""

    def __init__(self, server: OpenWebUI, token: str | None) -> None:
        self._server = server
        self._api = Api(server)
        self._caller = Caller(self._api, token)

    async def describe(self, plugin: str) -> tuple[Kind, list[Method]]:
        """Return the kind of a plugin on the server, and the methods of a tool. Raises CallError."""
        for space in Space:
            found = await self._server.look(PluginKey(space, plugin))
            if isinstance(found, Remote | ListedPlugin):
                return found.kind, await self._methods(plugin) if found.kind is Kind.TOOL else []
            if isinstance(found, Unavailable):
                raise UnreachableError(self._server.shown_url, found)
            if isinstance(found, Denied):
                raise CallError(
                    f"{self._server.shown_url}: the key is refused; make a new one in Open WebUI under Settings → Account"
                )
            if isinstance(found, Forbidden):
                raise CallError(
                    f"{self._server.shown_url}: the key's user has no right to see {plugin}; use the key of an administrator"
                )
        raise CallError(f"there is no plugin {plugin} on {self._server.shown_url}: deploy it first")

    async def usage(self, plugin: str) -> list[str]:
        """Return how each method of a tool is called, and what it does; empty for other kinds. Raises CallError."""
        lines = []
        for method in (await self.describe(plugin))[1]:
            lines.append(f"owui-watch call {plugin}.{method.usage()}")
            lines += [f"    {line.strip()}" for line in method.description.strip().splitlines()]
        return lines

    async def call(self, wanted: Wanted) -> Iterator[Event]:
        """Call a plugin; return the events that report it. Raises CallError."""
        kind, known = await self.describe(wanted.plugin)
        began = anyio.current_time()
        try:
            target, outcome = await self._call(kind, known, wanted)
        except ArgumentError as error:
            raise CallError(str(error)) from None
        ms = round((anyio.current_time() - began) * 1000)
        return events_of_call(target, outcome, ms)

    async def _call(self, kind: Kind, known: Sequence[Method], wanted: Wanted) -> tuple[Target, Outcome]:
        target = Target(kind, wanted.plugin, wanted.method)
        match kind:
            case Kind.TOOL:
                method = _method(wanted, known)
                arguments = parse(wanted.words, wanted.as_json)
                check(method, arguments)
                target = Target(kind, wanted.plugin, method.name)
                return target, await self._caller.tool(target, arguments)
            case Kind.EVENT:
                return target, await self._caller.event(target, parse(wanted.words, wanted.as_json))
            case Kind.ACTION:
                message, fields = _message(wanted)
                return target, await self._caller.action(target, message, fields, wanted.model)
            case Kind.FILTER:
                return target, await self._caller.filter(target, _text(wanted), wanted.model)
            case Kind.PIPE:
                return target, await self._ask(wanted)

    async def _ask(self, wanted: Wanted) -> Outcome:
        """Send a prompt through a pipe, or through each of its models."""
        models = [wanted.name] if wanted.method else await self._server.chat.models_of(wanted.plugin) or [wanted.plugin]
        answers: list[str] = []
        for model in models:
            completion = await self._server.chat.ask(model, _text(wanted), lambda _: None)
            if completion.error is not None:
                named = f"{model}: {completion.error}" if len(models) > 1 else completion.error
                return Outcome("\n".join(answers) or None, error=named)
            answers.append(f"{model}: {completion.text}" if len(models) > 1 else completion.text)
        return Outcome("\n".join(answers))

    async def _methods(self, plugin: str) -> list[Method]:
        reply = await self._api.request("GET", f"/api/v1/tools/id/{plugin}")
        return methods(reply.body.get("specs") if isinstance(reply.body, dict) else None)


def _method(wanted: Wanted, known: Sequence[Method]) -> Method:
    """Return the method that is meant. Raises CallError."""
    if not wanted.method and len(known) == 1:
        return known[0]
    found = next((method for method in known if method.name == wanted.method), None)
    if found is None:
        shown = "\n".join(f"  owui-watch call {wanted.plugin}.{method.usage()}" for method in known)
        which = f"{wanted.plugin} has no method {wanted.method}" if wanted.method else f"{wanted.plugin}: which method?"
        raise CallError(f"{which}\n{shown}" if known else f"{wanted.plugin} has no method that a model could call")
    return found


def _text(wanted: Wanted) -> str:
    return " ".join(wanted.words) or PROMPT


def _message(wanted: Wanted) -> tuple[str, dict[str, Any]]:
    """Take words as the message, and ``name=value`` as fields of what an action is given. Raises ArgumentError."""
    given = [word for word in wanted.words if word.partition("=")[0].rstrip(":").isidentifier() and "=" in word]
    words = [word for word in wanted.words if word not in given]
    return " ".join(words) or PROMPT, parse(given, wanted.as_json)


def events_of_call(target: Target, outcome: Outcome, ms: int) -> Iterator[Event]:
    """Return the events for a call that took ``ms`` milliseconds: what was raised, then the call itself."""
    for record in outcome.raised:
        yield from events_of(json.dumps(record).encode(), lambda _space, _plugin: None)
    report: Callable[..., Called] = CallFailed if outcome.error is not None else Called
    yield report(
        plugin=target.plugin,
        kind=target.kind,
        method=target.method,
        result=_shown(outcome.result),
        emitted=tuple(json.dumps(event, ensure_ascii=False) for event in outcome.emitted[:_MOST_EMITTED]),
        changes=tuple(line for change in _joined(outcome.changes) for line in _diff(change)),
        ms=ms,
        error=outcome.error,
        hint=outcome.hint,
        unseen=outcome.unseen,
    )


def _shown(result: Any) -> str | None:
    if result is None:
        return None
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, indent=2)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"


def _joined(changes: Sequence[Change]) -> Iterator[Change]:
    """Put the chunks of a stream together: each alone says little."""
    chunks = [change for change in changes if change.method == "stream"]
    for change in changes:
        if change.method != "stream":
            yield change
        elif change is chunks[0]:
            yield Change(f"stream ({len(chunks)} chunks)", [c.before for c in chunks], [c.after for c in chunks])


def _diff(change: Change) -> list[str]:
    before, after = (_pretty(value).splitlines() for value in (change.before, change.after))
    lines = list(unified_diff(before, after, lineterm="", n=2))[2:]
    if not lines:
        return [f"{change.method}: no change"]
    more = len(lines) - _MOST_LINES
    return [f"{change.method}:", *lines[:_MOST_LINES], *([f"and {more} lines more"] if more > 0 else [])]


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
