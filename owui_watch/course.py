"""One plugin's way onto the server: plan a step, do it, look again, until there is nothing left to do."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable
from itertools import chain, repeat
from typing import Any

import anyio

from owui_watch.answers import Absent, Answer, Denied, Forbidden, Refused, Remote, Unavailable
from owui_watch.content import digest
from owui_watch.forms import put_back_form, update_form
from owui_watch.journal import Intent
from owui_watch.means import EndError, Means, NewPluginError, TryLaterError
from owui_watch.outcome import BackedUp, Restored, Working
from owui_watch.plan import Attempt, Step, plan
from owui_watch.plugin import Fault, Key, Kind, Plugin
from owui_watch.refusals import (
    explain,
    foreign_copy,
    no_right,
    not_backed_up,
    not_put_back,
    not_switched,
    restless,
    twin_found,
)
from owui_watch.releases import Release
from owui_watch.twins import find_twin

MOST_STEPS = 20
"""Steps that one save may take before it is clear that something else keeps changing the plugin."""
MOST_FAILURES = 3
"""Answers 500 to an update, while a look succeeds, before it counts as the plugin's own doing (a ``SystemExit``)."""
SLOW = 5.0
VERY_SLOW = 30.0
"""Seconds without an answer to an update before a line says so, and between two more such lines."""
BACKOFF = 0.5
"""Seconds before such an update is tried again, more each time."""


