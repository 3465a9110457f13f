"""What to do next for one plugin: a pure function of what is known of it. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

from owui_watch.openwebui.payloads import MergedNaming, merge_naming
from owui_watch.openwebui.payloads import Naming as Base
from owui_watch.openwebui.releases import Release
from owui_watch.openwebui.remote import AnyCopy, Remote
from owui_watch.openwebui.responses import Refused
from owui_watch.plugins.model import Kind, Plugin, PluginKey, Space
from owui_watch.plugins.source import digest
from owui_watch.settings import OnForeign
from owui_watch.state.record import Intent, Naming, Record


class Step(Enum):
    """One thing to do. ``REFUSE_FOREIGN``, ``REJECT`` and ``IN_SYNC`` end the reconcile."""

    LOOK = auto()
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


SWITCHES = {Step.SWITCH_ACTIVE, Step.SWITCH_GLOBAL}
_FROM_A_NEW_LOOK = {Step.UPDATE, Step.BACK_UP, *SWITCHES}


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say about plugins that are new, or that someone else changed."""

    enable_new: bool
    global_new: bool
    on_foreign: OnForeign

    def flags(self, kind: Kind) -> tuple[bool | None, bool | None]:
        """Return the flags ``active`` and ``is_global`` that a new plugin gets: None for a tool, which has none."""
        if kind is Kind.TOOL:
            return None, None
        return self.enable_new, self.global_new and kind in {Kind.FILTER, Kind.ACTION}


@dataclass(frozen=True, slots=True)
class Progress:
    """All that is known of one plugin while it is reconciled.

    ``plugin`` is what the file holds; None if the file can't be sent now and only an interrupted request is repaired.
    ``remote`` is the server's copy as last seen, None if the server has none; an update relies on it until
    ``good_until`` (seconds of anyio's clock). ``first`` is the copy before anything was sent. ``intent`` is the request
    that was begun, in this run or a killed one; ``record`` is what the journal remembers.

    ``ours``: digests of what owui-watch may have put there. ``backed_up``: digests of foreign contents, and foreign
    names with their descriptions, that were copied.

    ``refusal`` is the server's response to the update or, with ``refused_create``, to the create. ``asked_why``,
    ``valves_checked`` and ``put_back`` are steps that are done. ``created`` and ``sent`` (an update): what was done.
    ``damaged``: the live plugin could not be brought back to what it was. ``failures`` counts requests without a
    response. ``late``: the server may still carry out an older request, whatever it is sent now.
    """

    key: PluginKey
    plugin: Plugin | None
    remote: AnyCopy | None = None
    good_until: float = math.inf
    first: AnyCopy | None = None
    intent: Intent | None = None
    record: Record = Record()
    ours: frozenset[str] = frozenset()
    backed_up: frozenset[str | Naming] = frozenset()
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
        return self.remote.digest if self.remote else None

    @property
    def is_deployed(self) -> bool:
        """Whether the server holds what the file holds."""
        if self.plugin is None or self.held is None:
            return False
        wanted = digest(self.plugin.content)
        return self.held == wanted or (self.held in self.record.same and self.record.digest == wanted)

    @property
    def holds_what_was_sent(self) -> bool:
        """Whether the server holds the content of the intent."""
        return self.intent is not None and self.intent.sent == self.held

    @property
    def to_put_back(self) -> AnyCopy | None:
        """The copy to send again after a refusal: what the refused content replaced, else what the server still holds."""
        return self.first or self.remote if self.holds_what_was_sent else self.remote

    @property
    def code_ran(self) -> bool:
        """Whether the code of a refused update ran without an error, so that something else is the reason.

        Open WebUI 0.10 and 0.11 hide reasons, but they disable a function whose code fails. With ``requirements``
        nothing is known: pip runs before the code.
        """
        is_on = self.remote is not None and bool(self.remote.active)
        return is_on and self.plugin is not None and not self.plugin.header.get("requirements")

    @property
    def is_foreign(self) -> bool:
        """Whether someone else put there what the server holds."""
        return self.remote is not None and self.held not in self.ours and not self.holds_what_was_sent

    @property
    def base(self) -> Base:
        """Name and description of the last deploy, from which those of header and server are merged."""
        known = self.record.naming
        return Base(known.name or None, known.description or None) if known else Base()

    @property
    def merged(self) -> MergedNaming:
        """Name and description to send with the plugin."""
        assert self.plugin is not None, "nothing is sent for a file that can't be sent"
        return merge_naming(self.plugin, self.remote, self.base)

    @property
    def replaced(self) -> str | None:
        """Someone else's name or description that an update would replace, in words; None if there is neither."""
        gone = self.merged.overridden
        texts = [f"name “{gone.name}”" if gone.name else "", "description" if gone.description else ""]
        return ", ".join(filter(None, texts)) or None

    @property
    def to_back_up(self) -> frozenset[str | Naming]:
        """What an update would replace that someone else wrote and that was not copied yet."""
        if self.remote is None or self.held is None or self.plugin is None:
            return frozenset()
        content = {self.held} if self.is_foreign else set()
        naming = {Naming(self.remote.name, self.remote.description)} if self.replaced else set()
        return frozenset(content | naming) - self.backed_up


