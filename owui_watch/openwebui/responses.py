"""What a server's answer means. One function, ``classify``, for every release and every call."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from owui_watch.plugins.model import Kind, PluginKey, Space

NOT_FOUND = "We could not find what you're looking for :/"
_DEAD_KEY = {
    "Your session has expired or the token is invalid. Please sign in again.",
    "Invalid token",
    "Not authenticated",
}
_PROHIBITED = "You do not have permission to access this resource. Please contact your administrator for assistance."
_KEYS_OFF = "Use of API key is not enabled in the environment."
_KEY_RESTRICTED = "API key not allowed to access this endpoint."
_NO_TEXT = "Something went wrong :/"
_UNAUTHORIZED = "401 Unauthorized"
_ABSENT_ON_UPDATE = {
    "Function not found",
    "[ERROR: 400: [ERROR: Error updating function]]",
    "[ERROR: 400: [ERROR: Error updating toolkit]]",
}
_HIDDEN = {
    f"[ERROR: Error {what} {thing}]" for what in ("updating", "creating") for thing in ("function", "tool", "toolkit")
}
_BUSY = {408, 425, 429}


@dataclass(frozen=True, slots=True)
class Remote:
    """A plugin as it stands on the server. ``content`` is None where an answer does not hold it.

    ``active`` and ``is_global`` are None for tools, which have no such flags. ``meta`` and ``access`` are the server's
    own JSON, kept to be sent back as it came. ``sharing`` says who may use it: ``global`` for a function, ``private``,
    ``shared`` (with some) or ``public`` for a tool; None where the server says nothing.
    """

    key: PluginKey
    kind: Kind
    name: str
    content: str | None = field(repr=False)
    meta: dict[str, Any] = field(repr=False)
    active: bool | None
    is_global: bool | None
    access: Any = field(default=None, repr=False)
    sharing: str | None = None

    @property
    def version(self) -> str | None:
        """Version in the header that the server read."""
        return self._told("version")

    @property
    def live_name(self) -> str:
        """What a line calls it that says what is live: its version, where it has one."""
        return self.version or "version"

    @property
    def title(self) -> str | None:
        """Title in the header that the server read."""
        return self._told("title")

    @property
    def openwebui_id(self) -> str | None:
        """Id on the community site, which follows a plugin from server to server."""
        return self._told("openwebui_id")

    def _told(self, field: str) -> str | None:
        """Look ``field`` up in the header that the server read, which other programs may have written."""
        manifest = self.meta.get("manifest")
        value = manifest.get(field) if isinstance(manifest, dict) else None
        return value if value and isinstance(value, str) else None


class KeyProblem(Enum):
    """Why the credentials are refused."""

    KEY_REFUSED = "key refused"
    KEYS_OFF = "API keys disabled"
    KEY_RESTRICTED = "key restricted"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The call succeeded; ``body`` is the JSON it answered."""

    body: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such plugin."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server will not take this content. ``reason`` is its own text; ``hidden`` where that says nothing."""

    reason: str
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """The credentials are refused: nothing can be deployed until they change."""

    problem: KeyProblem


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The credentials are good, but their user may not do this."""


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
class Unavailable:
    """No usable answer: not reachable, overloaded, failing, or not an Open WebUI.

    ``retry_after`` is in seconds, None where the server names none. ``hint`` says what to do where waiting alone won't
    help.
    """

    error: str
    hint: str | None = None
    retry_after: float | None = None
    delivery: Delivery = Delivery.NOT_PROCESSED


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A dead key or a missing right: only another call with the same key can tell (``401 Unauthorized`` on tools)."""


_DELIVERIES = {
    500: Delivery.SERVER_ERROR,
    502: Delivery.UNKNOWN,
    504: Delivery.STILL_RUNNING,
    524: Delivery.STILL_RUNNING,
}
"""What a status tells; 524 is a well-known proxy's word for 504."""

Response = Accepted | Absent | Refused | Denied | Forbidden | Unavailable | Ambiguous


def classify(status: int, content_type: str, body: Any, headers: dict[str, str], url: str) -> Response:
    """Tell what an answer means. ``body`` is its JSON, None where it has none; ``url`` is the server's, to be shown."""
    if 300 <= status < 400:
        return _redirected(headers.get("location", ""), url)
    if status >= 500 or status in _BUSY:
        retry_after = _seconds(headers.get("retry-after"))
        return Unavailable(
            f"answers {status}", retry_after=retry_after, delivery=_DELIVERIES.get(status, Delivery.NOT_PROCESSED)
        )
    if "json" not in content_type:
        what = "a web page" if "html" in content_type else content_type or "nothing that says what it is"
        return not_open_webui(f"{what} ({status})", url, status)
    detail = body.get("detail") if isinstance(body, dict) else None
    if status == 200:
        return Forbidden() if body is None else Accepted(body)
    if status in {401, 403, 404} and isinstance(detail, str):
        return _not_let_in(status, detail, url)
    if status == 400 and isinstance(detail, str):
        return Absent() if detail in _ABSENT_ON_UPDATE else Refused(_bare(detail), hidden=detail in _HIDDEN)
    if status == 422:
        return Refused(_invalid_form(detail))
    return not_open_webui(f"{status} {detail or ''}".strip(), url, status)


