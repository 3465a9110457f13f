"""The server's copies of plugins, read field by field from untrusted JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from owui_watch.openwebui.json_stream import Unreadable
from owui_watch.plugins.model import Kind, PluginKey, Space
from owui_watch.plugins.source import digest

_KEPT_IN_LISTS = ("version", "title", "openwebui_id")
_FUNCTION_KINDS = frozenset(Kind) - {Kind.TOOL}
_MAX_ID, _MAX_NAME = 255, 1_000
"""Characters. An id is part of a file name in the backups."""


class _Copy:
    """The fields in the metadata of a plugin's copy on the server. Other programs may have written them."""

    __slots__ = ()
    meta: Mapping[str, Any]

    @property
    def version(self) -> str | None:
        """Version in the header that the server read."""
        return self._header("version")

    @property
    def live_name(self) -> str:
        """The version for a message about the live plugin; the word "version" if it has none."""
        return self.version or "version"

    @property
    def title(self) -> str | None:
        """Title in the header that the server read."""
        return self._header("title")

    @property
    def openwebui_id(self) -> str | None:
        """Id on the community site, which follows a plugin from server to server."""
        return self._header("openwebui_id")

    @property
    def description(self) -> str:
        """Description on the server; empty if it has none."""
        text = self.meta.get("description")
        return text if isinstance(text, str) else ""

    def _header(self, name: str) -> str | None:
        manifest = self.meta.get("manifest")
        value = manifest.get(name) if isinstance(manifest, dict) else None
        return value if value and isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Remote(_Copy):
    """The server's copy of a plugin.

    ``meta`` and ``access`` (a tool's ``access_control``) are the server's own JSON, to be sent back unchanged.
    ``active`` and ``is_global`` are None for tools, which have no such flags. ``sharing`` is ``global`` for a function,
    ``private``, ``shared`` or ``public`` for a tool; None if the response does not say. ``updated_at`` is in whole
    seconds since 1970; a toggle or a failed load also changes it. ``version_id`` is the live entry of the plugin's
    history (0.12 and newer).
    """

    key: PluginKey
    kind: Kind
    name: str
    content: str = field(repr=False)
    meta: Mapping[str, Any] = field(repr=False)
    active: bool | None = None
    is_global: bool | None = None
    access: Any = field(default=None, repr=False)
    sharing: str | None = None
    updated_at: int | None = None
    version_id: str | None = None

    @property
    def digest(self) -> str:
        """Identify the content."""
        return digest(self.content)


@dataclass(frozen=True, slots=True)
class ListedPlugin(_Copy):
    """The server's copy of a plugin without its content, as a list or the response to a create has it.

    ``digest`` identifies the content, None if the response held none. The other fields are those of Remote.
    """

    key: PluginKey
    kind: Kind
    name: str
    digest: str | None
    meta: Mapping[str, Any] = field(repr=False)
    active: bool | None = None
    is_global: bool | None = None
    access: Any = field(default=None, repr=False)
    sharing: str | None = None
    updated_at: int | None = None
    version_id: str | None = None

    def with_content(self, content: str) -> Remote:
        """Return the same plugin with ``content``, which the server is known to hold."""
        return Remote(self.key, self.kind, self.name, content, self.meta, *_flags(self))


AnyCopy = Remote | ListedPlugin
"""The server's copy of a plugin, with its content or without."""


@dataclass(frozen=True, slots=True)
class Version:
    """An entry of a plugin's history (0.12 and newer); ``created_at`` in seconds since 1970, ``parent`` the one before."""

    id: str
    created_at: int
    parent: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a plugin was in one version of its history."""

    name: str
    content: str = field(repr=False)
    meta: Mapping[str, Any] = field(repr=False)


def is_other_entry(space: Space, row: Any) -> bool:
    """Return whether a row is something that owui-watch never deploys: a tool server, or a kind of a later release."""
    if not isinstance(row, dict):
        return False
    if space is Space.TOOLS:
        return isinstance(row.get("id"), str) and ":" in row["id"]
    return isinstance(row.get("type"), str) and row["type"] not in set(_FUNCTION_KINDS)


def read_plugin(space: Space, body: Any) -> Remote | ListedPlugin | Unreadable:
    """Read a function or tool from the server's JSON; a Remote if it holds the content. Never raises."""
    if isinstance(body, Unreadable):
        return body
    if not isinstance(body, dict):
        return Unreadable(f"{_described(body, null='null')} instead of a plugin")
    problem = next((name for name, fits in _FIELDS[space].items() if not fits(body.get(name))), None)
    if problem is not None:
        return Unreadable(f"`{problem}` is {_described(body.get(problem))}")
    key, kind = PluginKey(space, body["id"]), Kind.TOOL if space is Space.TOOLS else Kind(body["type"])
    is_function = space is Space.FUNCTIONS
    flags = (
        body["is_active"] if is_function else None,
        body["is_global"] if is_function else None,
        body.get("access_control"),
        _sharing(body),
        body.get("updated_at"),
        body.get("version_id"),
    )
    content, meta = body.get("content"), body.get("meta") or {}
    if content is None:
        return ListedPlugin(key, kind, body["name"], None, meta, *flags)
    return Remote(key, kind, body["name"], content, meta, *flags)


