"""What follows a request that got no usable response. Pure functions, no I/O; nothing else decides about this.

A look at the plugin follows each such request. From how the request failed and what the look shows, ``recover``
decides whether the plan goes on, waits, or ends. ``resume`` does the same for a request of an earlier attempt or of a
run that was killed, ``may_send`` stops content that kills its connection, and ``LATE_LOOKS`` says how long an older
request may still be carried out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from owui_watch.deployer.plan import Progress
from owui_watch.openwebui.remote import Remote
from owui_watch.openwebui.responses import (
    Absent,
    Delivery,
    Denied,
    Forbidden,
    Refused,
    Response,
    Unavailable,
    Unusable,
)
from owui_watch.plugins.source import digest
from owui_watch.state.record import Intent

MOST_FAILURES = 3
"""After so many responses with status 500 to an update, while looks succeed, the plugin counts as their cause (a
``SystemExit``)."""
FAILS = Refused("the server fails (500) when it loads this code: does it call sys.exit() or raise SystemExit?")
BACKOFF = 0.5
"""Seconds before such an update is tried again, more each time."""
MOST_LOSSES = 10
FOURFOLD = 4
"""Connections lost over the same content before the content counts as the cause. A loss after which the server is gone
counts fourfold, so three ends of a server that is started again are enough."""
SLOW = 5.0
"""A connection that breaks after so many seconds was given up by a proxy, unless the server is gone."""
MOST_LOOKS = 19
MOST_LOOKS_PLAIN = 7
LONGEST_PAUSE = 15.0
"""How often to look at a server that may still be working on a request, and the longest pause between two looks in
seconds. That makes four minutes, as long as a large installation by pip takes, or one minute for a plugin without
``requirements``. Then the content is sent again."""
FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 30.0
PATIENCE = 600.0
"""Seconds for a plugin with trouble of its own: the first pause before another try, the longest one, and the time after
which the trouble is reported as a rejection."""
LATE_LOOKS = (10.0, 60.0, 300.0)
"""Seconds after a deploy at which the server is looked at again, if it may still have been working on older content of
the same plugin: that content would replace the newer one."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without a usable response: ``why``, the ``seconds`` it took, and the ``look`` that followed.

    ``why`` is a Refused if the server's database refused the request, not the server.
    """

    why: Unavailable | Unusable | Refused
    seconds: float
    look: Remote | Response

    @property
    def gone(self) -> bool:
        """Whether the look got no usable response either."""
        return isinstance(self.look, Unavailable)

    @property
    def delivery(self) -> Delivery:
        """What became of the request, as far as the look shows."""
        if not isinstance(self.why, Unavailable):
            return Delivery.NOT_PROCESSED
        given_up = self.why.delivery is Delivery.UNKNOWN and self.seconds > SLOW and not self.gone
        return Delivery.STILL_RUNNING if given_up else self.why.delivery


@dataclass(frozen=True, slots=True)
class GoOn:
    """Plan from here, after ``pause`` seconds."""

    progress: Progress
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class TryLater:
    """The server is away, keeps failing or refuses the key: wait until it is available."""

    progress: Progress
    why: Unavailable | Denied


@dataclass(frozen=True, slots=True)
class Postpone:
    """The server may still be working on the request: look again in ``seconds``, before anything is sent anew."""

    progress: Progress
    seconds: float


@dataclass(frozen=True, slots=True)
class BackOff:
    """Try this plugin again later, with a growing pause; the others don't wait. ``error`` is the server's text."""

    progress: Progress
    error: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The request is refused for good: by something in front of Open WebUI, or for want of a right."""

    progress: Progress
    why: Unavailable | Forbidden


Recovery = GoOn | TryLater | Postpone | BackOff | GiveUp