def is_final_refusal(answer: Remote | Response) -> TypeGuard[Refused | Forbidden | Unavailable]:
    """Return whether an answer is a refusal for good, be it by something in front of Open WebUI."""
    blocked = isinstance(answer, Unavailable) and answer.delivery is Delivery.BLOCKED
    return blocked or isinstance(answer, Refused | Forbidden)


def not_open_webui(answered: str, url: str, status: int = 200) -> Unavailable:
    """Say that something else answers at ``url``."""
    return Unavailable(
        f"no Open WebUI there: it answers with {answered}",
        hint=f"{url} must be the address you open Open WebUI at in a browser, a path prefix included",
        delivery=Delivery.BLOCKED if 400 <= status < 500 else Delivery.NOT_PROCESSED,
    )


def remote_from(space: Space, body: dict[str, Any]) -> Remote:
    """Read a function or tool out of the server's JSON. Raises KeyError or ValueError where it is none."""
    return Remote(
        key=PluginKey(space, body["id"]),
        kind=Kind.TOOL if space is Space.TOOLS else Kind(body["type"]),
        name=body["name"],
        content=body.get("content"),
        meta=meta if isinstance(meta := body.get("meta"), dict) else {},
        active=body.get("is_active"),
        is_global=body.get("is_global"),
        access=body.get("access_control"),
        sharing=_sharing(body),
    )


def _sharing(body: dict[str, Any]) -> str | None:
    """Read who may use it: from the flag of a function, a tool's grants (0.8 and newer) or its control (0.4 to 0.7)."""
    if body.get("is_global"):
        return "global"
    if isinstance(grants := body.get("access_grants"), list):
        everyone = any(isinstance(grant, dict) and grant.get("principal_id") == "*" for grant in grants)
        return "public" if everyone else "shared" if grants else "private"
    if "access_control" in body:
        control = body["access_control"]
        return "public" if control is None else "shared" if control else "private"
    return None


def _redirected(location: str, url: str) -> Unavailable:
    if secure := _secure(url, location):
        hint = f"set the URL to {secure}"
    else:
        hint = f"set the URL to where Open WebUI itself answers; {url} sends browsers on to {location or 'elsewhere'}"
    return Unavailable("answers with a redirect, which is never followed with a key", hint=hint)


def _secure(url: str, location: str) -> str | None:
    """Return the https address of the same host, where that is what ``location`` leads to."""
    try:
        here, there = urlsplit(url), urlsplit(location)
    except ValueError:
        return None
    same = (here.scheme, there.scheme) == ("http", "https") and here.hostname == there.hostname
    return f"https://{there.netloc}{here.path}" if same else None


def _not_let_in(status: int, detail: str, url: str) -> Response:
    if detail == NOT_FOUND:
        return Absent()
    if detail in _DEAD_KEY:
        return Denied(KeyProblem.KEY_REFUSED)
    if detail == _KEYS_OFF:
        return Denied(KeyProblem.KEYS_OFF)
    if detail == _KEY_RESTRICTED or (status == 403 and detail == _PROHIBITED):
        return Denied(KeyProblem.KEY_RESTRICTED)
    if detail == _PROHIBITED:
        return Forbidden()
    if detail == _UNAUTHORIZED:
        return Ambiguous()
    return not_open_webui(f"{status} {detail}", url, status)


def _bare(detail: str) -> str:
    """Take the server's own wrapping off: ``[ERROR: text]`` → ``text``, and its words for no text at all."""
    if detail == _NO_TEXT:
        return ""
    match = re.fullmatch(r"\[ERROR: (.*)\]", detail, re.DOTALL)
    return match[1] if match else detail


def _invalid_form(detail: Any) -> str:
    """Name the fields of a refused form, never the input that the server echoes."""
    if not isinstance(detail, list):
        return "it does not take the form that was sent"
    named = [item for item in detail if isinstance(item, dict) and isinstance(item.get("loc"), list)]
    fields = (f"{'.'.join(map(str, item['loc']))}: {item.get('msg', '')}" for item in named)
    return f"it does not take the form that was sent ({'; '.join(fields)})"


def _seconds(retry_after: str | None) -> float | None:
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return max(0.0, seconds) if isfinite(seconds) else None
