"""What owui-watch put on which server, what it was about to do, and copies of what it replaced."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owui_watch.plugins.model import PluginKey, Space
from owui_watch.state.store import Store

_PUT, _SAVED, _INTENT, _RETIRED = "put", "saved", "intent", "retired"


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to be sent, written down first: a restart in between goes on from here.

    ``sent`` is the digest of the content. ``active`` and ``is_global`` say how the function's flags shall stand when
    all is done: as they stood before an update, as the settings want them after a create (``fresh``); None for a tool.
    ``began`` is in seconds of the wall clock, since it outlives the process. ``under_way`` counts the looks since a
    call for it was given up by someone in between: the server may still be at it. ``losses`` counts how often the
    connection was lost over this content; where the server was gone afterwards, that counts fourfold.
    """

    key: PluginKey
    sent: str
    active: bool | None
    is_global: bool | None
    fresh: bool
    began: float
    under_way: int = 0
    losses: int = 0


class Journal:
    """The memory of one run for one server: what was deployed, what was begun, what was switched off.

    A plugin is *managed* once it was deployed or a save of it was seen. What a run on a wider tree put there is known
    too; what it has begun is left to it. Nothing here raises: what can't be written is kept in memory, and ``trouble()``
    says why.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._put: dict[PluginKey, str | None] = {}
        self._intents: dict[PluginKey, Intent] = {}
        self._retired: set[PluginKey] = set()
        for name, value in store.entries().items():
            if _is_key(name) and isinstance(value, dict):
                self._learn(_key(name), value)
        wider = {name: value.get(_PUT) for name, value in store.wider_entries().items() if isinstance(value, dict)}
        self._wider = {_key(name): put for name, put in wider.items() if _is_key(name) and isinstance(put, str)}
        self._unsettled_on_disk: set[PluginKey] = set()
        self._doubts: dict[PluginKey, set[str]] = {}
        self._unsaved: set[PluginKey] = set()

    def _learn(self, key: PluginKey, value: dict[str, Any]) -> None:
        put = value.get(_PUT)
        if isinstance(put, str) or value.get(_SAVED) is True:
            self._put[key] = put if isinstance(put, str) else None
        if value.get(_INTENT) is not None:
            self._intents[key] = _intent(key, value[_INTENT])
        if value.get(_RETIRED) is True:
            self._retired.add(key)

    def managed(self) -> set[PluginKey]:
        """Plugins that owui-watch has deployed to this server, has sent without an answer, or has seen a save of."""
        return set(self._put) | set(self._intents) | self._unsettled_on_disk | set(self._wider)

    def put(self, key: PluginKey) -> str | None:
        """Digest of what owui-watch last put there; None where it put nothing yet."""
        return self._put.get(key) or self._wider.get(key)

    def ours(self, key: PluginKey) -> frozenset[str]:
        """Digests of all that owui-watch may have put there: what it put last, and what may still be under way."""
        put = self.put(key)
        return frozenset(self._doubts.get(key, set()) | ({put} if put else set()))

    def doubt(self, key: PluginKey, sent: str) -> None:
        """Remember, until we end, that the server may still come to hold ``sent``, whatever it is sent later."""
        self._doubts.setdefault(key, set()).add(sent)

    def doubted(self, key: PluginKey) -> bool:
        """Return whether something may still be under way."""
        return key in self._doubts

    def trust(self, key: PluginKey) -> None:
        """Forget all doubt: what was under way has ended by now."""
        self._doubts.pop(key, None)

    def intent(self, key: PluginKey) -> Intent | None:
        """Return what was begun and is not known to have ended."""
        return self._intents.get(key)

    def unsettled(self) -> set[PluginKey]:
        """Plugins with something begun and not known to have ended."""
        return set(self._intents)

    def manage(self, key: PluginKey) -> None:
        """Remember that a save of this plugin was seen."""
        if key not in self._put:
            self._put[key] = None
            self._unsaved.add(key)

    def release(self, key: PluginKey) -> None:
        """Forget that a save was seen: it is not created before someone says so, not at the next start either."""
        if key in self._put and self._put[key] is None:
            del self._put[key]
            self._unsaved.add(key)

    def intend(self, intent: Intent) -> None:
        """Write ``intent`` down before it is carried out."""
        self._intents[intent.key] = intent
        self._write({intent.key})

    def settle(self, key: PluginKey, put: str | None) -> None:
        """Strike the intent out. ``put`` is the digest of ours that the server holds now, None where it took nothing.

        The disk follows with ``flush``, off the way of the save; until then the intent on it stands in.
        """
        if self._intents.pop(key, None) is not None:
            self._unsettled_on_disk.add(key)
            self._unsaved.add(key)
        if put is not None and self._put.get(key) != put:
            self._put[key] = put
            self._unsaved.add(key)

    def retired(self, key: PluginKey) -> bool:
        """Return whether owui-watch switched this function off because its file was deleted."""
        return key in self._retired

    def retire(self, key: PluginKey, retired: bool) -> None:
        """Remember that a function was switched off with its file, or that it is on again."""
        if retired != self.retired(key):
            self._retired ^= {key}
            self._write({key})

    def flush(self) -> None:
        """Write what has changed since the last time, or all of it if the files are gone."""
        if self._unsaved:
            self._write(self._unsaved)
        if self._store.flush():
            self._unsettled_on_disk.clear()

    def back_up(self, key: PluginKey, content: str) -> Path | None:
        """Save a copy of the server's content as ``backups/ID/TIME.py``. None where it could not be written."""
        stamp = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
        try:
            raw = content.encode()
        except UnicodeEncodeError as error:
            self._store.note(f"the server's copy of {key.id} can't be written to a file: {error}")
            return None
        return self._store.back_up(key.id, f"{stamp}.py", raw)

    def is_backed_up(self, key: PluginKey, content: str) -> bool:
        """Return whether the newest copy of this plugin is just this content."""
        newest = self._store.newest_backup(key.id)
        return newest is not None and newest == content.encode(errors="surrogatepass")

    def trouble(self) -> str | None:
        """Return once what went wrong with the files, in words for the user."""
        return self._store.trouble()

    def _write(self, keys: set[PluginKey]) -> None:
        self._store.record({_name(key): self._value(key) for key in keys})
        self._unsaved = self._unsaved - keys

    def _value(self, key: PluginKey) -> dict[str, Any] | None:
        """Return what is remembered of a plugin, None if that is nothing."""
        value: dict[str, Any] = {}
        if key in self._put:
            value[_PUT if self._put[key] else _SAVED] = self._put[key] or True
        if (intent := self._intents.get(key)) is not None:
            value[_INTENT] = _entry(intent)
        if key in self._retired:
            value[_RETIRED] = True
        return value or None


def _name(key: PluginKey) -> str:
    return f"{key.space}/{key.id}"


def _is_key(name: str) -> bool:
    space, slash, identifier = name.partition("/")
    return bool(slash) and space in set(Space) and identifier.isidentifier()


def _key(name: str) -> PluginKey:
    space, _, identifier = name.partition("/")
    return PluginKey(Space(space), identifier)


def _entry(i: Intent) -> list[Any]:
    return [i.sent, i.active, i.is_global, i.fresh, i.began, i.under_way, i.losses]


def _intent(key: PluginKey, entry: Any) -> Intent:
    """Read one intent. Of an unreadable one remains that something was begun."""
    match entry:
        case [str(sent), active, is_global, bool(fresh), int() | float() as began, int(looks), int(losses)]:
            return Intent(key, sent, active, is_global, fresh, began, looks, losses)
        case _:
            return Intent(key, "", None, None, fresh=False, began=time.time())
