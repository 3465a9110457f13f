"""When is a save complete? In virtual time: minutes pass in milliseconds, and every moment is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from owui_watch.watcher.debounce import CAP, SHORTEST, TOGETHER, Debouncer, Settled, Write

pytestmark = pytest.mark.anyio

BEGUN, ENDED, UNTOLD = Write
WINDOW = 0.1
FILE = Path("/plugins/x.py")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@dataclass(frozen=True)
class Event:
    """Something that happens to a file ``at`` seconds after the start."""

    at: float
    write: Write = UNTOLD
    path: Path = FILE


@dataclass(frozen=True)
class Settle:
    """A path given out ``at`` seconds after the start, when ``told`` events had been told."""

    at: float
    path: Path
    told: int = field(default=0, compare=False)


def written(at: float, path: Path = FILE) -> list[Event]:
    """What a write in place looks like: truncated, filled, closed."""
    return [Event(at, BEGUN, path), Event(at, BEGUN, path), Event(at, ENDED, path)]


async def play(events: Sequence[Event], window: float = WINDOW) -> list[Settle]:
    """Let ``events`` happen, and tell what settled, until nothing waits any more."""
    debouncer, settles = Debouncer(window), list[Settle]()
    began, told = anyio.current_time(), 0

    async def collect() -> None:
        while True:
            for settled in await debouncer.due():
                settles.append(Settle(anyio.current_time() - began, settled.path, told))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect)
        for event in events:
            await anyio.sleep_until(began + event.at)
            debouncer.note(event.path, event.write)
            told += 1
        await debouncer.emptied()
        tasks.cancel_scope.cancel()
    return settles


def settle(at: Any, path: Path = FILE) -> Settle:
    at = pytest.approx(at)
    return Settle(at, path)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(written(0.0), id="in place"),
        pytest.param([Event(0.0, ENDED)], id="moved into place"),
        pytest.param([Event(-0.002), *written(0.0)], id="renamed away and written anew"),
        pytest.param([Event(-0.500, BEGUN), *written(0.0)], id="written slowly"),
    ],
)
async def test_a_finished_save_settles_once_after_the_shortest_window(shape: list[Event]) -> None:
    late = [Event(event.at + 1.0, event.write) for event in shape]

    assert await play(late) == [settle(1.0 + SHORTEST)]


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param([Event(0.0)], id="deleted, or found by a look"),
        pytest.param([Event(0.0, ENDED), Event(0.0)], id="closed, then its mode changed"),
    ],
)
async def test_what_is_not_known_to_be_finished_waits_the_full_window(shape: list[Event]) -> None:
    assert await play(shape) == [settle(WINDOW)]


@pytest.mark.parametrize("gap", [0.010, 0.014])
async def test_a_burst_of_ten_finished_writes_is_one_settle_a_full_window_after_the_last(gap: float) -> None:
    burst = [event for number in range(10) for event in written(number * gap)]

    assert await play(burst) == [settle(9 * gap + WINDOW)]


async def test_two_saves_further_apart_than_the_shortest_window_are_two_settles() -> None:
    first, second = 0.0, SHORTEST + 0.001

    settles = await play([*written(first), *written(second)])

    assert settles == [settle(first + SHORTEST), settle(second + SHORTEST)]


@pytest.mark.parametrize("write", [ENDED, UNTOLD])
async def test_an_endless_stream_of_events_settles_at_the_cap_and_once_more_at_its_end(write: Write) -> None:
    gap = SHORTEST * 2 / 3
    stream = [Event(number * gap, write) for number in range(250)]
    cap = CAP * WINDOW

    settles = await play(stream)

    assert [each.at for each in settles[:-1]] == pytest.approx([cap, 2 * cap + gap], abs=gap)
    assert settles[-1] == settle(stream[-1].at + WINDOW)


@pytest.mark.parametrize("pause", [0.5, 0.9])
async def test_a_write_that_pauses_settles_once_after_its_end(pause: float) -> None:
    assert await play([Event(0.0, BEGUN), Event(pause, BEGUN), Event(pause, ENDED)]) == [settle(pause + SHORTEST)]


async def test_a_file_that_is_never_closed_settles_at_the_cap() -> None:
    assert await play([Event(0.0, BEGUN), Event(0.5, BEGUN)]) == [settle(CAP * WINDOW)]


async def test_a_file_that_goes_away_while_it_is_written_waits_the_full_window() -> None:
    assert await play([Event(0.0, BEGUN), Event(0.2)]) == [settle(0.2 + WINDOW)]


async def test_a_window_below_the_shortest_one_is_the_only_one() -> None:
    assert await play(written(0.0), window=0.005) == [settle(0.005)]


async def test_paths_settle_independently_of_each_other() -> None:
    paths = [Path(f"/plugins/{number}.py") for number in range(300)]
    events = [event for number, path in enumerate(paths) for event in written(number * 0.003, path)]

    settles = await play(events)

    assert settles == [settle(number * 0.003 + SHORTEST, path) for number, path in enumerate(paths)]


async def test_an_endless_stream_on_one_path_delays_no_other() -> None:
    busy = [Event(number * 0.005, path=Path("/plugins/busy.py")) for number in range(100)]
    events = sorted([*busy, *written(0.2)], key=lambda event: event.at)

    settles = [each for each in await play(events) if each.path == FILE]

    assert settles == [settle(0.2 + SHORTEST)]


async def test_not_yet_gives_a_path_out_again_a_full_window_after_its_last_event() -> None:
    debouncer = Debouncer(WINDOW)
    debouncer.note(FILE, ENDED)
    [settled] = await debouncer.due()
    await anyio.sleep(0.05)

    debouncer.not_yet(settled)

    assert await debouncer.due() == [Settled(FILE, settled.last, held=True)]
    assert anyio.current_time() == pytest.approx(settled.last + WINDOW)


async def test_not_yet_long_after_the_last_event_waits_for_the_shortest_window() -> None:
    debouncer = Debouncer(WINDOW)
    debouncer.note(FILE, ENDED)
    [settled] = await debouncer.due()
    await anyio.sleep(10)

    debouncer.not_yet(settled)

    assert await debouncer.due() == [Settled(FILE, settled.last, held=True)]
    assert anyio.current_time() == pytest.approx(settled.last + SHORTEST + 10 + SHORTEST)


async def test_not_yet_after_the_full_window_waits_for_the_event_of_a_save_that_began_while_it_was_read() -> None:
    debouncer = Debouncer(WINDOW)
    debouncer.note(FILE, UNTOLD)
    [settled] = await debouncer.due()

    debouncer.not_yet(settled)
    assert await debouncer.due() == [Settled(FILE, settled.last, held=True)]
    assert anyio.current_time() == pytest.approx(settled.last + WINDOW + SHORTEST)

    debouncer.not_yet(settled)
    debouncer.note(FILE, BEGUN)
    debouncer.note(FILE, ENDED)
    [settled] = await debouncer.due()
    assert not settled.held


async def test_not_yet_at_the_cap_waits_for_the_shortest_window_too() -> None:
    debouncer = Debouncer(WINDOW)
    debouncer.note(FILE, BEGUN)
    [settled] = await debouncer.due()

    debouncer.not_yet(settled)
    await debouncer.due()

    assert anyio.current_time() == pytest.approx(settled.last + CAP * WINDOW + SHORTEST)


async def test_not_yet_leaves_a_newer_save_alone() -> None:
    debouncer = Debouncer(WINDOW)
    debouncer.note(FILE, ENDED)
    [settled] = await debouncer.due()
    await anyio.sleep(0.01)
    saved_again = anyio.current_time()
    debouncer.note(FILE, ENDED)

    debouncer.not_yet(settled)

    assert await debouncer.due() == [Settled(FILE, saved_again)]
    assert anyio.current_time() == pytest.approx(saved_again + SHORTEST)


async def test_an_editor_that_truncates_then_writes_is_given_out_half_only_while_it_pauses() -> None:
    debouncer, content, seen = Debouncer(WINDOW), "", []

    async def read() -> None:
        while True:
            for settled in await debouncer.due():
                seen.append(content)
                if not content and not settled.held:
                    debouncer.not_yet(settled)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        debouncer.note(FILE, ENDED)
        await anyio.sleep(0.060)
        content = "class Pipe: ..."
        debouncer.note(FILE, BEGUN)
        debouncer.note(FILE, ENDED)
        written_at = anyio.current_time()
        await debouncer.emptied()
        tasks.cancel_scope.cancel()

    assert seen == ["", "class Pipe: ..."]
    assert anyio.current_time() == pytest.approx(written_at + WINDOW)


@pytest.mark.parametrize(("changes", "windows"), [(0, 1), (1, 2), (3, 4), (1000, CAP)])
async def test_a_file_that_goes_on_changing_without_events_waits_for_a_quiet_window_up_to_the_cap(
    changes: int, windows: int
) -> None:
    left = changes

    def goes_on(path: Path) -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    debouncer = Debouncer(WINDOW, goes_on)
    began = anyio.current_time()
    debouncer.note(FILE, UNTOLD)
    [settled] = await debouncer.due()

    assert settled.path == FILE
    assert not settled.held
    assert anyio.current_time() - began == pytest.approx(windows * WINDOW)
    assert debouncer.waiting() == set()


async def test_note_counts_the_writes_of_each_save_that_ended() -> None:
    debouncer = Debouncer(WINDOW)

    assert [debouncer.note(FILE, write) for write in (BEGUN, ENDED, ENDED)] == [0, 1, 2]
    await debouncer.due()
    assert debouncer.note(FILE, ENDED) == 1


async def test_a_path_waits_from_its_first_event_until_it_is_given_out() -> None:
    debouncer = Debouncer(WINDOW)

    assert not debouncer.waits(FILE)
    debouncer.note(FILE, ENDED)
    assert debouncer.waits(FILE)
    await debouncer.due()
    assert not debouncer.waits(FILE)


async def test_emptied_waits_for_every_path_and_for_those_held_back() -> None:
    debouncer, emptied_at = Debouncer(WINDOW), list[float]()
    slow = Path("/plugins/slow.py")

    async def wait() -> None:
        await debouncer.emptied()
        emptied_at.append(anyio.current_time())

    debouncer.note(FILE, ENDED)
    debouncer.note(slow, UNTOLD)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        [settled] = await debouncer.due()
        debouncer.not_yet(settled)
        await debouncer.due()
        await anyio.wait_all_tasks_blocked()

    assert emptied_at == [pytest.approx(began + WINDOW)]


@pytest.mark.parametrize(("apart", "together"), [(0.001, True), (0.003, False)])
async def test_paths_that_are_due_a_moment_apart_are_given_out_together(apart: float, together: bool) -> None:
    old, new = Path("/plugins/old.py"), Path("/plugins/new.py")

    first, second = await play([Event(0, ENDED, old), Event(apart, ENDED, new)])

    assert first == settle(SHORTEST, old)
    assert second == settle(SHORTEST if together else SHORTEST + apart, new)


async def test_emptied_returns_at_once_where_nothing_waits() -> None:
    began = anyio.current_time()

    await Debouncer(WINDOW).emptied()

    assert anyio.current_time() == began


EVENTS = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 0.03), st.floats(0, 0.3), st.just(0.0)),
        st.sampled_from([Path("/a.py"), Path("/b.py"), Path("/c.py")]),
        st.sampled_from(Write),
    ),
    min_size=1,
    max_size=60,
)


@given(EVENTS, st.sampled_from([0.005, 0.05, WINDOW]))
def test_whatever_happens_the_last_event_is_followed_by_one_settle_in_time(
    gaps: list[tuple[float, Path, Write]], window: float
) -> None:
    events, now = list[Event](), 0.0
    for gap, path, write in gaps:
        now += gap
        events.append(Event(now, write, path))

    settles = trio.run(play, events, window, clock=MockClock(autojump_threshold=0))

    for path in {event.path for event in events}:
        told = [(number, event) for number, event in enumerate(events, 1) if event.path == path]
        _check(told, [settle for settle in settles if settle.path == path], window)


def _check(told: list[tuple[int, Event]], settles: list[Settle], window: float) -> None:
    """Check one path: no event unanswered, no settle that none asked for, none too late and none too early."""
    answered = 0
    for settled in settles:
        save = [event for number, event in told if answered < number <= settled.told]
        assert save, "a settle that no event asked for"
        last = save[-1].write
        single = last is ENDED and sum(event.write is ENDED for event in save) == 1
        quiet = min(SHORTEST, window) if single else window * CAP if last is BEGUN else window
        due = min(save[-1].at + quiet, save[0].at + window * CAP)
        assert -TOGETHER - 1e-6 <= settled.at - due <= 1e-6
        answered = settled.told
    assert told[-1][0] <= answered, "an event that no settle followed"
