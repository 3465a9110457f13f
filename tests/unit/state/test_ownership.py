"""Which run owns the memory of a tree: one at a time on a server, also if the trees overlap."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from trio.testing import MockClock

from owui_watch.cli.commands.deploy_through_watch import deploy_through_watch
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import PluginKey, Space
from owui_watch.reporting.log import start_reporting
from owui_watch.settings import Settings, SettingsError, load, masked
from owui_watch.state import (
    AlreadyRunningError,
    DeployRequest,
    Intent,
    Journal,
    Naming,
    Only,
    Owned,
    Request,
    SentRequest,
    StateFolder,
    StopRequest,
    forget,
    own,
    read_journal,
)
from tests.unit.reporting.outputs import Recorded

URL, OTHER = "http://localhost:3000", "http://localhost:4000"
X, Y, Z = (PluginKey(Space.FUNCTIONS, name) for name in "xyz")
FILTER = "class Filter:\n    def inlet(self, body): return body\n"
NAMING = Naming("Name", "description")
INTENT = Intent(Y, "y1", active=True, is_global=False, fresh=False, began=1.5)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Start(NamedTuple):
    """A run: its PATHs, where it is started, and the folder below ``all`` that its refusal of another run names."""

    paths: Sequence[str]
    cwd: str = "."
    named: str = "."


class Desk:
    """``all/`` with ``my-rag/``, ``other/`` and ``tests/``, a plugin in each; the state is in ``state/`` beside it."""

    def __init__(self, above: Path) -> None:
        self.all, self.state = above / "all", above / "state"
        self.rag, self.other, self.tests = (self.all / name for name in ("my-rag", "other", "tests"))
        for folder in (self.rag, self.other, self.tests):
            folder.mkdir(parents=True)
            (folder / f"{folder.name}.py").write_text(FILTER)

    def settings(self, start: Start, url: str = URL) -> Settings:
        environ = {
            "OPENWEBUI_URL": url,
            "OPENWEBUI_API_KEY": "sk-0123456789abcdef",
            "OWUI_WATCH_STATE_DIR": str(self.state),
        }
        return load([Path(path) for path in start.paths], {}, environ=environ, cwd=self.all / start.cwd)

    def start(self, start: Start, url: str = URL) -> AbstractContextManager[Owned]:
        settings = self.settings(start, url)
        return own(settings, masked(settings.url))

    def read(self, start: Start, url: str = URL) -> Journal:
        settings = self.settings(start, url)
        return read_journal(settings, masked(settings.url))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path.resolve())


def known(journal: Journal, *keys: PluginKey) -> list[str | None]:
    return [journal.record(key).digest for key in keys]


WIDE, PART, OTHER_PART = Start(["."]), Start(["."], "my-rag", "my-rag"), Start(["other"], named="other")
SEVERAL = Start(["my-rag", "other"], named="my-rag")
RUNS = {
    "wide": WIDE,
    "wide, from above": Start(["all"], ".."),
    "part": PART,
    "part, by another spelling": Start(["../my-rag/../my-rag"], "other", "my-rag"),
    "file": Start(["my-rag/my-rag.py"], named="my-rag"),
    "several": SEVERAL,
    "several, from elsewhere": Start(["../my-rag", "../other"], "tests", "my-rag"),
}


class TestOneOwner:
    @pytest.mark.parametrize("second", RUNS.values(), ids=RUNS)
    @pytest.mark.parametrize("first", RUNS.values(), ids=RUNS)
    def test_overlapping_run_is_refused(self, desk: Desk, first: Start, second: Start) -> None:
        with desk.start(first):
            before = sorted(desk.state.rglob("*"))
            for _ in range(2):
                with pytest.raises(AlreadyRunningError) as error, desk.start(second):
                    pass
                message = str(error.value)
                assert message.startswith(f"another owui-watch (pid {os.getpid()}, since ")
                assert f") already deploys {(desk.all / first.named).resolve()} to {URL}: stop it first" in message
                assert message.endswith(": stop it first")
            assert sorted(desk.state.rglob("*")) == before, "the refused run leaves nothing behind"
        with desk.start(second):
            pass

    def test_each_of_several_roots_is_locked(self, desk: Desk) -> None:
        with desk.start(SEVERAL), pytest.raises(AlreadyRunningError), desk.start(OTHER_PART):
            pass

    @pytest.mark.parametrize("second", [OTHER_PART, Start(["."], "other"), Start(["other/other.py"])])
    @pytest.mark.parametrize("first", ["part", "file"])
    def test_separate_trees_are_independent(self, desk: Desk, first: str, second: Start) -> None:
        with desk.start(RUNS[first]), desk.start(second):
            pass

    def test_ended_wider_run_is_no_obstacle(self, desk: Desk) -> None:
        with desk.start(WIDE):
            pass
        with desk.start(PART), desk.start(OTHER_PART):
            pass

    def test_ignored_folder_does_not_overlap(self, desk: Desk) -> None:
        with desk.start(Start(["tests"])), desk.start(WIDE):
            pass

    @pytest.mark.parametrize("second", ["wide", "part"])
    def test_servers_are_independent(self, desk: Desk, second: str) -> None:
        with desk.start(WIDE, OTHER), desk.start(RUNS[second]):
            pass

    def test_name_prefix_is_no_overlap(self, desk: Desk) -> None:
        (desk.all / "my-rag-2").mkdir()
        with desk.start(PART), desk.start(Start(["my-rag-2"])):
            pass

    def test_entry_of_a_killed_run_is_no_obstacle(self, desk: Desk) -> None:
        with desk.start(WIDE):
            [entry] = desk.state.rglob("watch.json")
            content = entry.read_bytes()
        entry.write_bytes(content)
        with desk.start(PART), desk.start(OTHER_PART):
            pass

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
    def test_this_computer_is_one_server(self, desk: Desk, host: str) -> None:
        with desk.start(WIDE) as owned:
            owned.journal.commit(X, "x1")
            owned.journal.flush()
            with pytest.raises(AlreadyRunningError), desk.start(PART, f"http://{host}:3000"):
                pass
        assert desk.read(WIDE, f"http://{host}:3000").record(X).digest == "x1"

    @pytest.mark.parametrize(
        "url",
        [
            "http://localhost:4000",
            "https://localhost:3000",
            "http://127.0.0.2:3000",
            "http://127.0.0.1.example.com:3000",
        ],
    )
    def test_other_address_is_another_server(self, desk: Desk, url: str) -> None:
        with desk.start(WIDE) as owned, desk.start(WIDE, url) as elsewhere:
            owned.journal.commit(X, "x1")
            owned.journal.flush()
            assert elsewhere.journal.managed() == set()
        assert (desk.read(WIDE).record(X).digest, desk.read(WIDE, url).record(X).digest) == ("x1", None)


class TestMemory:
    def test_wider_run_knows_what_its_parts_know(self, desk: Desk) -> None:
        with desk.start(PART) as part:
            part.journal.commit(X, "x1")
            part.journal.manage(Z)
            part.journal.set_disabled(Z, True)
            part.journal.flush()
            part.journal.begin(INTENT)
        with desk.start(OTHER_PART, OTHER) as elsewhere:
            elsewhere.journal.commit(X, "there")
            elsewhere.journal.flush()
        for _ in ("at once", "and from then on"):
            with desk.start(WIDE) as wide:
                assert (known(wide.journal, X, Z), wide.journal.managed()) == (["x1", None], {X, Y, Z})
                assert (wide.journal.intent(Y), wide.journal.record(Z).disabled) == (INTENT, True)

    def test_what_the_wider_run_settled_is_settled(self, desk: Desk) -> None:
        with desk.start(PART) as part:
            part.journal.begin(INTENT)
        with desk.start(WIDE) as wide:
            wide.journal.commit(Y, "y1")
            wide.journal.flush()
        for start in (PART, WIDE):
            journal = desk.read(start)
            assert (journal.record(Y).digest, journal.unfinished()) == ("y1", set())

    def test_newest_of_part_and_wider_counts(self, desk: Desk) -> None:
        with desk.start(PART) as part:
            part.journal.commit(X, "x1")
            part.journal.flush()
        with desk.start(WIDE) as wide:
            wide.journal.commit(X, "x2")
            wide.journal.commit(Y, "y2")
            wide.journal.flush()
        with desk.start(PART) as part:
            assert (known(part.journal, X, Y), part.journal.managed()) == (["x2", "y2"], {X, Y})
            part.journal.commit(X, "x3")
            part.journal.manage(Y)
            part.journal.flush()
        assert known(desk.read(WIDE), X, Y) == ["x3", None]
        assert (known(desk.read(PART), X), desk.read(PART).ours(X)) == (["x3"], frozenset({"x3"}))

    def test_each_of_several_roots_remembers(self, desk: Desk) -> None:
        with desk.start(SEVERAL) as both:
            both.journal.commit(X, "x1")
            both.journal.flush()
        with desk.start(OTHER_PART) as other:
            assert known(other.journal, X) == ["x1"]
            other.journal.commit(X, "x2")
            other.journal.flush()
        assert known(desk.read(SEVERAL), X) == ["x2"]

    def test_reading_locks_and_writes_nothing(self, desk: Desk) -> None:
        assert desk.read(WIDE).managed() == set()
        assert not desk.state.exists()
        with desk.start(PART) as part:
            part.journal.commit(X, "x1")
            part.journal.flush()
            before = {path: path.read_bytes() for path in desk.state.rglob("*") if path.is_file()}
            assert known(desk.read(WIDE), X) == ["x1"] == known(desk.read(PART), X)
        del before[next(path for path in before if path.name == "watch.json")]
        assert {path: path.read_bytes() for path in desk.state.rglob("*") if path.is_file()} == before

    def test_runs_for_two_servers_lose_nothing(self, desk: Desk) -> None:
        keys = [PluginKey(Space.FUNCTIONS, f"p{number}") for number in range(50)]
        with desk.start(WIDE) as one, desk.start(WIDE, OTHER) as two:
            for key in keys:
                for owned in (one, two):
                    owned.journal.manage(key)
                    owned.journal.set_disabled(key, True)
                    owned.journal.flush()
        for url in (URL, OTHER):
            journal = desk.read(WIDE, url)
            assert journal.managed() == set(keys)
            assert all(journal.record(key).disabled for key in keys)

    def test_moved_folder_starts_anew(self, desk: Desk) -> None:
        with desk.start(PART) as part:
            part.journal.commit(X, "x1")
            part.journal.flush()
        desk.rag.rename(desk.all / "moved")
        assert desk.read(Start(["moved"])).managed() == set()

    def test_other_folder_at_the_path_starts_anew(self, desk: Desk) -> None:
        for start in (PART, WIDE):
            with desk.start(start) as owned:
                owned.journal.commit(X, "x1")
                owned.journal.flush()
        desk.all.rename(desk.all.parent / "kept")
        Desk(desk.all.parent)
        assert desk.read(WIDE).managed() == set() == desk.read(PART).managed()
        shutil.rmtree(desk.all)
        (desk.all.parent / "kept").rename(desk.all)
        assert known(desk.read(PART), X) == ["x1"]

    def test_throwaway_server_is_forgotten(self, desk: Desk) -> None:
        for url in (URL, OTHER):
            with desk.start(WIDE, url) as owned:
                owned.journal.commit(X, "x1")
                owned.journal.flush()
        forget(desk.settings(WIDE), URL)
        assert (desk.read(WIDE).record(X).digest, desk.read(WIDE, OTHER).record(X).digest) == (None, "x1")
        [left] = (path for path in desk.state.glob("trees/*/*") if path.is_dir())
        assert left.name.startswith("localhost-4000-")


class TestWhileItRuns:
    def test_deleted_state_is_written_anew_and_locked(self, desk: Desk) -> None:
        with desk.start(WIDE) as owned:
            owned.journal.commit(X, "x1")
            owned.journal.begin(INTENT)
            shutil.rmtree(desk.state)
            owned.journal.flush()
            after = desk.read(WIDE)
            assert (after.record(X).digest, after.intent(Y)) == ("x1", INTENT)
            with pytest.raises(AlreadyRunningError), desk.start(WIDE):
                pass
        with desk.start(WIDE):
            pass

    def test_replaced_folder_keeps_its_memory(self, desk: Desk) -> None:
        with desk.start(PART) as owned:
            owned.journal.commit(X, "x1")
            owned.journal.flush()
            desk.rag.rename(desk.all / "old")
            owned.journal.flush()
            desk.rag.mkdir()
            owned.journal.flush()
            assert known(desk.read(PART), X) == ["x1"]
            with pytest.raises(AlreadyRunningError), desk.start(PART):
                pass

    def test_second_owner_after_a_deletion_is_reported(self, desk: Desk) -> None:
        with desk.start(WIDE) as owned:
            shutil.rmtree(desk.state)
            with desk.start(WIDE):
                owned.journal.flush()
                assert "another owui-watch uses this folder now: stop one of them" in (owned.journal.trouble() or "")


class TestStateFolder:
    def test_nothing_is_written_into_the_tree(self, desk: Desk) -> None:
        before = sorted(desk.all.rglob("*"))
        with desk.start(WIDE) as owned:
            owned.journal.begin(INTENT)
            assert owned.journal.back_up(X, "copy", NAMING, {}) is not None
        assert sorted(desk.all.rglob("*")) == before

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that can't be written")
    def test_read_only_folder_locks_nothing(self, desk: Desk) -> None:
        desk.state.mkdir(0o500)
        with desk.start(WIDE) as owned:
            assert "name another folder with --state-dir" in owned.warnings[0]

    def test_file_in_its_place_is_left_alone(self, desk: Desk) -> None:
        desk.state.write_text("mine")
        with desk.start(WIDE) as owned:
            assert owned.warnings == (
                f"{desk.state}: it is not a folder (owui-watch can't lock or save its state): correct that, or name another "
                "folder with --state-dir",
            )
            owned.journal.commit(X, "x1")
            owned.journal.flush()
            assert owned.journal.record(X).digest == "x1"
        assert desk.state.read_text() == "mine"

    @pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
    @pytest.mark.parametrize(("mode", "warnings"), [(0o777, 1), (0o1777, 1), (0o775, 0), (0o700, 0)])
    def test_folder_that_every_user_can_write_is_reported(self, desk: Desk, mode: int, warnings: int) -> None:
        desk.state.mkdir()
        desk.state.chmod(mode)
        with desk.start(WIDE) as owned:
            assert len(owned.warnings) == warnings
            assert all(f"chmod o-w on {desk.state}" in warning for warning in owned.warnings)

    @pytest.mark.parametrize("inside", ["state", ".hidden/state", "."])
    def test_folder_in_the_tree_is_refused(self, desk: Desk, inside: str) -> None:
        desk.state = desk.all / inside
        with pytest.raises(SettingsError, match="is inside the watched") as error, desk.start(WIDE):
            pass
        assert str(error.value).endswith("name a folder outside with --state-dir")

    @pytest.mark.skipif(os.name == "nt", reason="links need rights there")
    def test_link_into_the_tree_is_refused(self, desk: Desk) -> None:
        desk.state.symlink_to(desk.rag)
        with pytest.raises(SettingsError, match="is inside the watched"), desk.start(WIDE):
            pass


class TestHostileClone:
    """A cloned repository brings state, in every form that an owui-watch has had."""

    @pytest.fixture
    def old(self, desk: Desk) -> Path:
        old = desk.rag / ".owui-watch"
        old.mkdir()
        servers = {URL: {"functions/x": "d0"}}
        (old / "state.json").write_text(f'{{"format": 1, "servers": {servers}}}'.replace("'", '"'))
        (old / "asked.json").write_text(f'{{"servers": {{"{URL}": {{"plugins": []}}}}}}')
        (old / "journal.jsonl").write_text('["functions/x", 1, {"put": "d0"}]\n')
        (old / "requests").mkdir()
        (old / "requests/0123456789abcdef.json").write_text('{"deploy": "everything"}')
        return old

    def test_its_state_is_named_once_and_never_read(self, desk: Desk, old: Path) -> None:
        before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
        with desk.start(PART) as owned:
            assert (owned.journal.managed(), owned.requests.take([])) == (set(), [])
            [warning] = owned.warnings
            assert warning.startswith(f"{old} is ignored: ")
            assert "copy what you need from the backups/ of the old folder, then delete it" in warning
        with desk.start(PART) as owned:
            assert owned.warnings == ()
        assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before

    def test_state_above_the_root_is_named_too(self, desk: Desk, old: Path) -> None:
        old.rename(desk.all / ".owui-watch")
        with desk.start(Start(["my-rag"])) as owned:
            assert owned.warnings[0].startswith(f"{desk.all / '.owui-watch'} is ignored: ")

    @pytest.mark.skipif(os.name == "nt", reason="links need rights there")
    @pytest.mark.parametrize("target", ["elsewhere", "/dev/zero"])
    def test_link_to_elsewhere_is_not_followed(self, desk: Desk, target: str) -> None:
        elsewhere = desk.all.parent / "elsewhere"
        elsewhere.mkdir()
        (desk.rag / ".owui-watch").symlink_to(desk.all.parent / target)
        with desk.start(PART) as owned:
            owned.journal.back_up(X, "copy", NAMING, {})
            owned.journal.begin(INTENT)
        assert list(elsewhere.iterdir()) == []

    @pytest.mark.skipif(os.name == "nt", reason="links need rights there")
    @pytest.mark.parametrize(
        "part", ["trees", "trees/{tree}", "trees/{tree}/{server}", "trees/{tree}/{server}/requests"]
    )
    def test_linked_state_is_neither_read_nor_cleared(self, desk: Desk, part: str) -> None:
        """A state folder that someone else prepared: its links lead to files of the user."""
        with desk.start(PART) as owned:
            owned.journal.begin(INTENT)
            owned.journal.flush()
        [server] = desk.state.glob("trees/*/localhost-*")
        SentRequest(StateFolder(desk.state, server.relative_to(desk.state)), StopRequest())
        place = desk.state / part.format(tree=server.parent.name, server=server.name)
        outside = desk.all.parent / "outside"
        place.rename(outside)
        place.symlink_to(outside)
        before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
        assert before
        with desk.start(PART) as owned:
            assert owned.requests.take([]) == []
            assert owned.journal.managed() == ({Y} if part.endswith("requests") else set())
        assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before

    def test_odd_tree_records_are_passed_over(self, desk: Desk) -> None:
        impossible = [{"path": path, "device": 1, "inode": 1} for path in (5, "\0", "\ud800")]
        for number, content in enumerate(["", "{}", "[" * 100_000, *map(json.dumps, impossible)]):
            folder = desk.state / f"trees/odd-{number}"
            folder.mkdir(parents=True)
            (folder / "tree.json").write_text(content)
        (desk.state / "trees/file").touch()
        with desk.start(WIDE) as owned:
            assert owned.journal.managed() == set()


async def handed_over(desk: Desk, settings: Settings, watch: Settings, only: Sequence[str] = ()) -> tuple[int, str]:
    """Return the exit code and lines of a deploy that ``watch`` takes up."""
    out = Recorded()
    report = start_reporting(out, json=False, colours=False, threshold=10, cwd=desk.all)
    session = Session(settings, {}, report.hide)
    taken: list[Request] = []
    with own(watch, URL) as owned:
        with pytest.raises(AlreadyRunningError) as running, own(settings, URL):
            pass

        async def take_up() -> None:
            while not taken:
                await anyio.sleep(0.1)
                taken.extend(owned.requests.take(watch.roots))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take_up)
            code = await deploy_through_watch(only, settings, session, report, running.value)
            tasks.cancel_scope.cancel()
    return code, "".join(line[10:] + "\n" for line in out.text().splitlines())


class TestHandOver:
    def test_request_reaches_the_owner(self, desk: Desk) -> None:
        with desk.start(SEVERAL) as owned:
            for start in (WIDE, OTHER_PART):
                with pytest.raises(AlreadyRunningError) as running, desk.start(start):
                    pass
                SentRequest(running.value.folder, StopRequest())
            assert owned.requests.take([]) == [StopRequest()] * 2

    def test_request_to_an_ended_run_is_dropped(self, desk: Desk) -> None:
        with desk.start(WIDE), pytest.raises(AlreadyRunningError) as running, desk.start(WIDE):
            pass
        SentRequest(running.value.folder, DeployRequest(Only((X,))))
        with desk.start(WIDE) as owned:
            assert owned.requests.take([]) == []

    @pytest.mark.anyio
    async def test_broken_plugin_is_reported_here(self, desk: Desk) -> None:
        """A plugin without an id must not become an empty list that means all."""
        (desk.other / "3d.py").write_text(FILTER)
        code, lines = await handed_over(desk, desk.settings(Start(["other/3d.py"])), desk.settings(WIDE))
        assert code == 1
        assert lines.startswith("rejected ")
        assert "handed_over" not in lines

    @pytest.mark.anyio
    async def test_folder_without_plugins_is_answered_for_here(self, desk: Desk) -> None:
        (desk.other / "empty").mkdir()
        code, lines = await handed_over(desk, desk.settings(Start(["other/empty"])), desk.settings(WIDE))
        assert code == 1
        assert lines.startswith("rejected  no plugin in this folder")
        assert "handed_over" not in lines

    @pytest.mark.anyio
    @pytest.mark.parametrize("only", [[], ["my_rag"]])
    async def test_deploy_of_a_part(self, desk: Desk, only: list[str]) -> None:
        what = "my_rag"
        assert await handed_over(desk, desk.settings(PART), desk.settings(WIDE), only) == (
            0,
            f"handed_over the running watch deploys {what}; see its output\n",
        )

    @pytest.mark.anyio
    @pytest.mark.parametrize("only", [[], ["my_rag", "other"]])
    async def test_plugins_outside_of_the_watch_are_named(self, desk: Desk, only: list[str]) -> None:
        what = "my_rag" if only else "everything that differs from the server"
        assert await handed_over(desk, desk.settings(WIDE), desk.settings(RUNS["part"]), only) == (
            1,
            f"handed_over the running watch deploys {what}; see its output\n"
            "warning   not deployed: other: the running watch covers only my-rag\n"
            "          stop that watch and deploy again, or start it on a folder that contains them all\n",
        )

    @pytest.mark.anyio
    async def test_nothing_that_the_watch_sees(self, desk: Desk) -> None:
        for number in range(9):
            (desk.other / f"other_{number}.py").write_text(FILTER)
        only = ["other", *(f"other_{number}" for number in range(9))]
        names = ", ".join(only[:8])
        assert await handed_over(desk, desk.settings(WIDE), desk.settings(RUNS["file"]), only) == (
            1,
            f"warning   not deployed: {names} and 2 more: the running watch covers only my-rag/my-rag.py\n"
            "          stop that watch and deploy again, or start it on a folder that contains them all\n",
        )
