"""One plugin's way onto the server: plan a step, do it, look again, until there is nothing left to do."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from owui_watch.advice import advice
from owui_watch.answers import Absent, Answer, Denied, Forbidden, Refused, Remote, Unavailable
from owui_watch.content import digest
from owui_watch.journal import Intent, Journal
from owui_watch.looks import Looks
from owui_watch.openwebui import OpenWebUI
from owui_watch.outcome import BackedUp, Created, Outcome, Rejection, Restored, Unchanged, Updated, Warned
from owui_watch.plan import Attempt, OnForeign, Step, plan
from owui_watch.plugin import Fault, Key, Kind, Plugin
from owui_watch.refusals import explain
from owui_watch.releases import Release

MOST_STEPS = 20
"""Steps that one save may take before it is clear that something else keeps changing the plugin."""
MOST_FAILURES = 3
"""Answers 500 to an update, while a look succeeds, before it counts as the plugin's own doing (a ``SystemExit``)."""
BACKOFF = 0.5
"""Seconds before such an update is tried again, more each time."""


@dataclass(frozen=True)
class Policy:
    """What the settings say about plugins that are new, or that someone else changed."""

    enable_new: bool
    global_new: bool
    on_foreign: OnForeign


class TryLaterError(Exception):
    """The server gave no usable answer; the plugin stays dirty. ``why`` is for the gate."""

    def __init__(self, why: Unavailable | Denied) -> None:
        super().__init__(why)
        self.why = why


class NewPluginError(Exception):
    """The plugin isn't on the server, and nobody has said yet that it may be created."""


class _EndError(Exception):
    """Nothing more can be done for this save; the fault has been found."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.error)
        self.fault = fault


class Deployment:
    """Deploys one plugin at a time for as long as it is kept; several may run at once for different plugins."""

    def __init__(
        self,
        server: OpenWebUI,
        journal: Journal,
        looks: Looks,
        policy: Policy,
        tell: Callable[[Outcome], None],
    ) -> None:
        self._server = server
        self._journal = journal
        self._looks = looks
        self._policy = policy
        self._tell = tell
        self._warned: dict[Key, tuple[Fault, ...]] = {}

    async def deploy(self, plugin: Plugin, saved_at: float, *, may_create: bool) -> bool:
        """Bring ``plugin`` onto the server and tell what came of it. True where the server holds it now.

        ``saved_at`` is the moment of the last write on anyio's clock, in seconds. Raises TryLaterError, and
        NewPluginError where it isn't there and ``may_create`` is false.
        """
        course = _Course(self, plugin.key, plugin, may_create)
        try:
            await course.run()
        except _EndError as end:
            self._reject(course, plugin, end.fault)
            return False
        self._journal.settle(plugin.key, digest(plugin.content))
        self._warn(course, plugin)
        self._tell(self._deployed(course, plugin, saved_at))
        return True

    async def mend(self, key: Key) -> None:
        """Finish what was begun for a plugin whose file can't be sent now. Raises TryLaterError."""
        course = _Course(self, key, None, may_create=False)
        try:
            await course.run()
        except _EndError as end:
            if course.remote is not None and course.hurt:
                self._tell(Warned(end.fault.error, end.fault.hint, key.id, course.remote.kind))
        self._journal.settle(key, None)

    def _reject(self, course: _Course, plugin: Plugin, fault: Fault) -> None:
        if not course.hurt:
            self._journal.settle(plugin.key, None)
        live = None if course.remote is None else course.remote.version or "version"
        self._tell(
            Rejection(
                plugin=plugin.id,
                kind=plugin.kind,
                path=plugin.path,
                stage="server",
                line=fault.line,
                error=fault.error,
                hint=fault.hint,
                column=fault.column,
                source=fault.source,
                live=None if course.hurt else live,
            )
        )

    def _warn(self, course: _Course, plugin: Plugin) -> None:
        """Tell the warnings of this content, but not those that its last save told already."""
        faults = (*plugin.warnings, *advice(plugin, course.first, course.release.version))
        if self._warned.get(plugin.key) == faults:
            return
        self._warned[plugin.key] = faults
        for fault in faults:
            self._tell(Warned(fault.error, fault.hint, plugin.id, plugin.kind, plugin.path, fault.line))

    def _deployed(self, course: _Course, plugin: Plugin, saved_at: float) -> Outcome:
        ms = round((anyio.current_time() - saved_at) * 1000)
        previous = course.first.version if course.first else None
        fields = (plugin.id, plugin.kind, plugin.path, plugin.version, previous, ms)
        if course.created:
            attach = _attach(plugin.kind, course.remote)
            return Created(*fields, open=self._server.editor(plugin.key), attach=attach)
        return Updated(*fields) if course.sent else Unchanged(*fields)


