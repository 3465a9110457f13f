"""What editors and tools do to a file when they save it: each is one save, one deploy, and none is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project, Watched
from tests.live.harness import Run
from tests.live.samples import source
from tests.live.server import Server

VIM = ("vim", "-Es", "-u", "NONE", "-i", "NONE", "-N", "-c", "set backupcopy={copy} {more}")
SUBSTITUTE = ("-c", "%s/one/two/", "-c", "w", "-c", "qa!", "{file}")


def vim(copy: str, more: str = "") -> tuple[str, ...]:
    return tuple(part.replace("{copy}", copy).replace("{more}", more) for part in (*VIM, *SUBSTITUTE))


# Each turns "one" into "two" in {file}; {new} is a file elsewhere that holds the new content, {outside} a folder.
SAVES = {
    "vim_yes": vim("yes"),
    "vim_no": vim("no"),
    "vim_auto": vim("auto"),
    "vim_yes_backup": vim("yes", "backup"),
    "vim_no_backup": vim("no", "backup"),
    "vim_no_backup_in_a_folder_of_the_tree": vim("no", "backup backupdir={inside}"),
    "vim_no_backup_in_a_folder_elsewhere": vim("no", "backup backupdir={outside}"),
    "vim_yes_backup_in_a_folder_elsewhere": vim("yes", "backup backupdir={outside}"),
    "vim_no_without_writebackup": vim("no", "nowritebackup"),
    "ed": ("ed", "-s", "{file}"),
    "sed_in_place": ("sed", "-i", "s/one/two/", "{file}"),
    "sed_in_place_with_a_backup": ("sed", "-i.bak", "s/one/two/", "{file}"),
    "cp_over_it": ("cp", "{new}", "{file}"),
    "cp_over_it_with_its_old_time": ("cp", "-p", "{new}", "{file}"),
    "mv_over_it": ("mv", "{new}", "{file}"),
    "install_over_it": ("install", "-m", "644", "{new}", "{file}"),
    "rsync": ("rsync", "--checksum", "{new}", "{file}"),
    "rsync_in_place": ("rsync", "--checksum", "--inplace", "{new}", "{file}"),
}


def needs(program: str) -> None:
    """Skip where an editor is missing, but never in CI: there it must be tested."""
    if shutil.which(program) is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing(f"{program} is not installed")


def settled(watched: Watched) -> None:
    """Wait until all that was saved before is deployed.

    Of a file that is linked into place nothing tells whether it is complete: it waits for the whole quiet window, which
    no finished save from before outlasts.
    """
    path = watched.project.plugins / "sentinel.py"
    count = len(watched.run.deploys("sentinel"))
    complete = watched.project.folder / f"sentinel{count}"
    complete.write_text(source(mark=f"number {count}"), "utf-8")
    path.unlink(missing_ok=True)
    path.hardlink_to(complete)
    watched.run.wait_for("updated" if count else "created", plugin="sentinel")


@pytest.fixture(scope="module")
def each_once(watched: Watched) -> Iterator[Watched]:
    """Hold at the very end that no late event and no periodic look has deployed anything a second time."""
    yield watched
    watched.run.stop()
    late = {name: watched.run.deploys(name) for name in SAVES if watched.run.deploys(name)}
    assert late == {name: ["created", "updated"] for name in late}


class TestEditors:
    @pytest.mark.parametrize("name", SAVES)
    def test_one_save_is_one_deploy(self, name: str, each_once: Watched, tmp_path: Path) -> None:
        command = SAVES[name]
        needs(command[0])
        file = each_once.create(Kind.PIPE, name)
        new = tmp_path / "new.py"
        new.write_text(file.read_text("utf-8").replace("one", "two"), "utf-8")
        inside = each_once.project.plugins / "backup"
        inside.mkdir(exist_ok=True)
        places = {"{file}": str(file), "{new}": str(new), "{inside}": str(inside), "{outside}": str(tmp_path)}
        for mark, place in places.items():
            command = tuple(part.replace(mark, place) for part in command)
        typed = b"%s/one/two/\nw\nq\n" if command[0] == "ed" else b""
        subprocess.run(command, input=typed, env=each_once.project.environ, check=True, timeout=30)

        each_once.run.wait_for("updated", plugin=name)
        settled(each_once)
        assert each_once.run.deploys(name) == ["created", "updated"]
        assert each_once.server.content(Kind.PIPE, name) == source(mark="two", version="1.0.0")
        assert each_once.server.saves(Kind.PIPE, name) == 2

    @pytest.mark.parametrize("backupcopy", ["yes", "no"])
    def test_each_save_of_a_vim_session_is_deployed(self, backupcopy: str, each_once: Watched) -> None:
        needs("vim")
        name = f"vim_session_{backupcopy}"
        file = each_once.create(Kind.PIPE, name)
        vim_session = subprocess.Popen(
            ["vim", "-Es", "-u", "NONE", "-i", "NONE", "-N", str(file)],
            stdin=subprocess.PIPE,
            env=each_once.project.environ,
        )
        with vim_session:
            assert vim_session.stdin is not None
            vim_session.stdin.write(f"set backupcopy={backupcopy}\n".encode())
            for number in range(5):
                vim_session.stdin.write(f'%s/return ".*"/return "number {number}"/\nw\n'.encode())
                vim_session.stdin.flush()
                each_once.run.wait_for("updated", plugin=name)
                assert f'return "number {number}"' in each_once.server.content(Kind.PIPE, name)
            vim_session.stdin.write(b"qa!\n")
        settled(each_once)
        assert each_once.run.deploys(name) == ["created", *["updated"] * 5]

    def test_file_written_in_pieces_is_one_deploy(self, each_once: Watched) -> None:
        path = each_once.project.plugins / "pieces.py"
        content = source(mark="whole")
        with path.open("w", encoding="utf-8") as file:
            for character in content:
                file.write(character)
                file.flush()
        each_once.run.wait_for("created", plugin="pieces")
        settled(each_once)
        assert each_once.run.deploys("pieces") == ["created"]
        assert each_once.server.content(Kind.PIPE, "pieces") == content

    def test_burst_of_saves_ends_with_the_last_live(self, each_once: Watched) -> None:
        path = each_once.create(Kind.PIPE, "burst")
        for number in range(20):
            path.write_text(source(mark=f"number {number}", version="1.0.0"), "utf-8")
        settled(each_once)
        assert each_once.server.content(Kind.PIPE, "burst") == source(mark="number 19", version="1.0.0")
        assert len(each_once.run.deploys("burst")) <= 4


class TestHalfASave:
    def test_is_never_reported_as_an_error(self, each_once: Watched) -> None:
        path = each_once.create(Kind.PIPE, "halves")
        for number in range(5):
            content = source(mark=f"number {number}", version="1.0.0")
            path.write_text("", "utf-8")
            path.write_text(content[:150], "utf-8")
            path.write_text(content, "utf-8")
            each_once.run.wait_for("updated", plugin="halves")
        settled(each_once)
        assert each_once.run.deploys("halves") == ["created", *["updated"] * 5]

    @pytest.mark.skipif(sys.platform != "linux", reason="only inotify tells when a file is closed")
    @pytest.mark.parametrize(
        "half", ["", source(mark="two").partition("    def __init__")[0]], ids=["empty", "a plugin"]
    )
    def test_waits_for_its_writer(self, half: str, project: Project, server: Server) -> None:
        with project.watch("--debounce", "0.5") as run:
            watched = Watched(project, run, server)
            path = watched.create(Kind.PIPE, "paused")
            settled(watched)  # an update of it takes no longer than the pause may
            with path.open("w", encoding="utf-8") as file:
                file.write(half)
                file.flush()
                settled(watched)
                file.write(source(mark="two").removeprefix(half))
            run.wait_for("updated", plugin="paused")
            run.stop()
            assert run.deploys("paused") == ["created", "updated"]
            assert run.of("rejected", "skipped") == []
        assert server.content(Kind.PIPE, "paused") == source(mark="two")


# --- git --------------------------------------------------------------------------------------------------------------


class Repository:
    """A git repository around a project's plugins."""

    def __init__(self, project: Project) -> None:
        needs("git")
        self._project = project
        self("init", "-q", "-b", "main")
        self.commit()

    def __call__(self, *arguments: str) -> None:
        command = ["git", *arguments]
        subprocess.run(command, cwd=self._project.folder, env=self._project.environ, check=True, timeout=60)

    def commit(self) -> None:
        self("add", "-A")
        self("commit", "-q", "-m", "plugins")