def without_content(plugin: Remote | ListedPlugin) -> ListedPlugin:
    """Return the plugin without its content, and with only those fields of its header that are compared."""
    manifest = plugin.meta.get("manifest")
    kept = {name: manifest[name] for name in _KEPT_IN_LISTS if name in manifest} if isinstance(manifest, dict) else {}
    meta = {**plugin.meta, "manifest": kept}
    return ListedPlugin(plugin.key, plugin.kind, plugin.name, plugin.digest, meta, *_flags(plugin))


def _flags(
    plugin: Remote | ListedPlugin,
) -> tuple[bool | None, bool | None, Any, str | None, int | None, str | None]:
    return (
        plugin.active,
        plugin.is_global,
        plugin.access,
        plugin.sharing,
        plugin.updated_at,
        plugin.version_id,
    )


def read_version(body: Any) -> Version | Unreadable:
    """Read an entry of a plugin's history from the server's JSON. Never raises."""
    match body:
        case {"id": str(version), "created_at": int(created_at)} if _is_text(version):
            parent = body.get("parent_id")
            return Version(version, created_at, parent if isinstance(parent, str) else None)
    return Unreadable(f"{_described(body, null='null')} instead of an entry of the history")


def read_snapshot(body: Any) -> Snapshot | Unreadable:
    """Read one version of a plugin from the server's JSON. Never raises."""
    match body:
        case {"snapshot": {"name": str(name), "content": str(content), "meta": dict(meta)}} if (
            _is_text(name) and _is_text(content) and _is_object(meta)
        ):
            return Snapshot(name, content, meta)
    return Unreadable(f"{_described(body, null='null')} instead of a version of the plugin")


def json_size(value: Any) -> int | None:
    """Return the bytes of ``value`` as JSON; None if it can't be sent back as it is."""
    try:
        return len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):  # a UnicodeEncodeError (half of a surrogate pair) is a ValueError
        return None


def _sharing(body: Mapping[str, Any]) -> str | None:
    """Read who may use the plugin: a function's flag, a tool's grants (0.8 and newer) or its control (0.4 to 0.7)."""
    if body.get("is_global"):
        return "global"
    if isinstance(grants := body.get("access_grants"), list):
        everyone = any(isinstance(grant, dict) and grant.get("principal_id") == "*" for grant in grants)
        return "public" if everyone else "shared" if grants else "private"
    if "access_control" in body:
        control = body["access_control"]
        return "public" if control is None else "shared" if control else "private"
    return None


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_ID and value.isidentifier()


def _is_name(value: Any) -> bool:
    return value is not None and _is_text(value) and len(value) <= _MAX_NAME


def _is_text(value: Any) -> bool:
    """Return whether ``value`` is missing or a text that UTF-8 can hold: half of a surrogate pair can't be sent."""
    if not isinstance(value, str):
        return value is None
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def _is_object(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and json_size(value) is not None)


def _is_time(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


_COMMON: Mapping[str, Callable[[Any], bool]] = {
    "id": _is_id,
    "name": _is_name,
    "content": _is_text,
    "meta": _is_object,
    "updated_at": _is_time,
    "version_id": _is_text,
}
_FIELDS: Mapping[Space, Mapping[str, Callable[[Any], bool]]] = {
    Space.FUNCTIONS: {
        **_COMMON,
        "type": lambda value: isinstance(value, str) and value in _FUNCTION_KINDS,
        "is_active": lambda value: isinstance(value, bool),
        "is_global": lambda value: isinstance(value, bool),
    },
    Space.TOOLS: {**_COMMON, "access_control": _is_object},
}


def _described(value: Any, *, null: str = "missing") -> str:
    """Describe an unfit value without showing it: it may be anything."""
    match value:
        case None:
            return null
        case str():
            return "a text that does not fit"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"
