"""What owui-watch deployed to one server, what it was about to send, and copies of what it replaced."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from owui_watch.plugins.model import Kind, PluginKey
from owui_watch.plugins.source import digest
from owui_watch.state.record import (
    NOTHING,
    Entry,
    Intent,
    Naming,
    Record,
    Replaced,
    is_key,
    key_of,
    name_of,
    read_entry,
    read_naming,
    to_json,
)
from owui_watch.state.store import Store

MOST_UNANSWERED = 16
"""Contents remembered per plugin that were sent without an answer."""
MOST_SENT = 40
"""Contents remembered per plugin that were sent since the history was searched: more than one page of it shows."""


class Journal:
    """The memory of one run for one server: a record for each managed plugin, and the requests that were begun.

    A plugin is *managed* once owui-watch has deployed it or has seen a save of it. Records of a run on a wider tree are
    read too; that run finishes its own intents. Nothing here raises: what can't be written is kept in memory, and
    ``trouble()`` says why.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records: dict[PluginKey, Record] = {}
        self._intents: dict[PluginKey, Intent] = {}
        self._replaced: dict[PluginKey, Replaced] = {}
        self._wider: dict[PluginKey, Record] = {}
        for key, entry in _read(store.entries()):
            if entry.record is not None:
                self._records[key] = entry.record
            if entry.intent is not None:
                self._intents[key] = entry.intent
            if entry.replaced is not None:
                self._replaced[key] = entry.replaced
        for key, entry in _read(store.wider_entries()):
            if entry.record is not None and entry.record.digest:
                self._wider[key] = entry.record
        self._ended_on_disk_only: set[PluginKey] = set()
        self._late: set[PluginKey] = set()
        self._unsaved: set[PluginKey] = set()

    # --- records ---------------------------------------------------------------------------------------------------

    def managed(self) -> set[PluginKey]:
        """Plugins that owui-watch has deployed here, has sent without an answer, or has seen a save of."""
        return set(self._records) | set(self._intents) | self._ended_on_disk_only | set(self._wider)

    def is_managed(self, key: PluginKey) -> bool:
        """Return whether ``managed`` holds ``key``."""
        return any(key in each for each in (self._records, self._intents, self._ended_on_disk_only, self._wider))

    def record(self, key: PluginKey) -> Record:
        """Return what is remembered of ``key``; an empty record if that is nothing."""
        record = self._records.get(key, NOTHING)
        return record if record.digest else replace(self._wider.get(key, record), unanswered=record.unanswered)

    def ours(self, key: PluginKey) -> frozenset[str]:
        """Digests of all contents that owui-watch may have put there: the last deployed one and the unanswered ones."""
        record = self.record(key)
        return frozenset(filter(None, (record.digest, *record.unanswered, *record.same)))

    def is_deployed(self, key: PluginKey, held: str | None, wanted: str) -> bool:
        """Return whether content with the digest ``held`` is the same plugin as content with the digest ``wanted``."""
        record = self.record(key)
        return held == wanted or (held in record.same and record.digest == wanted)

    def has_deployed(self, key: PluginKey) -> bool:
        """Return whether owui-watch has deployed this plugin here, or has sent it without an answer."""
        return bool(self.ours(key)) or key in self._intents

    def add_same(self, key: PluginKey, replaced: str, put_back: str) -> None:
        """Note that the content ``put_back`` took the place of ``replaced``, which differs by empty lines at the end."""
        record = self._records.get(key, NOTHING)
        if replaced == record.digest or replaced in record.same:
            known = {*record.same, put_back} - {record.digest}
            self._change(key, replace(record, same=tuple(sorted(known, key=str))))

    def manage(self, key: PluginKey) -> None:
        """Remember that a save of this plugin was seen."""
        if key not in self._records:
            self._change(key, NOTHING)

    def release(self, key: PluginKey) -> None:
        """Forget that a save was seen: nobody has allowed to create the plugin, so the next start does not either."""
        if self._records.get(key) == NOTHING:
            del self._records[key]
            self._unsaved.add(key)

    def set_disabled(self, key: PluginKey, disabled: bool) -> None:
        """Remember that a function was switched off with its file, or that it is on again."""
        record = self._records.get(key, NOTHING)
        if record.disabled != disabled:
            self._change(key, replace(record, disabled=disabled))
            self._write({key})

    def condemn(self, key: PluginKey, sent: str, version: str) -> None:
        """Remember that content kills its connection to a server of this ``version``."""
        self._change(key, replace(self._records.get(key, NOTHING), fatal=(sent, version)))

    # --- what was begun --------------------------------------------------------------------------------------------

    def intent(self, key: PluginKey) -> Intent | None:
        """Return the request that was begun and is not known to have ended."""
        return self._intents.get(key)

    def unfinished(self) -> set[PluginKey]:
        """Plugins with an intent that is not known to have ended."""
        return set(self._intents)

    def begin(self, intent: Intent, replaced: str | None = None, kind: Kind = Kind.TOOL) -> None:
        """Write ``intent`` down before it is carried out. From now on its content counts as ours.

        ``replaced`` is the entry of the history that an update of a plugin of this ``kind`` replaces.
        """
        self._intents[intent.key] = intent
        if replaced is not None:
            first = self._replaced.get(intent.key) or Replaced(replaced, kind)
            sent = (*(each for each in first.sent if each != intent.sent), intent.sent)
            self._replaced[intent.key] = replace(first, sent=sent[-MOST_SENT:])
        record = self._records.get(intent.key, NOTHING)
        if intent.sent and intent.sent not in record.unanswered:
            unanswered = (*record.unanswered, intent.sent)[-MOST_UNANSWERED:]
            self._records[intent.key] = replace(record, unanswered=unanswered)
        self._write({intent.key})

    def answered(self, key: PluginKey, sent: str) -> None:
        """Note that the server has answered the request that sent this content."""
        record = self._records.get(key, NOTHING)
        if sent in record.unanswered:
            self._change(key, replace(record, unanswered=tuple(one for one in record.unanswered if one != sent)))

    def commit(
        self,
        key: PluginKey,
        put: str,
        *,
        naming: Naming | None = None,
        updated_at: int | None = None,
    ) -> None:
        """Strike the intent out: the server holds our content, whose digest is ``put``.

        ``flush`` writes this to the disk later. Until then, the intent on the disk stands in for the record.
        """
        before = self._records.get(key, NOTHING)
        record = replace(
            before,
            digest=put,
            naming=naming,
            updated_at=updated_at,
            same=before.same if before.digest == put else (),
            fatal=None,
        )
        self._change(key, record)
        self.answered(key, put)
        self.abandon(key)

    def abandon(self, key: PluginKey) -> None:
        """Strike the intent out: the server did not take the content."""
        if self._intents.pop(key, None) is not None:
            self._ended_on_disk_only.add(key)
            self._unsaved.add(key)

    def unsearched(self) -> dict[PluginKey, Replaced]:
        """Return what was replaced by updates that have ended and after which no history was searched."""
        return {key: replaced for key, replaced in self._replaced.items() if key not in self._intents}

    def unsearched_of(self, key: PluginKey) -> Replaced | None:
        """Return what ``unsearched`` holds of ``key``."""
        return None if key in self._intents else self._replaced.get(key)

    def sent_since(self, key: PluginKey) -> tuple[str, ...]:
        """Return the digests of the contents that were sent for ``key`` after the last search of its history."""
        return self._replaced[key].sent if key in self._replaced else ()

    def searched(self, key: PluginKey, replaced: Replaced) -> bool:
        """Note that the history was searched for the updates of ``replaced``. Return False if there is a newer one."""
        if self._replaced.get(key) != replaced:
            return False
        del self._replaced[key]
        self._unsaved.add(key)
        return True

    def expect_late(self, key: PluginKey) -> None:
        """Note that the server may yet carry out an older request for ``key``, whatever it is sent later."""
        self._late.add(key)

    def is_late_expected(self, key: PluginKey) -> bool:
        """Return whether an older request may still be carried out."""
        return key in self._late

    def expect_nothing_late(self, key: PluginKey) -> None:
        """Note that every older request has ended by now."""
        self._late.discard(key)

    # --- the disk ----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what has changed since the last time, or all of it if the files are gone."""
        if self._unsaved:
            self._write(self._unsaved)
        if self._store.flush():
            self._ended_on_disk_only.clear()

    def back_up(self, key: PluginKey, content: str, naming: Naming, meta: Mapping[str, Any]) -> Path | None:
        """Copy what the server holds as ``backups/ID/STAMP.py``, byte for byte, and the rest as ``STAMP.json``.

        Return the path of the first; None if either could not be written.
        """
        described = {"id": key.id, "name": naming.name, "description": naming.description, "meta": dict(meta)}
        try:
            raw, metadata = content.encode(), json.dumps(described, indent=2, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            self._store.note(f"the server's copy of {key.id} can't be written to a file: {error}")
            return None
        path = self._store.back_up(key.id, f"{_stamp()}.py", raw)
        beside = self._store.back_up(key.id, f"{path.stem}.json", metadata) if path is not None else None
        return path if beside is not None else None

    def back_up_file(self, key: PluginKey, raw: bytes) -> Path | None:
        """Copy what a plugin's own file holds, byte for byte. None if the copy could not be written."""
        return self._store.back_up(key.id, f"{_stamp()}.py", raw)

    def backed_up(self, key: PluginKey) -> frozenset[str | Naming]:
        """Return what the backups of ``key`` hold: digests of contents, and names with descriptions."""
        contents = (raw.decode(errors="replace") for raw in self._store.backups(key.id, ".py"))
        namings = map(read_naming, self._store.backups(key.id, ".json"))
        return frozenset((*map(digest, contents), *filter(None, namings)))

    def trouble(self) -> str | None:
        """Return once what went wrong with the files, in words for the user."""
        return self._store.trouble()

    def _change(self, key: PluginKey, record: Record) -> None:
        if record != self._records.get(key):
            self._records[key] = record
            self._unsaved.add(key)

    def _write(self, keys: Collection[PluginKey]) -> None:
        self._store.record({name_of(key): to_json(self._entry(key)) for key in keys})
        self._unsaved.difference_update(keys)

    def _entry(self, key: PluginKey) -> Entry:
        return Entry(self._records.get(key), self._intents.get(key), self._replaced.get(key))


def _read(entries: Mapping[str, object]) -> Iterator[tuple[PluginKey, Entry]]:
    for name, value in entries.items():
        if is_key(name):
            yield key_of(name), read_entry(key_of(name), value)


def _stamp() -> str:
    return time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
