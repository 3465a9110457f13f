"""What a response means: one function, ``classify``, for every release and every endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from owui_watch.openwebui.database_errors import is_database_failure, without_own_statement
from owui_watch.openwebui.json_stream import Unreadable
from owui_watch.settings import masked

NOT_FOUND = "We could not find what you're looking for :/"
_NO_VERSION = "Version not found"
_DEAD_KEY = {
    "Your session has expired or the token is invalid. Please sign in again.",
    "Invalid token",
    "Not authenticated",
    "Invalid authentication request.",
}
_PROHIBITED = "You do not have permission to access this resource. Please contact your administrator for assistance."
_KEYS_OFF = "Use of API key is not enabled in the environment."
_KEY_RESTRICTED = "API key not allowed to access this endpoint."
_NO_TEXT = "Something went wrong :/"
_ABSENT_ON_UPDATE = {
    "Function not found",
    "[ERROR: 400: [ERROR: Error updating function]]",
    "[ERROR: 400: [ERROR: Error updating toolkit]]",
}
_NOT_WRITTEN = {
    f"[ERROR: 400: [ERROR: Error {what}]]"
    for what in ("updating tools", "creating tools", "creating toolkit", "creating function")
}
"""The code was loaded, but the database did not take it; releases up to 0.9.6 lose its text."""
_HIDDEN = {
    f"[ERROR: Error {what} {thing}]" for what in ("updating", "creating") for thing in ("function", "tool", "toolkit")
}
_WRAPPING = "[ERROR: "
_BUSY = {408, 425, 429}
NOT_WRITTEN = "its database could not be written"
_MAX_HEAD, _MAX_TAIL = 3_000, 1_000
"""Characters of a server's text that are kept from its start and its end: a syntax error ends with its line."""
_MAX_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Received:
    """A response as it arrived. ``body`` is its JSON; Unreadable if it has none, or none that can be used.

    The header fields are empty if they are missing; ``content_type`` is in lower case, without parameters.
    """

    status: int
    content_type: str
    body: Any = field(repr=False)
    location: str = ""
    retry_after: str = ""


class KeyProblem(Enum):
    """Why the credentials are refused."""

    KEY_REFUSED = "key refused"
    KEYS_OFF = "API keys disabled"
    KEY_RESTRICTED = "key restricted"


class Delivery(Enum):
    """What became of a request that got no usable response, as far as can be known.

    ``NOT_PROCESSED``: the request did not arrive, or was turned away for now. ``SERVER_ERROR``: status 500, which can
    be the plugin's own doing. ``BLOCKED``: something in front of Open WebUI refused the request for good. ``UNKNOWN``:
    the connection broke, the request may have been processed. ``STILL_RUNNING``: a proxy gave up waiting while the
    server still works on the request.
    """

    NOT_PROCESSED = "not processed"
    SERVER_ERROR = "server error"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"
    STILL_RUNNING = "still running"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The request succeeded; ``body`` is the JSON of the response."""

    body: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such plugin."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server does not take this content. ``reason`` is the server's text, shortened.

    ``hidden``: the text says nothing about the reason. ``database``: the text is about the server's database, which is
    not the plugin's fault: the same request may succeed later. ``wrapped``: the text came as ``[ERROR: …]``, as the
    refusal of an update does from releases up to 0.11.
    """

    reason: str
    hidden: bool = False
    database: bool = False
    wrapped: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """The credentials are refused: nothing can be deployed until they change."""

    problem: KeyProblem


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The credentials are good, but their user has no right to do this."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No usable response: the server is not reachable, overloaded, failing, or not an Open WebUI.

    ``retry_after`` is in seconds, None if the server names none. ``hint`` says what to do if waiting alone won't help.
    ``database``: a text about the server's database came with status 500.
    """

    error: str
    hint: str | None = None
    retry_after: float | None = None
    delivery: Delivery = Delivery.NOT_PROCESSED
    database: bool = False


@dataclass(frozen=True, slots=True)
class Unusable:
    """Status 200 with a body that does not fit the endpoint. Look, and try this plugin again later."""

    error: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A dead key or a missing right: only another request with the same key can decide (``401 Unauthorized`` on tools)."""


Response = Accepted | Absent | Refused | Denied | Forbidden | Unavailable | Unusable | Ambiguous

_DELIVERIES = {
    500: Delivery.SERVER_ERROR,
    502: Delivery.UNKNOWN,
    504: Delivery.STILL_RUNNING,
    524: Delivery.STILL_RUNNING,  # Cloudflare's number for 504
}


def classify(received: Received, url: str, *, content: str = "") -> Response:
    """Return what a response means.

    ``url`` is the server's address for messages, without a password. ``content`` is the plugin's code if the request
    sent one: an error of a database that the code itself uses is the plugin's.
    """
    status, body = received.status, received.body
    if 300 <= status < 400:
        return _redirect(shortened(masked(received.location), _MAX_SHOWN), url)
    detail = body.get("detail") if isinstance(body, dict) else None
    if status >= 500 or status in _BUSY:
        return _failing(received, detail, content)
    if "json" not in received.content_type:
        return not_open_webui(f"{_content_type(received)} ({status})", url, status)
    if status == 200:
        return unusable(body.reason) if isinstance(body, Unreadable) else Accepted(body)
    if status in {401, 403, 404} and isinstance(detail, str):
        return _no_access(status, detail, url)
    if status == 400 and isinstance(detail, str):
        return _refused(detail, content)
    if status == 422:
        return Refused(_invalid_form(detail))
    words = body.reason if isinstance(body, Unreadable) else detail if isinstance(detail, str) else ""
    return not_open_webui(f"{status} {shortened(words, _MAX_SHOWN)}".strip(), url, status)


