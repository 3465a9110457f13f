"""What is remembered of one plugin, and the JSON in which the journal stores it.

Other programs may have written the file, so a field of the wrong type counts as unknown.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from owui_watch.plugins.model import Kind, PluginKey, Space


@dataclass(frozen=True, slots=True)
class Naming:
    """A plugin's name and description."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of one managed plugin.

    ``digest`` is that of the content which owui-watch deployed last, None if it has only seen a save. ``naming`` is
    what its header said then, or what was sent if it said nothing; None if unknown. ``updated_at`` is the server's own
    time of that deploy, in whole seconds.

    ``unanswered``: digests of contents that were sent and never answered; the server may hold any of them. ``same``:
    digests of contents that differ from the deployed one by empty lines at the end, sent to make every instance of the
    server load the tool anew. ``fatal``: digest of the content over which so many connections were lost that it is not
    sent again unasked, and the Open WebUI release. ``disabled``: owui-watch switched the function off when its file was
    deleted.
    """

    digest: str | None = None
    naming: Naming | None = None
    updated_at: int | None = None
    unanswered: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    fatal: tuple[str, str] | None = None
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """A request that is about to be sent. It is recorded first, so that a restart can go on from here.

    ``sent`` is the digest of the content. ``active`` and ``is_global`` are the flags that the function must have when
    all is done: as they were before an update, as the settings want them after a create (``fresh``); None for a tool.
    ``began`` is in seconds of the wall clock, since it outlives the process. ``under_way`` counts the looks since a
    proxy gave up waiting for the request: the server may still be working on it. ``losses`` counts the connections
    lost over this content; one after which the server was gone counts fourfold.
    """

    key: PluginKey
    sent: str
    active: bool | None
    is_global: bool | None
    fresh: bool
    began: float
    under_way: int = 0
    losses: int = 0


@dataclass(frozen=True, slots=True)
class Replaced:
    """The version that updates of one plugin replaced, kept until the history is searched for overwritten edits.

    ``version`` is the entry of the history that the first update replaced, as far as the look showed. ``sent`` are
    the digests of the contents sent from that update on.
    """

    version: str
    kind: Kind
    sent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """All that the journal stores about one plugin. A field is None if nothing of its sort is stored."""

    record: Record | None = None
    intent: Intent | None = None
    replaced: Replaced | None = None


_RECORD, _INTENT, _REPLACED = "record", "intent", "replaced"
_TOO_MUCH = 2**40
"""No time in seconds, and no count, is as large as that."""
NOTHING = Record()
"""The record of a plugin of which nothing is remembered."""
_INTENT_FIELDS = tuple(field.name for field in fields(Intent))[1:]


def to_json(entry: Entry) -> dict[str, Any] | None:
    """Return ``entry`` as JSON; None if it is empty."""
    value: dict[str, Any] = {}
    if entry.record is not None:
        known = asdict(entry.record)
        value[_RECORD] = {name: known[name] for name in known if known[name] != getattr(NOTHING, name)}
    if entry.intent is not None:
        value[_INTENT] = [getattr(entry.intent, name) for name in _INTENT_FIELDS]
    if entry.replaced is not None:
        value[_REPLACED] = [entry.replaced.version, entry.replaced.kind.value, *entry.replaced.sent]
    return value or None


def read_entry(key: PluginKey, value: object) -> Entry:
    """Read what ``to_json`` returned."""
    if not isinstance(value, Mapping):
        return Entry()
    begun = value.get(_INTENT)
    intent = _read_intent(key, begun) if begun is not None else None
    return Entry(_read_record(value.get(_RECORD)), intent, _read_replaced(value.get(_REPLACED)))


def name_of(key: PluginKey) -> str:
    """Return the name under which the journal stores a plugin."""
    return f"{key.space}/{key.id}"


def is_key(name: str) -> bool:
    """Return whether ``name`` is one that ``name_of`` returns."""
    space, slash, identifier = name.partition("/")
    return bool(slash) and space in set(Space) and identifier.isidentifier()


def key_of(name: str) -> PluginKey:
    """Return the plugin for which ``name_of`` returned this name."""
    space, _, identifier = name.partition("/")
    return PluginKey(Space(space), identifier)


def _read_record(value: object) -> Record | None:
    if not isinstance(value, dict):
        return None
    unanswered, same, updated_at = value.get("unanswered"), value.get("same"), value.get("updated_at")
    return Record(
        digest=_text(value.get("digest")),
        naming=_naming(value.get("naming")),
        updated_at=updated_at if type(updated_at) is int else None,
        unanswered=tuple(one for one in unanswered if isinstance(one, str)) if isinstance(unanswered, list) else (),
        same=tuple(one for one in same if isinstance(one, str)) if isinstance(same, list) else (),
        fatal=_pair(value.get("fatal")),
        disabled=value.get("disabled") is True,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _naming(value: object) -> Naming | None:
    match value:
        case {"name": str(name), "description": str(description)}:
            return Naming(name, description)
        case _:
            return None


def read_naming(raw: bytes) -> Naming | None:
    """Read name and description from the JSON of a backup; None if it holds none."""
    try:
        return _naming(json.loads(raw))
    except (ValueError, RecursionError):
        return None


def _pair(value: object) -> tuple[str, str] | None:
    match value:
        case [str(one), str(other)]:
            return one, other
        case _:
            return None


def _read_replaced(value: object) -> Replaced | None:
    match value:
        case [str(version), str(kind), *sent] if kind in set(Kind):
            return Replaced(version, Kind(kind), tuple(one for one in sent if isinstance(one, str)))
        case _:
            return None


def _read_intent(key: PluginKey, entry: object) -> Intent:
    """Read one intent. An unreadable one still says that a request was begun."""
    match entry:
        case [
            str(sent),
            bool() | None as active,
            bool() | None as is_global,
            bool(fresh),
            int() | float() as began,
            int(looks),
            int(losses),
        ] if all(0 <= each < _TOO_MUCH for each in (began, looks, losses)):
            return Intent(key, sent, active, is_global, fresh, began, looks, losses)
        case _:
            return Intent(key, "", None, None, fresh=False, began=time.time())
