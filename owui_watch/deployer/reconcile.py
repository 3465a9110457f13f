"""Brings one plugin from what the server holds to what its file holds: plan a step, take it, look again."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import anyio

from owui_watch.deployer.actual_state import ActualState
from owui_watch.deployer.admission import check_create
from owui_watch.deployer.plan import SWITCHES, Progress, Step, plan
from owui_watch.deployer.reconcile_context import ReconcileContext
from owui_watch.deployer.recovery import may_send, resume
from owui_watch.deployer.refusals import (
    NOT_STORED,
    brings_down,
    explain,
    foreign_copy,
    keeps_changing,
    not_backed_up,
    not_put_back,
    not_switched,
)
from owui_watch.deployer.results import EndError, InSync, Rejected, Result, Troubled
from owui_watch.openwebui.payloads import put_back_form, update_form
from owui_watch.openwebui.releases import Release
from owui_watch.openwebui.remote import AnyCopy, ListedPlugin, Remote
from owui_watch.openwebui.responses import NOT_WRITTEN, Absent, Refused, is_final_refusal
from owui_watch.plugins.model import Diagnostic, Kind, Plugin, PluginKey, Space
from owui_watch.plugins.source import digest
from owui_watch.reporting.events import BackedUp, Restored
from owui_watch.state.record import Intent, Naming

MOST_RELOADS = 6
"""Listings of the tools after old code was put back: so many that each instance behind a balancer gets one."""
MOST_STEPS = 20
"""Steps that one save may take before it is clear that something else keeps changing the plugin."""


class Reconciler:
    """One reconcile of one plugin; see the state machine in the package's docstring.

    ``plugin`` is None if its file can't be sent now: then only an interrupted request is repaired. ``may_create``: it may
    be created. ``insist``: it is sent even if its content has killed its connection before. ``progress`` is replaced as a
    whole after each step, and holds all that the next one is planned from.
    """

    def __init__(
        self,
        context: ReconcileContext,
        key: PluginKey,
        plugin: Plugin | None,
        *,
        may_create: bool = False,
        insist: bool = False,
    ) -> None:
        self._context = context
        self._server = context.server
        self._journal = context.journal
        self._policy = context.policy
        self._report = context.report
        self._actual = ActualState(context)
        self._may_create = may_create
        self._insist = insist
        self._began: float | None = None
        self.progress = Progress(
            key,
            plugin,
            intent=self._journal.intent(key),
            record=self._journal.record(key),
            ours=self._journal.ours(key),
        )

    async def run(self) -> Result:
        """Take steps until the server holds the plugin, or it is clear that it can't now."""
        try:
            self.progress = await self._actual.first_look(self.progress)
            if self.progress.intent is not None:  # a request of an earlier attempt was not answered
                self.progress = self._actual.follow(self.progress, resume(self.progress))
            for _ in range(MOST_STEPS):
                step = plan(self.progress, self._release, self._policy.on_foreign, anyio.current_time())
                if step is Step.IN_SYNC:
                    return InSync(self.progress, self._release)
                await self._take(step)
            if step in SWITCHES:  # a proxy that sends each request twice undoes each flip
                raise self._not_switched(step, self._remote)
        except EndError as ended:
            return ended.result
        return Rejected(self.progress, keeps_changing())

    async def disable(self) -> bool | Result:
        """Switch a function off whose file was deleted. False if it is off already, or isn't there."""
        try:
            self.progress = await self._actual.first_look(self.progress)
            remote = self.progress.remote
            if remote is None or not remote.active:
                return False
            await self._switch(Step.SWITCH_ACTIVE, remote)
        except EndError as ended:
            return ended.result
        off = self.progress.remote is not None and self.progress.remote.active is False
        self._journal.set_disabled(self.progress.key, off)
        return off

    async def _take(self, step: Step) -> None:
        match step:
            case Step.LOOK:
                self.progress = await self._actual.look(self.progress)
            case Step.CREATE:
                await self._create(self._plugin)
            case Step.UPDATE:
                await self._update(self._plugin)
            case Step.BACK_UP:
                self._back_up(self._full_remote)
            case Step.SWITCH_ACTIVE | Step.SWITCH_GLOBAL:
                await self._switch(step, self._remote)
            case Step.CHECK_VALVES:
                await self._check_valves()
            case Step.PUT_BACK:
                await self._put_back(self._to_put_back)
            case Step.ASK_WHY:
                await self._ask_why(self._plugin)
            case Step.REFUSE_FOREIGN:
                raise self._rejected(foreign_copy(self._release))
            case _:
                refusal = self.progress.refusal or Refused("")
                plugin = self.progress.plugin
                raise self._rejected(explain(refusal, plugin, self._release) if plugin else Diagnostic(""))

    async def _create(self, plugin: Plugin) -> None:
        await check_create(self.progress, plugin, self._context, may_create=self._may_create)
        active, is_global = self._policy.flags(plugin.kind)
        self._begin(plugin, active, is_global, fresh=True)
        self.progress = replace(self.progress, refusal=None)
        response, seconds = await self._actual.wait_for(
            self.progress, self._server.create(plugin.key.space, self._form(plugin)), plugin.kind
        )
        self.progress = replace(self.progress, created=not isinstance(response, Refused))
        if isinstance(response, ListedPlugin) and active not in {None, response.active}:
            # The flag is flipped next, and the response to that holds the content: it saves a look.
            response = response.with_content(plugin.content)
        self.progress = await self._actual.accept(self.progress, response, seconds)
        if isinstance(response, Refused):
            if self.progress.holds_what_was_sent:
                # A proxy sent the request twice: the refusal is for the second one.
                self.progress = replace(self.progress, created=True)
            elif self.progress.remote is None:
                self.progress = replace(self.progress, refusal=response, refused_create=True)
            else:  # someone else created it in the meantime: then it is updated, and nothing was refused
                self.progress = replace(self.progress, intent=None, refused_create=False)

    async def _update(self, plugin: Plugin) -> None:
        form = self._form(plugin)
        replaced, was_active = self._remote.version_id, self._remote.active
        self._begin(plugin, was_active, self._remote.is_global, fresh=False, replaced=replaced)
        self.progress = replace(self.progress, sent=True)
        response, seconds = await self._actual.wait_for(
            self.progress, self._server.update(plugin.key, form), plugin.kind
        )
        if isinstance(response, Refused) and not response.database:
            self.progress = replace(self.progress, refusal=response)
        self.progress = await self._actual.accept(self.progress, response, seconds)
        if isinstance(response, Absent) and self.progress.remote is not None and not self.progress.is_deployed:
            # Up to 0.9.6 a function that is absent and a database that can't be written have one text.
            raise EndError(Troubled(self.progress, NOT_WRITTEN))
        if isinstance(response, Refused) and response.hidden and was_active and self.progress.code_ran:
            raise EndError(Troubled(self.progress, NOT_STORED))

    async def _ask_why(self, plugin: Plugin) -> None:
        """Learn why a create was refused: an update of a missing function runs the code first (Open WebUI 0.12)."""
        form = self._form(plugin)
        if plugin.kind is Kind.TOOL:
            response: object = await self._server.tool_refusal(form)
        else:
            response, _ = await self._actual.wait_for(self.progress, self._server.update(plugin.key, form), plugin.kind)
        refusal = response if isinstance(response, Refused) and not response.database else self.progress.refusal
        self.progress = replace(self.progress, refusal=refusal, asked_why=True)

    async def _check_valves(self) -> None:
        """Refuse code that the stored valves don't fit, as Open WebUI 0.12 does and older releases don't."""
        unfit = await self._server.unfit_valves(self.progress.key)
        refusal = Refused(f"Current Valves are incompatible with this code: {unfit}") if unfit else None
        self.progress = replace(self.progress, refusal=refusal, valves_checked=True)

    async def _put_back(self, remote: Remote) -> None:
        """Send the old code again: the refused code runs, at least in the server's memory (Open WebUI up to 0.11).

        Another instance of the server that ran the refused code loads a tool anew only if its content changes, by an
        empty line at the end (0.9.3 and newer), or when the tools are listed there (0.6.33 to 0.8.0).
        """
        by_change = self._release.tools_compare and remote.key.space is Space.TOOLS
        sent = replace(remote, content=other_end(remote.content)) if by_change else remote
        if by_change:
            self._journal.add_same(remote.key, remote.digest, sent.digest)
            self.progress = replace(self.progress, ours=self._journal.ours(remote.key))
        call = self._server.update(remote.key, put_back_form(sent, self._release))
        response, seconds = await self._actual.wait_for(self.progress, call, (self.progress.plugin or remote).kind)
        if is_final_refusal(response):
            self.progress = replace(self.progress, damaged=True)
            raise self._rejected(not_put_back(remote, response))
        self.progress = await self._actual.accept(self.progress, response, seconds)
        if isinstance(response, Remote):
            self.progress = replace(self.progress, put_back=True)
            if self._release.tools_list_reloads and remote.key.space is Space.TOOLS:
                for _ in range(MOST_RELOADS):
                    await self._server.reload_tools()
            self._report_restored(remote)

    async def _switch(self, step: Step, remote: AnyCopy) -> None:
        """Flip one flag, and look at the response: a flip is never repeated blindly."""
        before = (remote.active, remote.is_global)
        toggle = self._server.toggle_global if step is Step.SWITCH_GLOBAL else self._server.toggle
        response = await toggle(remote.key)
        if is_final_refusal(response):
            raise self._not_switched(step, remote)
        self.progress = await self._actual.accept(self.progress, response, 0.0)
        now = self.progress.remote
        if isinstance(response, Refused) and now is not None and before == (now.active, now.is_global):
            raise EndError(Troubled(self.progress, response.reason))
        if now is not None and before != (now.active, now.is_global):
            self._journal.set_disabled(remote.key, self.progress.record.disabled and not now.active)
            self._report_restored(remote)

    def _back_up(self, remote: Remote) -> None:
        """Copy what someone else wrote, unless an earlier attempt has copied the same already."""
        to_copy = self.progress.to_back_up - self._journal.backed_up(remote.key)
        if to_copy:
            naming = Naming(remote.name, remote.description)
            backup = self._journal.back_up(remote.key, remote.content, naming, remote.meta)
            if backup is None:
                raise self._rejected(not_backed_up(self._journal.trouble()))
            replaced = self.progress.replaced if naming in to_copy else None
            self._report(BackedUp(remote.key.id, remote.kind, backup, replaced))
        self.progress = replace(self.progress, backed_up=self.progress.backed_up | self.progress.to_back_up)

    def _begin(
        self,
        plugin: Plugin,
        active: bool | None,
        is_global: bool | None,
        *,
        fresh: bool,
        replaced: str | None = None,
    ) -> None:
        """Record what is about to be sent. Raise EndError if that content has killed its connection too often."""
        sent = digest(plugin.content)
        interrupted = self.progress.intent
        losses = may_send(interrupted, sent) if interrupted is not None else 0
        condemned = self.progress.record.fatal == (sent, self._release.version) and not self._insist
        if losses is None or condemned:
            self._journal.condemn(plugin.key, sent, self._release.version)
            raise self._rejected(brings_down())
        intent = Intent(plugin.key, sent, active, is_global, fresh, time.time(), losses=losses)
        self._journal.begin(intent, replaced, plugin.kind)
        self._began = anyio.current_time()
        self.progress = replace(self.progress, intent=intent)

    def _report_restored(self, remote: AnyCopy) -> None:
        intent = self.progress.intent
        if intent is not None and not intent.fresh:
            # The wall clock can be put forward or back: it counts only for what an earlier attempt began.
            seconds = time.time() - intent.began if self._began is None else anyio.current_time() - self._began
            self._report(Restored(remote.key.id, remote.kind, max(0, round(seconds * 1000))))

    def _form(self, plugin: Plugin) -> dict[str, Any]:
        return update_form(plugin, self.progress.remote, self._release, self.progress.base)

    def _not_switched(self, step: Step, remote: AnyCopy) -> EndError:
        self.progress = replace(self.progress, damaged=True)
        return self._rejected(not_switched(remote, is_global=step is Step.SWITCH_GLOBAL))

    def _rejected(self, diagnostic: Diagnostic) -> EndError:
        return EndError(Rejected(self.progress, diagnostic))

    @property
    def _release(self) -> Release:
        assert self._server.release is not None, "the server is available only after a connect"
        return self._server.release

    @property
    def _plugin(self) -> Plugin:
        assert self.progress.plugin is not None, "nothing is sent for a file that can't be sent"
        return self.progress.plugin

    @property
    def _remote(self) -> AnyCopy:
        assert self.progress.remote is not None, "this step is planned only for a plugin on the server"
        return self.progress.remote

    @property
    def _full_remote(self) -> Remote:
        assert isinstance(self.progress.remote, Remote), "this step is planned only after a look"
        return self.progress.remote

    @property
    def _to_put_back(self) -> Remote:
        assert isinstance(self.progress.to_put_back, Remote), "this step is planned only after a look"
        return self.progress.to_put_back


def other_end(content: str) -> str:
    """Return ``content`` with one empty line more at its end, or one less if it has some."""
    return content[:-1] if content.endswith("\n\n") else f"{content}\n"
