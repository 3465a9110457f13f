"""A bug is reported with its place, and everything else goes on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from owui_watch.concurrency.supervisor import (
    LONGEST_MESSAGE,
    LONGEST_PAUSE,
    REPORT_BUG,
    describe_bug,
    guarded,
    supervise,
)
from owui_watch.plugins.source import lines_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Problems:
    def __init__(self) -> None:
        self.errors: list[str] = []

    def report(self, error: str, hint: str | None) -> None:
        assert hint == REPORT_BUG
        self.errors.append(error)


def fails_in_our_code() -> None:
    lines_of(None)  # type: ignore[arg-type]


def raised_by(function: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any exception will do
        function()
    return caught.value


class TestBugReport:
    def test_names_work_exception_and_place(self) -> None:
        line = describe_bug("reading x.py", raised_by(fails_in_our_code))

        assert line.startswith("bug in owui-watch: reading x.py failed with TypeError: ")
        path, _, number = line.removesuffix(")").rpartition("(at ")[2].partition(":")
        assert path == "owui_watch/plugins/source.py"
        assert int(number) > 1

    def test_of_a_group_names_the_first_cause(self) -> None:
        group = ExceptionGroup("", [ExceptionGroup("", [raised_by(fails_in_our_code)])])

        assert "TypeError" in describe_bug("reading x.py", group)

    def test_cuts_a_long_text_and_keeps_one_line(self) -> None:
        line = describe_bug("reading x.py", ValueError("a\nb" + "c" * 10_000))

        assert "a bc" in line
        assert len(line) < LONGEST_MESSAGE + 100

    def test_of_an_exception_without_text_has_its_type(self) -> None:
        assert "failed with MemoryError (at " in describe_bug("reading x.py", MemoryError())


class TestGuarded:
    async def test_reports_an_exception_and_goes_on(self) -> None:
        problems = Problems()
        with guarded("reading x.py", problems.report) as outcome:
            fails_in_our_code()

        assert isinstance(outcome.error, TypeError)
        assert len(problems.errors) == 1

    async def test_without_an_exception_reports_nothing(self) -> None:
        problems = Problems()
        with guarded("reading x.py", problems.report) as outcome:
            pass

        assert outcome.error is None
        assert problems.errors == []

    async def test_lets_cancellation_through(self) -> None:
        problems = Problems()
        with anyio.move_on_after(1) as scope, guarded("waiting", problems.report):
            await anyio.sleep_forever()

        assert scope.cancelled_caught
        assert problems.errors == []

    async def test_survives_a_report_that_fails(self) -> None:
        def report(_error: str, _hint: str | None) -> None:
            raise OSError("no space left on device")

        with guarded("reading x.py", report) as outcome:
            fails_in_our_code()

        assert outcome.error is not None


class TestSupervise:
    async def test_starts_a_failed_task_again_with_growing_pauses(self) -> None:
        problems, starts = Problems(), list[float]()
        began = anyio.current_time()

        async def run() -> None:
            starts.append(anyio.current_time() - began)
            if len(starts) < 9:
                fails_in_our_code()

        await supervise("looking for changes", run, problems.report)

        pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
        assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])

    async def test_reports_the_same_failure_once(self) -> None:
        problems, left = Problems(), ["a", "a", "b", "b", "a"]

        async def run() -> None:
            if left:
                raise LookupError(left.pop(0))

        await supervise("looking for changes", run, problems.report)

        assert [error.partition("LookupError: ")[2][0] for error in problems.errors] == ["a", "b", "a"]

    async def test_reports_a_failure_again_after_a_long_run(self) -> None:
        problems, runs = Problems(), 0

        async def run() -> None:
            nonlocal runs
            runs += 1
            if runs < 3:
                await anyio.sleep(LONGEST_PAUSE + 1)
                fails_in_our_code()

        await supervise("looking for changes", run, problems.report)

        assert len(problems.errors) == 2

    async def test_ends_when_it_is_cancelled(self) -> None:
        with anyio.move_on_after(5) as scope:
            await supervise("waiting", anyio.sleep_forever, Problems().report)

        assert scope.cancelled_caught
