"""What to do next for one plugin: a pure function of what is known of it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from owui_watch.openwebui.releases import Release
from owui_watch.openwebui.remote import Remote
from owui_watch.openwebui.responses import Refused
from owui_watch.plugins.content import digest
from owui_watch.plugins.model import Plugin, PluginKey, Space
from owui_watch.settings import OnForeign
from owui_watch.state.journal import Intent


class Step(Enum):
    """One thing to do. ``REFUSE_FOREIGN``, ``REJECT`` and ``IN_SYNC`` end the reconcile."""

    CREATE = auto()
    UPDATE = auto()
    BACK_UP = auto()
    SWITCH_ACTIVE = auto()
    SWITCH_GLOBAL = auto()
    CHECK_VALVES = auto()
    PUT_BACK = auto()
    ASK_WHY = auto()
    REFUSE_FOREIGN = auto()
    REJECT = auto()
    IN_SYNC = auto()


@dataclass(frozen=True, slots=True)
class Progress:
    """All that is known of one plugin while it is reconciled.

    ``plugin`` is what the file holds; None if the file can't be sent now and only an interrupted request is repaired.
    ``remote`` is the server's copy as last seen, None if the server has none; ``first`` is the copy before anything
    was sent. ``intent`` is the request that was begun, in this run or a killed one.

    ``ours``: digests of what owui-watch may have put there. ``backed_up``: digests of foreign contents that were
    copied. ``disabled_by_us``: owui-watch switched the function off when its file was deleted.

    ``refusal`` is the server's response to the update or, with ``refused_create``, to the create. ``asked_why``,
    ``valves_checked`` and ``put_back`` are steps that are done. ``created`` and ``sent`` (an update): what was done.
    ``damaged``: the live plugin could not be brought back to what it was. ``failures`` counts requests without a
    response. ``late``: the server may still carry out an older request, whatever it is sent now.
    """

    key: PluginKey
    plugin: Plugin | None
    remote: Remote | None = None
    first: Remote | None = None
    intent: Intent | None = None
    ours: frozenset[str] = frozenset()
    backed_up: frozenset[str] = frozenset()
    disabled_by_us: bool = False
    refusal: Refused | None = None
    refused_create: bool = False
    asked_why: bool = False
    valves_checked: bool = False
    put_back: bool = False
    created: bool = False
    sent: bool = False
    damaged: bool = False
    failures: int = 0
    late: bool = False

    @property
    def held(self) -> str | None:
        """Digest of what the server holds; None if it has no such plugin."""
        return digest(self.remote.content or "") if self.remote else None

    @property
    def holds_what_was_sent(self) -> bool:
        """Whether the server holds the content of the intent."""
        return self.intent is not None and self.intent.sent == self.held


def plan(progress: Progress, release: Release, on_foreign: OnForeign) -> Step:
    """Choose the next step."""
    if progress.plugin is None:
        progress = replace(progress, disabled_by_us=False)  # its file isn't back yet
    if progress.remote is None:
        return _plan_absent(progress, release)
    if progress.plugin is None or progress.refusal is not None:
        return _repair(progress, progress.remote, release) or Step.REJECT
    if progress.held == digest(progress.plugin.content):
        if progress.intent and not progress.intent.fresh and not (progress.valves_checked or release.checks_valves):
            return Step.CHECK_VALVES
        return _repair(progress, progress.remote, release) or Step.IN_SYNC
    if (switch := _switch(progress, progress.remote, release)) is not None:
        return switch
    if _is_foreign(progress):
        if on_foreign is OnForeign.REFUSE:
            return Step.REFUSE_FOREIGN
        if on_foreign is OnForeign.BACKUP and progress.held not in progress.backed_up:
            return Step.BACK_UP
    return Step.UPDATE


def _plan_absent(progress: Progress, release: Release) -> Step:
    """Create only if the server says that there is nothing: never because an update failed."""
    if progress.plugin is None:
        return Step.REJECT
    if progress.refusal is None or not progress.refused_create:
        return Step.CREATE
    tells_why = release.update_tells_why and progress.key.space is Space.FUNCTIONS
    if progress.refusal.hidden and tells_why and not progress.asked_why:
        return Step.ASK_WHY
    return Step.REJECT


def _is_foreign(progress: Progress) -> bool:
    """Return whether someone else put there what the server holds."""
    return progress.held not in progress.ours and not progress.holds_what_was_sent


def _repair(progress: Progress, remote: Remote, release: Release) -> Step | None:
    """Undo what a refusal did to the live plugin: its flags, and refused code that runs all the same.

    Refused code runs if it is a tool's, in the server's memory, or if it was taken although the stored valves don't
    fit it (Open WebUI up to 0.11).
    """
    if (switch := _switch(progress, remote, release)) is not None:
        return switch
    if progress.intent is None or progress.intent.fresh or progress.put_back:
        return None
    ours = progress.holds_what_was_sent
    tainted = release.refusal_harms and progress.key.space is Space.TOOLS and not ours
    unfit = ours and progress.refusal is not None
    return Step.PUT_BACK if tainted or unfit else None


def _switch(progress: Progress, remote: Remote, release: Release) -> Step | None:
    """Enable what is new, and what a refusal switched off. Any other flip is someone's own doing and stays."""
    intent = progress.intent
    stays_off = intent is not None and intent.fresh and intent.active is False
    if progress.disabled_by_us and remote.active is False and not stays_off:
        return Step.SWITCH_ACTIVE
    if intent is None or not (intent.fresh or release.refusal_harms):
        return None
    if intent.active is not None and remote.active != intent.active and (intent.fresh or intent.active):
        return Step.SWITCH_ACTIVE
    if intent.fresh and intent.is_global is not None and remote.is_global != intent.is_global:
        return Step.SWITCH_GLOBAL
    return None