def recover(progress: Progress, failure: Failure) -> Recovery:
    """Decide what follows a request without a response."""
    undoing = progress.refusal is not None  # then the request was to undo what the refused content did
    progress = replace(progress, failures=progress.failures + 1)
    if not undoing:
        progress = replace(progress, intent=_noted(progress.intent, failure))
    match failure.look:
        case Remote() as remote:
            return _after_look(replace(progress, remote=remote), failure, undoing=undoing)
        case Absent():
            return _after_look(replace(progress, remote=None), failure, undoing=undoing)
        case Unavailable() as gone:
            return TryLater(progress, failure.why if isinstance(failure.why, Unavailable) else gone)
        case Denied() as denied:
            return TryLater(progress, denied)
        case Unusable(error=error):
            return BackOff(progress, error)
        case _:
            return GiveUp(progress, Forbidden())


def _after_look(progress: Progress, failure: Failure, *, undoing: bool) -> Recovery:
    """Decide what follows a request without a response if the server still answers a look."""
    why = failure.why
    if not isinstance(why, Unavailable) or why.database:
        error = why.reason if isinstance(why, Refused) else why.error
        once_more = isinstance(why, Unusable) and progress.failures == 1
        return GoOn(progress) if once_more or progress.holds_what_was_sent else BackOff(progress, error)
    match failure.delivery:
        case Delivery.STILL_RUNNING if not undoing:
            return _await_end(progress)
        case Delivery.BLOCKED:  # it never reached Open WebUI: there is nothing to repair
            return GiveUp(progress, why)
        case Delivery.SERVER_ERROR if progress.failures < MOST_FAILURES:
            return GoOn(progress, BACKOFF * progress.failures)
        case Delivery.SERVER_ERROR if not undoing:
            return GoOn(replace(progress, refusal=FAILS, refused_create=progress.remote is None))
    asked_to_wait = why.retry_after is not None
    return TryLater(progress, why) if asked_to_wait or progress.failures > 1 else GoOn(progress)


def resume(progress: Progress) -> Recovery:
    """Decide what follows a request of an earlier attempt, now that the server was looked at."""
    intent = progress.intent
    if intent is not None and progress.holds_what_was_sent:
        # What the content replaced is not known any more: there is no old code to go back to, so no valves to check.
        return GoOn(replace(progress, sent=True, created=intent.fresh, valves_checked=True))
    return _await_end(progress) if intent is not None and intent.under_way else GoOn(progress)


def may_send(interrupted: Intent, sent: str) -> int | None:
    """Return how often connections were lost over the content with digest ``sent``; None if that is too often."""
    losses = interrupted.losses if interrupted.sent == sent else 0
    return losses if losses < MOST_LOSSES else None


def backoff(tries: int) -> float:
    """Return the seconds before a plugin is tried again that failed ``tries`` times for a reason of its own."""
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(tries - 1, 10))


def _noted(intent: Intent | None, failure: Failure) -> Intent | None:
    """Return ``intent`` with what a later attempt must know of ``failure``."""
    if intent is not None and failure.delivery is Delivery.UNKNOWN:
        return replace(intent, losses=intent.losses + (FOURFOLD if failure.gone else 1))
    if intent is not None and failure.delivery is Delivery.STILL_RUNNING and failure.gone:
        return replace(intent, under_way=intent.under_way or 1)
    return intent


def _await_end(progress: Progress) -> Recovery:
    """Postpone while the server may still be working on the request, unless it is done or its content is outdated."""
    intent = progress.intent
    if intent is None or progress.holds_what_was_sent:
        return GoOn(progress)
    newer = progress.plugin is not None and digest(progress.plugin.content) != intent.sent
    installs = progress.plugin is None or bool(progress.plugin.header.get("requirements"))
    if newer or intent.under_way >= (MOST_LOOKS if installs else MOST_LOOKS_PLAIN):
        return GoOn(replace(progress, intent=replace(intent, under_way=0), late=True))
    pause = min(LONGEST_PAUSE, 2.0**intent.under_way)
    return Postpone(replace(progress, intent=replace(intent, under_way=intent.under_way + 1), late=True), pause)
