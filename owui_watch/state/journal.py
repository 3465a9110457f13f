"""What owui-watch put on which server, what it was about to do, and copies of what it replaced."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owui_watch.plugins.model import PluginKey, Space
from owui_watch.state.store import StateFolder

_STATE, _RETIRED, _ASKED, _INTENTS = "state.json", "retired.json", "asked.json", "intents"


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
    """The memory for one server: ``state.json``, a log of intents and ``backups/`` in ``.owui-watch/``.

    A plugin is *managed* once it was deployed or a save of it was seen. Nothing here raises: what can't be written is
    kept in memory, and ``trouble()`` says why.
    """

    def __init__(self, home: Path, server: str) -> None:
        self._folder = StateFolder(home)
        self._server = server
        self._put: dict[PluginKey, str | None] = {
            _key(name): put for name, put in self._folder.read(_STATE, server).items() if _is_key(name)
        }
        begun = map(_intent, self._folder.entries(_INTENTS, server))
        self._intents = {intent.key: intent for intent in begun if intent is not None}
        self._retired = {_key(name) for name in self._folder.read(_RETIRED, server) if _is_key(name)}
        self._wider: dict[PluginKey, str] = {}
        self._settled: set[PluginKey] = set()
        self._doubts: dict[PluginKey, set[str]] = {}
        self._unsaved = False

    def held(self) -> AbstractContextManager[None]:
        """Keep a second owui-watch away from this memory. Raises TimeoutError where there is one."""
        return self._folder.held(self._server)

    def learn(self, wider: Iterable[Journal], parts: Iterable[Journal]) -> None:
        """Know what memories of the same files know: those of a ``wider`` tree, nearest first, and of ``parts`` of it.

        A part was taken over when this memory was last used, so what it knows is newer. What a wider tree's run has
        begun is left to it; it is known only what that put there.
        """
        for other in wider:
            self._wider = {key: put for key, put in other._put.items() if put} | self._wider
        for part in parts:
            self._put |= {key: put for key, put in part._put.items() if put or key not in self._put}
            self._intents |= part._intents
            self._retired |= part._retired

    def take_over(self, parts: Iterable[Journal]) -> None:
        """Keep here from now on what the memories of ``parts`` know, and there no longer: one memory, one owner."""
        parts = [part for part in parts if part._put or part._intents or part._retired]
        self.learn((), parts)
        if parts and self._write_all():
            for part in parts:
                part.forget()

    def managed(self) -> set[PluginKey]:
        """Plugins that owui-watch has deployed to this server, has sent without an answer, or has seen a save of."""
        return set(self._put) | set(self._intents) | set(self._wider)

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
        return None if key in self._settled else self._intents.get(key)

    def unsettled(self) -> set[PluginKey]:
        """Plugins with something begun and not known to have ended."""
        return set(self._intents) - self._settled

    def manage(self, key: PluginKey) -> None:
        """Remember that a save of this plugin was seen."""
        if key not in self._put:
            self._put[key] = None
            self._unsaved = True

    def release(self, key: PluginKey) -> None:
        """Forget that a save was seen: it is not created before someone says so, not at the next start either."""
        if key in self._put and self._put[key] is None:
            del self._put[key]
            self._unsaved = True

    def intend(self, intent: Intent) -> None:
        """Write ``intent`` down before it is carried out."""
        self._intents[intent.key] = intent
        self._settled.discard(intent.key)
        self._folder.append(_INTENTS, self._server, _entry(intent))

    def settle(self, key: PluginKey, put: str | None) -> None:
        """Strike the intent out. ``put`` is the digest of ours that the server holds now, None where it took nothing.

        The disk follows with ``flush``, off the way of the save; until then the intent on it stands in.
        """
        if key in self._intents:
            self._settled.add(key)
        if put is not None and self._put.get(key) != put:
            self._put[key] = put
            self._unsaved = True

    def retired(self, key: PluginKey) -> bool:
        """Return whether owui-watch switched this function off because its file was deleted."""
        return key in self._retired

    def retire(self, key: PluginKey, retired: bool) -> None:
        """Remember that a function was switched off with its file, or that it is on again."""
        if retired != self.retired(key):
            self._retired ^= {key}
            self._write_retired()

    def ask(self, plugins: Sequence[str]) -> None:
        """Ask the run that holds this memory to deploy these ids, or all where none is named."""
        self._folder.write(_ASKED, self._server, {"plugins": list(plugins)})

    def asked(self) -> tuple[str, ...] | None:
        """Return what another run asks for; None where none does."""
        plugins = self._folder.read(_ASKED, self._server).get("plugins")
        return tuple(map(str, plugins)) if isinstance(plugins, list) else None

    def answer(self, roots: Iterable[Path] = ()) -> None:
        """Strike out what was asked for: it is taken up by a run on ``roots``, or not asked for any more."""
        self._folder.write(_ASKED, self._server, {"roots": list(map(str, roots))})

    def answered(self) -> tuple[Path, ...]:
        """Return what the run watches that took up what was asked for; nothing where it didn't say."""
        roots = self._folder.read(_ASKED, self._server).get("roots")
        return tuple(map(Path, map(str, roots))) if isinstance(roots, list) else ()

    def flush(self) -> None:
        """Write what has changed since the last time, or all of it where the files are gone."""
        if self._folder.renew():
            self._write_all()
        if self._unsaved:
            self._write_put()
        if self._settled and not self._unsaved:
            left = {key: intent for key, intent in self._intents.items() if key not in self._settled}
            if self._write_intents(left):
                self._intents = left
                self._settled.clear()

    def forget(self) -> None:
        """Drop all that is known of this server: a throwaway one that is gone."""
        for name in (_STATE, _RETIRED, _ASKED):
            self._folder.write(name, self._server, {})
        self._folder.rewrite(_INTENTS, self._server, [])

    def back_up(self, key: PluginKey, content: str) -> Path | None:
        """Save a copy of the server's content as ``backups/ID/TIME.py``. None where it could not be written."""
        stamp = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
        return self._folder.add(f"backups/{key.id}", f"{stamp}.py", content)

    def is_backed_up(self, key: PluginKey, content: str) -> bool:
        """Return whether the newest copy of this plugin is just this content."""
        return self._folder.newest(f"backups/{key.id}") == content

    def trouble(self) -> str | None:
        """Say once what last went wrong with the files, in words for the user."""
        trouble, self._folder.trouble = self._folder.trouble, None
        return trouble

    def _write_all(self) -> bool:
        return all([self._write_put(), self._write_retired(), self._write_intents(self._intents)])

    def _write_put(self) -> bool:
        state = {_name(key): put for key, put in self._put.items()}
        self._unsaved = not self._folder.write(_STATE, self._server, state)
        return not self._unsaved

    def _write_retired(self) -> bool:
        return self._folder.write(_RETIRED, self._server, {_name(each): True for each in self._retired})

    def _write_intents(self, intents: dict[PluginKey, Intent]) -> bool:
        return self._folder.rewrite(_INTENTS, self._server, map(_entry, intents.values()))


def _name(key: PluginKey) -> str:
    return f"{key.space}/{key.id}"


def _is_key(name: str) -> bool:
    space, slash, identifier = name.partition("/")
    return bool(slash) and space in set(Space) and identifier.isidentifier()


def _key(name: str) -> PluginKey:
    space, _, identifier = name.partition("/")
    return PluginKey(Space(space), identifier)


def _entry(i: Intent) -> list[Any]:
    return [_name(i.key), i.sent, i.active, i.is_global, i.fresh, i.began, i.under_way, i.losses]


def _intent(entry: Any) -> Intent | None:
    """Read one intent. Of an unreadable one remains that something was begun, where it names the plugin."""
    match entry:
        case [str(name), str(sent), active, is_global, bool(fresh), int() | float() as began, int(looks), int(losses)]:
            return Intent(_key(name), sent, active, is_global, fresh, began, looks, losses) if _is_key(name) else None
        case [str(name), *_] if _is_key(name):
            return Intent(_key(name), "", None, None, fresh=False, began=time.time())
        case _:
            return None
