"""What a response means: every response observed on Open WebUI 0.3.35 to 0.12.4, and what other programs answer."""

from __future__ import annotations

from typing import Any, ClassVar, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.openwebui.json_stream import Unreadable
from owui_watch.openwebui.responses import (
    NOT_WRITTEN,
    Absent,
    Accepted,
    Ambiguous,
    Delivery,
    Denied,
    Forbidden,
    KeyProblem,
    Received,
    Refused,
    Response,
    Unavailable,
    Unusable,
    classify,
)

URL = "http://localhost:3000"
JSON = "application/json"
NOT_FOUND = "We could not find what you're looking for :/"
PROHIBITED = "You do not have permission to access this resource. Please contact your administrator for assistance."
TAKEN = "Uh-oh! This id is already registered. Please choose another id string."
PIP = "Command '['/v/bin/python', '-m', 'pip', 'install', 'zz==9']' returned non-zero exit status 1."
NO_JSON = Unreadable("no JSON")


def response(status: int, body: Any, content_type: str = JSON, **headers: str) -> Response:
    return classify(Received(status, content_type, body, **headers), URL)


def detail(status: int, text: object) -> Response:
    return response(status, {"detail": text})


class TestOpenWebUI:
    @pytest.mark.parametrize(
        ("status", "text", "expected"),
        [
            # The plugin is not there
            (401, NOT_FOUND, Absent()),
            (404, NOT_FOUND, Absent()),
            (404, "Version not found", Absent()),
            (400, "Function not found", Absent()),
            (400, "[ERROR: 400: [ERROR: Error updating function]]", Absent()),
            (400, "[ERROR: 400: [ERROR: Error updating toolkit]]", Absent()),
            # The database can't be written (up to 0.9.6)
            *(
                (400, f"[ERROR: 400: [ERROR: Error {what}]]", Refused(NOT_WRITTEN, database=True))
                for what in ("updating tools", "creating tools", "creating function")
            ),
            # The content is refused
            (400, "invalid syntax (<string>, line 2)", Refused("invalid syntax (<string>, line 2)")),
            (
                400,
                "[ERROR: invalid syntax (<string>, line 2)]",
                Refused("invalid syntax (<string>, line 2)", wrapped=True),
            ),
            (400, "[ERROR: No module named 'x']", Refused("No module named 'x'", wrapped=True)),
            (400, "[ERROR: a\nb]", Refused("a\nb", wrapped=True)),
            (400, f"[ERROR: {PIP}]", Refused(PIP, wrapped=True)),
            (400, "[ERROR: ]", Refused("", wrapped=True)),
            (400, "", Refused("")),
            (400, "Something went wrong :/", Refused("")),
            (400, TAKEN, Refused(TAKEN)),
            (400, "No Tools class found in the module", Refused("No Tools class found in the module")),
            *(
                (400, f"[ERROR: Error {what} {thing}]", Refused(f"Error {what} {thing}", hidden=True, wrapped=True))
                for what in ("updating", "creating")
                for thing in ("function", "tool")
            ),
            # The key or its user is refused
            (403, "Not authenticated", Denied(KeyProblem.KEY_REFUSED)),
            (401, "Not authenticated", Denied(KeyProblem.KEY_REFUSED)),
            (401, "Invalid token", Denied(KeyProblem.KEY_REFUSED)),
            (401, "Invalid authentication request.", Denied(KeyProblem.KEY_REFUSED)),
            (
                401,
                "Your session has expired or the token is invalid. Please sign in again.",
                Denied(KeyProblem.KEY_REFUSED),
            ),
            (403, "Use of API key is not enabled in the environment.", Denied(KeyProblem.KEYS_OFF)),
            (403, "API key not allowed to access this endpoint.", Denied(KeyProblem.KEY_RESTRICTED)),
            (403, PROHIBITED, Denied(KeyProblem.KEY_RESTRICTED)),
            (401, PROHIBITED, Forbidden()),
            (401, "401 Unauthorized", Ambiguous()),
            (401, "Signature has expired", Ambiguous()),
            (401, "a wording of a later release", Ambiguous()),
        ],
    )
    def test_every_observed_detail(self, status: int, text: str, expected: Response) -> None:
        assert detail(status, text) == expected

    @pytest.mark.parametrize("body", [{"id": "x"}, [], False, None])
    def test_status_200_hands_the_body_on(self, body: Any) -> None:
        assert response(200, body) == Accepted(body)

    def test_status_200_with_broken_json_is_unusable(self) -> None:
        assert response(200, Unreadable("broken JSON")) == Unusable("its response can't be used: broken JSON")

    def test_refused_form_names_fields_not_input(self) -> None:
        listed = [
            {"type": "missing", "loc": ["body", "meta"], "msg": "Field required", "input": {"content": "canary"}},
            {"type": "x", "loc": ["body", "tags", 0], "msg": "Input should be a string", "input": "canary"},
        ]
        assert detail(422, listed) == Refused(
            "Open WebUI does not accept the request (body.meta: Field required; body.tags.0: Input should be a string)"
        )
        assert detail(422, "canary") == Refused("Open WebUI does not accept the request")

    def test_body_is_not_shown_for_debugging(self) -> None:
        assert "canary" not in repr(Accepted("canary")) + repr(Received(200, JSON, "canary"))