def is_final_refusal(response: object) -> TypeGuard[Refused | Forbidden | Unavailable]:
    """Return whether a response is a refusal for good, by Open WebUI or by something in front of it."""
    match response:
        case Unavailable(delivery=Delivery.BLOCKED) | Refused(database=False) | Forbidden():
            return True
    return False


def unusable(reason: str) -> Unusable:
    """Return the response for a body that does not fit; ``reason`` says why."""
    return Unusable(f"its response can't be used: {reason}")


def not_open_webui(answered: str, url: str, status: int = 200) -> Unavailable:
    """Return the response for another program at ``url``; ``answered`` describes what it sent."""
    return Unavailable(
        f"no Open WebUI there: it answers with {answered}",
        hint=f"{url} must be the address you open Open WebUI at in a browser, a path prefix included",
        delivery=Delivery.BLOCKED if 400 <= status < 500 else Delivery.NOT_PROCESSED,
    )


def shortened(text: str, head: int = _MAX_HEAD, tail: int = 0) -> str:
    """Return at most ``head`` characters from the start and ``tail`` from the end of ``text``."""
    if len(text) <= head + tail:
        return text
    return f"{text[:head]} … {text[len(text) - tail :]}".rstrip()


def _failing(received: Received, detail: Any, content: str) -> Unavailable:
    text = detail if isinstance(detail, str) else ""
    return Unavailable(
        f"answers {received.status}",
        retry_after=_seconds(received.retry_after),
        delivery=_DELIVERIES.get(received.status, Delivery.NOT_PROCESSED),
        database=received.status == 500 and is_database_failure(_reason(text), content),
    )


def _content_type(received: Received) -> str:
    if "html" in received.content_type:
        return "a web page"
    return shortened(received.content_type, _MAX_SHOWN) or "a response without a content type"


def _redirect(location: str, url: str) -> Unavailable:
    if secure := _secure(url, location):
        hint = f"set the URL to {secure}"
    else:
        hint = f"set the URL to where Open WebUI itself answers; {url} redirects to {location or 'nowhere'}"
    return Unavailable("answers with a redirect, which is never followed with a key", hint=hint)


def _secure(url: str, location: str) -> str | None:
    """Return the https address of the same host if ``location`` leads there."""
    try:
        here, there = urlsplit(url), urlsplit(location)
    except ValueError:
        return None
    same = (here.scheme, there.scheme) == ("http", "https") and here.hostname == there.hostname
    return f"https://{there.netloc}{here.path}" if same else None


def _no_access(status: int, detail: str, url: str) -> Response:
    if detail in {NOT_FOUND, _NO_VERSION}:
        return Absent()
    if detail in _DEAD_KEY:
        return Denied(KeyProblem.KEY_REFUSED)
    if detail == _KEYS_OFF:
        return Denied(KeyProblem.KEYS_OFF)
    if detail == _KEY_RESTRICTED or (status == 403 and detail == _PROHIBITED):
        return Denied(KeyProblem.KEY_RESTRICTED)
    if detail == _PROHIBITED:
        return Forbidden()
    if status == 401:
        return Ambiguous()
    return not_open_webui(f"{status} {shortened(detail, _MAX_SHOWN)}", url, status)


def _refused(detail: str, content: str) -> Response:
    if detail in _ABSENT_ON_UPDATE:
        return Absent()
    reason = _reason(detail)
    if detail in _NOT_WRITTEN:
        return Refused(NOT_WRITTEN, database=True)
    database = is_database_failure(reason, content)
    wrapped = detail.startswith(_WRAPPING)
    return Refused(without_own_statement(reason), hidden=detail in _HIDDEN, database=database, wrapped=wrapped)


def _reason(detail: str) -> str:
    """Return the server's text without its wrapping (``[ERROR: text]``), and shortened."""
    if detail == _NO_TEXT:
        return ""
    if detail.startswith(_WRAPPING) and detail.endswith("]"):
        detail = detail[len(_WRAPPING) : -1]
    return shortened(detail, _MAX_HEAD, _MAX_TAIL)


def _invalid_form(detail: Any) -> str:
    """Name the fields of a refused form, never the input that the server echoes."""
    if not isinstance(detail, list):
        return "Open WebUI does not accept the request"
    named = [item for item in detail[:10] if isinstance(item, dict) and isinstance(item.get("loc"), list)]
    fields = (f"{'.'.join(map(_field_name, item['loc'][:10]))}: {_field_name(item.get('msg'))}" for item in named)
    return shortened(f"Open WebUI does not accept the request ({'; '.join(fields)})")


def _field_name(value: Any) -> str:
    return shortened(str(value), _MAX_SHOWN) if isinstance(value, str | int) else ""


def _seconds(retry_after: str) -> float | None:
    try:
        seconds = float(retry_after)
    except ValueError:
        return None
    return max(0.0, seconds) if isfinite(seconds) else None
