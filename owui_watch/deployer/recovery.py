"""What follows a call that got no answer: a pure function of how it failed and whether a look succeeds. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from owui_watch.openwebui.responses import Delivery, Refused, Unavailable
from owui_watch.state.journal import Intent

MOST_FAILURES = 3
"""Answers 500 to an update, while a look succeeds, before it counts as the plugin's own doing (a ``SystemExit``)."""
FAILS = Refused("the server fails (500) when it loads this code: does it call sys.exit() or raise SystemExit?")
BACKOFF = 0.5
"""Seconds before such an update is tried again, more each time."""
MOST_LOSSES = 10
FOURFOLD = 4
"""Connections lost over the same content before that counts as its doing. One that leaves no server behind counts as
four: three times that a server ends, which someone starts again, are enough."""


class Recovery(Enum):
    """What to do about a call that got no answer, before the plan goes on from what the look showed."""

    GO_ON = auto()
    TRY_AGAIN = auto()
    TRY_LATER = auto()
    AWAIT_END = auto()
    REFUSE = auto()
    GIVE_UP = auto()


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that got no answer, which a look followed.

    ``count``: how many there were for this save, with this one. ``slow``: it took long to fail. ``gone``: the look got
    no answer either. ``undoing``: the content was refused before, and the call was to undo what that did.
    """

    why: Unavailable
    count: int
    slow: bool
    gone: bool
    undoing: bool

    @property
    def delivery(self) -> Delivery:
        """What became of the call, as far as the look can tell."""
        # A connection that breaks after a while was given up by someone in between, unless the server is gone.
        given_up = self.why.delivery is Delivery.UNKNOWN and self.slow and not self.gone
        return Delivery.STILL_RUNNING if given_up else self.why.delivery

    @property
    def pause(self) -> float:
        """Seconds before it is tried again."""
        return BACKOFF * self.count


def recovery(failure: Failure) -> Recovery:
    """Choose what to do. A server that is gone, or fails again and again, is for the gate to wait for."""
    if failure.gone:
        return Recovery.TRY_LATER
    match failure.delivery:
        case Delivery.STILL_RUNNING if not failure.undoing:
            return Recovery.AWAIT_END
        case Delivery.BLOCKED:  # it never came to Open WebUI: there is nothing to mend
            return Recovery.GIVE_UP
        case Delivery.SERVER_ERROR if failure.count < MOST_FAILURES:
            return Recovery.TRY_AGAIN
        case Delivery.SERVER_ERROR if not failure.undoing:
            return Recovery.REFUSE
    asked_to_wait = failure.why.retry_after is not None
    return Recovery.TRY_LATER if asked_to_wait or failure.count > 1 else Recovery.GO_ON


def noted(intent: Intent | None, failure: Failure) -> Intent | None:
    """Return ``intent`` with what a later try must know of ``failure``; None where that is nothing."""
    if intent is None or failure.undoing:
        return None
    if failure.delivery is Delivery.UNKNOWN:
        return replace(intent, losses=intent.losses + (FOURFOLD if failure.gone else 1))
    if failure.delivery is Delivery.STILL_RUNNING and failure.gone:
        return replace(intent, under_way=intent.under_way or 1)
    return None
