"""What is said, or switched off, when a file goes or holds another plugin from now on. In virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from owui_watch.deployer.removals import DISABLE_AFTER, Removals
from owui_watch.plugins.changes import read_change
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import Kind, PluginKey, Space
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.events import Created, Event, Missing, Renamed, Unchanged, Updated, Warned
from tests.unit.deployer.bench import journal_in

pytestmark = pytest.mark.anyio

URL = "http://localhost:3000"
FILTER = "class Filter:\n    def inlet(self, body): ...\n"
TOOL = "class Tools:\n    def add(self): ...\n"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


def function(name: str) -> PluginKey:
    return PluginKey(Space.FUNCTIONS, name)


def tool(name: str) -> PluginKey:
    return PluginKey(Space.TOOLS, name)


class Bench:
    """Two watched folders, ``a`` and ``b``, and what was told and switched off of what went from them."""

    def __init__(self, base: Path, tasks: anyio.abc.TaskGroup) -> None:
        self.base = base
        self.told: list[Event] = []
        self.disabled: list[str] = []
        self.live: dict[PluginKey, str | None] = {}
        roots = [base / "a", base / "b"]
        for root in roots:
            root.mkdir()
        self.tree = Tree(roots, Ignore(), {}, base)
        self.journal = journal_in(base)
        self.was_away: Callable[[Path, float], bool] = lambda _path, _since: False
        self.removals = Removals(
            self.tree,
            self.journal,
            tasks,
            was_away=self._was_away,
            delay=DISABLE_AFTER,
            live=self.live,
            disable=lambda key: self.disabled.append(key.id),
            editor=lambda key: f"{URL}/{key.id}",
            report=self.told.append,
        )

    def _was_away(self, path: Path, since: float) -> bool:
        return self.was_away(path, since)

    def save(self, name: str, text: str = FILTER, *, live: bool = True) -> Path:
        path = self.base / name
        path.write_text(text, "utf-8")
        change = read_change(self.tree, path)
        assert change.now is not None
        self.removals.note(change)
        if live:
            self.live[change.now] = None
        return path

    def delete(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self.removals.note(read_change(self.tree, path))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with anyio.create_task_group() as tasks:
        yield Bench(tmp_path, tasks)


class TestFileGone:
    async def test_switches_its_function_off_after_the_delay(self, bench: Bench) -> None:
        path = bench.save("a/one.py")
        bench.save("a/two.py", FILTER + "# two\n")
        began = anyio.current_time()
        bench.delete(path)
        assert bench.told == [Missing("one", path, live=True)]
        assert (bench.disabled, bench.removals.pending) == ([], {function("one")})

        await bench.removals.idle()
        assert (bench.disabled, bench.removals.pending) == (["one"], set())
        assert anyio.current_time() - began == pytest.approx(DISABLE_AFTER)

    async def test_renamed_file_takes_its_function_along(self, bench: Bench) -> None:
        """Nothing would be live any more where the new name is refused, to be told to adopt the old copy."""
        path = bench.save("a/one.py")
        bench.save("a/two.py", FILTER + "# two\n")
        path.unlink()
        bench.save("a/renamed.py", live=False)
        bench.delete(path)

        await bench.removals.idle()
        assert bench.told == [Missing("one", path, live=True, moved_to="renamed")]
        assert bench.disabled == []

    async def test_older_copy_is_not_its_new_name(self, bench: Bench) -> None:
        path = bench.save("a/one.py")
        bench.save("a/copy.py")
        bench.delete(path)

        await bench.removals.idle()
        assert bench.told == [Missing("one", path, live=True)]
        assert bench.disabled == ["one"]

    async def test_file_back_in_time_has_no_new_name(self, bench: Bench) -> None:
        path = bench.save("a/one.py")
        path.unlink()
        bench.save("a/copy.py")
        bench.save("a/one.py")
        bench.removals.deployed(Unchanged("one", Kind.FILTER, path, None, None, 1))
        bench.delete(path)
        assert bench.told == [Missing("one", path, live=True)]

    @pytest.mark.parametrize(
        "why", ["the last of its folder", "back", "back under another name", "gone", "another folder"]
    )
    async def test_function_stays_on_if(self, why: str, bench: Bench) -> None:
        path = bench.save("a/one.py")
        bench.save("b/other.py", FILTER + "# other\n")
        if why != "the last of its folder":
            bench.save("a/two.py", FILTER + "# two\n")
        bench.delete(path)
        if why == "back":
            bench.save("a/one.py")
        if why == "back under another name":
            bench.save("b/renamed.py")
        bench.was_away = lambda gone, _since: why == "gone" and gone == path
        if why == "another folder":
            renewed = anyio.current_time()
            bench.was_away = lambda _path, since: since < renewed

        await bench.removals.idle()
        assert bench.disabled == []

    async def test_tool_has_no_switch(self, bench: Bench) -> None:
        path = bench.save("a/one.py", TOOL)
        bench.save("a/two.py")
        bench.delete(path)
        assert bench.removals.pending == set()


class TestOtherPluginInFile:
    async def test_changed_id_names_the_copy_left_behind(self, bench: Bench) -> None:
        bench.save("a/other.py", FILTER + "# other\n")
        path = bench.save("a/one.py")
        bench.save("a/one.py", f'"""\nid: new\n"""\n{FILTER}', live=False)

        assert bench.told == [Renamed("one", path, live=True, moved_to="new")]
        assert bench.removals.pending == set()

    async def test_changed_id_of_nothing_live_leaves_nothing(self, bench: Bench) -> None:
        bench.save("a/one.py", live=False)
        bench.save("a/one.py", f'"""\nid: new\n"""\n{FILTER}', live=False)
        assert bench.told == []

    @pytest.mark.parametrize("event", [Created, Updated, Unchanged])
    @pytest.mark.parametrize("ours", [True, False])
    async def test_function_that_becomes_a_tool_stays_live(
        self, ours: bool, event: type[Created | Updated | Unchanged], bench: Bench
    ) -> None:
        path = bench.save("a/one.py", live=not ours)
        if ours:
            bench.journal.commit(function("one"), "digest")
        bench.save("a/one.py", TOOL, live=False)
        assert bench.told == []

        for _ in range(2):
            bench.removals.deployed(event("one", Kind.TOOL, path, None, None, 1))
        error = f"the old copy is still on the server, among the functions: {URL}/one"
        told = [Warned(error, "delete it there if you no longer need it", "one")]
        assert bench.told == told * (2 if ours and event is Created else 1)

    async def test_earlier_kind_is_known_from_the_journal(self, bench: Bench) -> None:
        bench.journal.commit(tool("one"), "digest")
        path = bench.save("a/one.py")
        bench.removals.deployed(Created("one", Kind.FILTER, path, None, None, 1))
        assert [type(event) for event in bench.told] == [Warned]

    async def test_foreign_plugin_in_the_other_space_is_unrelated(self, bench: Bench) -> None:
        bench.live[tool("one")] = "1.0"
        path = bench.save("a/one.py")
        bench.removals.deployed(Created("one", Kind.FILTER, path, None, None, 1))
        assert bench.told == []