class TestGit:
    def test_checkout_and_stash_deploy_changed_files_once(self, project: Project, server: Server) -> None:
        names = ("first", "second", "third")
        with project.watch() as run:
            for name in names:
                project.save(f"{name}.py", source())
                run.wait_for("created", plugin=name)
            git = Repository(project)
            git("checkout", "-q", "-b", "feature")
            expected = {name: ["created"] for name in names}

            def both_updated(mark: str) -> None:
                for name in names[:2]:
                    run.wait_for("updated", plugin=name)
                    expected[name] = [*expected[name], "updated"]
                    assert server.content(Kind.PIPE, name) == source(mark=mark)

            for name in names[:2]:
                project.save(f"{name}.py", source(mark="feature"))
            both_updated("feature")
            git.commit()
            git("checkout", "-q", "main")
            both_updated("one")
            git("checkout", "-q", "feature")
            both_updated("feature")
            for name in names[:2]:
                project.save(f"{name}.py", source(mark="in work"))
            both_updated("in work")
            git("stash", "-q")
            both_updated("feature")
            git("stash", "pop", "-q")
            both_updated("in work")
            git("checkout", "-q", "--", "plugins")
            both_updated("feature")
            run.stop()
            assert {name: run.deploys(name) for name in names} == expected

    def test_checkout_of_hundreds_deploys_each_once(self, project: Project, server: Server) -> None:
        names = [f"plugin_{number}" for number in range(60)]
        for name in names:
            project.save(f"{name}.py", source())
        for number in range(240):
            project.save(f"lib/helper_{number}.py", "x = 1\n")
        git = Repository(project)
        with project.watch("--sync") as run:
            wait_for_all(run, "created", names)
            git("checkout", "-q", "-b", "feature")
            run.stop()
        for name in names:
            project.save(f"{name}.py", source(mark="two"))
        for number in range(240):
            project.save(f"lib/helper_{number}.py", "x = 2\n")
        git.commit()
        git("checkout", "-q", "main")
        with project.watch() as run:
            git("checkout", "-q", "feature")
            wait_for_all(run, "updated", names)
            run.stop()
            assert {name: run.deploys(name) for name in names} == {name: ["updated"] for name in names}
            # Twice if git was kept waiting between its removal of the old file and its close of the new one.
            skipped = {line["path"] for line in run.of("skipped")}
            assert skipped == {f"plugins/lib/helper_{number}.py" for number in range(240)}
        assert {plugin["content"] for plugin in server.all(Kind.PIPE.space)} == {source(mark="two")}


def wait_for_all(run: Run, event: str, names: list[str]) -> None:
    for name in names:
        run.wait_for(event, plugin=name, timeout=60)
