"""What a server's answer means: every answer that was observed on Open WebUI 0.3.35 to 0.12.4, and what others say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.openwebui.releases import Sharing, is_older, release, version_number
from owui_watch.openwebui.responses import (
    Absent,
    Accepted,
    Ambiguous,
    Delivery,
    Denied,
    Forbidden,
    KeyProblem,
    Refused,
    Remote,
    Response,
    Unavailable,
    classify,
    remote_from,
)
from owui_watch.plugins.model import Kind, PluginKey, Space

URL = "http://localhost:3000"
JSON = "application/json"
NOT_FOUND = "We could not find what you're looking for :/"
PROHIBITED = "You do not have permission to access this resource. Please contact your administrator for assistance."
TAKEN = "Uh-oh! This id is already registered. Please choose another id string."
PIP = "Command '['/v/bin/python', '-m', 'pip', 'install', 'zz==9']' returned non-zero exit status 1."


def answer(status: int, body: Any, content_type: str = JSON, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return classify(status, content_type, body, named, URL)


def detail(status: int, text: object) -> Response:
    return answer(status, {"detail": text})


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        # What isn't there
        (401, NOT_FOUND, Absent()),
        (404, NOT_FOUND, Absent()),
        (400, "Function not found", Absent()),
        (400, "[ERROR: 400: [ERROR: Error updating function]]", Absent()),
        (400, "[ERROR: 400: [ERROR: Error updating toolkit]]", Absent()),
        # What it will not take
        (400, "invalid syntax (<string>, line 2)", Refused("invalid syntax (<string>, line 2)")),
        (400, "[ERROR: invalid syntax (<string>, line 2)]", Refused("invalid syntax (<string>, line 2)")),
        (400, "[ERROR: No module named 'x']", Refused("No module named 'x'")),
        (400, "[ERROR: a\nb]", Refused("a\nb")),
        (400, f"[ERROR: {PIP}]", Refused(PIP)),
        (400, "[ERROR: ]", Refused("")),
        (400, "", Refused("")),
        (400, "Something went wrong :/", Refused("")),
        (400, TAKEN, Refused(TAKEN)),
        (400, "No Tools class found in the module", Refused("No Tools class found in the module")),
        *(
            (400, f"[ERROR: Error {what} {thing}]", Refused(f"Error {what} {thing}", hidden=True))
            for what in ("updating", "creating")
            for thing in ("function", "tool")
        ),
        # Who it lets in
        (403, "Not authenticated", Denied(KeyProblem.KEY_REFUSED)),
        (401, "Not authenticated", Denied(KeyProblem.KEY_REFUSED)),
        (401, "Invalid token", Denied(KeyProblem.KEY_REFUSED)),
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
    ],
)
def test_every_answer_of_an_open_webui(status: int, text: str, expected: Response) -> None:
    assert detail(status, text) == expected


def test_what_it_took_is_handed_on() -> None:
    assert answer(200, {"id": "x"}) == Accepted({"id": "x"})
    assert answer(200, []) == Accepted([])
    assert answer(200, False) == Accepted(False)


def test_a_tool_that_the_user_may_not_see_is_a_null() -> None:
    assert answer(200, None) == Forbidden()


DELIVERIES = {500: Delivery.SERVER_ERROR, 502: Delivery.UNKNOWN, 504: Delivery.STILL_RUNNING}


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 520, 408, 425, 429])
@pytest.mark.parametrize("body", [None, {"detail": "Function not found"}, {"detail": NOT_FOUND}])
def test_a_server_in_trouble_says_nothing_about_the_plugin(status: int, body: object) -> None:
    assert answer(status, body) == Unavailable(
        f"answers {status}", delivery=DELIVERIES.get(status, Delivery.NOT_PROCESSED)
    )
    assert answer(status, None, "text/html") == Unavailable(
        f"answers {status}", delivery=DELIVERIES.get(status, Delivery.NOT_PROCESSED)
    )


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
def test_retry_after_is_a_finite_number_of_seconds_or_nothing(text: str, seconds: float | None) -> None:
    assert answer(429, None, retry_after=text) == Unavailable("answers 429", retry_after=seconds)


@pytest.mark.parametrize(
    ("url", "location", "hint"),
    [
        ("http://ai.example.com", "https://ai.example.com/api/version", "set the URL to https://ai.example.com"),
        (
            "http://ai.example.com:80/chat",
            "https://ai.example.com/chat/x",
            "set the URL to https://ai.example.com/chat",
        ),
        ("http://ai.example.com:8080", "https://ai.example.com:8443/x", "set the URL to https://ai.example.com:8443"),
        (
            "http://ai.example.com",
            "https://login.example.com/",
            "set the URL to where Open WebUI itself answers; "
            "http://ai.example.com sends browsers on to https://login.example.com/",
        ),
        (
            "https://ai.example.com",
            "/login",
            "set the URL to where Open WebUI itself answers; https://ai.example.com sends browsers on to /login",
        ),
        (
            "http://ai.example.com",
            "http://[broken",
            "set the URL to where Open WebUI itself answers; http://ai.example.com sends browsers on to http://[broken",
        ),
        (
            "http://ai.example.com",
            "",
            "set the URL to where Open WebUI itself answers; http://ai.example.com sends browsers on to elsewhere",
        ),
    ],
)
def test_a_redirect_is_not_followed_and_says_where_to(url: str, location: str, hint: str) -> None:
    for status in (301, 302, 307, 308):
        assert classify(status, "text/html", None, {"location": location}, url) == Unavailable(
            "answers with a redirect, which is never followed with a key", hint=hint
        )


@pytest.mark.parametrize(
    ("status", "content_type", "body", "said"),
    [
        (200, "text/html", None, "a web page (200)"),
        (404, "text/html", None, "a web page (404)"),
        (200, "text/plain", None, "text/plain (200)"),
        (200, "broken JSON", None, "broken JSON (200)"),
        (200, "", None, "nothing that says what it is (200)"),
        (404, JSON, {"detail": "Not Found"}, "404 Not Found"),
        (405, JSON, {"detail": "Method Not Allowed"}, "405 Method Not Allowed"),
        (401, JSON, {"error": "who are you"}, "401"),
        (403, JSON, {"detail": "go away"}, "403 go away"),
        (400, JSON, {"detail": ["a list"]}, "400 ['a list']"),
        (400, JSON, [], "400"),
        (204, JSON, None, "204"),
        (418, JSON, {"detail": "teapot"}, "418 teapot"),
    ],
)
def test_another_program_is_no_open_webui(status: int, content_type: str, body: object, said: str) -> None:
    hint = f"{URL} must be the address you open Open WebUI at in a browser, a path prefix included"
    found = answer(status, body, content_type)
    delivery = Delivery.BLOCKED if 400 <= status < 500 else Delivery.NOT_PROCESSED
    assert found == Unavailable(f"no Open WebUI there: it answers with {said}", hint=hint, delivery=delivery)


def test_a_refused_form_names_its_fields_and_never_shows_what_was_sent() -> None:
    listed = [
        {"type": "missing", "loc": ["body", "meta"], "msg": "Field required", "input": {"content": "canary"}},
        {"type": "x", "loc": ["body", "tags", 0], "msg": "Input should be a string", "input": "canary"},
    ]
    assert detail(422, listed) == Refused(
        "it does not take the form that was sent (body.meta: Field required; body.tags.0: Input should be a string)"
    )
    assert detail(422, "canary") == Refused("it does not take the form that was sent")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["detail", "loc", "msg", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.integers(200, 599), st.sampled_from([JSON, "text/html", ""]), JSON_VALUES, st.text(max_size=10))
def test_no_answer_is_beyond_understanding(status: int, content_type: str, body: Any, header: str) -> None:
    found = classify(status, content_type, body, {"location": header, "retry-after": header}, URL)
    assert isinstance(found, Response)
    # Only these two lead to something being created or counted as done.
    if isinstance(found, Accepted):
        assert status == 200
    if isinstance(found, Absent):
        assert status in {400, 401, 403, 404}


# What stands on the server


FUNCTION = {
    "id": "mine",
    "type": "filter",
    "name": "My Filter",
    "content": "class Filter: ...",
    "meta": {"description": "d", "manifest": {"title": "T", "version": "1.2", "openwebui_id": "u"}},
    "is_active": True,
    "is_global": False,
    "user_id": "ignored",
}


def test_a_function_is_read_out_of_the_servers_json() -> None:
    remote = remote_from(Space.FUNCTIONS, FUNCTION)
    assert remote == Remote(
        key=PluginKey(Space.FUNCTIONS, "mine"),
        kind=Kind.FILTER,
        name="My Filter",
        content="class Filter: ...",
        meta={"description": "d", "manifest": {"title": "T", "version": "1.2", "openwebui_id": "u"}},
        active=True,
        is_global=False,
    )
    assert (remote.version, remote.title, remote.openwebui_id) == ("1.2", "T", "u")


def test_a_tool_has_no_flags_and_keeps_its_sharing() -> None:
    body = {"id": "mine", "name": "My Tool", "meta": None, "access_control": {"read": {"user_ids": ["u"]}}}
    remote = remote_from(Space.TOOLS, body)
    assert (remote.kind, remote.active, remote.is_global, remote.content) == (Kind.TOOL, None, None, None)
    assert (remote.meta, remote.access) == ({}, {"read": {"user_ids": ["u"]}})


@pytest.mark.parametrize("manifest", [None, {}, [], "x", {"version": 1.5, "title": ["x"], "openwebui_id": ""}])
def test_a_header_that_others_wrote_is_taken_with_care(manifest: object) -> None:
    remote = remote_from(Space.FUNCTIONS, {**FUNCTION, "meta": {"manifest": manifest}})
    assert (remote.version, remote.title, remote.openwebui_id) == (None, None, None)


def test_neither_content_nor_a_body_is_printed_for_debugging() -> None:
    shown = repr(remote_from(Space.FUNCTIONS, {**FUNCTION, "content": "canary", "meta": {"x": "canary"}}))
    assert "canary" not in shown + repr(Accepted("canary"))


# Releases


@pytest.mark.parametrize(
    ("version", "sharing", "harms", "events", "newest"),
    [
        ("0.3.35", Sharing.NONE, True, False, False),
        ("0.4.0", Sharing.CONTROL, True, False, False),
        ("0.7.2", Sharing.CONTROL, True, False, False),
        ("0.8.0", Sharing.GRANTS, True, False, False),
        ("0.9.6", Sharing.GRANTS, True, False, False),
        ("0.10.0", Sharing.GRANTS, True, True, False),
        ("0.11.4", Sharing.GRANTS, True, True, False),
        ("0.12.0", Sharing.GRANTS, False, True, True),
        ("v0.12.4-dev", Sharing.GRANTS, False, True, True),
        ("1.0", Sharing.GRANTS, False, True, True),
    ],
)
def test_what_differs_from_release_to_release(
    version: str, sharing: Sharing, harms: bool, events: bool, newest: bool
) -> None:
    found = release(version)
    assert (found.version, found.sharing) == (version, sharing)
    assert (found.refusal_harms, found.events) == (harms, events)
    assert (found.update_tells_why, found.history) == (newest, newest)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.2.3", (1, 2, 3)), (" v1.2.3-rc1", (1, 2, 3)), ("1.", (1,)), ("", ()), ("next", ()), ("9" * 9999, None)],
)
def test_versions_are_numbers_as_far_as_they_are(text: str, number: tuple[int, ...] | None) -> None:
    found = version_number(text)
    assert found == number if number is not None else len(found) == 1


@pytest.mark.parametrize(
    ("version", "than", "expected"),
    [
        ("1.2.8", "1.2.9", True),
        ("1.2.9", "1.2.10", True),
        ("1.2", "1.2.1", True),
        ("1.2", "1.2.0", False),
        ("1.2.0", "1.2", False),
        ("1.3", "1.2.9", False),
        ("0", "0.1", True),
        ("", "1.0", False),
        ("draft", "1.0", False),
        ("1.0", "", False),
    ],
)
def test_a_version_is_older_by_its_numbers(version: str, than: str, expected: bool) -> None:
    assert is_older(version, than) is expected
    assert not (expected and is_older(than, version))
