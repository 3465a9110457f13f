"""Which plugins are dirty, at work, new: the state behind the deployer, without any I/O."""

from __future__ import annotations

from owui_watch.deployer.queue import Dirty, Queue
from owui_watch.plugins.model import PluginKey, Space

A, B, C = (PluginKey(Space.FUNCTIONS, name) for name in "abc")


def test_plugins_are_given_out_in_the_order_they_were_saved() -> None:
    queue = Queue()
    for key in (B, A, C):
        queue.mark(Dirty(key, 0.0))

    assert [queue.take(), queue.take(), queue.take(), queue.take()] == [
        Dirty(B, 0.0),
        Dirty(A, 0.0),
        Dirty(C, 0.0),
        None,
    ]


def test_many_saves_of_one_plugin_are_one_turn_with_the_time_of_the_last() -> None:
    queue = Queue()
    for saved_at in range(10):
        queue.mark(Dirty(A, float(saved_at)))

    assert queue.take() == Dirty(A, 9.0)
    queue.done(A)
    assert queue.take() is None
    assert queue.idle


def test_a_plugin_at_work_is_not_given_out_again_until_it_is_done() -> None:
    queue = Queue()
    queue.mark(Dirty(A, 1.0))
    queue.take()
    queue.mark(Dirty(A, 2.0))

    assert queue.take() is None
    queue.done(A)
    assert queue.take() == Dirty(A, 2.0)


def test_a_plugin_at_work_does_not_hold_up_the_ones_behind_it() -> None:
    queue = Queue()
    queue.mark(Dirty(A, 1.0))
    queue.take()
    queue.mark(Dirty(A, 2.0))
    queue.mark(Dirty(B, 3.0))

    assert queue.take() == Dirty(B, 3.0)


def test_a_plugin_that_is_put_back_is_dirty_again() -> None:
    queue = Queue()
    queue.mark(Dirty(A, 1.0))
    taken = queue.take()
    assert taken is not None
    queue.put_back(taken)
    queue.done(A)

    assert queue.take() == Dirty(A, 1.0)


def test_a_plugin_that_was_saved_while_it_failed_keeps_the_newer_save() -> None:
    queue = Queue()
    queue.mark(Dirty(A, 1.0))
    taken = queue.take()
    assert taken is not None
    queue.mark(Dirty(A, 2.0))
    queue.put_back(taken)
    queue.done(A)

    assert queue.take() == Dirty(A, 2.0)


def test_once_admitted_a_plugin_stays_so_while_it_is_dirty() -> None:
    queue = Queue()
    queue.mark(Dirty(A, 1.0, admitted=True))
    queue.mark(Dirty(A, 2.0))

    assert queue.take() == Dirty(A, 2.0, admitted=True)


def test_once_admitted_a_plugin_stays_so_when_it_is_saved_while_it_fails() -> None:
    queue = Queue()
    queue.mark(Dirty(A, 1.0, admitted=True))
    taken = queue.take()
    assert taken is not None
    queue.mark(Dirty(A, 2.0))
    queue.put_back(taken)
    queue.done(A)

    assert queue.take() == Dirty(A, 2.0, admitted=True)


def test_new_plugins_are_let_in_up_to_the_most() -> None:
    queue = Queue()
    for key in (A, B):
        queue.set_aside(Dirty(key, 1.0))

    assert queue.admit(2) == ()
    assert [queue.take(), queue.take()] == [Dirty(A, 1.0, admitted=True), Dirty(B, 1.0, admitted=True)]


def test_more_new_plugins_than_the_most_are_all_dropped_and_named() -> None:
    queue = Queue()
    for key in (C, A, B):
        queue.set_aside(Dirty(key, 1.0))

    assert queue.admit(2) == (A, B, C)
    assert queue.pending() == set()
    assert queue.take() is None


def test_a_new_plugin_that_is_saved_again_has_its_turn_at_once() -> None:
    queue = Queue()
    queue.set_aside(Dirty(A, 1.0))
    queue.mark(Dirty(A, 2.0))

    assert not queue.new
    assert queue.take() == Dirty(A, 2.0)


def test_a_new_plugin_that_was_saved_while_it_was_looked_at_is_not_set_aside() -> None:
    queue = Queue()
    queue.mark(Dirty(A, 1.0))
    taken = queue.take()
    assert taken is not None
    queue.mark(Dirty(A, 2.0))
    queue.set_aside(taken)
    queue.done(A)

    assert not queue.new
    assert queue.take() == Dirty(A, 2.0)


def test_pending_is_what_waits_what_is_at_work_and_what_is_new() -> None:
    queue = Queue()
    queue.mark(Dirty(A, 1.0))
    queue.take()
    queue.mark(Dirty(B, 1.0))
    queue.set_aside(Dirty(C, 1.0))

    assert queue.pending() == {A, B, C}
    assert queue.ready() == {B}
    assert not queue.idle


def test_what_is_at_work_is_not_ready_even_where_it_is_dirty_again() -> None:
    queue = Queue()
    queue.mark(Dirty(A, 1.0))
    queue.take()
    queue.mark(Dirty(A, 2.0))

    assert queue.ready() == set()
