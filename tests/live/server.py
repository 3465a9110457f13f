"""What an administrator does on the server, to see from there what owui-watch did."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from owui_watch.openwebui.releases import version_number
from owui_watch.plugins.model import Kind, Space
from owui_watch.sandbox import Sandbox

Json = dict[str, Any]
USES_TOOL = """class Pipe:
    async def pipe(self, body, __tools__=None):
        return await __tools__["answer"]["callable"]()
"""
"""A pipe that calls the tool of a chat: the schema of a tool's valves shows older code than what a chat loads."""


class Server:
    """A real Open WebUI, as its administrator's browser sees it (a session, so that it works without API keys)."""

    def __init__(self, running: Sandbox) -> None:
        self.url = running.url
        self.version = running.version
        self.key = running.token
        self.pid = running.pid
        self.log = running.log
        # The server closes a connection after 5 idle seconds; a request sent at that moment would fail.
        limits = httpx.Limits(keepalive_expiry=1)
        self._client = httpx.Client(base_url=running.url, limits=limits, trust_env=False, timeout=60)
        login = self._call("POST", "/api/v1/auths/signin", {"email": running.email, "password": running.password})
        self.session: str = login["token"]
        self.admin: str = login["id"]
        self._client.headers["authorization"] = f"Bearer {self.session}"

    def close(self) -> None:
        self._client.close()

    def all(self, space: Space) -> list[Json]:
        """Return every function or every tool, with its content."""
        plugins: list[Json] = self._call("GET", f"/api/v1/{space}/export")
        return plugins

    def ids(self) -> set[str]:
        return {plugin["id"] for space in Space for plugin in self.all(space)}

    def plugin(self, kind: Kind, name: str) -> Json:
        plugin: Json = self._call("GET", f"/api/v1/{kind.space}/id/{name}")
        return plugin

    def content(self, kind: Kind, name: str) -> str:
        return str(self.plugin(kind, name)["content"])

    def saves(self, kind: Kind, name: str) -> int:
        """Count the contents that the server has taken for this plugin, by its own history."""
        count = 0
        while page := self._call("GET", f"/api/v1/{kind.space}/id/{name}/history?page={count // 20 + 1}"):
            count += len(page)
            if len(page) < 20:
                break
        return count

    def messages(self, kind: Kind, name: str) -> list[str]:
        """Return the commit messages in the server's history, the newest second first (0.12 and newer)."""
        history = self._call("GET", f"/api/v1/{kind.space}/id/{name}/history?page=1")
        return [entry.get("commit_message") or "" for entry in history]

    def create(self, kind: Kind, name: str, content: str, *, title: str, session: str | None = None) -> None:
        """Make a plugin in Open WebUI's own editor."""
        form = {"id": name, "name": title, "content": content, "meta": {"description": f"{title} as described here"}}
        self._call("POST", f"/api/v1/{kind.space}/create", form, session)

    def edit(self, kind: Kind, name: str, content: str) -> None:
        """Save other content in Open WebUI's own editor."""
        before = self.plugin(kind, name)
        form = {"id": name, "name": before["name"], "content": content, "meta": before["meta"]}
        self._call("POST", f"/api/v1/{kind.space}/id/{name}/update", form)

    def toggle(self, name: str) -> None:
        self._call("POST", f"/api/v1/functions/id/{name}/toggle")

    def toggle_global(self, name: str) -> None:
        self._call("POST", f"/api/v1/functions/id/{name}/toggle/global")

    def valves(self, kind: Kind, name: str) -> Json:
        valves: Json = self._call("GET", f"/api/v1/{kind.space}/id/{name}/valves")
        return valves

    def set_valves(self, kind: Kind, name: str, valves: Json) -> None:
        self._call("POST", f"/api/v1/{kind.space}/id/{name}/valves/update", valves)

    def spec(self, kind: Kind, name: str) -> Json:
        """Return the schema of the valves in the code that the server's process runs."""
        spec: Json = self._call("GET", f"/api/v1/{kind.space}/id/{name}/valves/spec")
        return spec

    def tries_spec(self, kind: Kind, name: str) -> None:
        """Make the server load a plugin, whether it can or not."""
        # Up to 0.9 the server fails and closes the connection.
        self._client.get(f"/api/v1/{kind.space}/id/{name}/valves/spec", headers={"connection": "close"})

    def is_healthy(self) -> bool:
        """Return whether the server can list its functions."""
        try:
            return self._client.get("/api/v1/functions/").status_code == 200
        except httpx.TransportError:  # up to 0.9 a server that fails closes the connection
            return False

    def list_tools(self) -> None:
        """List the tools, as the page of a chat does."""
        self._call("GET", "/api/v1/tools/")

    def delete(self, kind: Kind, name: str) -> None:
        self._call("DELETE", f"/api/v1/{kind.space}/id/{name}/delete")

    def is_public(self, tool: str) -> bool:
        """Return whether every user may use a tool."""
        found = self.plugin(Kind.TOOL, tool)
        if self._shares_by_control:
            return found["access_control"] is None
        return any(grant["principal_id"] == "*" for grant in found["access_grants"])

    @property
    def _shares_by_control(self) -> bool:
        return version_number(self.version) < (0, 8)

    def share(self, tool: str) -> None:
        """Let every user read a tool."""
        if self._shares_by_control:
            found = self.plugin(Kind.TOOL, tool)
            form = {key: found[key] for key in ("id", "name", "content", "meta")} | {"access_control": None}
            self._call("POST", f"/api/v1/tools/id/{tool}/update", form)
            return
        grant = {"principal_type": "user", "principal_id": "*", "permission": "read"}
        self._call("POST", f"/api/v1/tools/id/{tool}/access/update", {"access_grants": [grant]})

    def delete_all(self) -> None:
        for space in Space:
            for plugin in self.all(space):
                self._call("DELETE", f"/api/v1/{space}/id/{plugin['id']}/delete")

    def models(self) -> set[str]:
        """Return the models that a chat can name; asking for them is what makes the server learn of a new pipe."""
        return {model["id"] for model in self._call("GET", "/api/models?refresh=true")["data"]}

    def chat(self, model: str, text: str = "hi", **form: object) -> str:
        """Ask a pipe; ``form`` is added to the request."""
        question = {"model": model, "stream": False, "messages": [{"role": "user", "content": text}], **form}
        answer = self._call("POST", "/api/chat/completions", question)
        return str(answer["choices"][0]["message"]["content"])

    def knows(self, model: str) -> bool:
        """Return whether a chat finds a model, without listing the models first."""
        question = {"model": model, "stream": False, "messages": [{"role": "user", "content": "hi"}]}
        return self._client.post("/api/chat/completions", json=question).status_code == 200

    def use_tool(self, tool: str) -> str:
        """Return what the method ``answer`` of a tool returns in a chat with a pipe, which is added to the server."""
        pipe = f"uses_{tool}"
        if pipe not in self.ids():
            self.create(Kind.PIPE, pipe, USES_TOOL, title=pipe)
            self.toggle(pipe)
        self.models()  # each instance learns of the pipe from a listing of its own
        form: Json = {"tool_ids": [tool], "params": {"function_calling": "native"}}
        return self.chat(pipe, **form)

    def new_user(self, role: str) -> tuple[str, str]:
        """Add a user; give their id and a session of theirs."""
        name = uuid.uuid4().hex
        form = {"name": name, "email": f"{name}@example.org", "password": uuid.uuid4().hex, "role": role}
        added = self._call("POST", "/api/v1/auths/add", form)
        return added["id"], added["token"]

    @contextmanager
    def configured(self, **settings: object) -> Iterator[None]:
        """Change settings of the admin panel, and put them back."""
        before = self._call("GET", "/api/v1/auths/admin/config")
        self._call("POST", "/api/v1/auths/admin/config", before | settings)
        try:
            yield
        finally:
            self._call("POST", "/api/v1/auths/admin/config", before)

    def _call(
        self, method: str, path: str, form: Mapping[str, object] | None = None, session: str | None = None
    ) -> Any:
        headers = {"authorization": f"Bearer {session}"} if session else {}
        response = self._client.request(method, path, json=form, headers=headers)
        assert response.status_code == 200, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()