class TestLongTexts:
    def test_reason_keeps_begin_and_end(self) -> None:
        text = "a" * 200_000 + " (<string>, line 7)"
        refused = detail(400, f"[ERROR: {text}]")
        assert isinstance(refused, Refused)
        assert len(refused.reason) < 4_100
        assert refused.reason.startswith("aaa")
        assert refused.reason.endswith("aaa (<string>, line 7)")

    def test_every_message_is_short(self) -> None:
        long = "x" * 1_000_000
        many = [{"loc": [long] * 20, "msg": long}] * 20
        for status in (400, 401, 403, 404, 405, 422, 500):
            for body in ({"detail": long}, {"detail": [long]}, {"detail": many}, long):
                assert len(repr(response(status, body))) < 10_000
        assert len(repr(response(200, NO_JSON, long))) < 1_000
        assert len(repr(response(302, NO_JSON, "", location=long))) < 1_000


class TestServerInTrouble:
    DELIVERIES: ClassVar = {500: Delivery.SERVER_ERROR, 502: Delivery.UNKNOWN, 504: Delivery.STILL_RUNNING}

    @pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 520, 408, 425, 429])
    @pytest.mark.parametrize("body", [NO_JSON, {"detail": "Function not found"}, {"detail": NOT_FOUND}])
    def test_failure_says_nothing_about_the_plugin(self, status: int, body: object) -> None:
        delivery = self.DELIVERIES.get(status, Delivery.NOT_PROCESSED)
        assert response(status, body) == Unavailable(f"answers {status}", delivery=delivery)
        assert response(status, NO_JSON, "text/html") == Unavailable(f"answers {status}", delivery=delivery)

    def test_database_failure_with_status_500_is_marked(self) -> None:
        locked = "(sqlite3.OperationalError) database is locked"
        assert detail(500, locked) == Unavailable("answers 500", delivery=Delivery.SERVER_ERROR, database=True)

    def test_database_failure_with_status_400_is_marked(self) -> None:
        locked = "(sqlite3.OperationalError) database is locked"
        statement = "\n[SQL: UPDATE function SET content=?]\n[parameters: ('x',)]"
        assert detail(400, f"[ERROR: {locked}{statement}]") == Refused(locked, database=True, wrapped=True)

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("7", 7.0),
            ("0", 0.0),
            ("1.5", 1.5),
            ("-3", 0.0),
            ("", None),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("inf", None),
            ("nan", None),
            ("1e999", None),
        ],
    )
    def test_retry_after_is_finite_seconds_or_nothing(self, text: str, seconds: float | None) -> None:
        assert response(429, NO_JSON, retry_after=text) == Unavailable("answers 429", retry_after=seconds)