def plan(progress: Progress, release: Release, on_foreign: OnForeign, now: float) -> Step:
    """Choose the next step. ``now`` is in seconds of anyio's clock."""
    step = _plan(progress, release, on_foreign)
    # What is replaced, and a flag that is flipped, must be known as it is now.
    return Step.LOOK if step in _FROM_A_NEW_LOOK and now > progress.good_until else step


def _plan(progress: Progress, release: Release, on_foreign: OnForeign) -> Step:
    if progress.remote is None:
        return _plan_absent(progress, release)
    if progress.plugin is None or progress.refusal is not None:
        return _repair(progress, progress.remote, release) or Step.REJECT
    if progress.is_deployed:
        if progress.intent and not progress.intent.fresh and not (progress.valves_checked or release.checks_valves):
            return Step.CHECK_VALVES
        return _repair(progress, progress.remote, release) or Step.IN_SYNC
    if (switch := _switch(progress, progress.remote, release)) is not None:
        return switch
    if progress.is_foreign and on_foreign is OnForeign.REFUSE:
        return Step.REFUSE_FOREIGN
    # What is replaced must be known in full: to copy it, and up to 0.11 to put it back.
    must_have_content = release.refusal_harms or (progress.to_back_up and on_foreign is not OnForeign.OVERWRITE)
    if must_have_content and not isinstance(progress.remote, Remote):
        return Step.LOOK
    return Step.BACK_UP if progress.to_back_up and on_foreign is not OnForeign.OVERWRITE else Step.UPDATE


def _plan_absent(progress: Progress, release: Release) -> Step:
    """Create only if the server says that there is nothing: never because an update failed."""
    if progress.plugin is None:
        return Step.REJECT
    if progress.refusal is None or not progress.refused_create:
        return Step.CREATE
    ask = progress.refusal.hidden and release.update_tells_why and not progress.asked_why
    return Step.ASK_WHY if ask else Step.REJECT


def _repair(progress: Progress, remote: AnyCopy, release: Release) -> Step | None:
    """Undo what a refusal did to the live plugin: its flags, and refused code that runs all the same.

    Refused code runs if it is a tool's, in the server's memory, or if it was taken although the stored valves don't
    fit it (Open WebUI up to 0.11).
    """
    if (switch := _switch(progress, remote, release)) is not None:
        return switch
    if progress.intent is None or progress.intent.fresh or progress.put_back:
        return None
    ours = progress.holds_what_was_sent
    # An instance of an older release behind the same balancer may be the one that refused, whatever was connected to.
    by_old_release = progress.refusal is not None and progress.refusal.wrapped
    tainted = (release.refusal_harms or by_old_release) and progress.key.space is Space.TOOLS and not ours
    unfit = ours and progress.refusal is not None
    if not tainted and not unfit:
        return None
    return Step.PUT_BACK if isinstance(progress.to_put_back, Remote) else Step.LOOK


def _switch(progress: Progress, remote: AnyCopy, release: Release) -> Step | None:
    """Enable a new function, and one that a refusal disabled. Any other flag was set by somebody on purpose and stays."""
    intent = progress.intent
    stays_off = intent is not None and intent.fresh and intent.active is False
    is_back = progress.record.disabled and progress.plugin is not None
    if is_back and remote.active is False and not stays_off:
        return Step.SWITCH_ACTIVE
    # Behind a balancer, the instance that refused may be of an older release than the one that named ``release``.
    harmed = release.refusal_harms or (progress.refusal is not None and not progress.refused_create)
    if intent is None or not (intent.fresh or harmed):
        return None
    if intent.active is not None and remote.active != intent.active and (intent.fresh or intent.active):
        return Step.SWITCH_ACTIVE
    if intent.fresh and intent.is_global is not None and remote.is_global != intent.is_global:
        return Step.SWITCH_GLOBAL
    return None
