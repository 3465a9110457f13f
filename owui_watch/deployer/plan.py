"""What to do next for one plugin: a pure function of the file, the server and what was tried. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from owui_watch.openwebui.releases import Release
from owui_watch.openwebui.responses import Refused, Remote
from owui_watch.plugins.content import digest
from owui_watch.plugins.model import Plugin, Space
from owui_watch.settings import OnForeign
from owui_watch.state.journal import Intent


class Step(Enum):
    """One thing to do, after which the server is looked at again."""

    CREATE = auto()
    UPDATE = auto()
    BACK_UP = auto()
    SWITCH_ACTIVE = auto()
    SWITCH_GLOBAL = auto()
    CHECK_VALVES = auto()
    PUT_BACK = auto()
    ASK_WHY = auto()
    REFUSE_FOREIGN = auto()
    REJECTED = auto()
    IN_SYNC = auto()


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of a save beside the file and the server.

    ``intent`` was begun, in this run or a killed one. ``ours`` are the digests of what owui-watch put there.
    ``retired``: owui-watch switched it off when its file was deleted. ``refusal`` is what the server said to the update
    or, where ``creating``, to the create. ``asked``, ``backed_up``, ``checked`` (the
    valves) and ``put_back`` tell which of these steps are done.
    """

    intent: Intent | None = None
    ours: frozenset[str] = frozenset()
    retired: bool = False
    refusal: Refused | None = None
    creating: bool = False
    asked: bool = False
    backed_up: bool = False
    checked: bool = False
    put_back: bool = False


def plan(
    plugin: Plugin | None, remote: Remote | None, attempt: Attempt, release: Release, on_foreign: OnForeign
) -> Step:
    """Choose the next step. ``plugin`` is None where the file can't be sent and only what was begun is to be mended."""
    if plugin is None:
        attempt = replace(attempt, retired=False)  # its file isn't back yet
    if remote is None:
        return _plan_absent(plugin, attempt, release)
    held = digest(remote.content or "")
    if plugin is None or attempt.refusal is not None:
        return _mend(remote, held, attempt, release) or Step.REJECTED
    if held == digest(plugin.content):
        if attempt.intent and not attempt.intent.fresh and not (attempt.checked or release.checks_valves):
            return Step.CHECK_VALVES
        return _mend(remote, held, attempt, release) or Step.IN_SYNC
    if (flags := _flags(remote, attempt, release)) is not None:
        return flags
    if held not in attempt.ours and not attempt.backed_up and not _sent_by_us(held, attempt):
        if on_foreign is OnForeign.REFUSE:
            return Step.REFUSE_FOREIGN
        if on_foreign is OnForeign.BACKUP:
            return Step.BACK_UP
    return Step.UPDATE


def _plan_absent(plugin: Plugin | None, attempt: Attempt, release: Release) -> Step:
    """Create only where the server says that there is nothing: never because an update failed."""
    if plugin is None:
        return Step.REJECTED
    if attempt.refusal is None or not attempt.creating:
        return Step.CREATE
    if (
        attempt.refusal.hidden
        and not attempt.asked
        and release.update_tells_why
        and plugin.key.space is Space.FUNCTIONS
    ):
        return Step.ASK_WHY
    return Step.REJECTED


def _mend(remote: Remote, held: str, attempt: Attempt, release: Release) -> Step | None:
    """Undo what a refusal did to the live plugin: its flags, and refused code that is live all the same.

    That is a tool's in the worker's memory, and any that was taken although the stored valves don't fit it.
    """
    if (flags := _flags(remote, attempt, release)) is not None:
        return flags
    if attempt.intent is None or attempt.intent.fresh or attempt.put_back:
        return None
    ours = _sent_by_us(held, attempt)
    tainted = release.refusal_harms and remote.key.space is Space.TOOLS and not ours
    unfit = ours and attempt.refusal is not None
    return Step.PUT_BACK if tainted or unfit else None


def _flags(remote: Remote, attempt: Attempt, release: Release) -> Step | None:
    """Enable what is new, and what a refusal switched off. Any other flip is someone's own doing and stays."""
    intent = attempt.intent
    stays_off = intent is not None and intent.fresh and intent.active is False
    if attempt.retired and remote.active is False and not stays_off:
        return Step.SWITCH_ACTIVE
    if intent is None or not (intent.fresh or release.refusal_harms):
        return None
    if intent.active is not None and remote.active != intent.active and (intent.fresh or intent.active):
        return Step.SWITCH_ACTIVE
    if intent.fresh and intent.is_global is not None and remote.is_global != intent.is_global:
        return Step.SWITCH_GLOBAL
    return None


def _sent_by_us(held: str, attempt: Attempt) -> bool:
    return attempt.intent is not None and attempt.intent.sent == held