class TestRedirect:
    @pytest.mark.parametrize(
        ("url", "location", "hint"),
        [
            ("http://ai.example.com", "https://ai.example.com/api/version", "set the URL to https://ai.example.com"),
            (
                "http://ai.example.com:80/chat",
                "https://ai.example.com/chat/x",
                "set the URL to https://ai.example.com/chat",
            ),
            (
                "http://ai.example.com:8080",
                "https://ai.example.com:8443/x",
                "set the URL to https://ai.example.com:8443",
            ),
            (
                "http://ai.example.com",
                "https://login.example.com/",
                "set the URL to where Open WebUI itself answers; "
                "http://ai.example.com redirects to https://login.example.com/",
            ),
            (
                "https://ai.example.com",
                "/login",
                "set the URL to where Open WebUI itself answers; https://ai.example.com redirects to /login",
            ),
            (
                "http://ai.example.com",
                "http://[broken",
                "set the URL to where Open WebUI itself answers; http://ai.example.com redirects to http://[broken",
            ),
            (
                "http://ai.example.com",
                "https://ann:secret@ai.example.com/",
                "set the URL to https://***@ai.example.com",
            ),
            (
                "http://ai.example.com",
                "http://ann:secret@ai.example.com/x",
                "set the URL to where Open WebUI itself answers; "
                "http://ai.example.com redirects to http://***@ai.example.com/x",
            ),
            (
                "http://ai.example.com",
                "",
                "set the URL to where Open WebUI itself answers; http://ai.example.com redirects to nowhere",
            ),
        ],
    )
    def test_redirect_is_named_and_not_followed(self, url: str, location: str, hint: str) -> None:
        for status in (301, 302, 307, 308):
            received = Received(status, "text/html", NO_JSON, location)
            error = "answers with a redirect, which is never followed with a key"
            assert classify(received, url) == Unavailable(error, hint=hint)


class TestOtherPrograms:
    @pytest.mark.parametrize(
        ("status", "content_type", "body", "shown"),
        [
            (200, "text/html", NO_JSON, "a web page (200)"),
            (404, "text/html", NO_JSON, "a web page (404)"),
            (200, "text/plain", NO_JSON, "text/plain (200)"),
            (200, "", NO_JSON, "a response without a content type (200)"),
            (404, JSON, {"detail": "Not Found"}, "404 Not Found"),
            (405, JSON, {"detail": "Method Not Allowed"}, "405 Method Not Allowed"),
            (401, JSON, {"error": "who are you"}, "401"),
            (403, JSON, {"detail": "go away"}, "403 go away"),
            (400, JSON, {"detail": ["a list"]}, "400"),
            (400, JSON, [], "400"),
            (400, JSON, Unreadable("broken JSON"), "400 broken JSON"),
            (204, JSON, Unreadable("broken JSON"), "204 broken JSON"),
            (418, JSON, {"detail": "teapot"}, "418 teapot"),
        ],
    )
    def test_another_program_is_no_open_webui(self, status: int, content_type: str, body: object, shown: str) -> None:
        hint = f"{URL} must be the address you open Open WebUI at in a browser, a path prefix included"
        delivery = Delivery.BLOCKED if 400 <= status < 500 else Delivery.NOT_PROCESSED
        expected = Unavailable(f"no Open WebUI there: it answers with {shown}", hint=hint, delivery=delivery)
        assert response(status, body, content_type) == expected


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["detail", "loc", "msg", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


class TestAnyResponse:
    @given(st.integers(200, 599), st.sampled_from([JSON, "text/html", ""]), JSON_VALUES, st.text(max_size=10))
    def test_has_a_meaning(self, status: int, content_type: str, body: Any, header: str) -> None:
        found = classify(Received(status, content_type, body, location=header, retry_after=header), URL)
        assert isinstance(found, get_args(Response))
        # Only these two lead to something being created or counted as done.
        if isinstance(found, Accepted):
            assert status == 200
        if isinstance(found, Absent):
            assert status in {400, 401, 403, 404}
