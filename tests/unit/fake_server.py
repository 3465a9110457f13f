"""A small fake Open WebUI behind httpx.MockTransport, for what a real one can't be brought to do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from owui_watch.openwebui.releases import version_number
from owui_watch.openwebui.responses import NOT_FOUND
from owui_watch.plugins.model import PluginKey, Space
from owui_watch.plugins.source import rewritten

BROKEN = "raise NameError('nope')"
"""Content that holds this is refused while the server runs it."""
BROKEN_SPECS = "NoSuchType"
"""A tool that holds this loads, and is refused afterwards."""
ID_TAKEN = "Uh-oh! This id is already registered. Please choose another id string."
HISTORY_PAGE = 20
KEY_DEAD = "Your session has expired or the token is invalid. Please sign in again."
ROLE = "You do not have permission to access this resource. Please contact your administrator for assistance."

Row = dict[str, Any]


@dataclass(frozen=True)
class Scripted:
    """What happens to one request. ``arrives``: the server carries it out, whatever is answered then."""

    arrives: bool
    answer: Callable[[], httpx.Response]


def dropped(*, arrives: bool) -> Scripted:
    """Let the connection break: after the request was carried out (``arrives``), or before."""

    def answer() -> httpx.Response:
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")

    return Scripted(arrives, answer)


def refused_connection() -> Scripted:
    def answer() -> httpx.Response:
        raise httpx.ConnectError("All connection attempts failed")

    return Scripted(False, answer)


def status(code: int, detail: object = None, headers: dict[str, str] | None = None) -> Scripted:
    """Answer with a status instead of carrying the request out."""
    return Scripted(False, lambda: httpx.Response(code, json={"detail": detail}, headers=headers))


@dataclass
class FakeServer:
    """Functions and tools by id, with what each release does to them. ``latency`` in (virtual) seconds.

    ``script`` holds pairs of a pattern for ``METHOD /path`` and what happens to the next request that matches;
    ``always`` the same for all of them. ``memory`` is the code that the server runs, by key; ``before`` is called with
    each request line before anything else.
    """

    version: str = "0.12.4"
    latency: float = 0.0
    spaces: dict[Space, dict[str, Row]] = field(default_factory=lambda: {space: {} for space in Space})
    memory: dict[PluginKey, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    script: list[tuple[str, Scripted]] = field(default_factory=list)
    always: list[tuple[str, Scripted]] = field(default_factory=list)
    at_work: list[PluginKey] = field(default_factory=list)
    most_at_once: int = 0
    before: Callable[[str], None] = lambda _line: None
    clock: int = 1_000
    seconds_between_changes: int = 1
    histories: dict[PluginKey, list[Row]] = field(default_factory=dict)

    def put(
        self, key: PluginKey, content: str, *, active: bool = True, is_global: bool = False, kind: str = "filter"
    ) -> Row:
        """Set a plugin up as if it had been there all along."""
        row: Row = {"id": key.id, "name": key.id, "content": content, "meta": {}, "user_id": "u"}
        if key.space is Space.FUNCTIONS:
            row |= {"type": kind, "is_active": active, "is_global": is_global}
        self.spaces[key.space][key.id] = row
        self.memory[key] = content
        self._changed(key)
        return row

    def edit(self, key: PluginKey, content: str | None = None, **fields: Any) -> None:
        """Change a plugin as someone does in Open WebUI's own editor."""
        row = self.row(key)
        row |= fields | ({"content": content} if content is not None else {})
        self._changed(key)

    def restore(self, key: PluginKey, content: str) -> None:
        """Make an older version live again as someone does in the history of Open WebUI: no entry is added."""
        entry = next(each for each in self.histories[key] if each["snapshot"]["content"] == content)
        self.row(key).update(entry["snapshot"], version_id=entry["id"])

    def _changed(self, key: PluginKey) -> None:
        """Move the time of the last change on, and from 0.12 on add an entry to the history."""
        self.clock += self.seconds_between_changes
        row = self.row(key)
        row["updated_at"] = self.clock
        if version_number(self.version) >= (0, 12):
            history = self.histories.setdefault(key, [])
            snapshot = {name: row[name] for name in ("name", "content", "meta")}
            entry = {"id": f"v{len(history)}", "parent_id": row.get("version_id"), "created_at": self.clock}
            history.insert(0, {**entry, "snapshot": snapshot})
            row["version_id"] = entry["id"]

    def row(self, key: PluginKey) -> Row:
        return self.spaces[key.space][key.id]

    def content(self, key: PluginKey) -> str | None:
        row = self.spaces[key.space].get(key.id)
        return row["content"] if row else None

    def count(self, pattern: str) -> int:
        """Count the requests whose line matches ``pattern``."""
        return sum(1 for line in self.requests if re.search(pattern, line))

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request, as httpx.MockTransport wants it."""
        line = f"{request.method} {request.url.path}"
        self.before(line)
        self.requests.append(line)
        scripted = self._scripted(line)
        response = None
        if scripted is None or scripted.arrives:
            response = await self._carried_out(request)
        else:
            await anyio.sleep(self.latency)
        return scripted.answer() if scripted is not None else response or httpx.Response(500)

    def _scripted(self, line: str) -> Scripted | None:
        for index, (pattern, scripted) in enumerate(self.script):
            if re.search(pattern, line):
                del self.script[index]
                return scripted
        return next((scripted for pattern, scripted in self.always if re.search(pattern, line)), None)

    async def _carried_out(self, request: httpx.Request) -> httpx.Response:
        """Do it half-way through the time it takes: what was looked at before that is old."""
        path = request.url.path
        match = re.fullmatch(r"/api/v1/(functions|tools)(?:/id/([^/]+))?/?(.*)", path)
        if match is None:
            await anyio.sleep(self.latency)
            return httpx.Response(200, json={"version": self.version} if path == "/api/version" else {"data": []})
        space, plugin, verb = Space(match[1]), match[2], match[3]
        form = json.loads(request.content) if request.content else {}
        key = PluginKey(space, plugin or form.get("id") or "")
        if request.method == "GET":
            await anyio.sleep(self.latency / 2)
            response = self._history(key, verb) if verb.startswith("history") else self._read(space, plugin)
            await anyio.sleep(self.latency / 2)
            return response
        assert key not in self.at_work, f"{key} twice at once"
        self.at_work.append(key)
        self.most_at_once = max(self.most_at_once, len(self.at_work))
        try:
            await anyio.sleep(self.latency)
            return self._write(key, verb, form)
        finally:
            self.at_work.remove(key)

    def _read(self, space: Space, plugin: str | None) -> httpx.Response:
        rows = self.spaces[space]
        if plugin is None:
            return httpx.Response(200, json=list(rows.values()))
        return httpx.Response(200, json=rows[plugin]) if plugin in rows else self._absent(space)

    def _history(self, key: PluginKey, verb: str) -> httpx.Response:
        entries = self.histories.get(key, [])
        if verb == "history":
            return httpx.Response(200, json=entries[:HISTORY_PAGE])
        return httpx.Response(200, json=next(entry for entry in entries if entry["id"] == verb.partition("/")[2]))

    def _write(self, key: PluginKey, verb: str, form: Row) -> httpx.Response:
        row = self.spaces[key.space].get(key.id)
        if verb == "create":
            return self._create(key, form, row)
        if verb == "update":
            return self._update(key, form, row)
        if row is None:
            return self._absent(key.space)
        flag = "is_global" if verb == "toggle/global" else "is_active"
        row[flag] = not row[flag]
        self.clock += 1
        row["updated_at"] = self.clock
        return httpx.Response(200, json=row)

    def _create(self, key: PluginKey, form: Row, row: Row | None) -> httpx.Response:
        if row is not None:
            return httpx.Response(400, json={"detail": ID_TAKEN})
        if BROKEN in form["content"]:
            thing = "tool" if key.space is Space.TOOLS else "function"
            return httpx.Response(400, json={"detail": f"[ERROR: Error creating {thing}]"})
        kind = "pipe" if "class Pipe" in form["content"] else "filter"
        row = self.put(key, rewritten(form["content"]), active=False, kind=kind) | {
            "name": form["name"],
            "meta": form["meta"],
        }
        self.spaces[key.space][key.id] = row
        return httpx.Response(200, json={name: value for name, value in row.items() if name != "content"})

    def _update(self, key: PluginKey, form: Row, row: Row | None) -> httpx.Response:
        old = version_number(self.version) < (0, 12)
        if row is None and key.space is Space.TOOLS:
            return self._absent(key.space)
        if BROKEN in form["content"] or BROKEN_SPECS in form["content"]:
            if old and row is not None and key.space is Space.FUNCTIONS:
                row["is_active"] = False
            if old and BROKEN_SPECS in form["content"]:
                self.memory[key] = form["content"]
            reason = "name 'nope' is not defined"
            return httpx.Response(400, json={"detail": f"[ERROR: {reason}]" if old else reason})
        if row is None:
            detail = "[ERROR: 400: [ERROR: Error updating function]]" if old else "Function not found"
            return httpx.Response(400, json={"detail": detail})
        row |= {"content": rewritten(form["content"]), "name": form["name"], "meta": form["meta"]}
        self.memory[key] = row["content"]
        self._changed(key)
        return httpx.Response(200, json=row)

    def _absent(self, space: Space) -> httpx.Response:
        return httpx.Response(401 if space is Space.FUNCTIONS else 404, json={"detail": NOT_FOUND})