class _Course:
    """The state of one deployment: what stands on the server, what was tried."""

    def __init__(self, deployment: Deployment, key: Key, plugin: Plugin | None, may_create: bool) -> None:
        self._server = deployment._server
        self._journal = deployment._journal
        self._looks = deployment._looks
        self._policy = deployment._policy
        self._tell = deployment._tell
        self.key = key
        self.plugin = plugin
        self.may_create = may_create
        self.first: Remote | None = None
        self.remote: Remote | None = None
        self.attempt = Attempt(self._journal.intent(key), self._journal.put(key))
        self.created = False
        self.sent = False
        self.hurt = False
        self._failures = 0

    @property
    def release(self) -> Release:
        assert self._server.release is not None, "the gate opens only after a connect"
        return self._server.release

    async def run(self) -> None:
        """Take steps until the server holds the plugin. Raises _EndError where it can't."""
        self.remote = self.first = await self._seen(await self._looks.take(self.key))
        if self.attempt.intent and self.remote and self.attempt.intent.sent == digest(self.remote.content or ""):
            self.sent, self.created = True, self.attempt.intent.fresh
        for _ in range(MOST_STEPS):
            step = plan(self.plugin, self.remote, self.attempt, self.release, self._policy.on_foreign)
            if step is Step.IN_SYNC:
                return
            await self._take(step)
        raise _EndError(
            Fault("something else keeps changing it on the server", hint="is another deploy running? save it again")
        )

    async def _take(self, step: Step) -> None:
        match step:
            case Step.CREATE:
                await self._create(self._sendable())
            case Step.UPDATE:
                await self._update(self._sendable())
            case Step.BACK_UP:
                self._back_up(self._there())
            case Step.SWITCH_ACTIVE:
                await self._switch(self._server.toggle, self._there())
            case Step.SWITCH_GLOBAL:
                await self._switch(self._server.toggle_global, self._there())
            case Step.PUT_BACK:
                await self._put_back(self._there())
            case Step.ASK_WHY:
                await self._ask_why(self._sendable())
            case Step.REFUSE_FOREIGN:
                raise _EndError(_foreign(self.release))
            case _:
                refusal = self.attempt.refusal or Refused("")
                raise _EndError(explain(refusal, self._sendable(), self.release) if self.plugin else Fault(""))

    async def _create(self, plugin: Plugin) -> None:
        if not self.may_create:
            raise NewPluginError
        if plugin.inferred and (twin := await self._twin(plugin)):
            raise _EndError(twin)
        functions = plugin.kind is not Kind.TOOL
        intent = Intent(
            plugin.key,
            digest(plugin.content),
            self._policy.enable_new if functions else None,
            (self._policy.global_new and plugin.kind in {Kind.FILTER, Kind.ACTION}) if functions else None,
            fresh=True,
            began=time.time(),
        )
        self._begin(intent)
        answer = await self._server.create(plugin.key.space, self._form(plugin))
        self.created = True
        self.remote = await self._after(answer)
        if isinstance(answer, Refused):
            # Someone else made it in the meantime: then there is something to update, and no refusal.
            found = self.remote is not None
            self.created = False
            self.attempt = dataclasses.replace(self.attempt, refusal=None if found else answer, creating=not found)
            if found:
                self.attempt = dataclasses.replace(self.attempt, intent=None)

    async def _update(self, plugin: Plugin) -> None:
        remote = self._there()
        held = self.attempt.intent
        flags = (held.active, held.is_global) if held else (remote.active, remote.is_global)
        self._begin(Intent(plugin.key, digest(plugin.content), *flags, fresh=False, began=time.time()))
        self.sent = True
        answer = await self._server.update(plugin.key, self._form(plugin))
        if isinstance(answer, Refused):
            self.attempt = dataclasses.replace(self.attempt, refusal=answer)
        self.remote = await self._after(answer)

    async def _ask_why(self, plugin: Plugin) -> None:
        """Learn what a refused create hides: an update of what isn't there runs the code first (0.12)."""
        answer = await self._server.update(plugin.key, self._form(plugin))
        refusal = answer if isinstance(answer, Refused) else self.attempt.refusal
        self.attempt = dataclasses.replace(self.attempt, refusal=refusal, asked=True)

    async def _put_back(self, remote: Remote) -> None:
        """Send a tool's old code again: the refused one may be live in the server's memory (0.11 and older)."""
        form = self._server.form(remote.key, remote.name, remote.content or "", remote.meta, remote)
        answer = await self._server.update(remote.key, form)
        self.attempt = dataclasses.replace(self.attempt, put_back=True)
        if isinstance(answer, Refused | Forbidden):
            self.hurt = True
            raise _EndError(_not_put_back(remote, answer))
        self.remote = await self._after(answer)
        self._restored(remote)

    async def _switch(self, toggle: Callable[[Key], Any], remote: Remote) -> None:
        """Flip one flag, and look at the answer: a flip is never repeated blindly."""
        before = (remote.active, remote.is_global)
        answer = await toggle(remote.key)
        if isinstance(answer, Refused | Forbidden):
            self.hurt = True
            raise _EndError(_not_switched(remote))
        self.remote = await self._after(answer)
        if self.remote is not None and before != (self.remote.active, self.remote.is_global):
            self._restored(remote)

    def _restored(self, remote: Remote) -> None:
        intent = self.attempt.intent
        if intent is not None and not intent.fresh:
            self._tell(Restored(remote.key.id, remote.kind, round((time.time() - intent.began) * 1000)))

    def _back_up(self, remote: Remote) -> None:
        backup = self._journal.back_up(remote.key, remote.content or "")
        if backup is None:
            raise _EndError(
                Fault(
                    f"the server's copy was changed by someone else and could not be saved: {self._journal.trouble()}",
                    hint="free the folder, then save the plugin again",
                )
            )
        self._tell(BackedUp(remote.key.id, remote.kind, backup))
        self.attempt = dataclasses.replace(self.attempt, backed_up=True)

    def _begin(self, intent: Intent) -> None:
        self._looks.forget(intent.key)
        self._journal.intend(intent)
        self.attempt = dataclasses.replace(self.attempt, intent=intent)

    def _form(self, plugin: Plugin) -> dict[str, Any]:
        """Where the header is silent, what stands on the server stays; a new plugin is named after its id, in words."""
        remote = self.remote
        name = plugin.header.get("title") or (remote.name if remote else plugin.id.replace("_", " ").strip().title())
        kept = {k: v for k, v in remote.meta.items() if k not in {"manifest", "toggle"}} if remote else {}
        description = plugin.header.get("description") or kept.get("description") or ""
        form = self._server.form(plugin.key, name, plugin.content, {**kept, "description": description}, remote)
        if self.release.history:
            form["commit_message"] = _commit_message(plugin, remote)
        return form

    async def _twin(self, plugin: Plugin) -> Fault | None:
        """Find the same plugin under another id: Open WebUI's own editor makes ids from titles."""
        others = await self._server.look_at_all(plugin.key.space)
        if not isinstance(others, dict):
            raise TryLaterError(others) if isinstance(others, Unavailable | Denied) else _EndError(_no_right())
        title, community_id = plugin.header.get("title"), plugin.header.get("openwebui_id")
        for other in others.values():
            same_title = title and other.kind is plugin.kind and title in {other.title, other.name}
            if same_title or (community_id and other.openwebui_id == community_id):
                return Fault(
                    f"it seems to be on the server already, as {other.key.id} (“{other.name}”)",
                    hint=f"add `id: {other.key.id}` to its header to update that one,"
                    f" or `id: {plugin.id}` to make a second one",
                )
        return None

    async def _after(self, answer: Remote | Answer) -> Remote | None:
        """Take the server's copy from an answer, or look where it does not hold one."""
        if isinstance(answer, Remote) and (answer.content is not None or self.created):
            if answer.content is not None:
                return answer
            return await self._created(answer)
        if isinstance(answer, Unavailable):
            return await self._after_failure(answer)
        if isinstance(answer, Denied):
            raise TryLaterError(answer)
        if isinstance(answer, Forbidden):
            raise _EndError(_no_right())
        return await self._seen(await self._server.look(self.key))

    async def _created(self, answer: Remote) -> Remote | None:
        """Save a look after a create where a flag must be flipped anyway: that answer holds the content."""
        intent = self.attempt.intent
        if intent is not None and intent.active is not None and answer.active != intent.active:
            return dataclasses.replace(answer, content=self._sendable().content)
        return await self._seen(await self._server.look(self.key))

    async def _after_failure(self, why: Unavailable) -> Remote | None:
        """Look what became of a call that got no answer; the plan goes on from there, and nothing is sent blindly."""
        self._failures += 1
        remote = await self._seen(await self._server.look(self.key))
        if not why.failed and self._failures > 1:
            raise TryLaterError(why)
        if why.failed and self._failures >= MOST_FAILURES:
            text = "the server fails (500) when it loads this code: does it call sys.exit() or raise SystemExit?"
            self.attempt = dataclasses.replace(self.attempt, refusal=Refused(text), creating=remote is None)
        elif why.failed:
            await anyio.sleep(BACKOFF * self._failures)
        elif why.retry_after is not None:
            raise TryLaterError(why)
        return remote

    async def _seen(self, answer: Remote | Answer) -> Remote | None:
        match answer:
            case Remote():
                return answer
            case Absent():
                return None
            case Unavailable() | Denied():
                raise TryLaterError(answer)
            case _:
                raise _EndError(_no_right())

    def _sendable(self) -> Plugin:
        assert self.plugin is not None, "nothing is sent for a file that can't be sent"
        return self.plugin

    def _there(self) -> Remote:
        assert self.remote is not None, "this step is planned only for what is there"
        return self.remote


