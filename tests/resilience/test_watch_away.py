"""The watch goes away: folders that vanish and return, links, dead threads, limits, lost events, no events at all."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.harness import Run, until
from tests.live.samples import source
from tests.live.server import Server
from tests.resilience.tcp_proxy import TcpProxy

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="inotify and mounts are Linux'")


def deployed(run: Run, project: Project, name: str = "notes") -> None:
    project.save(f"{name}.py", source(mark="one"))
    run.wait_for("created", plugin=name)


def saved_without_an_event(path: Path, content: str) -> None:
    """Write through a mapping, of which inotify tells nothing. The length must stay."""
    raw = content.encode()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        assert len(mapped) == len(raw)
        mapped[:] = raw
        mapped.flush()


def warned_of(run: Run, text: str) -> None:
    until(lambda: [line for line in run.of("warning") if text in line["error"]], f"a warning of {text}")


def _gone(run: Run) -> list[str]:
    return [line["error"] for line in run.of("warning") if "is gone" in line["error"]]


class TestWatchedFolder:
    def test_made_again_is_watched_again(self, project: Project, server: Server) -> None:
        (project.folder / "owui-watch.toml").write_text("", "utf-8")  # what owui-watch remembers lies outside
        with project.watch() as run:
            deployed(run, project)
            for number in range(3):
                shutil.rmtree(project.plugins)
                until(lambda: len(_gone(run)) > number, "the line about the folder")  # noqa: B023 - called at once
                project.plugins.mkdir()
                project.save("notes.py", source(mark=f"number {number}"))
                run.wait_for("updated", plugin="notes")
                project.save("notes.py", source(mark=f"again {number}"))
                run.wait_for("updated", plugin="notes")
            run.stop()
        assert (len(_gone(run)), run.of("missing")) == (3, [])
        assert server.content(Kind.PIPE, "notes") == source(mark="again 2")

    def test_renamed_away_and_back_loses_no_save(self, project: Project, proxy: TcpProxy) -> None:
        with project.watch() as run:
            deployed(run, project)
            deployed(run, project, "other")
            away = project.plugins.rename(project.folder / "away")
            warned_of(run, "is gone")
            (away / "notes.py").write_text(source(mark="two"), "utf-8")
            away.rename(project.plugins)
            run.wait_for("updated", plugin="notes")
            project.save("notes.py", source(mark="three"))
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert run.of("missing") == []
        assert proxy.taken("functions/other") == [source(mark="one")]

    def test_replaced_by_another_is_watched_silently(self, project: Project) -> None:
        new = project.folder / "new"
        (project.folder / "owui-watch.toml").write_text("", "utf-8")  # what owui-watch remembers lies outside
        with project.watch() as run:
            deployed(run, project)
            shutil.copytree(project.plugins, new)
            (new / "notes.py").write_text(source(mark="two"), "utf-8")
            project.plugins.rename(project.folder / "old")
            new.rename(project.plugins)
            run.wait_for("updated", plugin="notes")
            project.save("notes.py", source(mark="three"))
            run.wait_for("updated", plugin="notes")
            run.stop()

    @linux_only
    @pytest.mark.parametrize("option", [(), ("--poll", "0.2")], ids=["events", "poll"])
    def test_on_a_remounted_disk_is_watched_again(
        self, option: tuple[str, ...], project: Project, server: Server
    ) -> None:
        if (
            os.geteuid() != 0
            or subprocess.run(["mount", "-t", "tmpfs", "none", project.plugins], check=False).returncode
        ):
            pytest.skip("only root may mount")
        try:
            (project.folder / "owui-watch.toml").write_text("", "utf-8")  # so that nothing of ours keeps the disk busy
            with project.watch("--on-delete", "disable", *option) as run:
                deployed(run, project)
                deployed(run, project, "other")
                subprocess.run(["umount", "--lazy", project.plugins], check=True)
                warned_of(run, "is gone")
                # The empty mount point is a folder too, and is not the one that was watched.
                subprocess.run(["mount", "-t", "tmpfs", "none", project.plugins], check=True)
                project.save("notes.py", source(mark="two"))
                run.wait_for("updated", plugin="notes")
                run.wait_for("missing", plugin="other")
                run.stop()
                assert (len(_gone(run)), run.of("missing", plugin="notes"), run.of("disabled")) == (1, [], [])
        finally:
            subprocess.run(["umount", "--lazy", project.plugins], check=False)
        assert server.content(Kind.PIPE, "notes") == source(mark="two")


class TestSubfolder:
    @pytest.mark.parametrize("inside", [True, False], ids=["into_the_tree", "out_of_the_tree"])
    def test_that_becomes_a_symlink_leaves_its_plugins(self, inside: bool, project: Project, server: Server) -> None:
        """Links to folders are not entered: the plugin's file is gone from where it was."""
        with project.watch() as run:
            project.save("sub/notes.py", source(mark="one"))
            run.wait_for("created", plugin="notes")
            target = (project.plugins if inside else project.folder) / "moved"
            (project.plugins / "sub").rename(target)
            (project.plugins / "sub").symlink_to(target)
            run.wait_for("unchanged" if inside else "missing", plugin="notes")
            deployed(run, project, "other")
            run.stop()
        assert server.content(Kind.PIPE, "notes") == source(mark="one")


