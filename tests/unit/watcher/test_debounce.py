"""When is a save complete? In virtual time: minutes pass in milliseconds, and every moment is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from owui_watch.watcher.debounce import CAP, NOTICE, SHORTEST_WINDOW, TOGETHER, Debouncer, Settled, Write

pytestmark = pytest.mark.anyio

STARTED, FINISHED, UNKNOWN = Write
WINDOW = 0.1
LIMIT = CAP * WINDOW
FILE = Path("/plugins/x.py")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@dataclass(frozen=True)
class Event:
    """Something that happens to a file ``at`` seconds after the start."""

    at: float
    write: Write = UNKNOWN
    path: Path = FILE


@dataclass(frozen=True)
class Settle:
    """A path that settled ``at`` seconds after the start, when ``noted`` events had been noted."""

    at: float
    path: Path
    noted: int = field(default=0, compare=False)
    provisional: bool = field(default=True, compare=False)


def written(at: float, path: Path = FILE) -> list[Event]:
    """A write in place: truncated, filled, closed."""
    return [Event(at, STARTED, path), Event(at, STARTED, path), Event(at, FINISHED, path)]


async def play(events: Sequence[Event], window: float = WINDOW, *, broken: bool = False) -> list[Settle]:
    """Let ``events`` happen; return what settled. The content of a ``broken`` file is always bad."""
    debouncer, settles = Debouncer(window), list[Settle]()
    began, noted = anyio.current_time(), 0

    async def collect() -> None:
        while True:
            for settled in await debouncer.settled():
                now = anyio.current_time() - began
                settles.append(Settle(now, settled.path, noted, settled.provisional))
                if broken and settled.provisional:
                    debouncer.recheck(settled)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect)
        for event in events:
            await anyio.sleep_until(began + event.at)
            debouncer.note(event.path, event.write)
            noted += 1
        await debouncer.empty()
        tasks.cancel_scope.cancel()
    return settles


def settle(at: Any, path: Path = FILE) -> Settle:
    at = pytest.approx(at)
    return Settle(at, path)


class TestQuietWindow:
    @pytest.mark.parametrize(
        "shape",
        [
            pytest.param(written(0.0), id="in place"),
            pytest.param([Event(0.0, FINISHED)], id="moved into place"),
            pytest.param([Event(-0.002), *written(0.0)], id="renamed away and written anew"),
            pytest.param([Event(-0.500, STARTED), *written(0.0)], id="written slowly"),
        ],
    )
    async def test_finished_save_waits_the_shortest_window(self, shape: list[Event]) -> None:
        late = [Event(event.at + 1.0, event.write) for event in shape]

        assert await play(late) == [settle(1.0 + SHORTEST_WINDOW)]

    @pytest.mark.parametrize(
        "shape",
        [
            pytest.param([Event(0.0)], id="deleted, or found by a look"),
            pytest.param([Event(0.0, FINISHED), Event(0.0)], id="closed, then its mode changed"),
        ],
    )
    async def test_unfinished_save_waits_the_full_window(self, shape: list[Event]) -> None:
        assert await play(shape) == [settle(WINDOW)]

    @pytest.mark.parametrize("gap", [0.010, 0.014])
    async def test_burst_of_ten_writes_settles_once(self, gap: float) -> None:
        burst = [event for number in range(10) for event in written(number * gap)]

        assert await play(burst) == [settle(9 * gap + WINDOW)]

    async def test_two_saves_apart_settle_twice(self) -> None:
        first, second = 0.0, SHORTEST_WINDOW + 0.001

        settles = await play([*written(first), *written(second)])

        assert settles == [settle(first + SHORTEST_WINDOW), settle(second + SHORTEST_WINDOW)]

    @pytest.mark.parametrize("pause", [0.5, 0.9])
    async def test_writer_that_pauses_settles_after_its_end(self, pause: float) -> None:
        events = [Event(0.0, STARTED), Event(pause, STARTED), Event(pause, FINISHED)]

        assert await play(events) == [settle(pause + SHORTEST_WINDOW)]

    async def test_file_deleted_while_written_waits_the_full_window(self) -> None:
        assert await play([Event(0.0, STARTED), Event(0.2)]) == [settle(0.2 + WINDOW)]

    @pytest.mark.parametrize(("write", "quiet"), [(UNKNOWN, WINDOW), (FINISHED, SHORTEST_WINDOW), (STARTED, LIMIT)])
    async def test_begins_anew_after_a_suspension(self, write: Write, quiet: float) -> None:
        debouncer = Debouncer(WINDOW)
        debouncer.note(FILE, write)
        await anyio.sleep(3 * LIMIT)
        resumed = anyio.current_time()
        assert debouncer.settled_now() == []
        assert [each.path for each in await debouncer.settled()] == [FILE]
        assert anyio.current_time() == pytest.approx(resumed + quiet)

    async def test_begins_anew_once(self) -> None:
        debouncer = Debouncer(WINDOW)
        debouncer.note(FILE, UNKNOWN)
        await anyio.sleep(3 * LIMIT)
        assert debouncer.settled_now() == []
        await anyio.sleep(3 * LIMIT)
        assert [each.path for each in debouncer.settled_now()] == [FILE]

    async def test_window_below_the_shortest_is_the_only_one(self) -> None:
        assert await play(written(0.0), window=0.005) == [settle(0.005)]


class TestCap:
    @pytest.mark.parametrize("write", [FINISHED, UNKNOWN])
    async def test_endless_events_settle_at_the_cap(self, write: Write) -> None:
        gap = SHORTEST_WINDOW * 2 / 3
        stream = [Event(number * gap, write) for number in range(250)]

        settles = await play(stream)

        assert [each.at for each in settles[:-1]] == pytest.approx([LIMIT, 2 * LIMIT + gap], abs=gap)
        assert settles[-1] == settle(stream[-1].at + WINDOW)

    async def test_file_never_closed_settles_at_the_cap(self) -> None:
        assert await play([Event(0.0, STARTED), Event(0.5, STARTED)]) == [settle(LIMIT)]

    @pytest.mark.parametrize("shape", [written, lambda at: [Event(at, STARTED)], lambda at: [Event(at)]])
    @pytest.mark.parametrize("gap", [0.004, 0.020, 0.050, 0.099])
    async def test_broken_file_is_final_while_writing_lasts(self, shape: Any, gap: float) -> None:
        stream = [event for number in range(round(5 / gap)) for event in shape(number * gap)]

        final = [each.at for each in await play(stream, broken=True) if not each.provisional]

        assert final[0] <= LIMIT + SHORTEST_WINDOW + 1e-6
        assert all(later - earlier < 1.2 * LIMIT for earlier, later in pairwise(final))


class TestManyPaths:
    async def test_paths_settle_independently(self) -> None:
        paths = [Path(f"/plugins/{number}.py") for number in range(300)]
        events = [event for number, path in enumerate(paths) for event in written(number * 0.003, path)]

        settles = await play(events)

        assert settles == [settle(number * 0.003 + SHORTEST_WINDOW, path) for number, path in enumerate(paths)]

    async def test_endless_events_of_one_path_delay_no_other(self) -> None:
        busy = [Event(number * 0.005, path=Path("/plugins/busy.py")) for number in range(100)]
        events = sorted([*busy, *written(0.2)], key=lambda event: event.at)

        settles = [each for each in await play(events) if each.path == FILE]

        assert settles == [settle(0.2 + SHORTEST_WINDOW)]

    @pytest.mark.parametrize(("apart", "together"), [(0.001, True), (0.003, False)])
    async def test_paths_due_a_moment_apart_settle_together(self, apart: float, together: bool) -> None:
        old, new = Path("/plugins/old.py"), Path("/plugins/new.py")

        first, second = await play([Event(0, FINISHED, old), Event(apart, FINISHED, new)])

        assert first == settle(SHORTEST_WINDOW, old)
        assert second == settle(SHORTEST_WINDOW if together else SHORTEST_WINDOW + apart, new)


class TestRecheck:
    async def test_settles_a_full_window_after_the_last_event(self) -> None:
        debouncer = Debouncer(WINDOW)
        debouncer.note(FILE, FINISHED)
        [settled] = await debouncer.settled()
        await anyio.sleep(0.05)

        debouncer.recheck(settled)

        assert settled.provisional
        assert await debouncer.settled() == [Settled(FILE, settled.last_event, settled.last_event, provisional=False)]
        assert anyio.current_time() == pytest.approx(settled.last_event + WINDOW)

    async def test_waits_at_least_the_shortest_window(self) -> None:
        debouncer = Debouncer(WINDOW)
        debouncer.note(FILE, FINISHED)
        [settled] = await debouncer.settled()
        await anyio.sleep(10)

        debouncer.recheck(settled)

        [again] = await debouncer.settled()
        assert not again.provisional
        assert anyio.current_time() == pytest.approx(settled.last_event + SHORTEST_WINDOW + 10 + SHORTEST_WINDOW)

    async def test_is_provisional_again_after_new_events(self) -> None:
        debouncer = Debouncer(WINDOW)
        debouncer.note(FILE, UNKNOWN)
        [settled] = await debouncer.settled()

        debouncer.recheck(settled)
        debouncer.note(FILE, STARTED)
        debouncer.note(FILE, FINISHED)

        [settled] = await debouncer.settled()
        assert settled.provisional

    async def test_of_a_suspended_process_waits_a_full_window(self) -> None:
        debouncer = Debouncer(WINDOW)
        debouncer.note(FILE, FINISHED)
        await anyio.sleep(SHORTEST_WINDOW + 2 * LIMIT)
        resumed = anyio.current_time()
        (settled,) = await debouncer.settled()
        debouncer.recheck(settled)
        await anyio.sleep(WINDOW / 2)
        assert debouncer.settled_now() == []
        debouncer.note(FILE, FINISHED)
        (settled,) = await debouncer.settled()
        assert settled.provisional
        assert anyio.current_time() >= resumed + WINDOW

    async def test_at_the_cap_waits_the_shortest_window(self) -> None:
        debouncer = Debouncer(WINDOW)
        debouncer.note(FILE, STARTED)
        [settled] = await debouncer.settled()
        assert settled.provisional

        debouncer.recheck(settled)
        debouncer.note(FILE, STARTED)
        [settled] = await debouncer.settled()

        assert not settled.provisional
        assert anyio.current_time() == pytest.approx(settled.first_event + LIMIT + SHORTEST_WINDOW)

    async def test_leaves_a_newer_save_alone(self) -> None:
        debouncer = Debouncer(WINDOW)
        debouncer.note(FILE, FINISHED)
        [settled] = await debouncer.settled()
        await anyio.sleep(0.01)
        saved_again = anyio.current_time()
        debouncer.note(FILE, FINISHED)

        debouncer.recheck(settled)

        [again] = await debouncer.settled()
        assert (again.last_event, again.provisional) == (saved_again, True)
        assert anyio.current_time() == pytest.approx(saved_again + SHORTEST_WINDOW)

    async def test_editor_that_truncates_first_shows_no_half_file(self) -> None:
        debouncer, content, seen = Debouncer(WINDOW), "", []

        async def read() -> None:
            while True:
                for settled in await debouncer.settled():
                    seen.append((content, settled.provisional))
                    if not content and settled.provisional:
                        debouncer.recheck(settled)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            debouncer.note(FILE, FINISHED)
            await anyio.sleep(0.060)
            content = "class Pipe: ..."
            debouncer.note(FILE, STARTED)
            debouncer.note(FILE, FINISHED)
            written_at = anyio.current_time()
            await debouncer.empty()
            tasks.cancel_scope.cancel()

        assert seen == [("", True), ("class Pipe: ...", True)]
        assert anyio.current_time() == pytest.approx(written_at + WINDOW)


class TestStillChanging:
    @pytest.mark.parametrize(("changes", "windows"), [(0, 1), (1, 2), (3, 4), (1000, CAP)])
    async def test_waits_for_quiet_up_to_the_cap(self, changes: int, windows: int) -> None:
        left = changes

        def still_changing(path: Path) -> bool:
            nonlocal left
            left -= 1
            return left >= 0

        debouncer = Debouncer(WINDOW, still_changing=still_changing)
        began = anyio.current_time()
        debouncer.note(FILE, UNKNOWN)
        [settled] = await debouncer.settled()

        assert settled.path == FILE
        assert settled.provisional
        assert anyio.current_time() - began == pytest.approx(windows * WINDOW)
        assert debouncer.pending == set()


class TestExpect:
    async def expected(self, events: Sequence[Event], window: float = WINDOW) -> list[float]:
        moments, began = list[float](), anyio.current_time()
        debouncer = Debouncer(window, lambda _: moments.append(anyio.current_time() - began))

        async def collect() -> None:
            while True:
                await debouncer.settled()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect)
            for event in events:
                await anyio.sleep_until(began + event.at)
                debouncer.note(event.path, event.write)
            await debouncer.empty()
            tasks.cancel_scope.cancel()
        return moments

    async def test_finished_save_is_expected_at_once(self) -> None:
        assert await self.expected(written(0.0)) == [0.0]

    async def test_other_save_is_expected_shortly_before_it_settles(self) -> None:
        assert await self.expected([Event(0.0)]) == pytest.approx([WINDOW - NOTICE])

    async def test_save_held_open_is_expected_when_closed(self) -> None:
        assert await self.expected([Event(0.0, STARTED), Event(0.6, FINISHED)]) == pytest.approx([0.6])

    async def test_file_never_closed_is_expected_before_the_cap(self) -> None:
        assert await self.expected([Event(0.0, STARTED)]) == pytest.approx([LIMIT - NOTICE])

    async def test_burst_is_expected_anew_near_its_end(self) -> None:
        burst = [event for number in range(10) for event in written(number * 0.010)]

        assert await self.expected(burst) == pytest.approx([0.0, 0.090 + WINDOW - NOTICE])

    async def test_flood_within_a_small_window_is_expected_rarely(self) -> None:
        flood = [Event(number * 0.001) for number in range(1000)]

        moments = await self.expected(flood, window=0.030)

        assert len(moments) < 120
        assert moments[-1] > flood[-1].at + 0.030 - NOTICE - 0.010

    async def test_recheck_is_expected_too(self) -> None:
        moments = list[float]()
        debouncer = Debouncer(WINDOW, lambda _: moments.append(anyio.current_time()))
        debouncer.note(FILE, FINISHED)
        [settled] = await debouncer.settled()
        debouncer.recheck(settled)
        await debouncer.settled()

        assert moments == pytest.approx([settled.last_event, settled.last_event + WINDOW - NOTICE])


class TestEmpty:
    async def test_returns_at_once_if_nothing_is_pending(self) -> None:
        began = anyio.current_time()

        await Debouncer(WINDOW).empty()

        assert anyio.current_time() == began

    async def test_waits_for_every_path_and_every_recheck(self) -> None:
        debouncer, emptied_at = Debouncer(WINDOW), list[float]()
        slow = Path("/plugins/slow.py")

        async def wait() -> None:
            await debouncer.empty()
            emptied_at.append(anyio.current_time())

        debouncer.note(FILE, FINISHED)
        debouncer.note(slow, UNKNOWN)
        assert debouncer.pending == {FILE, slow}
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            [settled] = await debouncer.settled()
            debouncer.recheck(settled)
            await debouncer.settled()
            await anyio.wait_all_tasks_blocked()

        assert emptied_at == [pytest.approx(began + WINDOW)]


EVENTS = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 0.03), st.floats(0, 0.3), st.just(0.0)),
        st.sampled_from([Path("/a.py"), Path("/b.py"), Path("/c.py")]),
        st.sampled_from(Write),
    ),
    min_size=1,
    max_size=60,
)


class TestAnyEvents:
    @given(EVENTS, st.sampled_from([0.005, 0.05, WINDOW]))
    def test_end_with_one_settle_in_time(self, gaps: list[tuple[float, Path, Write]], window: float) -> None:
        events, now = list[Event](), 0.0
        for gap, path, write in gaps:
            now += gap
            events.append(Event(now, write, path))

        settles = trio.run(play, events, window, clock=MockClock(autojump_threshold=0))

        for path in {event.path for event in events}:
            noted = [(number, event) for number, event in enumerate(events, 1) if event.path == path]
            _check(noted, [settle for settle in settles if settle.path == path], window)


def _check(noted: list[tuple[int, Event]], settles: list[Settle], window: float) -> None:
    """Check one path: each event leads to a settle, each settle has an event, none is too late or too early."""
    handled = 0
    for settled in settles:
        save = [event for number, event in noted if handled < number <= settled.noted]
        assert save, "a settle without an event"
        last = save[-1].write
        single = last is FINISHED and sum(event.write is FINISHED for event in save) == 1
        quiet = min(SHORTEST_WINDOW, window) if single else window * CAP if last is STARTED else window
        due = min(save[-1].at + quiet, save[0].at + window * CAP)
        assert -TOGETHER - 1e-6 <= settled.at - due <= 1e-6
        handled = settled.noted
    assert noted[-1][0] <= handled, "an event without a settle"
