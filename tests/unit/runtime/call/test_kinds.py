"""Calls on a server of one's own, where nothing may be installed, and what a filter's diff shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from owui_watch.openwebui.chat import Completion
from owui_watch.plugins.model import Kind
from owui_watch.reporting.runtime_events import Called, CallFailed
from owui_watch.runtime.call.caller import events_of_call
from owui_watch.runtime.call.kinds import Api, Caller, Change, Outcome, Reply, Target


class FakeApi(Api):
    """Answers from a table of paths, and remembers the requests."""

    def __init__(self, replies: Mapping[str, Reply] | None = None, answer: str = "answer") -> None:
        self.sent: list[tuple[str, str]] = []
        self._replies = dict(replies or {})
        self._answer = answer

    async def request(
        self, method: str, path: str, form: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        del form, headers
        self.sent.append((method, path))
        if path.endswith("/toggle"):
            return Reply(200, {}, "")
        return self._replies.get(path, Reply(404, None, "not found"))

    async def chat(self, form: Mapping[str, Any], headers: Mapping[str, str]) -> Completion:
        del form, headers
        self.sent.append(("POST", "/api/chat/completions"))
        return Completion(self._answer)


def run(call: Any) -> Outcome:
    async def wait() -> Outcome:
        outcome: Outcome = await call
        return outcome

    return anyio.run(wait)


class TestOwnServer:
    @pytest.mark.parametrize("kind", [Kind.TOOL, Kind.EVENT])
    def test_what_only_a_sandbox_can_do_says_so(self, kind: Kind) -> None:
        api = FakeApi()
        caller = Caller(api, None)
        target = Target(kind, "x", "y")
        outcome = run(caller.tool(target, {}) if kind is Kind.TOOL else caller.event(target, {}))
        assert "installs nothing on your own server" in (outcome.error or "")
        assert outcome.hint == "call the plugin in a sandbox (--sandbox)"
        assert api.sent == []

    def test_filter_needs_a_model(self) -> None:
        api = FakeApi()
        outcome = run(Caller(api, None).filter(Target(Kind.FILTER, "x"), "Hi", None))
        assert outcome.error == "a filter needs a chat with a model"
        assert api.sent == []

    def test_filter_shows_what_outlet_changed(self) -> None:
        messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "answer!"}]
        api = FakeApi({"/api/chat/completed": Reply(200, {"messages": messages}, "")})
        outcome = run(Caller(api, None).filter(Target(Kind.FILTER, "x"), "Hi", "some-model"))
        assert outcome.changes == (Change("outlet", "answer", "answer!"),)
        assert "a sandbox shows it here" in (outcome.unseen or "")

    def test_nothing_is_created_or_deleted(self) -> None:
        api = FakeApi({"/api/models": Reply(200, {"data": [{"id": "m"}]}, "")})
        run(Caller(api, None).action(Target(Kind.ACTION, "x"), "Hi", {}, None))
        assert [path for _, path in api.sent] == ["/api/models", "/api/chat/actions/x"]

    def test_action_without_any_model_says_so(self) -> None:
        outcome = run(Caller(FakeApi(), None).action(Target(Kind.ACTION, "x"), "Hi", {}, None))
        assert outcome.hint == "name a model with --model ID"


class CancellingApi(FakeApi):
    """Cancels the call as soon as one request is made."""

    def __init__(self, at: str) -> None:
        paths = ("/api/v1/functions/create", "/api/v1/models/create", "/api/models", "/api/v1/models/model/delete")
        super().__init__(dict.fromkeys(paths, Reply(200, {}, "")))
        self._at = at
        self._scope: anyio.CancelScope | None = None

    async def call_filter(self) -> None:
        with anyio.CancelScope() as self._scope:
            await Caller(self, "token").filter(Target(Kind.FILTER, "x"), "Hi", None)

    async def request(
        self, method: str, path: str, form: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        reply = await super().request(method, path, form, headers)
        await self._cancelled(path)
        return reply

    async def chat(self, form: Mapping[str, Any], headers: Mapping[str, str]) -> Completion:
        completion = await super().chat(form, headers)
        await self._cancelled("chat")
        return completion

    async def _cancelled(self, path: str) -> None:
        if path == self._at and self._scope is not None:
            self._scope.cancel()
        await anyio.lowlevel.checkpoint()


class TestEchoModel:
    @pytest.mark.parametrize("at", ["chat", "/api/v1/functions/create", "/api/v1/models/create", "/api/models"])
    def test_is_deleted_after_an_abandoned_call(self, at: str) -> None:
        api = CancellingApi(at)
        anyio.run(api.call_filter)
        assert [method for method, path in api.sent if path.endswith("/delete")] == ["POST", "DELETE"]


class TestEvents:
    def test_change_is_a_diff(self) -> None:
        changes = (Change("inlet", {"a": 1}, {"a": 2}), Change("outlet", {"a": 1}, {"a": 1}))
        [called] = events_of_call(Target(Kind.FILTER, "x"), Outcome("text", changes=changes), 41)
        assert isinstance(called, Called)
        assert called.changes == (
            "inlet:",
            "@@ -1,3 +1,3 @@",
            " {",
            '-  "a": 1',
            '+  "a": 2',
            " }",
            "outlet: no change",
        )

    def test_chunks_of_a_stream_are_one_change(self) -> None:
        changes = tuple(Change("stream", {"n": n}, {"n": n + (n == 2)}) for n in range(3))
        [called] = events_of_call(Target(Kind.FILTER, "x"), Outcome(changes=changes), 41)
        assert isinstance(called, Called)
        assert called.changes[0] == "stream (3 chunks):"

    def test_failed_call_is_an_error(self) -> None:
        [failed] = events_of_call(Target(Kind.TOOL, "x", "y"), Outcome(error="ValueError: x"), 41)
        assert isinstance(failed, CallFailed)
        assert failed.level == "error"