class TestMissingEvents:
    @pytest.mark.parametrize("option", [(), ("--poll", "0.2")], ids=["events", "poll"])
    def test_hide_no_save(self, option: tuple[str, ...], project: Project, server: Server) -> None:
        with project.watch(*option) as run:
            deployed(run, project)
            saved_without_an_event(project.plugins / "notes.py", source(mark="two"))
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert server.content(Kind.PIPE, "notes") == source(mark="two")

    def test_do_not_matter_to_polling(self, project: Project, server: Server) -> None:
        with project.watch("--poll", "0.2") as run:
            deployed(run, project)
            deployed(run, project, "other")
            os.utime(project.save("notes.py", source(mark="two")), (1, 1))
            run.wait_for("updated", plugin="notes")
            new = project.folder / "new.py"
            new.write_text(source(mark="six"), "utf-8")
            os.utime(new, (1, 1))  # as long and as old as what it replaces
            new.replace(project.plugins / "notes.py")
            run.wait_for("updated", plugin="notes")
            (project.plugins / "other.py").unlink()
            run.wait_for("missing", plugin="other")
            project.save("deep/er/new.py", source())
            run.wait_for("created", plugin="new")
            shutil.rmtree(project.plugins / "deep")
            run.wait_for("missing", plugin="new")
            run.stop()
        assert server.content(Kind.PIPE, "notes") == source(mark="six")


_LIMITED = 'echo {most} > /proc/sys/user/max_inotify_{what} && exec "$@"'


@pytest.fixture
def limited(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Runs owui-watch in a user namespace of its own, where inotify has limits that hurt nobody else."""
    wrapper = project.folder.parent / "python"

    def run(what: str, most: int, *arguments: str) -> Run:
        limit = _LIMITED.format(most=most, what=what)
        command = f"exec unshare --user --map-root-user sh -c '{limit}' sh {sys.executable} \"$@\"\n"
        wrapper.write_text(f"#!/bin/sh\n{command}", "utf-8")
        wrapper.chmod(0o755)
        if subprocess.run([wrapper, "-c", ""], check=False, capture_output=True).returncode:
            pytest.skip("user namespaces, or their inotify limits, are not to be had here")
        monkeypatch.setattr(sys, "executable", str(wrapper))
        return project.watch(*arguments)

    return run


def _save_in_five_folders(run: Run, project: Project) -> None:
    """Wait for the deploy of a plugin in each of five folders, and of a second save in the last one."""
    for number in range(5):
        project.save(f"folder_{number}/plugin_{number}.py", source())
    for number in range(5):
        run.wait_for("created", plugin=f"plugin_{number}")
    project.save("folder_4/plugin_4.py", source(mark="two"))
    run.wait_for("updated", plugin="plugin_4")


class TestInotifyLimit:
    @linux_only
    @pytest.mark.parametrize(("what", "most"), [("watches", 3), ("instances", 0)])
    def test_is_named_and_polling_begins(
        self, what: str, most: int, limited: Callable[..., Run], project: Project, server: Server
    ) -> None:
        for number in range(5):
            (project.plugins / f"folder_{number}").mkdir()
        with limited(what, most) as run:
            warning = run.wait_for("warning")
            assert (
                f"limit of inotify {what} is reached. owui-watch checks every file every 1 s instead"
                in warning["error"]
            )
            assert f"sudo sysctl fs.inotify.max_user_{what}=" in warning["hint"]
            _save_in_five_folders(run, project)
            run.stop()
        assert len(run.of("warning")) == 1
        assert server.content(Kind.PIPE, "plugin_4") == source(mark="two")

    @linux_only
    def test_reached_by_a_later_folder_is_named(
        self, limited: Callable[..., Run], project: Project, server: Server
    ) -> None:
        with limited("watches", 3) as run:
            _save_in_five_folders(run, project)
            run.stop()
            warnings = [line["error"] for line in run.of("warning")]
        assert len([error for error in warnings if "limit of inotify watches is reached" in error]) == 1

    @linux_only
    def test_that_is_lifted_brings_events_back(self, limited: Callable[..., Run], project: Project) -> None:
        with limited("instances", 0) as run:
            run.wait_for("warning")
            lift = "echo 99 > /proc/sys/user/max_inotify_instances"
            subprocess.run(["nsenter", "--user", f"--target={run.pid}", "sh", "-c", lift], check=True)
            deployed(run, project)
            until(lambda: _inotify(run.pid), "an inotify instance")
            project.save("notes.py", source(mark="two"))
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert len(run.of("warning")) == 1


def _inotify(pid: int) -> bool:
    links = (str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink())
    return any("inotify" in link for link in links)
