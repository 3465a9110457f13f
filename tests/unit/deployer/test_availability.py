"""Is the server there? In virtual time: backoff, what hurries it, and one line for each outage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from owui_watch.deployer.availability import FIRST_DELAY, KEY_EVERY, LONGEST_DELAY, LONGEST_RETRY_AFTER, Availability
from owui_watch.openwebui.responses import Denied, KeyProblem, Unavailable
from owui_watch.reporting.events import Event, Reachable, Waiting

pytestmark = pytest.mark.anyio

URL = "http://localhost:3000"
REFUSED = Unavailable("connection refused")
BUSY = Unavailable("answers 429")
WEB_PAGE = Unavailable("no Open WebUI there: it answers with a web page (200)", hint="look at the URL")
KEY_REFUSED = Denied(KeyProblem.KEY_REFUSED)

Answer = Unavailable | Denied | None


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class World:
    """What a gate is told of: a server that answers ``answer``, a key, and how much is pending."""

    def __init__(self) -> None:
        self.answer: Answer = None
        self.takes = 0.0
        self.pending = 0
        self.new_key = False
        self.asked: list[float] = []
        self.told: list[Event] = []
        self._stirred = anyio.Event()
        self.availability = Availability(
            URL,
            self._probe,
            self._report,
            lambda: self.pending,
            advise=lambda denied: (denied.problem.value, "make a new one"),
            key_changed=lambda: self.new_key,
        )

    async def _probe(self) -> Answer:
        answer = self.answer  # now: who waits for the question may go on, and change it, before it is answered
        self.asked.append(anyio.current_time())
        self._stir()
        await anyio.sleep(self.takes)
        return answer

    def _report(self, event: Event) -> None:
        self.told.append(event)
        self._stir()

    def _stir(self) -> None:
        stirred, self._stirred = self._stirred, anyio.Event()
        stirred.set()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until the gate has asked or told what makes ``true`` true, a virtual hour at the longest."""
        with anyio.fail_after(3600):
            while not true():
                await self._stirred.wait()

    def was_asked(self, times: int) -> bool:
        return len(self.asked) >= times

    @property
    def events(self) -> list[str]:
        return [event.event for event in self.told]

    @property
    def pauses(self) -> list[float]:
        return [after - before for before, after in pairwise(self.asked)]


@asynccontextmanager
async def running(answer: Answer = None) -> AsyncIterator[World]:
    """Return a world whose gate has asked once."""
    world = World()
    world.answer = answer
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.availability.run)
        await world.availability.wait_probed()
        yield world
        tasks.cancel_scope.cancel()


class TestOutage:
    async def test_server_there_at_once_needs_no_line(self) -> None:
        async with running() as world:
            await world.availability.wait()
            await anyio.sleep(3600)

            assert world.told == []
            assert len(world.asked) == 1

    async def test_nothing_passes_before_the_server_answers(self) -> None:
        async with running(REFUSED) as world:
            assert not world.availability.available

            with pytest.raises(TimeoutError), anyio.fail_after(60):
                await world.availability.wait()

    async def test_is_one_waiting_and_one_reachable(self) -> None:
        async with running(REFUSED) as world:
            world.pending = 0
            await anyio.sleep(600)
            assert len(world.asked) > 100
            world.answer = None
            await world.availability.wait()

            [waiting, reachable] = world.told
            assert isinstance(waiting, Waiting)
            assert (waiting.url, waiting.error, waiting.pending) == (URL, "connection refused", 0)
            assert waiting.retry_in == pytest.approx(world.pauses[0], abs=0.1)
            assert reachable == Reachable(URL)

    async def test_each_has_its_own_lines(self) -> None:
        async with running(REFUSED) as world:
            for _ in range(3):
                await world.until(lambda: len(world.told) % 2 == 1)
                world.answer = None
                await world.availability.wait()
                world.answer = REFUSED
                world.availability.lost(REFUSED)
            await world.until(lambda: len(world.told) == 7)

            assert world.events == ["waiting", "reachable"] * 3 + ["waiting"]

    async def test_answers_without_deploys_make_pauses_longer(self) -> None:
        """Probes succeed, deploys answer 429: nothing is proven, so nothing flaps."""
        async with running() as world:
            world.pending = 1
            opened: list[float] = []
            for _ in range(20):
                world.availability.lost(BUSY)
                await world.availability.wait()
                opened.append(anyio.current_time())

            assert world.events == ["waiting"]
            assert all(after - before >= 0.75 * LONGEST_DELAY for before, after in pairwise(opened[5:]))

            world.availability.confirm()
            world.availability.confirm()
            assert world.events == ["waiting", "reachable"]

    async def test_reachable_comes_once_until_a_deploy_succeeds(self) -> None:
        async with running(REFUSED) as world:
            world.pending = 1
            await world.until(lambda: world.events == ["waiting"])
            world.answer = None
            await world.availability.wait()
            assert world.events == ["waiting", "reachable"]

            for _ in range(3):
                world.answer = REFUSED
                world.availability.lost(REFUSED)
                await world.until(partial(world.was_asked, len(world.asked) + 1))
                world.answer = None
                await world.availability.wait()
            assert world.events == ["waiting", "reachable", "waiting"]

            world.availability.confirm()
            world.answer = REFUSED
            world.availability.lost(REFUSED)
            await world.until(partial(world.was_asked, len(world.asked) + 1))
            world.answer = None
            await world.availability.wait()
            assert world.events == ["waiting", "reachable"] * 3

    async def test_earlier_deploy_does_not_end_it(self) -> None:
        async with running() as world:
            world.pending = 1
            world.answer = REFUSED
            world.availability.lost(REFUSED)
            await world.until(lambda: world.events == ["waiting"])
            world.availability.confirm()
            await anyio.sleep(60)

            assert world.events == ["waiting"]

    async def test_alternating_errors_are_one_line(self) -> None:
        async with running(REFUSED) as world:
            for answer in [WEB_PAGE, REFUSED] * 10:
                world.answer, count = answer, len(world.asked) + 1
                await world.until(partial(world.was_asked, count))
            world.answer = None
            await world.availability.wait()

            assert [event.error if isinstance(event, Waiting) else None for event in world.told] == [
                REFUSED.error,
                WEB_PAGE.error,
                None,
            ]


