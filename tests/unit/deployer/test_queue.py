"""Which plugins are dirty, taken, or new: the state behind the deployer, without any I/O."""

from __future__ import annotations

import pytest

from owui_watch.deployer.queue import TOGETHER, Dirty, Queue
from owui_watch.plugins.model import PluginKey, Space

A, B, C, D = (PluginKey(Space.FUNCTIONS, name) for name in "abcd")
T = PluginKey(Space.TOOLS, "t")


def exists(_: PluginKey) -> bool:
    return True


def queue_of(*dirty: Dirty) -> Queue:
    queue = Queue()
    for each in dirty:
        queue.mark(each)
    return queue


def take(queue: Queue) -> Dirty | None:
    key = queue.next()
    return None if key is None else queue.take(key)


class TestOrder:
    def test_is_the_order_of_the_saves(self) -> None:
        queue = queue_of(Dirty(B, 0.0), Dirty(A, 0.0), Dirty(C, 0.0))
        assert [take(queue) for _ in range(4)] == [Dirty(B, 0.0), Dirty(A, 0.0), Dirty(C, 0.0), None]

    def test_begins_with_the_newest_bulk(self) -> None:
        later = 2 * TOGETHER
        queue = queue_of(Dirty(A, 0.0), Dirty(B, TOGETHER), Dirty(C, later + 0.1), Dirty(D, later + 0.2))
        assert [take(queue) for _ in range(4)] == [
            Dirty(C, later + 0.1),
            Dirty(D, later + 0.2),
            Dirty(A, 0.0),
            Dirty(B, TOGETHER),
        ]

    def test_put_back_plugins_wait_for_newer_saves(self) -> None:
        queue = queue_of(old := Dirty(A, 0.0), Dirty(B, 0.0))
        assert take(queue) == old
        queue.mark(Dirty(C, 9.0))
        queue.put_back(old)
        queue.done(A)
        assert [take(queue), take(queue), take(queue)] == [Dirty(C, 9.0), Dirty(B, 0.0), old]

    def test_plugin_saved_again_keeps_its_place(self) -> None:
        queue = queue_of(Dirty(A, 0.0), Dirty(B, 0.0), Dirty(A, 0.5))
        assert [take(queue), take(queue)] == [Dirty(A, 0.5), Dirty(B, 0.0)]

    def test_moves_a_plugin_to_its_newer_bulk(self) -> None:
        queue = queue_of(Dirty(A, 0.0), Dirty(B, 0.0), Dirty(C, 0.0), Dirty(C, 9.0), Dirty(B, 9.0))
        assert [take(queue), take(queue), take(queue), take(queue)] == [
            Dirty(C, 9.0),
            Dirty(B, 9.0),
            Dirty(A, 0.0),
            None,
        ]

    def test_many_saves_are_one_turn(self) -> None:
        queue = queue_of(*(Dirty(A, float(saved_at)) for saved_at in range(10)))
        assert take(queue) == Dirty(A, 9.0)
        queue.done(A)
        assert queue.empty


class TestTaken:
    def test_is_not_given_twice(self) -> None:
        queue = queue_of(Dirty(A, 1.0))
        take(queue)
        queue.mark(Dirty(A, 2.0))
        assert take(queue) is None
        queue.done(A)
        assert take(queue) == Dirty(A, 2.0)

    def test_does_not_hold_up_others(self) -> None:
        queue = queue_of(Dirty(A, 1.0))
        take(queue)
        queue.mark(Dirty(A, 2.0))
        queue.mark(Dirty(B, 3.0))
        assert take(queue) == Dirty(B, 3.0)

    def test_is_dirty_again_if_put_back(self) -> None:
        queue = queue_of(dirty := Dirty(A, 1.0))
        take(queue)
        queue.put_back(dirty)
        queue.done(A)
        assert take(queue) == dirty

    def test_keeps_a_newer_save(self) -> None:
        queue = queue_of(dirty := Dirty(A, 1.0))
        take(queue)
        queue.mark(Dirty(A, 2.0))
        queue.put_back(dirty)
        queue.done(A)
        assert take(queue) == Dirty(A, 2.0)


@pytest.mark.parametrize("allowed", [Dirty(A, 1.0, admitted=True), Dirty(A, 1.0, insist=True)])
class TestAllowed:
    def test_stays_while_dirty(self, allowed: Dirty) -> None:
        queue = queue_of(allowed, Dirty(A, 2.0))
        assert take(queue) == Dirty(A, 2.0, admitted=allowed.admitted, insist=allowed.insist)

    def test_stays_if_saved_while_it_failed(self, allowed: Dirty) -> None:
        queue = queue_of(allowed)
        take(queue)
        queue.mark(Dirty(A, 2.0))
        queue.put_back(allowed)
        queue.done(A)
        assert take(queue) == Dirty(A, 2.0, admitted=allowed.admitted, insist=allowed.insist)


