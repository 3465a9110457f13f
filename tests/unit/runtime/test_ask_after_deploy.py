"""``--ask`` in virtual time, on a server that answers after a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from trio.testing import MockClock

from owui_watch.openwebui.chat import Chat, Completion
from owui_watch.reporting.events import Created, Event, Saved, Stopped, Updated, Warned
from owui_watch.reporting.runtime_events import Answer, AnswerFailed
from owui_watch.runtime.ask_after_deploy import QUIET, Asker

pytestmark = pytest.mark.anyio
HELPER = Path("/plugins/helper.py")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


def texts_of(path: Path) -> dict[Path, str]:
    return {path: "from .helper import read\n", HELPER: "def read():\n    raise ValueError('it is not there')\n"}


class Bench:
    """An asker, and the pipes that it asked, with the moment of each question."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str]] = []
        self.events: list[Event] = []
        self.fails: str | None = None
        self.error: str | None = None
        self.asker = Asker(cast(Chat, self), "Hello", self.events.append, lambda _part: None, texts_of)

    async def models_of(self, plugin: str) -> list[str]:
        return [plugin]

    async def ask(self, model: str, _prompt: str, _part: object) -> Completion:
        if model == self.fails:
            raise LookupError(model)
        self.asked.append((anyio.current_time(), model))
        await anyio.sleep(10)
        return Completion(f"I am {model}", self.error)

    def deploy(self, plugin: str, kind: str = "pipe") -> None:
        self.asker.heard(Updated(plugin, kind, Path(f"/plugins/{plugin}.py"), None, None, 1))

    @property
    def answers(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Answer)]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.asker.run)
        yield bench
        tasks.cancel_scope.cancel()


class TestAsked:
    async def test_pipe_is_asked_once_all_is_quiet(self, bench: Bench) -> None:
        began = anyio.current_time()
        for _ in range(3):
            bench.deploy("x")
            await anyio.sleep(QUIET / 2)
        await bench.asker.finished()

        [(asked_at, plugin)] = bench.asked
        assert plugin == "x"
        assert asked_at == pytest.approx(began + 2 * QUIET)
        assert bench.answers == ["I am x"]

    async def test_each_of_several_pipes_is_asked(self, bench: Bench) -> None:
        bench.deploy("x")
        bench.asker.heard(Created("y", "pipe", Path("/plugins/y.py"), None, None, 1))
        await bench.asker.finished()

        assert bench.answers == ["I am x", "I am y"]
        assert not [event for event in bench.events if isinstance(event, AnswerFailed)]

    async def test_pipe_deployed_during_an_answer_is_asked_next(self, bench: Bench) -> None:
        bench.deploy("x")
        await anyio.sleep(QUIET + 1)
        bench.deploy("x")
        await bench.asker.finished()

        assert [plugin for _, plugin in bench.asked] == ["x", "x"]
        assert bench.answers == ["I am x"]

    async def test_filter_is_not_asked(self, bench: Bench) -> None:
        bench.deploy("x", "filter")
        await bench.asker.finished()

        assert bench.asked == []

    async def test_finished_returns_at_once_if_nothing_was_deployed(self, bench: Bench) -> None:
        began = anyio.current_time()
        await bench.asker.finished()

        assert anyio.current_time() == began


class TestAnswer:
    @pytest.mark.parametrize("event", [Saved(path=Path("/plugins/x.py")), Saved(path=HELPER), Stopped(())])
    async def test_that_nobody_waits_for_is_given_up(self, bench: Bench, event: Event) -> None:
        bench.deploy("x")
        await anyio.sleep(QUIET + 1)
        bench.asker.heard(event)
        await bench.asker.finished()

        assert bench.answers == []

    async def test_error_names_the_file_that_raises_it(self, bench: Bench) -> None:
        bench.error = "owui_function_x_0123456789.x.helper.Missing: it is not there"
        bench.deploy("x")
        await bench.asker.finished()

        [failed] = [event for event in bench.events if isinstance(event, AnswerFailed)]
        assert (failed.plugin, failed.path, failed.line) == ("x", HELPER, 2)
        assert failed.error == "x.helper.Missing: it is not there"

    async def test_bug_does_not_stop_the_next_pipe(self, bench: Bench) -> None:
        bench.fails = "x"
        bench.deploy("x")
        bench.deploy("y")
        await bench.asker.finished()

        [warned] = [event for event in bench.events if isinstance(event, Warned)]
        assert "bug in owui-watch: asking x failed with LookupError" in warned.error
        assert bench.answers == ["I am y"]
