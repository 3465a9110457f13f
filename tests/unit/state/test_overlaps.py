"""Runs on trees that overlap: one at a time on a server, and what one has put there the other knows."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from trio.testing import MockClock

from owui_watch.cli.commands.deploy import _hand_over
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import PluginKey, Space
from owui_watch.reporting.log import start_reporting
from owui_watch.settings import Settings, load, masked
from owui_watch.state.journal import Intent, Journal
from owui_watch.state.ownership import AlreadyRunningError, own_journal, read_journal
from tests.unit.reporting.outputs import Recorded

URL, OTHER = "http://localhost:3000", "http://localhost:4000"
X, Y, Z = (PluginKey(Space.FUNCTIONS, name) for name in "xyz")
FILTER = "class Filter:\n    def inlet(self, body): return body\n"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Start(NamedTuple):
    """A run: the folder below ``all`` where its memory is at first, its PATHs, and where it is started."""

    home: str
    paths: Sequence[str]
    cwd: str = "."


WIDE, PART = Start("all", ["."]), Start("my-rag", ["."], "my-rag")


class Desk:
    """``all/`` with ``my-rag/``, ``other/`` and ``tests/``, a plugin in each."""

    def __init__(self, above: Path) -> None:
        self.all = above / "all"
        self.rag, self.other, self.tests = (self.all / name for name in ("my-rag", "other", "tests"))
        for folder in (self.rag, self.other, self.tests):
            folder.mkdir(parents=True)
            (folder / f"{folder.name}.py").write_text(FILTER)

    def settings(self, start: Start, url: str = URL) -> Settings:
        environ = {"OPENWEBUI_URL": url, "OPENWEBUI_API_KEY": "sk-0123456789abcdef"}
        return load([Path(path) for path in start.paths], {}, environ=environ, cwd=self.all / start.cwd)

    def start(self, start: Start, url: str = URL) -> AbstractContextManager[Journal]:
        settings = self.settings(start, url)
        return own_journal(settings, masked(settings.url))

    def homes(self) -> set[Path]:
        return {folder.parent for folder in self.all.parent.rglob(".owui-watch")}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def known(journal: Journal, *keys: PluginKey) -> list[str | None]:
    return [journal.put(key) for key in keys]


RUNS = {
    "wide": Start("all", ["."]),
    "wide, from above": Start("all", ["all"], ".."),
    "part": Start("my-rag", ["my-rag"]),
    "part, from its own folder": Start("my-rag", ["."], "my-rag"),
    "part, by another spelling": Start("my-rag", ["../my-rag/../my-rag"], "other"),
    "file": Start("my-rag", ["my-rag/my-rag.py"]),
    "file, from its own folder": Start("my-rag", ["my-rag.py"], "my-rag"),
    "several": Start("all", ["my-rag", "other"]),
    "several, from elsewhere": Start("my-rag", ["../my-rag", "../other"], "tests"),
}


@pytest.mark.parametrize("second", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("first", RUNS.values(), ids=RUNS)
def test_a_run_whose_tree_overlaps_with_that_of_one_that_runs_says_so_and_leaves_nothing(
    desk: Desk, first: Start, second: Start
) -> None:
    home = desk.all if first.home == "all" else desk.all / first.home
    with desk.start(first):
        for _ in range(2):
            with pytest.raises(AlreadyRunningError) as error, desk.start(second):
                pass
            assert str(error.value) == f"another owui-watch keeps {URL} in step with {home} already: end it first"
        assert desk.homes() == {home}
    with desk.start(second):
        pass


@pytest.mark.parametrize(
    "second", [Start("other", ["other"]), Start("other", ["."], "other"), Start("other", ["other/other.py"])]
)
@pytest.mark.parametrize("first", ["part", "part, from its own folder", "file"])
def test_two_side_by_side_are_not_in_each_others_way(desk: Desk, first: str, second: Start) -> None:
    with desk.start(RUNS[first]), desk.start(second):
        pass


def test_a_memory_that_nobody_works_with_is_not_in_the_way_of_two_below_it(desk: Desk) -> None:
    with desk.start(WIDE):
        pass
    with desk.start(PART), desk.start(Start("other", ["."], "other")):
        pass


def test_one_on_what_is_passed_over_is_not_in_the_way(desk: Desk) -> None:
    with desk.start(Start("tests", ["tests"])), desk.start(WIDE):
        pass


@pytest.mark.parametrize("second", ["wide", "part"])
@pytest.mark.parametrize("first", ["wide", "part, from its own folder"])
def test_one_for_another_server_is_not_in_the_way(desk: Desk, first: str, second: str) -> None:
    with desk.start(RUNS[first], OTHER), desk.start(RUNS[second]):
        pass


def test_a_file_named_like_a_memory_is_none(desk: Desk) -> None:
    for folder in (desk.rag, desk.all.parent):
        (folder / ".owui-watch").touch()
    with desk.start(WIDE):
        pass


# What is known


def test_a_wider_run_takes_over_what_is_known_of_its_parts(desk: Desk) -> None:
    intent = Intent(Y, "y1", active=True, is_global=False, fresh=False, began=1.5)
    with desk.start(RUNS["part"]) as part:
        part.settle(X, "x1")
        part.manage(Z)
        part.retire(Z, True)
        part.flush()
        part.intend(intent)
    with desk.start(Start("other", ["other"]), OTHER) as elsewhere:
        elsewhere.settle(X, "there")
        elsewhere.flush()
    for _ in ("at once", "and from then on"):
        with desk.start(WIDE) as wide:
            assert (known(wide, X, Z), wide.managed()) == (["x1", None], {X, Y, Z})
            assert (wide.intent(Y), wide.retired(Z)) == (intent, True)
    left = Journal(desk.rag, URL)
    assert (left.managed(), left.retired(Z)) == (set(), False), "it is begun, and mended, once"
    assert Journal(desk.other, OTHER).put(X) == "there"


def test_what_a_part_has_put_since_is_newer(desk: Desk) -> None:
    with desk.start(PART) as part:
        part.settle(X, "x1")
        part.flush()
    with desk.start(WIDE) as wide:
        wide.settle(X, "x2")
        wide.settle(Y, "y2")
        wide.flush()
    with desk.start(PART) as part:
        assert (known(part, X, Y), part.managed()) == (["x2", "y2"], {X, Y})
        part.settle(X, "x3")
        part.manage(Y)
        part.flush()
    with desk.start(WIDE) as wide:
        assert known(wide, X, Y) == ["x3", "y2"]
    with desk.start(PART) as part:
        assert known(part, X) == ["x3"]
        assert part.ours(X) == {"x3"}


def test_what_a_wider_run_has_begun_is_left_to_it(desk: Desk) -> None:
    with desk.start(WIDE) as wide:
        wide.intend(Intent(X, "x1", active=True, is_global=False, fresh=False, began=1.5))
        wide.manage(Y)
        wide.flush()
    with desk.start(PART) as part:
        assert (part.managed(), part.unsettled()) == (set(), set())


def test_who_only_looks_knows_the_same_and_takes_nothing_over(desk: Desk) -> None:
    with desk.start(RUNS["part"]) as part:
        part.settle(X, "x1")
        part.flush()
    settings = desk.settings(WIDE)
    assert read_journal(settings, masked(settings.url)).put(X) == "x1"
    assert Journal(desk.rag, URL).put(X) == "x1"
    assert desk.homes() == {desk.rag}


def test_where_nothing_can_be_written_a_part_keeps_what_it_knows(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with desk.start(RUNS["part"]) as part:
        part.settle(X, "x1")
        part.flush()
    (desk.all / ".owui-watch" / "state.json").mkdir(parents=True)
    with desk.start(WIDE) as wide:
        assert wide.put(X) == "x1"
        assert wide.trouble() is not None
    shutil.rmtree(desk.all / ".owui-watch")
    with desk.start(WIDE) as wide:
        assert wide.put(X) == "x1"


# A deploy beside a watch


async def handed_over(desk: Desk, settings: Settings, watch: Settings, only: Sequence[str] = ()) -> tuple[int, str]:
    """Return the exit code and lines of a deploy that ``watch`` takes up."""
    out = Recorded()
    report = start_reporting(out, json=False, colours=False, threshold=10, cwd=desk.all)
    session = Session(settings, {}, report.hide)
    journal = Journal(watch.home, URL)

    async def take_up() -> None:
        while journal.asked() is None:  # noqa: ASYNC110 - it stands for another process
            await anyio.sleep(0.1)
        journal.answer(watch.roots)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take_up)
        code = await _hand_over(only, settings, session, report, AlreadyRunningError(URL, watch.home))
    return code, "".join(line[10:] + "\n" for line in out.text().splitlines())


@pytest.mark.anyio
@pytest.mark.parametrize("only", [[], ["my_rag"]])
async def test_a_deploy_of_a_part_is_handed_over_to_the_watch_of_all(desk: Desk, only: list[str]) -> None:
    what = "my_rag" if only else "everything that differs from the server"
    assert await handed_over(desk, desk.settings(PART), desk.settings(WIDE), only) == (
        0,
        f"handed_over the running watch deploys {what}; see its output\n",
    )


@pytest.mark.anyio
@pytest.mark.parametrize("only", [[], ["my_rag", "other"]])
async def test_a_deploy_says_which_plugins_the_watch_does_not_see(desk: Desk, only: list[str]) -> None:
    what = "my_rag" if only else "everything that differs from the server"
    assert await handed_over(desk, desk.settings(WIDE), desk.settings(RUNS["part"]), only) == (
        1,
        f"handed_over the running watch deploys {what}; see its output\n"
        "warning   not deployed: other: the owui-watch that runs here watches my-rag alone\n"
        "          end it and deploy again, or start it on the folder that holds them all\n",
    )


@pytest.mark.anyio
async def test_a_deploy_of_nothing_that_the_watch_sees_hands_nothing_over(desk: Desk) -> None:
    for number in range(9):
        (desk.other / f"other_{number}.py").write_text(FILTER)
    names = ", ".join(["other", *(f"other_{number}" for number in range(7))])
    assert await handed_over(desk, desk.settings(Start("other", ["other"])), desk.settings(RUNS["file"])) == (
        1,
        f"warning   not deployed: {names} and 2 more: the owui-watch that runs here watches my-rag/my-rag.py alone\n"
        "          end it and deploy again, or start it on the folder that holds them all\n",
    )
