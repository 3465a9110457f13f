"""What follows a call that got no answer: a row a branch."""

from __future__ import annotations

import pytest

from owui_watch.deployer.recovery import FOURFOLD, MOST_FAILURES, Failure, Recovery, noted, recovery
from owui_watch.openwebui.responses import Delivery, Unavailable
from owui_watch.plugins.model import PluginKey, Space
from owui_watch.state.journal import Intent


def failure(
    delivery: Delivery,
    count: int = 1,
    *,
    slow: bool = False,
    gone: bool = False,
    undoing: bool = False,
    retry_after: float | None = None,
) -> Failure:
    return Failure(Unavailable("no answer", retry_after=retry_after, delivery=delivery), count, slow, gone, undoing)


@pytest.mark.parametrize(
    ("failed", "then"),
    [
        (failure(Delivery.NOT_PROCESSED), Recovery.GO_ON),
        (failure(Delivery.NOT_PROCESSED, retry_after=0.0), Recovery.TRY_LATER),
        (failure(Delivery.NOT_PROCESSED, 2), Recovery.TRY_LATER),
        (failure(Delivery.UNKNOWN), Recovery.GO_ON),
        (failure(Delivery.UNKNOWN, 2), Recovery.TRY_LATER),
        (failure(Delivery.UNKNOWN, slow=True), Recovery.AWAIT_END),
        (failure(Delivery.UNKNOWN, 2, slow=True), Recovery.AWAIT_END),
        (failure(Delivery.STILL_RUNNING), Recovery.AWAIT_END),
        (failure(Delivery.STILL_RUNNING, 2), Recovery.AWAIT_END),
        (failure(Delivery.SERVER_ERROR), Recovery.TRY_AGAIN),
        (failure(Delivery.SERVER_ERROR, MOST_FAILURES - 1), Recovery.TRY_AGAIN),
        (failure(Delivery.SERVER_ERROR, MOST_FAILURES), Recovery.REFUSE),
        (failure(Delivery.BLOCKED), Recovery.GIVE_UP),
        (failure(Delivery.BLOCKED, 2), Recovery.GIVE_UP),
    ],
)
def test_a_call_that_got_no_answer_is_recovered_from_as_it_failed(failed: Failure, then: Recovery) -> None:
    assert recovery(failed) is then


@pytest.mark.parametrize(
    ("failed", "then"),
    [
        (failure(Delivery.STILL_RUNNING, undoing=True), Recovery.GO_ON),
        (failure(Delivery.STILL_RUNNING, 2, undoing=True), Recovery.TRY_LATER),
        (failure(Delivery.UNKNOWN, slow=True, undoing=True), Recovery.GO_ON),
        (failure(Delivery.SERVER_ERROR, undoing=True), Recovery.TRY_AGAIN),
        (failure(Delivery.SERVER_ERROR, MOST_FAILURES, undoing=True), Recovery.TRY_LATER),
        (failure(Delivery.BLOCKED, undoing=True), Recovery.GIVE_UP),
    ],
)
def test_undoing_a_refusal_neither_waits_for_what_is_under_way_nor_is_refused(failed: Failure, then: Recovery) -> None:
    assert recovery(failed) is then


@pytest.mark.parametrize("undoing", [False, True])
@pytest.mark.parametrize("delivery", list(Delivery))
def test_a_server_that_is_gone_is_tried_later(delivery: Delivery, undoing: bool) -> None:
    assert recovery(failure(delivery, slow=True, gone=True, undoing=undoing)) is Recovery.TRY_LATER


def test_each_pause_is_longer_than_the_one_before() -> None:
    assert [failure(Delivery.SERVER_ERROR, count).pause for count in (1, 2)] == [0.5, 1.0]


def intent(under_way: int = 0, losses: int = 0) -> Intent:
    return Intent(
        PluginKey(Space.FUNCTIONS, "x"), "sent", True, False, fresh=False, began=0.0, under_way=under_way, losses=losses
    )


@pytest.mark.parametrize(
    ("failed", "after"),
    [
        (failure(Delivery.UNKNOWN), intent(2, 3 + 1)),
        (failure(Delivery.UNKNOWN, gone=True), intent(2, 3 + FOURFOLD)),
        (failure(Delivery.UNKNOWN, slow=True, gone=True), intent(2, 3 + FOURFOLD)),
        (failure(Delivery.UNKNOWN, slow=True), None),
        (failure(Delivery.STILL_RUNNING), None),
        (failure(Delivery.STILL_RUNNING, gone=True), intent(2, 3)),
        (failure(Delivery.NOT_PROCESSED, gone=True), None),
        (failure(Delivery.SERVER_ERROR), None),
        (failure(Delivery.BLOCKED), None),
        (failure(Delivery.UNKNOWN, undoing=True), None),
        (failure(Delivery.STILL_RUNNING, gone=True, undoing=True), None),
    ],
)
def test_lost_connections_are_counted_and_what_may_be_under_way_is_noted(failed: Failure, after: Intent | None) -> None:
    assert noted(intent(2, 3), failed) == after
    assert noted(None, failed) is None


def test_what_may_be_under_way_on_a_server_that_is_gone_is_awaited_when_it_is_back() -> None:
    assert noted(intent(), failure(Delivery.STILL_RUNNING, gone=True)) == intent(under_way=1)
