"""``--call`` in virtual time, on a server whose plugin takes long."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from trio.testing import MockClock

from owui_watch.reporting.events import Event, Saved, Stopped, Updated
from owui_watch.reporting.runtime_events import Called
from owui_watch.runtime.call.call_after_deploy import QUIET, CallAfterDeploy
from owui_watch.runtime.call.caller import PluginCaller, Wanted

pytestmark = pytest.mark.anyio
CLOCK = Path("/plugins/clock.py")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Bench:
    """What calls ``clock.now`` after each deploy, with the moment of each call."""

    def __init__(self) -> None:
        self.called: list[float] = []
        self.events: list[Event] = []
        wanted = Wanted("clock.now", ("zone=UTC",))
        self.follower = CallAfterDeploy(cast(PluginCaller, self), wanted, self.events.append)

    async def call(self, wanted: Wanted) -> Iterator[Event]:
        self.called.append(anyio.current_time())
        await anyio.sleep(3_600)
        return iter([Called(wanted.plugin, "tool", wanted.method, "noon", (), (), 1)])

    def deploy(self, plugin: str = "clock") -> None:
        self.follower.heard(Updated(plugin, "tool", Path(f"/plugins/{plugin}.py"), None, None, 1))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.follower.run)
        yield bench
        tasks.cancel_scope.cancel()


async def test_deployed_plugin_is_called_once_all_is_quiet(bench: Bench) -> None:
    began = anyio.current_time()
    bench.deploy()
    await anyio.sleep(0.1)
    bench.deploy()
    await bench.follower.finished()
    assert bench.called == [pytest.approx(began + 0.1 + QUIET)]
    assert [event.result for event in bench.events if isinstance(event, Called)] == ["noon"]


async def test_other_plugin_is_not_called(bench: Bench) -> None:
    bench.deploy("other")
    await bench.follower.finished()
    assert bench.called == []


@pytest.mark.parametrize("event", [Saved(path=CLOCK), Stopped(())])
async def test_call_that_nobody_waits_for_is_given_up(bench: Bench, event: Event) -> None:
    began = anyio.current_time()
    bench.deploy()
    await anyio.sleep(QUIET + 1)
    bench.follower.heard(event)
    await bench.follower.finished()
    assert anyio.current_time() - began < 10
    assert bench.events == []


async def test_deploy_during_a_call_is_called_next(bench: Bench) -> None:
    bench.deploy()
    await anyio.sleep(QUIET + 1)
    bench.deploy()
    await bench.follower.finished()
    assert len(bench.called) == 2
    assert len(bench.events) == 1


async def test_save_of_another_file_lets_it_go_on(bench: Bench) -> None:
    bench.deploy()
    await anyio.sleep(QUIET + 1)
    bench.follower.heard(Saved(path=Path("/plugins/other.py")))
    await bench.follower.finished()
    assert len(bench.events) == 1
