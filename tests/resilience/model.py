"""What a few plugins' files hold, what the server may hold by then, and whether owui-watch keeps its word."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from owui_watch.plugins.model import Kind, Space
from tests.live.conftest import make_project
from tests.live.harness import Run
from tests.live.samples import source
from tests.live.server import Server
from tests.resilience.tcp_proxy import TcpProxy

KINDS = {
    "notes": Kind.PIPE,
    "guard": Kind.FILTER,
    "helper": Kind.TOOL,
    "press": Kind.ACTION,
    "sentinel": Kind.EVENT,
}
"""The plugins. The last one is saved when the others are to be tried at once, not after a pause."""
SILENCE = 1.3
"""Seconds without a request that count as rest: more than new plugins wait for others that are saved with them."""
LAST_SILENCE = 1.6
"""The same at the end of a story: long enough for a periodic look."""
AFTER_AN_END = 2.6
"""The same after owui-watch ended: it waits 2 s for what the server may still be doing before it sends it again."""
PATIENCE = 25.0
"""Seconds within which rest must come: the longest backoff, and a busy machine."""
POLL = 0.02
NOWHERE = "http://127.0.0.1:9"
"""An address where no server is: port 9 discards what it gets, where anything listens at all."""
NEW = (True, False)
"""Active and not global: how the settings have owui-watch create a function."""


class Way(TcpProxy):
    """The proxy, and how many requests are in it."""

    def __init__(self, *upstream: str) -> None:
        super().__init__(*upstream)
        self._under_way = 0

    def _answer(self, *request: Any) -> bool:
        with self._lock:
            self._under_way += 1
        try:
            return super()._answer(*request)
        finally:
            with self._lock:
                self._under_way -= 1

    def drain(self) -> None:
        """Wait until no request is under way: none may reach the server after its sender has long given up."""
        calm = 0
        for calm in _ticks(PATIENCE, lambda: self._under_way == 0):
            if calm == 2:
                return
        raise AssertionError("a request never ended")

    def silent(self, seconds: float) -> bool:
        """Wait until no request has come for ``seconds``; false where they never cease."""
        before, since = -1, time.monotonic()
        for _ in _ticks(PATIENCE, lambda: True):
            if len(self.requests) != before or self._under_way:
                before, since = len(self.requests), time.monotonic()
            elif time.monotonic() - since >= seconds:
                return True
        return False


def _ticks(seconds: float, fact: Callable[[], bool]) -> Iterator[int]:
    """Poll for ``seconds``; give how often ``fact`` held in a row."""
    pause, deadline, row = threading.Event(), time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        row = row + 1 if fact() else 0
        yield row
        pause.wait(POLL)


@dataclass(frozen=True)
class Content:
    """What a file holds. ``good``: the server takes it. ``pinned``: its header names the id, wherever the file lies."""

    text: str
    good: bool
    pinned: bool


@dataclass
class File:
    """One plugin's file: where it is, or was last."""

    path: str
    content: Content | None = None
    before: list[Content] = field(default_factory=list)


@dataclass(frozen=True)
class Edit:
    """What someone else put on the server, None for deleted, after it had taken ``after`` contents from owui-watch."""

    text: str | None
    after: int


@dataclass
class Copy:
    """What the server may hold for one id.

    ``may``: content that may be live now, None for no plugin; one more with every save until the next rest. ``flags``
    likewise. ``held``: all that a file of this id has held. ``managed``: True, False, or None where owui-watch may have
    been killed before it saw the save. ``saved``: this run of owui-watch must have seen a save. ``edited``: someone
    else changed the server's copy after that. ``dirty``: something happened to the file since the last rest.
    ``loose``: contents that someone else put there since the last rest at a moment of their own, perhaps in the midst of
    a deploy; ``ever_loose``: there were any.
    """

    kind: Kind
    id: str
    may: set[str | None] = field(default_factory=lambda: {None})
    flags: set[tuple[bool, bool]] = field(default_factory=lambda: {NEW})
    held: list[str] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    managed: bool | None = False
    saved: bool = False
    edited: bool = False
    dirty: bool = False
    loose: list[str] = field(default_factory=list)
    ever_loose: bool = False

    @property
    def place(self) -> str:
        return f"{self.kind.space}/{self.id}"


