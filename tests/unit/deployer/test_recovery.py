"""What follows a call that got no answer: a row a branch."""

from __future__ import annotations

import pytest

from owui_watch.deployer.recovery import FOURFOLD, MOST_FAILURES, Failure, Recovery, noted, recovery
from owui_watch.openwebui.responses import Fate, Unavailable
from owui_watch.plugins.model import PluginKey, Space
from owui_watch.state.journal import Intent


def failure(
    fate: Fate,
    count: int = 1,
    *,
    slow: bool = False,
    gone: bool = False,
    undoing: bool = False,
    retry_after: float | None = None,
) -> Failure:
    return Failure(Unavailable("no answer", retry_after=retry_after, fate=fate), count, slow, gone, undoing)


@pytest.mark.parametrize(
    ("failed", "then"),
    [
        (failure(Fate.UNTOUCHED), Recovery.GO_ON),
        (failure(Fate.UNTOUCHED, retry_after=0.0), Recovery.TRY_LATER),
        (failure(Fate.UNTOUCHED, 2), Recovery.TRY_LATER),
        (failure(Fate.BROKEN), Recovery.GO_ON),
        (failure(Fate.BROKEN, 2), Recovery.TRY_LATER),
        (failure(Fate.BROKEN, slow=True), Recovery.AWAIT_END),
        (failure(Fate.BROKEN, 2, slow=True), Recovery.AWAIT_END),
        (failure(Fate.UNDER_WAY), Recovery.AWAIT_END),
        (failure(Fate.UNDER_WAY, 2), Recovery.AWAIT_END),
        (failure(Fate.FAILED), Recovery.TRY_AGAIN),
        (failure(Fate.FAILED, MOST_FAILURES - 1), Recovery.TRY_AGAIN),
        (failure(Fate.FAILED, MOST_FAILURES), Recovery.REFUSE),
        (failure(Fate.BLOCKED), Recovery.GIVE_UP),
        (failure(Fate.BLOCKED, 2), Recovery.GIVE_UP),
    ],
)
def test_a_call_that_got_no_answer_is_recovered_from_as_it_failed(failed: Failure, then: Recovery) -> None:
    assert recovery(failed) is then


@pytest.mark.parametrize(
    ("failed", "then"),
    [
        (failure(Fate.UNDER_WAY, undoing=True), Recovery.GO_ON),
        (failure(Fate.UNDER_WAY, 2, undoing=True), Recovery.TRY_LATER),
        (failure(Fate.BROKEN, slow=True, undoing=True), Recovery.GO_ON),
        (failure(Fate.FAILED, undoing=True), Recovery.TRY_AGAIN),
        (failure(Fate.FAILED, MOST_FAILURES, undoing=True), Recovery.TRY_LATER),
        (failure(Fate.BLOCKED, undoing=True), Recovery.GIVE_UP),
    ],
)
def test_undoing_a_refusal_neither_waits_for_what_is_under_way_nor_is_refused(failed: Failure, then: Recovery) -> None:
    assert recovery(failed) is then


@pytest.mark.parametrize("undoing", [False, True])
@pytest.mark.parametrize("fate", list(Fate))
def test_a_server_that_is_gone_is_tried_later(fate: Fate, undoing: bool) -> None:
    assert recovery(failure(fate, slow=True, gone=True, undoing=undoing)) is Recovery.TRY_LATER


def test_each_pause_is_longer_than_the_one_before() -> None:
    assert [failure(Fate.FAILED, count).pause for count in (1, 2)] == [0.5, 1.0]


def intent(under_way: int = 0, losses: int = 0) -> Intent:
    return Intent(
        PluginKey(Space.FUNCTIONS, "x"), "sent", True, False, fresh=False, began=0.0, under_way=under_way, losses=losses
    )


@pytest.mark.parametrize(
    ("failed", "after"),
    [
        (failure(Fate.BROKEN), intent(2, 3 + 1)),
        (failure(Fate.BROKEN, gone=True), intent(2, 3 + FOURFOLD)),
        (failure(Fate.BROKEN, slow=True, gone=True), intent(2, 3 + FOURFOLD)),
        (failure(Fate.BROKEN, slow=True), None),
        (failure(Fate.UNDER_WAY), None),
        (failure(Fate.UNDER_WAY, gone=True), intent(2, 3)),
        (failure(Fate.UNTOUCHED, gone=True), None),
        (failure(Fate.FAILED), None),
        (failure(Fate.BLOCKED), None),
        (failure(Fate.BROKEN, undoing=True), None),
        (failure(Fate.UNDER_WAY, gone=True, undoing=True), None),
    ],
)
def test_lost_connections_are_counted_and_what_may_be_under_way_is_noted(failed: Failure, after: Intent | None) -> None:
    assert noted(intent(2, 3), failed) == after
    assert noted(None, failed) is None


def test_what_may_be_under_way_on_a_server_that_is_gone_is_awaited_when_it_is_back() -> None:
    assert noted(intent(), failure(Fate.UNDER_WAY, gone=True)) == intent(under_way=1)