class Course:
    """The state of one deployment: what stands on the server, what was tried.

    ``plugin`` is None where its file can't be sent now and only what was begun is to be mended. ``hurt`` is true where
    the live plugin could not be brought back to what it was.
    """

    def __init__(self, means: Means, key: Key, plugin: Plugin | None, *, may_create: bool) -> None:
        self._server = means.server
        self._journal = means.journal
        self._looks = means.looks
        self._policy = means.policy
        self._tell = means.tell
        self.key = key
        self.plugin = plugin
        self.may_create = may_create
        self.first: Remote | None = None
        self.remote: Remote | None = None
        self.attempt = Attempt(self._journal.intent(key), self._journal.put(key), self._journal.retired(key))
        self.created = False
        self.sent = False
        self.hurt = False
        self._failures = 0

    @property
    def release(self) -> Release:
        """How the server at hand behaves."""
        assert self._server.release is not None, "the gate opens only after a connect"
        return self._server.release

    async def run(self) -> None:
        """Take steps until the server holds the plugin. Raises EndError where it can't."""
        self.remote = self.first = await self._seen(await self._looks.take(self.key))
        if self.attempt.intent and self.remote and self.attempt.intent.sent == digest(self.remote.content or ""):
            self.sent, self.created = True, self.attempt.intent.fresh
            self.attempt = dataclasses.replace(self.attempt, checked=True)  # what it replaced is not known any more
        for _ in range(MOST_STEPS):
            step = plan(self.plugin, self.remote, self.attempt, self.release, self._policy.on_foreign)
            if step is Step.IN_SYNC:
                return
            await self._take(step)
        raise EndError(restless())

    async def retire(self) -> bool:
        """Switch a function off whose file was deleted; false where it is off already, or isn't there."""
        self.remote = await self._seen(await self._looks.take(self.key))
        if self.remote is None or not self.remote.active:
            return False
        await self._switch(self._server.toggle, self.remote)
        off = self.remote is not None and self.remote.active is False
        self._journal.retire(self.key, off)
        return off

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
            case Step.CHECK_VALVES:
                await self._check_valves()
            case Step.PUT_BACK:
                await self._put_back(self._old())
            case Step.ASK_WHY:
                await self._ask_why(self._sendable())
            case Step.REFUSE_FOREIGN:
                raise EndError(foreign_copy(self.release))
            case _:
                refusal = self.attempt.refusal or Refused("")
                raise EndError(explain(refusal, self._sendable(), self.release) if self.plugin else Fault(""))

    async def _create(self, plugin: Plugin) -> None:
        if not self.may_create:
            raise NewPluginError
        if plugin.inferred and (twin := await self._twin(plugin)):
            raise EndError(twin)
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
        self.attempt = dataclasses.replace(self.attempt, refusal=None)
        answer = await self._patiently(self._server.create(plugin.key.space, self._form(plugin)))
        self.created = True
        if isinstance(answer, Remote):
            self._looks.created(answer)
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
        flags = (remote.active, remote.is_global)
        self._begin(Intent(plugin.key, digest(plugin.content), *flags, fresh=False, began=time.time()))
        self.sent = True
        answer = await self._patiently(self._server.update(plugin.key, self._form(plugin)))
        if isinstance(answer, Refused):
            self.attempt = dataclasses.replace(self.attempt, refusal=answer)
        self.remote = await self._after(answer)

    async def _ask_why(self, plugin: Plugin) -> None:
        """Learn what a refused create hides: an update of what isn't there runs the code first (0.12)."""
        answer = await self._patiently(self._server.update(plugin.key, self._form(plugin)))
        refusal = answer if isinstance(answer, Refused) else self.attempt.refusal
        self.attempt = dataclasses.replace(self.attempt, refusal=refusal, asked=True)

    async def _check_valves(self) -> None:
        """Refuse in the server's place what its own next releases refuse: code that the stored valves don't fit."""
        unfit = await self._server.unfit_valves(self.key)
        refusal = Refused(f"Current Valves are incompatible with this code: {unfit}") if unfit else None
        self.attempt = dataclasses.replace(self.attempt, refusal=refusal, checked=True)

    async def _put_back(self, remote: Remote) -> None:
        """Send the old code again: the refused one is live, in the server's memory at least (0.11 and older)."""
        answer = await self._patiently(self._server.update(remote.key, put_back_form(remote, self.release)))
        if isinstance(answer, Refused | Forbidden):
            self.hurt = True
            raise EndError(not_put_back(remote, answer))
        self.remote = await self._after(answer)
        if isinstance(answer, Remote):
            self.attempt = dataclasses.replace(self.attempt, put_back=True)
            self._restored(remote)

    async def _switch(self, toggle: Callable[[Key], Awaitable[Remote | Answer]], remote: Remote) -> None:
        """Flip one flag, and look at the answer: a flip is never repeated blindly."""
        before = (remote.active, remote.is_global)
        answer = await toggle(remote.key)
        if isinstance(answer, Refused | Forbidden):
            self.hurt = True
            raise EndError(not_switched(remote))
        self.remote = await self._after(answer)
        if self.remote is not None and before != (self.remote.active, self.remote.is_global):
            self._journal.retire(remote.key, self.attempt.retired and not self.remote.active)
            self._restored(remote)

    def _restored(self, remote: Remote) -> None:
        intent = self.attempt.intent
        if intent is not None and not intent.fresh:
            self._tell(Restored(remote.key.id, remote.kind, round((time.time() - intent.began) * 1000)))

    def _back_up(self, remote: Remote) -> None:
        backup = self._journal.back_up(remote.key, remote.content or "")
        if backup is None:
            raise EndError(not_backed_up(self._journal.trouble()))
        self._tell(BackedUp(remote.key.id, remote.kind, backup))
        self.attempt = dataclasses.replace(self.attempt, backed_up=True)

    def _begin(self, intent: Intent) -> None:
        self._journal.intend(intent)
        self.attempt = dataclasses.replace(self.attempt, intent=intent)

    def _form(self, plugin: Plugin) -> dict[str, Any]:
        return update_form(plugin, self.remote, self.release)

    async def _twin(self, plugin: Plugin) -> Fault | None:
        """Find the same plugin under another id: Open WebUI's own editor makes ids from titles."""
        others = await self._looks.listing(plugin.key.space)
        if not isinstance(others, dict):
            raise TryLaterError(others) if isinstance(others, Unavailable | Denied) else EndError(no_right())
        other = find_twin(plugin, others.values())
        return twin_found(plugin, other) if other else None

    async def _patiently(self, call: Awaitable[Remote | Answer]) -> Remote | Answer:
        """Wait for an answer as long as it takes, and say now and then that the server is still at it."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._say_slow)
            answer = await call
            tasks.cancel_scope.cancel()
        return answer

    async def _say_slow(self) -> None:
        began = anyio.current_time()
        kind = self.plugin.kind if self.plugin else self._there().kind
        requirements = self.plugin.header.get("requirements") if self.plugin else None
        for pause in chain([SLOW], repeat(VERY_SLOW)):
            await anyio.sleep(pause)
            self._tell(Working(self.key.id, kind, round(anyio.current_time() - began), requirements or None))

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
            raise EndError(no_right())
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
        if self.attempt.refusal is not None and self._failures >= MOST_FAILURES:
            # What fails now is only to undo what a refusal did.
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
            case Remote(content=str()):
                return answer
            case Absent():
                return None
            case Unavailable() | Denied():
                raise TryLaterError(answer)
            case _:
                raise EndError(no_right())

    def _sendable(self) -> Plugin:
        assert self.plugin is not None, "nothing is sent for a file that can't be sent"
        return self.plugin

    def _old(self) -> Remote:
        """Give the copy that stood there before anything was sent."""
        return self.first or self._there()

    def _there(self) -> Remote:
        assert self.remote is not None, "this step is planned only for what is there"
        return self.remote