class Story:
    """Someone works on plugins while things go wrong. ``told`` is what was done, to be done again.

    ``others`` are more instances on the database of ``server``, each with a cache of its own.
    """

    def __init__(self, above: Path, server: Server, others: Sequence[Server] = ()) -> None:
        self.server = server
        self.server.delete_all()
        self.way = Way(server.url, *(other.url for other in others))
        self.project = make_project(above)
        self.project.use(self.way.url, server.key)
        self.files = {name: File(f"{name}.py") for name in KINDS}
        self.copies: dict[str, Copy] = {}
        self.run: Run | None = None
        self.second: Run | None = None
        self._has_ended = False
        self.told: list[str] = []
        self.steps = 0
        self.failed = False
        self._marks = 0
        self._depth = 0
        self.is_open = False
        self._unsaid: dict[str, int] = {}
        self.open()

    # --- what can be done ------------------------------------------------------------------------------------------

    def save(self, name: str, how: str = "good", *, pinned: bool = False, replace: bool = False) -> None:
        """Save new content, in place or by a rename: ``good``, ``broken`` or what the server will be ``refusing``."""
        with self._doing("save", name, how, pinned=pinned, replace=replace):
            self._marks += 1
            header = f"id: {name}" if pinned else "author: someone"
            top = "import there_is_no_such_module" if how == "refusing" else ""
            text = source(KINDS[name], f"mark {self._marks}", header=header, top=top)
            if how == "broken":
                text += "\n)\n"
            self._put(name, Content(text, how == "good", pinned), replace=replace)

    def save_again(self, name: str, back: int = 0) -> None:
        """Save what the file holds or has held before: the last, or one ``back`` from it."""
        with self._doing("save_again", name, back):
            before = self.files[name].before
            if before:
                self._put(name, before[-1 - back % len(before)], replace=False)

    def delete(self, name: str) -> None:
        with self._doing("delete", name):
            file = self.files[name]
            if file.content is not None:
                self._copy(name).dirty = True
                (self.project.plugins / file.path).unlink()
                file.content = None
                self._unsaid.pop(file.path, None)

    def rename(self, name: str) -> None:
        """Move the file: its id stays where its header names it."""
        with self._doing("rename", name):
            file = self.files[name]
            if file.content is not None:
                self._copy(name).dirty = True
            before, file.path = file.path, f"more/{name}_moved.py" if "/" not in file.path else f"{name}.py"
            self._unsaid.pop(before, None)
            if file.content is not None:
                there = self.project.plugins / file.path
                there.parent.mkdir(exist_ok=True)
                self._note(name)
                (self.project.plugins / before).rename(there)

    def edit(self, name: str) -> None:
        """Someone saves other content in Open WebUI's own editor, or makes the plugin there."""
        with self._doing("edit", name):
            copy = self._calm_copy(name)
            self._marks += 1
            text = source(copy.kind, f"edit {self._marks}")
            if self._live(copy) is None:
                self.server.create(copy.kind, copy.id, text, title=copy.id)
                # Where a create of ours may have been on its way it is switched on as that one would have been.
                copy.flags = {(False, False)} | ({NEW} if copy.dirty else set())
            else:
                self.server.edit(copy.kind, copy.id, text)
            self._edited(copy, text)

    def edit_now(self, name: str) -> None:
        """Someone saves other content in Open WebUI's own editor, whatever owui-watch is doing at this moment."""
        with self._doing("edit_now", name):
            copy = self._copy(name)
            live = self._live(copy)
            if live is not None:
                if copy.edits and copy.edits[-1].text == live["content"]:  # replaced by someone else: no backup of ours
                    copy.edits[-1] = Edit(None, copy.edits[-1].after)
                self._marks += 1
                text = source(copy.kind, f"edit {self._marks}")
                self.server.edit(copy.kind, copy.id, text)
                copy.may.add(text)
                copy.edited = copy.ever_loose = True
                copy.loose.append(text)

    def take_away(self, name: str) -> None:
        """Someone deletes the plugin on the server."""
        with self._doing("take_away", name):
            copy = self._calm_copy(name)
            if self._live(copy) is not None:
                self.server.delete(copy.kind, copy.id)
                copy.flags = {NEW}
                self._edited(copy, None)

    def toggle(self, name: str) -> None:
        """Someone switches a function off or on, and for good measure makes it global or not."""
        with self._doing("toggle", name):
            copy = self._calm_copy(name)
            if copy.kind is not Kind.TOOL and None not in copy.may:
                self.server.toggle(copy.id)
                copy.flags = {(not active, is_global) for active, is_global in copy.flags}
                if copy.kind in {Kind.FILTER, Kind.ACTION}:
                    self.server.toggle_global(copy.id)
                    copy.flags = {(active, not is_global) for active, is_global in copy.flags}

    def close(self) -> None:
        """The server can't be reached any more."""
        with self._doing("close"):
            self.way.close()
            self.way.drain()
            self.is_open = False

    def open(self) -> None:
        with self._doing("open"):
            self.way.open()
            self.is_open = True

    def move(self, server: Server) -> None:
        """The server was killed, and runs again at another address: the way leads there now."""
        with self._doing("move"):
            self.server, self.way.upstream = server, (server.url,)

    def storm(self, seed: int, share: float) -> None:
        """Let misfortunes befall the requests until the next rest."""
        with self._doing("storm", seed, share):
            self.way.storm(seed, share)

    def start(self) -> None:
        with self._doing("start"):
            assert self.run is None
            for name in KINDS:
                self._may_be_sent(name)
            self.run = self.project.watch("-v", "--drain", "0.3")

    def stop(self, *, at_rest: bool = False) -> None:
        """Have owui-watch end; at rest it must leave nothing undone."""
        with self._doing("stop", at_rest=at_rest):
            assert self.run is not None
            self.run.interrupt(signal.SIGTERM)
            pending = self.run.wait_for("stopped")["pending"]
            assert not (pending and at_rest), f"{pending} are pending at rest"
            self.run.ends(1 if pending else 0)
            self._ended()

    def kill(self) -> None:
        with self._doing("kill"):
            assert self.run is not None
            os.kill(self.run.pid, signal.SIGKILL)
            self.run.ends(-signal.SIGKILL)
            self._ended()

    def start_or_end_second(self) -> None:
        """A second owui-watch on the same files, for a server that is never there: it may disturb nothing."""
        with self._doing("start_or_end_second"):
            if self.second is None:
                self.second = self.project.watch("--url", NOWHERE, "--drain", "0")
            else:
                self._end_second()

    def _end_second(self) -> None:
        second, self.second = self.second, None
        if second is not None:
            second.interrupt(signal.SIGTERM)
            pending = second.wait_for("stopped")["pending"]
            second.ends(1 if pending else 0)

    def clone(self, number: int) -> None:
        """Put into the tree what a hostile repository brings: memories of any form, links out, other settings."""
        with self._doing("clone", number):
            names = sorted(KINDS)
            old = self.project.plugins / ".owui-watch"
            if old.exists():
                shutil.rmtree(old)
            old.mkdir()
            keys = {f"{KINDS[name].space}/{name}": f"{number:064x}" for name in names}
            url = self.way.url.replace("127.0.0.1", "localhost")
            for file, value in (("state", keys), ("asked", {"plugins": names[: number % 3]}), ("retired", keys)):
                (old / f"{file}.json").write_text(json.dumps({"format": 1, "servers": {url: value}}), "utf-8")
            intents = [[key, digest, True, False, True, 1.5, 0, 9] for key, digest in keys.items()]
            short = hashlib.sha256(url.encode()).hexdigest()[:12]
            lines = "\n".join(map(json.dumps, intents))
            (old / f"intents-{short}.jsonl").write_text(lines, "utf-8")
            (old / "journal.jsonl").write_text(lines, "utf-8")
            (old / "backups").symlink_to(self.project.folder)
            (self.project.plugins / ".env").write_text(f"OPENWEBUI_URL={NOWHERE}\nOPENWEBUI_API_KEY=theirs\n", "utf-8")

    def moment(self, requests: int) -> None:
        """Let some requests be made, if they are, within a moment."""
        with self._doing("moment", requests):
            goal = len(self.way.requests) + requests
            for reached in _ticks(0.25, lambda: len(self.way.requests) >= goal):
                if reached:
                    return

    def rest(self, silence: float = SILENCE, *, nudge: bool = True) -> None:
        """Let nothing go wrong any more, and hold what owui-watch did against what it promises.

        With ``nudge`` something is saved, so that it doesn't wait for the next try.
        """
        with self._doing("rest", nudge=nudge):
            self.way.calm()
            if not self.is_open:
                self.open()
            if self.run is None:
                self.start()
            if nudge and self._waits():
                self.save("sentinel")
            if self._has_ended:
                silence, self._has_ended = max(silence, AFTER_AN_END), False
            deadline = time.monotonic() + PATIENCE
            while True:
                assert self.way.silent(silence), f"requests without end: {self.way.requests[-9:]}"
                live = self._all_live()
                wrong = self._wrong(live)
                if not wrong:
                    break
                assert time.monotonic() < deadline, "\n".join(wrong)
            self._check_history()
            self._check_loose(live)
            self._at_rest(live)

    def end(self) -> None:
        """Come to rest a last time, unless something failed; then end all that runs."""
        try:
            if not self.failed:
                self._end_second()
                self.rest(LAST_SILENCE)
                self.stop(at_rest=True)
        finally:
            for run in filter(None, (self.run, self.second)):
                os.kill(run.pid, signal.SIGKILL)
                run.ends(-signal.SIGKILL)
            self.run = self.second = None
            self.way.__exit__(None, None, None)

    # --- the model -------------------------------------------------------------------------------------------------

    @contextmanager
    def _doing(self, what: str, *arguments: object, **named: object) -> Iterator[None]:
        given = [repr(argument) for argument in arguments] + [f"{name}={value!r}" for name, value in named.items()]
        self.told.append(f"{'    ' * self._depth}{what}({', '.join(given)})")
        self.steps += self._depth == 0
        self._depth += 1
        try:
            yield
        except BaseException as error:
            if not self.failed:
                self.failed = True
                said = self.run.told()[-6000:] if self.run else ""
                error.add_note("\n".join(["The story:", *self.told, "", said, *self.way.requests[-30:]]))
            raise
        finally:
            self._depth -= 1

    def _copy(self, name: str) -> Copy:
        """Return the plugin that the file is, or would be."""
        file = self.files[name]
        identifier = name if file.content and file.content.pinned else Path(file.path).stem
        return self.copies.setdefault(identifier, Copy(KINDS[name], identifier))

    def _put(self, name: str, content: Content, *, replace: bool) -> None:
        file = self.files[name]
        if file.content is not None:
            self._copy(name).dirty = True
        file.content = content
        file.before.append(content)
        path = self.project.plugins / file.path
        path.parent.mkdir(exist_ok=True)
        self._note(name)
        if replace:
            beside = self.project.folder / "beside.py"
            beside.write_text(content.text, "utf-8")
            beside.replace(path)
        else:
            path.write_text(content.text, "utf-8")

    def _note(self, name: str) -> None:
        """Remember that the file is about to change, and whether anyone sees it."""
        file, copy = self.files[name], self._copy(name)
        assert file.content is not None
        copy.held.append(file.content.text)
        copy.dirty = True
        if self.run is not None:
            copy.saved, copy.edited = True, False
            copy.managed = copy.managed or None
            self._unsaid[file.path] = len(self._said(file.path))
            self._may_be_sent(name)

    def _may_be_sent(self, name: str) -> None:
        file, copy = self.files[name], self._copy(name)
        if file.content and file.content.good and copy.managed is not False:
            copy.may.add(file.content.text)

    def _said(self, path: str) -> list[dict[str, Any]]:
        return self.run.of("note", path=f"plugins/{path}") if self.run else []

    def _ended(self) -> None:
        self.way.drain()
        self.run = None
        self._has_ended = True
        self._unsaid.clear()
        for copy in self.copies.values():
            copy.saved = False
            if copy.loose:  # an update that replaced it may have been the last thing that was done
                copy.may |= {None, *copy.held} if copy.managed is not False else set()
            copy.loose.clear()

    def _calm_copy(self, name: str) -> Copy:
        """Return a copy that owui-watch is not just about to change: no server could tell the two apart."""
        if self._copy(name).dirty and self.run is not None and self.is_open:
            self.rest(nudge=True)
        return self._copy(name)

    def _edited(self, copy: Copy, text: str | None) -> None:
        copy.loose.clear()
        copy.may = {text} if not copy.dirty else copy.may | {text}
        copy.edited = True
        copy.edits.append(Edit(text, len(self.way.taken(copy.place))))

    def _live(self, copy: Copy) -> dict[str, Any] | None:
        return self._all_live().get(copy.place)

    def _all_live(self) -> dict[str, dict[str, Any]]:
        return {f"{space}/{plugin['id']}": plugin for space in Space for plugin in self.server.all(space)}

    # --- the promise -----------------------------------------------------------------------------------------------

    def _waits(self) -> bool:
        said = self.run.of("waiting", "reachable") if self.run else []
        return bool(said) and said[-1]["event"] == "waiting"

    def _wrong(self, live: dict[str, dict[str, Any]]) -> list[str]:
        """Say what is not yet as it must be at rest."""
        wrong = [f"no word of {path}" for path, count in self._unsaid.items() if len(self._said(path)) <= count]
        wrong += ["still waiting for the server"] if self._waits() else []
        wrong += [
            f"{place} was never anyone's" for place in live.keys() - {each.place for each in self.copies.values()}
        ]
        files = {self._copy(name).id: file for name, file in self.files.items()}
        for copy in self.copies.values():
            there = live.get(copy.place)
            text = there["content"] if there else None
            content = files[copy.id].content if copy.id in files else None
            if content and self._must_be_live(copy, content):
                if text != content.text:
                    wrong.append(f"{copy.place} must hold what its file holds, {_mark(content.text)}: {_mark(text)}")
            elif text not in copy.may:
                wrong.append(f"{copy.place} may hold {sorted(map(_mark, copy.may))}: {_mark(text)}")
            if there and copy.kind is not Kind.TOOL and (there["is_active"], there["is_global"]) not in copy.flags:
                wrong.append(f"{copy.place}: {there['is_active']=} {there['is_global']=}, not one of {copy.flags}")
        return wrong

    def _must_be_live(self, copy: Copy, content: Content) -> bool:
        taken = self.way.taken(copy.place)
        sent = bool(taken) and taken[-1] == content.text
        return (
            content.good
            and not copy.loose
            and ((copy.saved and not copy.edited) or ((copy.saved or copy.managed is True) and not sent))
        )

    def _check_history(self) -> None:
        """Hold all that was ever sent against all that the files ever held, and the backups against the edits."""
        refused = {(place, text) for place, text in self.way.refused}
        for copy in self.copies.values():
            taken = self.way.taken(copy.place)
            marks = [_mark(text) for text in taken]
            held = iter(copy.held)
            in_order = all(text in held for text, _ in groupby(taken))  # "twice" below is about the same one running
            assert in_order, f"{copy.place}: {marks} of {[_mark(t) for t in copy.held]}"
            assert {text for place, text in refused if place == copy.place} <= set(copy.held), copy.place
            between = {edit.after for edit in copy.edits}
            twice = [n for n in range(1, len(taken)) if taken[n - 1] == taken[n] and n not in between]
            assert copy.ever_loose or not twice, f"{copy.place} was sent twice running: {marks}"
            backups = Counter(path.read_text("utf-8") for path in self.project.backups(copy.id))
            later = [*(edit.after for edit in copy.edits), len(taken)][1:]
            for edit, after in zip(copy.edits, later, strict=False):
                lost = edit.text is not None and after > edit.after and edit.text not in backups
                assert not lost, f"{copy.place}: no backup of {_mark(edit.text)} of {marks}"

    def _check_loose(self, live: dict[str, dict[str, Any]]) -> None:
        """Hold the last edit that someone made at a moment of their own against what is live and the backups."""
        for copy in self.copies.values():
            there = live.get(copy.place)
            for text in copy.loose[-1:]:
                backups = {path.read_text("utf-8") for path in self.project.backups(copy.id)}
                kept = (there and there["content"] == text) or text in backups
                assert kept, f"{copy.place}: {_mark(text)} is neither live nor in a backup"
            copy.loose.clear()

    def _at_rest(self, live: dict[str, dict[str, Any]]) -> None:
        """Start the model anew from what is known now."""
        self._unsaid.clear()
        sent = {place for place, _ in self.way.accepted + self.way.refused}
        current = {self._copy(name).id for name, file in self.files.items() if file.content}
        for copy in self.copies.values():
            there = live.get(copy.place)
            copy.may = {there["content"] if there else None}
            copy.flags = {(there["is_active"], there["is_global"])} if there and "is_active" in there else {NEW}
            copy.managed = True if copy.place in sent or (copy.saved and copy.id in current) else copy.managed
            copy.dirty = False


def _mark(text: str | None) -> str:
    """Tell one content from another in few words."""
    if text is None:
        return "nothing"
    found = re.search(r"(mark|edit) \d+", text)
    return (found[0] if found else "?") + (" broken" if text.endswith("\n)\n") else "")
