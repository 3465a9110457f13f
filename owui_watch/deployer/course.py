"""One plugin's way onto the server: plan a step, do it, look again, until there is nothing left to do."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from owui_watch.deployer.exchange import Exchange
from owui_watch.deployer.means import EndError, Means, NewPluginError, early_end
from owui_watch.deployer.plan import Attempt, Step, plan
from owui_watch.deployer.recovery import MOST_LOSSES
from owui_watch.deployer.refusals import (
    brings_down,
    explain,
    foreign_copy,
    not_backed_up,
    not_put_back,
    not_switched,
    restless,
    twin_found,
)
from owui_watch.deployer.twins import find_twin
from owui_watch.openwebui.payloads import put_back_form, update_form
from owui_watch.openwebui.releases import Release
from owui_watch.openwebui.responses import Refused, Remote, Response, is_final_refusal
from owui_watch.plugins.content import digest
from owui_watch.plugins.model import Diagnostic, Plugin, PluginKey
from owui_watch.reporting.events import BackedUp, Restored
from owui_watch.state.journal import Intent

MOST_STEPS = 20
"""Steps that one save may take before it is clear that something else keeps changing the plugin."""


class Course:
    """One deployment, as far as it came.

    ``plugin`` is None where its file can't be sent now and only what was begun is to be mended. ``first`` is what stood
    on the server before; ``created`` and ``sent`` (an update) tell what was done. ``hurt`` is true where the live
    plugin could not be brought back to what it was.
    """

    def __init__(self, means: Means, key: PluginKey, plugin: Plugin | None, *, may_create: bool) -> None:
        self._server = means.server
        self._journal = means.journal
        self._looks = means.looks
        self._policy = means.policy
        self._report = means.report
        self._files_of = means.files_of
        self.key = key
        self.plugin = plugin
        self.may_create = may_create
        self.first: Remote | None = None
        self.created = False
        self.sent = False
        self.hurt = False
        self._exchange = Exchange(means, key, plugin)

    @property
    def release(self) -> Release:
        """How the server at hand behaves."""
        assert self._server.release is not None, "the gate opens only after a connect"
        return self._server.release

    @property
    def remote(self) -> Remote | None:
        """What the server holds, as far as is known."""
        return self._exchange.remote

    @property
    def attempt(self) -> Attempt:
        """What was tried."""
        return self._exchange.attempt

    async def run(self) -> None:
        """Take steps until the server holds the plugin. Raises EndError where it can't."""
        self._exchange.see(await self._looks.take(self.key))
        self.first, intent = self.remote, self.attempt.intent
        if intent is not None and self._exchange.holds(intent.sent):
            self.sent, self.created = True, intent.fresh
            self._exchange.learn(checked=True)  # what it replaced is not known any more
        elif intent is not None and intent.under_way:
            self._exchange.await_end()
        for _ in range(MOST_STEPS):
            step = plan(self.plugin, self.remote, self.attempt, self.release, self._policy.on_foreign)
            if step is Step.IN_SYNC:
                return
            await self._take(step)
        raise EndError(restless())

    async def retire(self) -> bool:
        """Switch a function off whose file was deleted; false where it is off already, or isn't there."""
        self._exchange.see(await self._looks.take(self.key))
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
                await self._put_back(self.first or self._there())
            case Step.ASK_WHY:
                await self._ask_why(self._sendable())
            case Step.REFUSE_FOREIGN:
                raise EndError(foreign_copy(self.release))
            case _:
                refusal = self.attempt.refusal or Refused("")
                raise EndError(explain(refusal, self._sendable(), self.release) if self.plugin else Diagnostic(""))

    async def _create(self, plugin: Plugin) -> None:
        if not self.may_create:
            raise NewPluginError
        if plugin.inferred and (twin := await self._twin(plugin)):
            raise EndError(twin)
        active, is_global = self._policy.flags(plugin.kind)
        self._intend(plugin, active, is_global, fresh=True)
        self._exchange.learn(refusal=None)
        answer = await self._exchange.patiently(self._server.create(plugin.key.space, self._form(plugin)), plugin.kind)
        self.created = not isinstance(answer, Refused)
        if isinstance(answer, Remote) and active not in {None, answer.active}:
            # The flag is to be flipped anyway, and the answer to that holds the content: it saves a look.
            answer = replace(answer, content=plugin.content)
        await self._exchange.take_in(answer)
        if isinstance(answer, Refused):
            if self.remote is None:
                self._exchange.learn(refusal=answer, creating=True)
            else:  # someone else made it in the meantime: then there is something to update, and no refusal
                self._exchange.learn(intent=None, creating=False)

    async def _update(self, plugin: Plugin) -> None:
        remote = self._there()
        self._intend(plugin, remote.active, remote.is_global, fresh=False)
        self.sent = True
        answer = await self._exchange.patiently(self._server.update(plugin.key, self._form(plugin)), plugin.kind)
        if isinstance(answer, Refused):
            self._exchange.learn(refusal=answer)
        await self._exchange.take_in(answer)

    async def _ask_why(self, plugin: Plugin) -> None:
        """Learn what a refused create hides: an update of what isn't there runs the code first (0.12)."""
        answer = await self._exchange.patiently(self._server.update(plugin.key, self._form(plugin)), plugin.kind)
        refusal = answer if isinstance(answer, Refused) else self.attempt.refusal
        self._exchange.learn(refusal=refusal, asked=True)

    async def _check_valves(self) -> None:
        """Refuse in the server's place what its own next releases refuse: code that the stored valves don't fit."""
        unfit = await self._server.unfit_valves(self.key)
        refusal = Refused(f"Current Valves are incompatible with this code: {unfit}") if unfit else None
        self._exchange.learn(refusal=refusal, checked=True)

    async def _put_back(self, remote: Remote) -> None:
        """Send the old code again: the refused one is live, in the server's memory at least (0.11 and older)."""
        call = self._server.update(remote.key, put_back_form(remote, self.release))
        answer = await self._exchange.patiently(call, (self.plugin or remote).kind)
        if is_final_refusal(answer):
            self.hurt = True
            raise EndError(not_put_back(remote, answer))
        await self._exchange.take_in(answer)
        if isinstance(answer, Remote):
            self._exchange.learn(put_back=True)
            self._restored(remote)

    async def _switch(self, toggle: Callable[[PluginKey], Awaitable[Remote | Response]], remote: Remote) -> None:
        """Flip one flag, and look at the answer: a flip is never repeated blindly."""
        before = (remote.active, remote.is_global)
        answer = await toggle(remote.key)
        if is_final_refusal(answer):
            self.hurt = True
            raise EndError(not_switched(remote))
        await self._exchange.take_in(answer)
        if self.remote is not None and before != (self.remote.active, self.remote.is_global):
            self._journal.retire(remote.key, self.attempt.retired and not self.remote.active)
            self._restored(remote)

    def _restored(self, remote: Remote) -> None:
        intent = self.attempt.intent
        if intent is not None and not intent.fresh:
            self._report(Restored(remote.key.id, remote.kind, round((time.time() - intent.began) * 1000)))

    def _back_up(self, remote: Remote) -> None:
        content = remote.content or ""
        # A try that could not go on has copied it already.
        if self.attempt.intent is None or not self._journal.is_backed_up(remote.key, content):
            backup = self._journal.back_up(remote.key, content)
            if backup is None:
                raise EndError(not_backed_up(self._journal.trouble()))
            self._report(BackedUp(remote.key.id, remote.kind, backup))
        self._exchange.learn(backed_up=True)

    def _intend(self, plugin: Plugin, active: bool | None, is_global: bool | None, *, fresh: bool) -> None:
        """Write down what is about to be sent. Raises EndError for what has brought the server down often enough."""
        before, sent = self.attempt.intent, digest(plugin.content)
        losses = before.losses if before is not None and before.sent == sent else 0
        if losses >= MOST_LOSSES:
            raise EndError(brings_down())
        self._exchange.begin(Intent(plugin.key, sent, active, is_global, fresh, time.time(), losses=losses))

    def _form(self, plugin: Plugin) -> dict[str, Any]:
        return update_form(plugin, self.remote, self.release)

    async def _twin(self, plugin: Plugin) -> Diagnostic | None:
        """Find the same plugin under another id: Open WebUI's own editor makes ids from titles."""
        others = await self._looks.neighbours(plugin.key)
        if not isinstance(others, dict):
            raise early_end(others)
        other = find_twin(plugin, others.values(), self._files_of)
        return twin_found(plugin, other) if other else None

    def _sendable(self) -> Plugin:
        assert self.plugin is not None, "nothing is sent for a file that can't be sent"
        return self.plugin

    def _there(self) -> Remote:
        assert self.remote is not None, "this step is planned only for what is there"
        return self.remote