class TestFollowUp:
    def test_becomes_a_deploy_with_a_save(self) -> None:
        assert take(queue_of(Dirty(A, 1.0, follow_up=True), Dirty(A, 2.0))) == Dirty(A, 2.0)
        assert take(queue_of(Dirty(A, 1.0), Dirty(A, 2.0, follow_up=True))) == Dirty(A, 2.0)


def new_ones(*dirty: Dirty) -> Queue:
    queue = Queue()
    for each in dirty:
        queue.set_aside(each)
    return queue


class TestBulk:
    def test_is_admitted_up_to_the_most(self) -> None:
        queue = new_ones(Dirty(A, 1.0), Dirty(B, 1.0))
        assert queue.admit(2, exists) == ()
        assert [take(queue), take(queue)] == [Dirty(A, 1.0, admitted=True), Dirty(B, 1.0, admitted=True)]

    def test_is_dropped_and_named_beyond(self) -> None:
        queue = new_ones(Dirty(C, 1.0), Dirty(A, 1.0), Dirty(B, 1.0))
        assert queue.admit(2, exists) == (A, B, C)
        assert queue.empty

    def test_is_a_chain_of_saves(self) -> None:
        queue = new_ones(*(Dirty(key, TOGETHER * place) for place, key in enumerate((A, B, C))))
        assert queue.last_new == 2 * TOGETHER
        assert queue.admit(2, exists) == (A, B, C)

    def test_does_not_count_saves_apart(self) -> None:
        queue = new_ones(*(Dirty(key, (TOGETHER + 0.1) * place) for place, key in enumerate((A, B, C))))
        assert queue.admit(1, exists) == ()
        assert queue.pending() == {A, B, C}

    def test_is_held_beside_single_saves(self) -> None:
        queue = new_ones(Dirty(A, 1.0), Dirty(B, 1.5), Dirty(C, 9.0))
        assert queue.admit(1, exists) == (A, B)
        assert take(queue) == Dirty(C, 9.0, admitted=True)

    def test_does_not_count_what_the_last_run_left(self) -> None:
        queue = new_ones(Dirty(A, 1.0), Dirty(B, 1.0), Dirty(C, 1.1, insist=True))
        assert queue.admit(1, exists) == (A, B)
        assert take(queue) == Dirty(C, 1.1, admitted=True, insist=True)

    def test_does_not_count_files_that_are_gone(self) -> None:
        queue = new_ones(Dirty(A, 1.0), Dirty(B, 1.1))
        assert queue.admit(1, lambda key: key == B) == ()
        assert [take(queue), take(queue)] == [Dirty(B, 1.1, admitted=True), None]


class TestNew:
    def test_has_its_turn_at_once_if_saved_again(self) -> None:
        queue = new_ones(Dirty(A, 1.0))
        queue.mark(Dirty(A, 2.0))
        assert not queue.new
        assert take(queue) == Dirty(A, 2.0)

    def test_is_not_set_aside_if_saved_meanwhile(self) -> None:
        queue = queue_of(Dirty(A, 1.0))
        taken = take(queue)
        assert taken is not None
        queue.mark(Dirty(A, 2.0))
        queue.set_aside(taken)
        queue.done(A)
        assert not queue.new
        assert take(queue) == Dirty(A, 2.0)


class TestState:
    def test_pending_is_dirty_taken_and_new(self) -> None:
        queue = queue_of(Dirty(A, 1.0))
        take(queue)
        queue.mark(Dirty(B, 1.0))
        queue.set_aside(Dirty(C, 1.0))
        assert queue.pending() == {A, B, C}
        assert [queue.is_pending(key) for key in (A, B, C, D)] == [True, True, True, False]
        assert [queue.is_dirty(key) for key in (A, B, C)] == [False, True, False]
        assert (queue.idle, queue.empty) == (False, False)

    def test_only_new_is_idle_and_not_empty(self) -> None:
        queue = new_ones(Dirty(A, 1.0))
        assert (queue.idle, queue.empty) == (True, False)

    def test_counts_dirty_plugins_of_a_space(self) -> None:
        queue = queue_of(Dirty(A, 1.0), Dirty(A, 2.0), Dirty(B, 1.0), Dirty(T, 1.0))
        assert (queue.count(Space.FUNCTIONS), queue.count(Space.TOOLS)) == (2, 1)
        taken = take(queue)
        assert taken is not None
        assert queue.count(Space.FUNCTIONS) == 1
        queue.put_back(taken)
        queue.put_back(taken)
        assert queue.count(Space.FUNCTIONS) == 2