def _attach(kind: Kind, remote: Remote | None) -> str | None:
    if remote is None or remote.is_global or kind not in {Kind.FILTER, Kind.ACTION}:
        return None
    return f"not global: switch it on for a model (Workspace → Models → {kind.capitalize()}s), or set global_new"


def _commit_message(plugin: Plugin, remote: Remote | None) -> str:
    before, after = remote.version if remote else None, plugin.version
    change = f"{before} → {after}" if before and after and before != after else after or "saved"
    return f"{change} ({_short(plugin.path)}, owui-watch)"


def _short(path: Path) -> str:
    return "/".join(path.parts[-2:])


def _no_right() -> Fault:
    return Fault(
        "the key's user may not deploy this",
        hint="functions need an admin's key; tools an admin's, or one of a user with the right to workspace tools",
    )


def _foreign(release: Release) -> Fault:
    where = " (its history has it)" if release.history else ""
    return Fault(
        f"the server's copy was changed by someone else{where}, and on_foreign is refuse",
        hint="take the change over into the file, or set on_foreign to backup",
    )


def _not_switched(remote: Remote) -> Fault:
    return Fault(
        f"{remote.name} is switched off on the server now and could not be switched on again",
        hint="switch it on in Open WebUI: Admin Panel → Functions",
    )


def _not_put_back(remote: Remote, answer: Refused | Forbidden) -> Fault:
    why = answer.reason if isinstance(answer, Refused) else "the key's user may not"
    return Fault(
        f"the server may still run the refused code of {remote.name}; putting the old one back failed: {why}",
        hint="open the tool in Open WebUI (Workspace → Tools) and save it, or restart the server",
    )
