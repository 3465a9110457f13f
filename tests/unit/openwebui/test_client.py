"""The endpoints, on a fake transport: what is asked, and what each response becomes."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import httpx
import pytest

from owui_watch.openwebui.chat import Completion
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.listing import Listing
from owui_watch.openwebui.remote import ListedPlugin, Remote, Snapshot, Version
from owui_watch.openwebui.responses import (
    Absent,
    Accepted,
    Delivery,
    Denied,
    Forbidden,
    KeyProblem,
    Refused,
    Unavailable,
    Unusable,
)
from owui_watch.plugins.model import Kind, PluginKey, Space
from owui_watch.plugins.source import digest

pytestmark = pytest.mark.anyio
F, T = PluginKey(Space.FUNCTIONS, "x"), PluginKey(Space.TOOLS, "x")
URL = "http://localhost:3000"
CODE = "class Filter: ...\n"
NOT_FOUND = "We could not find what you're looking for :/"
FORM = {"id": "x", "name": "X", "content": CODE, "meta": {}}


def function(name: str = "x", **fields: Any) -> dict[str, Any]:
    row = {
        "id": name,
        "type": "filter",
        "name": "X",
        "content": CODE,
        "meta": {},
        "is_active": True,
        "is_global": False,
    }
    return {**row, **fields}


def tool(name: str = "x", **fields: Any) -> dict[str, Any]:
    return {"id": name, "name": "X", "content": CODE, "meta": {}, **fields}


class Fake:
    """Answers requests by ``METHOD path``, in order; the last answer of a path is given again. Records all."""

    def __init__(self, version: str = "0.12.4") -> None:
        self.answers: dict[str, list[httpx.Response | Exception]] = {}
        self.requests: list[httpx.Request] = []
        self.problems: list[tuple[str, str]] = []
        self.answer("GET /api/version", {"version": version})
        self.answer("GET /api/v1/functions/", [])
        self.server = OpenWebUI(
            URL,
            "sk-key",
            shown_url=URL,
            loopback=True,
            transport=httpx.MockTransport(self._handle),
            on_problem=lambda error, hint: self.problems.append((error, hint)),
        )

    def answer(self, line: str, body: object, status: int = 200, content_type: str = "application/json") -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = httpx.Response(status, content=raw, headers={"content-type": content_type})
        self.answers.setdefault(line, []).append(response)

    @property
    def lines(self) -> list[str]:
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]

    def sent(self, index: int = -1) -> Any:
        return json.loads(self.requests[index].content)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self.answers.get(self.lines[-1])
        if not answers:
            return httpx.Response(404, json={"detail": "Not Found"})
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def fake() -> Fake:
    return Fake()


class TestConnect:
    async def test_release_and_key(self, fake: Fake) -> None:
        assert await fake.server.connect() == Accepted("0.12.4")
        assert fake.server.release is not None
        assert fake.lines == ["GET /api/version", "GET /api/v1/functions/"]
        assert fake.requests[0].headers["authorization"] == "Bearer sk-key"

    @pytest.mark.parametrize("body", [[], {}, {"version": 5}, None, "x"])
    async def test_other_json_is_no_open_webui(self, body: object) -> None:
        fake = Fake()
        fake.answers.clear()
        fake.answer("GET /api/version", body)
        found = await fake.server.connect()
        assert isinstance(found, Unavailable)
        assert found.error == "no Open WebUI there: it answers with another program's JSON"

    async def test_key_of_a_plain_user_is_accepted(self, fake: Fake) -> None:
        fake.answers["GET /api/v1/functions/"].clear()
        prohibited = (
            "You do not have permission to access this resource. Please contact your administrator for assistance."
        )
        fake.answer("GET /api/v1/functions/", {"detail": prohibited}, 401)
        assert await fake.server.connect() == Accepted("0.12.4")


class TestLook:
    async def test_found_plugin_has_content_and_kind(self, fake: Fake) -> None:
        fake.answer("GET /api/v1/functions/id/x", function())
        found = await fake.server.look(F)
        assert isinstance(found, Remote)
        assert (found.content, found.kind, found.active) == (CODE, Kind.FILTER, True)

    async def test_unknown_id_is_absent(self, fake: Fake) -> None:
        fake.answer("GET /api/v1/functions/id/x", {"detail": NOT_FOUND}, 401)
        assert await fake.server.look(F) == Absent()

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (None, "null instead of a plugin"),
            ([], "a list instead of a plugin"),
            (function(type=[]), "`type` is a list"),
            (function(content=5), "`content` is a number"),
            (function(content=None), "it has no content"),
            (function("y"), "it is another plugin, y"),
        ],
    )
    async def test_response_without_a_plugin_is_unusable(self, fake: Fake, body: object, reason: str) -> None:
        fake.answer("GET /api/v1/functions/id/x", body)
        assert await fake.server.look(F) == Unusable(f"its response can't be used: {reason}")

    @pytest.mark.parametrize("body", [None, tool(content=None)])
    async def test_tool_that_the_user_may_not_read(self, fake: Fake, body: object) -> None:
        fake.answer("GET /api/v1/tools/id/x", body)
        assert await fake.server.look(T) == Forbidden()


class TestRights:
    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (200, [], Forbidden()),
            (401, {"detail": "401 Unauthorized"}, Denied(KeyProblem.KEY_REFUSED)),
            (503, {}, Unavailable("answers 503")),
        ],
    )
    async def test_second_request_separates_dead_key_and_missing_right(
        self, status: int, body: object, expected: object
    ) -> None:
        fake = Fake()
        fake.answers.clear()
        fake.answer("POST /api/v1/tools/id/x/update", {"detail": "401 Unauthorized"}, 401)
        fake.answer("GET /api/v1/functions/", body, status)
        assert await fake.server.update(T, FORM) == expected


class TestEchoedKey:
    """A server that echoes the key, so that a cut text would show a part of it."""

    KEY = "sk-key"

    @pytest.mark.parametrize("blanks", range(2_995, 3_002))
    async def test_is_not_in_a_refusal_cut_within_it(self, fake: Fake, blanks: int) -> None:
        text = "x" * blanks + self.KEY + "y" * 5_000
        fake.answer("POST /api/v1/functions/id/x/update", {"detail": text}, 400)
        found = await fake.server.update(F, FORM)
        assert isinstance(found, Refused)
        assert "sk" not in found.reason

    @pytest.mark.parametrize("blanks", range(295, 302))
    @pytest.mark.parametrize("status", [302, 403, 422])
    async def test_is_not_in_any_other_error(self, fake: Fake, blanks: int, status: int) -> None:
        text = "x" * blanks + self.KEY + "y" * 5_000
        body = {"detail": [{"loc": [text], "msg": text}] if status == 422 else text}
        fake.answer("GET /api/v1/functions/id/x", body, status)
        fake.answers["GET /api/v1/functions/id/x"][0].headers["location"] = text  # type: ignore[union-attr]
        assert "sk" not in str(await fake.server.look(F))

    async def test_is_not_in_a_connections_error(self, fake: Fake) -> None:
        error = httpx.RemoteProtocolError("x" * 297 + self.KEY + "y" * 500)
        fake.answers["GET /api/v1/functions/id/x"] = [error]
        assert "sk" not in str(await fake.server.look(F))


class TestUpdate:
    async def test_form_is_sent_as_utf8_json(self, fake: Fake) -> None:
        fake.answer("POST /api/v1/functions/id/x/update", function())
        assert isinstance(await fake.server.update(F, {**FORM, "name": "Grün €"}), Remote)
        assert fake.requests[-1].headers["content-type"] == "application/json"
        assert "Grün €".encode() in fake.requests[-1].content
        assert fake.sent()["name"] == "Grün €"

    async def test_null_is_unusable_and_not_forbidden(self, fake: Fake) -> None:
        fake.answer("POST /api/v1/functions/id/x/update", None)
        assert await fake.server.update(F, FORM) == Unusable("its response can't be used: null instead of a plugin")

    async def test_refusal_of_its_own_database_is_the_plugins(self, fake: Fake) -> None:
        locked = "(sqlite3.OperationalError) database is locked"
        fake.answer("POST /api/v1/functions/id/x/update", {"detail": locked}, 400)
        assert await fake.server.update(F, FORM) == Refused(locked, database=True)
        own = {**FORM, "content": "import sqlite3\n"}
        assert await fake.server.update(F, own) == Refused(locked, database=False)


class TestCreate:
    async def test_response_has_no_content(self, fake: Fake) -> None:
        body = {name: value for name, value in function(is_active=False).items() if name != "content"}
        fake.answer("POST /api/v1/functions/create", body)
        found = await fake.server.create(Space.FUNCTIONS, FORM)
        assert isinstance(found, ListedPlugin)
        assert (found.active, found.digest) == (False, None)


class TestLists:
    async def test_digests_and_no_contents(self, fake: Fake) -> None:
        fake.answer("GET /api/v1/functions/export", [function("a"), function("b", content="other")])
        found = await fake.server.list_digests(Space.FUNCTIONS)
        assert isinstance(found, Listing)
        assert {key.id: plugin.digest for key, plugin in found.plugins.items()} == {
            "a": digest(CODE),
            "b": digest("other"),
        }
        assert found.proves_absence

    async def test_keep_only_keys_of_what_is_not_wanted(self, fake: Fake) -> None:
        fake.answer("GET /api/v1/functions/export", [function("a"), function("b")])
        found = await fake.server.list_digests(Space.FUNCTIONS, lambda plugin: plugin.key.id == "b")
        assert isinstance(found, Listing)
        assert ({key.id for key in found.plugins}, {key.id for key in found.keys_only}) == ({"b"}, {"a"})
        found = await fake.server.list_digests(Space.FUNCTIONS, lambda _: False)
        assert isinstance(found, Listing)
        assert found.proves_absence

    async def test_odd_rows_are_skipped_and_reported_once(self, fake: Fake) -> None:
        odd = [
            function("p", type=[]),
            function("q", content=5),
            None,
            function(["p"]),  # type: ignore[arg-type]
            {name: value for name, value in function("r").items() if name != "type"},
        ]
        raw = json.dumps([function("a"), *odd, function("b")]).encode()[:-1] + b',{"id": NaN}, %s]' % (b"9" * 5_000)
        fake.answer("GET /api/v1/functions/export", raw)
        for _ in range(2):
            found = await fake.server.list_digests(Space.FUNCTIONS)
            assert isinstance(found, Listing)
            assert ({key.id for key in found.plugins}, found.skipped) == ({"a", "b"}, 7)
            assert not found.proves_absence
        entry = "an entry in the server's list of functions can't be used"
        assert [error for error, _ in fake.problems] == [
            f"{entry} (id 'p'): `type` is a list",
            f"{entry} (id 'q'): `content` is a number",
            f"{entry} (row 4): null instead of a plugin",
            f"{entry} (row 5): `id` is a list",
            f"{entry} (id 'r'): `type` is missing",
            f"{entry} (row 8): broken JSON",
        ]  # row 9 has no id and the reason of row 8
        assert {hint for _, hint in fake.problems} == {"it is skipped; all others are deployed as usual"}

    async def test_tool_servers_and_later_kinds_are_no_problem(self, fake: Fake) -> None:
        fake.answer("GET /api/v1/tools/export", [tool(), {"id": "server:0", "name": "s"}])
        fake.answer("GET /api/v1/functions/export", [function(), function("l", type="later")])
        for space in Space:
            found = await fake.server.list_digests(space)
            assert isinstance(found, Listing)
            assert (len(found.plugins), found.skipped) == (1, 0)
        assert fake.problems == []

    async def test_states_without_contents(self, fake: Fake) -> None:
        body = function(is_active=False, updated_at=7)
        fake.answers["GET /api/v1/functions/"] = []
        fake.answer("GET /api/v1/functions/", [{name: value for name, value in body.items() if name != "content"}])
        found = await fake.server.list_states(Space.FUNCTIONS)
        assert isinstance(found, Listing)
        assert (found.plugins[F].active, found.plugins[F].updated_at, found.plugins[F].digest) == (False, 7, None)

    @pytest.mark.parametrize(("version", "path"), [("0.3.35", "/api/v1/tools/"), ("0.6.43", "/api/v1/tools/list")])
    async def test_states_of_tools_import_no_tool(self, version: str, path: str) -> None:
        fake = Fake(version)
        fake.answer(f"GET {path}", [tool()])
        await fake.server.connect()
        assert isinstance(await fake.server.list_states(Space.TOOLS), Listing)

    @pytest.mark.parametrize("body", [None, {}, 5, "x", {"detail": {"a": []}}])
    async def test_without_a_list_server_is_unavailable(self, fake: Fake, body: object) -> None:
        fake.answer("GET /api/v1/tools/export", body)
        found = await fake.server.list_digests(Space.TOOLS)
        assert found == Unavailable("its list of tools is cut off, or is no list", delivery=Delivery.UNKNOWN)


class TestToolRefusal:
    @pytest.mark.parametrize(
        ("detail", "expected"),
        [
            ("No module named 'zz'", Refused("No module named 'zz'")),
            ("No Function class found in the module", None),
            ("Function not found", None),
            ("[ERROR: Error updating function]", None),
        ],
    )
    async def test_reason_by_updating_a_function_that_is_absent(
        self, fake: Fake, detail: str, expected: Refused | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("secrets.token_hex", lambda _size: "abc")
        await fake.server.connect()
        fake.answer("POST /api/v1/functions/id/owui_watch_abc/update", {"detail": detail}, 400)
        assert await fake.server.tool_refusal(FORM) == expected
        assert fake.sent() == {**FORM, "id": "owui_watch_abc"}

    async def test_ids_are_random(self, fake: Fake) -> None:
        await fake.server.connect()
        for _ in range(2):
            await fake.server.tool_refusal(FORM)
        first, second = fake.lines[-2:]
        assert first != second
        assert len(first) > 60

    @pytest.mark.parametrize("version", ["0.9.6", "0.11.4"])
    async def test_older_releases_are_not_asked(self, version: str) -> None:
        fake = Fake(version)
        await fake.server.connect()
        assert await fake.server.tool_refusal(FORM) is None
        assert not [line for line in fake.lines if line.startswith("POST")]


class TestHistory:
    @staticmethod
    def entries(*numbers: int) -> list[dict[str, Any]]:
        return [{"id": f"v{number}", "created_at": number, "parent_id": None} for number in numbers]

    async def test_reads_pages_until_there_are_enough(self, fake: Fake) -> None:
        fake.answer("GET /api/v1/functions/id/x/history?page=1", self.entries(*range(20)))
        fake.answer("GET /api/v1/functions/id/x/history?page=2", [*self.entries(20), {"id": 5}])
        found = await fake.server.list_versions(F, most=50)
        assert found == tuple(Version(f"v{number}", number, None) for number in range(21))
        assert len(fake.lines) == 2
        assert await fake.server.list_versions(F, most=3) == found[:3]

    async def test_version_is_read_as_a_snapshot(self, fake: Fake) -> None:
        body = {"id": "v1", "snapshot": {"name": "N", "content": CODE, "meta": {}}}
        fake.answer("GET /api/v1/tools/id/x/history/v1", body)
        assert await fake.server.read_version(T, "v1") == Snapshot("N", CODE, {})

    async def test_unknown_version_is_absent(self, fake: Fake) -> None:
        fake.answer("GET /api/v1/tools/id/x/history/v1", {"detail": "Version not found"}, 404)
        assert await fake.server.read_version(T, "v1") == Absent()

    async def test_odd_response_is_unusable(self, fake: Fake) -> None:
        fake.answer("GET /api/v1/tools/id/x/history/a%2F..", {"snapshot": 5})
        fake.answer("GET /api/v1/tools/id/x/history?page=1", {})
        assert isinstance(await fake.server.read_version(T, "a/.."), Unusable)
        assert isinstance(await fake.server.list_versions(T), Unusable)


class TestValves:
    SCHEMA: ClassVar = {
        "properties": {"n": {"type": "integer"}, "s": {"anyOf": [{"type": "string"}, {"type": "null"}]}}
    }

    @pytest.mark.parametrize(
        ("stored", "schema", "unfit"),
        [
            ({"n": 1, "s": None}, SCHEMA, None),
            ({"n": "12"}, SCHEMA, None),
            ({"n": "secret"}, SCHEMA, "n: the stored value does not fit integer"),
            ({"s": ["secret"]}, SCHEMA, "s: the stored value does not fit null or string"),
            ({"n": "x"}, {"properties": {"n": {}}}, None),
            ({"n": "x"}, {"properties": {"n": {"type": "later"}}}, None),
            ({"n": "x"}, {"properties": []}, None),
            ({"n": "x"}, {"properties": {"n": 5}}, None),
            ({"n": "x"}, {"properties": {"n": {"anyOf": 5}}}, None),
            ({"n": "x"}, {"properties": {"n": {"anyOf": [5, {"type": "string"}]}}}, None),
            ({"n": "x"}, None, None),
            ([1], SCHEMA, None),
            (None, SCHEMA, None),
        ],
    )
    async def test_unfit_valve_is_named_without_its_value(
        self, fake: Fake, stored: Any, schema: Any, unfit: str | None
    ) -> None:
        fake.answer("GET /api/v1/functions/id/x/valves", stored)
        fake.answer("GET /api/v1/functions/id/x/valves/spec", schema)
        assert await fake.server.unfit_valves(F) == unfit


class TestAsk:
    QUESTION, MODELS = "POST /api/chat/completions", "GET /api/models?refresh=true"
    ANSWER = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n'
    NO_MODEL: ClassVar = {"detail": "Model not found"}

    async def test_parts_arrive_and_make_the_answer(self, fake: Fake) -> None:
        fake.answer(self.QUESTION, self.ANSWER, 200, "text/event-stream")
        parts: list[str] = []
        assert await fake.server.chat.ask("x", "hello", parts.append) == Completion("hi")
        assert parts == ["hi"]
        assert fake.sent()["messages"] == [{"role": "user", "content": "hello"}]

    async def test_first_of_several_models(self, fake: Fake) -> None:
        fake.answer(self.QUESTION, self.NO_MODEL, 404)
        fake.answer(self.QUESTION, self.ANSWER, 200, "text/event-stream")
        fake.answer(self.MODELS, {"data": [{"id": "xy"}, {"id": ["x"]}, 5, {"id": "x.first"}, {"id": "x.second"}]})
        assert await fake.server.chat.ask("x", "hello", lambda _: None) == Completion("hi")
        assert [json.loads(each.content)["model"] for each in fake.requests if each.content] == ["x", "x.first"]

    @pytest.mark.parametrize("instances", [1, 2, 3])
    async def test_instances_that_take_turns(self, instances: int) -> None:
        known: set[int] = set()
        count = 0

        def handle(request: httpx.Request) -> httpx.Response:
            nonlocal count
            instance, count = count % instances, count + 1
            if request.method == "GET":
                known.add(instance)
                return httpx.Response(200, json={"data": [{"id": "x"}]})
            if instance not in known:
                return httpx.Response(404, json=self.NO_MODEL)
            return httpx.Response(200, content=self.ANSWER, headers={"content-type": "text/event-stream"})

        server = OpenWebUI(URL, "k", shown_url=URL, loopback=True, transport=httpx.MockTransport(handle))
        assert await server.chat.ask("x", "hello", lambda _: None) == Completion("hi")

    async def test_pipe_that_stays_unknown(self, fake: Fake) -> None:
        fake.answer(self.QUESTION, self.NO_MODEL, 404)
        fake.answer(self.MODELS, {"data": [{"id": "other"}]})
        assert await fake.server.chat.ask("x", "hello", lambda _: None) == Completion("", "Model not found")
        assert fake.lines.count(self.MODELS) == 10
        assert fake.lines.count(self.QUESTION) == 1

    async def test_model_list_is_refreshed_on_each_instance(self, fake: Fake) -> None:
        fake.answer(self.MODELS, {"data": []})
        assert await fake.server.chat.refresh_models(times=3) == Accepted(None)
        assert fake.lines == [self.MODELS] * 3
