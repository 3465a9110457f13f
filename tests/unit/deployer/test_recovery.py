"""What follows a request that got no usable response: a row a branch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from owui_watch.deployer.plan import Progress
from owui_watch.deployer.recovery import (
    BACKOFF,
    FAILS,
    FOURFOLD,
    LONGEST_PAUSE,
    MOST_FAILURES,
    MOST_LOOKS,
    MOST_LOOKS_PLAIN,
    MOST_LOSSES,
    SLOW,
    Failure,
    GiveUp,
    GoOn,
    Postpone,
    Recovery,
    TryLater,
    may_send,
    recover,
    resume,
)
from owui_watch.openwebui.remote import Remote
from owui_watch.openwebui.responses import (
    Absent,
    Delivery,
    Denied,
    Forbidden,
    KeyProblem,
    Refused,
    Response,
    Unavailable,
)
from owui_watch.plugins.model import Kind, Plugin, PluginKey, Space
from owui_watch.plugins.source import digest
from owui_watch.state.record import Intent

X = PluginKey(Space.FUNCTIONS, "x")
OLD, SENT, NEWER = "# old\n", "# sent\n", "# newer\n"
GONE = Unavailable("connection refused")


def intent(*, under_way: int = 0, losses: int = 0, fresh: bool = False) -> Intent:
    return Intent(X, digest(SENT), True, False, fresh=fresh, began=0.0, under_way=under_way, losses=losses)


def remote(content: str = OLD) -> Remote:
    return Remote(X, Kind.FILTER, "X", content, {}, active=True, is_global=False)


def progress(content: str | None = SENT, *, undoing: bool = False, **known: Any) -> Progress:
    plugin = Plugin(X, Kind.FILTER, Path("/w/x.py"), content, {}, inferred=False) if content else None
    refusal = Refused("invalid syntax") if undoing else None
    return Progress(X, plugin, **{"remote": remote(), "intent": intent(), "refusal": refusal, **known})


def failure(
    delivery: Delivery, *, slow: bool = False, look: Remote | Response | None = None, retry_after: float | None = None
) -> Failure:
    why = Unavailable("no response", retry_after=retry_after, delivery=delivery)
    return Failure(why, SLOW + 1 if slow else 0.1, look or remote())


class TestRecover:
    @pytest.mark.parametrize(
        ("failed", "before", "then"),
        [
            (failure(Delivery.NOT_PROCESSED), 0, GoOn),
            (failure(Delivery.NOT_PROCESSED, retry_after=0.0), 0, TryLater),
            (failure(Delivery.NOT_PROCESSED), 1, TryLater),
            (failure(Delivery.UNKNOWN), 0, GoOn),
            (failure(Delivery.UNKNOWN), 1, TryLater),
            (failure(Delivery.UNKNOWN, slow=True), 0, Postpone),
            (failure(Delivery.UNKNOWN, slow=True), 1, Postpone),
            (failure(Delivery.STILL_RUNNING), 0, Postpone),
            (failure(Delivery.STILL_RUNNING), 1, Postpone),
            (failure(Delivery.SERVER_ERROR), 0, GoOn),
            (failure(Delivery.BLOCKED), 0, GiveUp),
            (failure(Delivery.BLOCKED), 1, GiveUp),
        ],
    )
    def test_depends_on_the_failure(self, failed: Failure, before: int, then: type[Recovery]) -> None:
        assert isinstance(recover(progress(failures=before), failed), then)

    @pytest.mark.parametrize(
        ("failed", "before", "then"),
        [
            (failure(Delivery.STILL_RUNNING), 0, GoOn),
            (failure(Delivery.STILL_RUNNING), 1, TryLater),
            (failure(Delivery.UNKNOWN, slow=True), 0, GoOn),
            (failure(Delivery.SERVER_ERROR), 0, GoOn),
            (failure(Delivery.SERVER_ERROR), MOST_FAILURES - 1, TryLater),
            (failure(Delivery.BLOCKED), 0, GiveUp),
        ],
    )
    def test_never_postpones_an_undo(self, failed: Failure, before: int, then: type[Recovery]) -> None:
        recovery = recover(progress(undoing=True, failures=before), failed)
        assert isinstance(recovery, then)
        assert recovery.progress.intent == intent(), "nothing is noted of it"

    @pytest.mark.parametrize("undoing", [False, True])
    @pytest.mark.parametrize("delivery", list(Delivery))
    def test_waits_for_a_server_that_is_gone(self, delivery: Delivery, undoing: bool) -> None:
        recovery = recover(progress(undoing=undoing), failed := failure(delivery, slow=True, look=GONE))
        assert isinstance(recovery, TryLater)
        assert recovery.why == failed.why

    def test_waits_for_a_new_key(self) -> None:
        denied = Denied(KeyProblem.KEY_REFUSED)
        recovery = recover(progress(), failure(Delivery.UNKNOWN, look=denied))
        assert isinstance(recovery, TryLater)
        assert recovery.why == denied

    def test_ends_without_the_right_to_look(self) -> None:
        recovery = recover(progress(), failure(Delivery.UNKNOWN, look=Forbidden()))
        assert isinstance(recovery, GiveUp)
        assert recovery.why == Forbidden()

    def test_goes_on_from_what_the_look_shows(self) -> None:
        assert recover(progress(), failure(Delivery.UNKNOWN, look=remote(SENT))).progress.remote == remote(SENT)
        assert recover(progress(), failure(Delivery.UNKNOWN, look=Absent())).progress.remote is None

    def test_pauses_longer_after_each_server_error(self) -> None:
        recoveries = [recover(progress(failures=before), failure(Delivery.SERVER_ERROR)) for before in range(2)]
        assert [each.pause for each in recoveries if isinstance(each, GoOn)] == [BACKOFF, 2 * BACKOFF]

    @pytest.mark.parametrize(("look", "absent"), [(remote(), False), (Absent(), True)])
    def test_refuses_after_three_server_errors(self, look: Remote | Absent, absent: bool) -> None:
        last = recover(progress(failures=MOST_FAILURES - 1), failure(Delivery.SERVER_ERROR, look=look))
        assert isinstance(last, GoOn)
        assert (last.progress.refusal, last.progress.refused_create) == (FAILS, absent)


class TestNotes:
    @pytest.mark.parametrize(
        ("failed", "after"),
        [
            (failure(Delivery.UNKNOWN), intent(losses=3 + 1)),
            (failure(Delivery.UNKNOWN, look=GONE), intent(losses=3 + FOURFOLD)),
            (failure(Delivery.UNKNOWN, slow=True, look=GONE), intent(losses=3 + FOURFOLD)),
            (failure(Delivery.STILL_RUNNING, look=GONE), intent(losses=3, under_way=1)),
            (failure(Delivery.NOT_PROCESSED, look=GONE), intent(losses=3)),
            (failure(Delivery.SERVER_ERROR), intent(losses=3)),
            (failure(Delivery.BLOCKED), intent(losses=3)),
        ],
    )
    def test_lost_connections_are_counted(self, failed: Failure, after: Intent) -> None:
        assert recover(progress(intent=intent(losses=3)), failed).progress.intent == after

    def test_nothing_begun_is_noted_as_nothing(self) -> None:
        assert recover(progress(intent=None), failure(Delivery.UNKNOWN)).progress.intent is None

    def test_content_is_not_sent_after_too_many_losses(self) -> None:
        assert may_send(intent(losses=MOST_LOSSES - 1), digest(SENT)) == MOST_LOSSES - 1
        assert may_send(intent(losses=MOST_LOSSES), digest(SENT)) is None

    def test_other_content_starts_without_losses(self) -> None:
        assert may_send(intent(losses=MOST_LOSSES), digest(NEWER)) == 0


class TestResume:
    def test_goes_on_if_nothing_was_begun(self) -> None:
        fresh = progress(intent=None)
        assert resume(fresh) == GoOn(fresh)

    @pytest.mark.parametrize("fresh", [True, False])
    def test_takes_what_arrived_for_done(self, fresh: bool) -> None:
        arrived = progress(remote=remote(SENT), intent=intent(under_way=2, fresh=fresh))
        assert resume(arrived) == GoOn(replace(arrived, sent=True, created=fresh, valves_checked=True))

    def test_sends_again_what_did_not_arrive(self) -> None:
        lost = progress()
        assert resume(lost) == GoOn(lost)

    @pytest.mark.parametrize(("header", "looks"), [({"requirements": "numpy"}, MOST_LOOKS), ({}, MOST_LOOKS_PLAIN)])
    def test_looks_ever_more_rarely(self, header: dict[str, str], looks: int) -> None:
        plugin = Plugin(X, Kind.FILTER, Path("/w/x.py"), SENT, header, inferred=False)
        pauses, under_way = [], replace(progress(intent=intent(under_way=1)), plugin=plugin)
        while isinstance(recovery := resume(under_way), Postpone):
            pauses.append(recovery.seconds)
            under_way = recovery.progress
        assert isinstance(recovery, GoOn)
        assert len(pauses) == looks - 1
        assert pauses == sorted(pauses)
        assert (pauses[0], pauses[-1]) == (2.0, LONGEST_PAUSE)
        assert recovery.progress.intent == intent(), "and sends again at last"
        assert recovery.progress.late

    def test_does_not_wait_with_newer_content(self) -> None:
        recovery = resume(progress(NEWER, intent=intent(under_way=1)))
        assert isinstance(recovery, GoOn)
        assert recovery.progress.late