class TestPauses:
    async def test_double_up_to_five_seconds_with_jitter(self) -> None:
        async with running(REFUSED) as world:
            await world.until(partial(world.was_asked, 40))

            for number, pause in enumerate(world.pauses):
                full = min(LONGEST_DELAY, FIRST_DELAY * 2**number)
                assert 0.75 * full - 1e-9 <= pause <= full + 1e-9
            assert len({round(pause, 6) for pause in world.pauses[5:]}) > 10, "no jitter"

    async def test_start_small_again_after_a_deploy(self) -> None:
        async with running(REFUSED) as world:
            await world.until(partial(world.was_asked, 10))
            world.answer = None
            await world.availability.wait()
            world.availability.confirm()
            world.answer, asked = REFUSED, len(world.asked)
            world.availability.lost(REFUSED)
            closed_at = anyio.current_time()
            await world.until(partial(world.was_asked, asked + 1))

            assert world.asked[asked] - closed_at <= FIRST_DELAY

    async def test_retry_after_is_waited_for(self) -> None:
        async with running() as world:
            world.answer = None
            closed_at = anyio.current_time()
            world.availability.lost(Unavailable("answers 429", retry_after=120.0))
            await world.until(partial(world.was_asked, 2))

            assert world.asked[1] == pytest.approx(closed_at + 120.0)
            assert isinstance(world.told[0], Waiting)
            assert world.told[0].retry_in == 120.0

    @pytest.mark.parametrize("asked", [86400.0, float("inf")])
    async def test_long_retry_after_is_capped(self, asked: float) -> None:
        async with running() as world:
            closed_at = anyio.current_time()
            world.availability.lost(Unavailable("answers 429", retry_after=asked))
            await world.until(partial(world.was_asked, 2))

            assert world.asked[1] == pytest.approx(closed_at + LONGEST_RETRY_AFTER)

    async def test_short_retry_after_does_not_shorten_them(self) -> None:
        async with running() as world:
            closed_at = anyio.current_time()
            world.availability.lost(Unavailable("answers 429", retry_after=0.0))
            await world.until(partial(world.was_asked, 2))

            assert world.asked[1] - closed_at >= 0.75 * FIRST_DELAY


class TestSaves:
    async def test_new_save_tries_at_once(self) -> None:
        async with running(REFUSED) as world:
            await world.until(partial(world.was_asked, 8))
            await anyio.sleep(1)
            saved_at = anyio.current_time()
            world.availability.retry_now()
            await world.until(partial(world.was_asked, 9))

            assert world.asked[8] == pytest.approx(saved_at)

    async def test_save_during_a_failing_try_tries_again(self) -> None:
        async with running(REFUSED) as world:
            await world.until(partial(world.was_asked, 8))
            world.takes = 5.0
            await world.until(partial(world.was_asked, 9))
            world.availability.retry_now()
            await world.until(partial(world.was_asked, 11))

            assert world.asked[9] == pytest.approx(world.asked[8] + world.takes)
            assert world.asked[10] > world.asked[9] + world.takes + 1

    async def test_save_before_an_outage_shortens_no_pause(self) -> None:
        async with running() as world:
            world.availability.retry_now()
            world.answer = REFUSED
            closed_at = anyio.current_time()
            world.availability.lost(REFUSED)
            await world.until(partial(world.was_asked, 2))

            assert world.asked[1] - closed_at >= 0.75 * FIRST_DELAY

    async def test_three_hundred_at_once_are_one_try(self) -> None:
        async with running(REFUSED) as world:
            await world.until(partial(world.was_asked, 8))
            for _ in range(300):
                world.availability.retry_now()
            await anyio.sleep(1)

            assert len(world.asked) == 9


class TestRefusedKey:
    async def test_is_reported_and_not_tried_again(self) -> None:
        async with running(KEY_REFUSED) as world:
            await anyio.sleep(3600)

            assert world.told == [Waiting(URL, "key refused", 0, None, "make a new one")]
            assert len(world.asked) == 1

    async def test_new_key_is_found_and_tried(self) -> None:
        async with running(KEY_REFUSED) as world:
            await anyio.sleep(100)
            world.new_key, world.answer = True, None
            changed_at = anyio.current_time()
            await world.availability.wait()

            assert anyio.current_time() - changed_at <= KEY_EVERY
            assert world.events == ["waiting", "reachable"]

    async def test_save_tries_it_once_more(self) -> None:
        async with running(KEY_REFUSED) as world:
            for _ in range(3):
                await anyio.sleep(10)
                world.availability.retry_now()
            await anyio.sleep(10)
            assert len(world.asked) == 4
            assert world.events == ["waiting"]

            world.answer = None
            world.availability.retry_now()
            await world.availability.wait()
            assert world.events == ["waiting", "reachable"]

    async def test_refused_while_watching_stops_deploys(self) -> None:
        async with running() as world:
            world.answer = KEY_REFUSED
            world.availability.lost(KEY_REFUSED)
            await world.until(lambda: world.events == ["waiting"])

            assert not world.availability.available
