"""Two of them, deleted files and renamed ones: what must not happen to a server that someone else relies on."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.harness import Run, until
from tests.live.samples import source
from tests.live.server import Server
from tests.resilience.tcp_proxy import TcpProxy


def is_refusal(message: str, pid: int, url: str, folder: Path) -> bool:
    """Return whether a run was refused because of the one that runs on ``folder``."""
    expected = (
        rf"owui-watch: another owui-watch \(pid {pid}, since \d\d:\d\d\) already deploys "
        rf"{re.escape(str(folder))} to {re.escape(url)}: stop it first\n"
    )
    return re.fullmatch(expected, message) is not None


def deployed(run: Run, project: Project, *names: str, kind: Kind = Kind.PIPE) -> None:
    for name in names:
        project.save(f"{name}.py", source(kind))
        run.wait_for("created", plugin=name)


class TestSecondRun:
    def test_on_the_same_tree_ends(self, project: Project, proxy: TcpProxy) -> None:
        with project.watch() as run:
            second = project.run("plugins/", "--log-format", "json")
            assert is_refusal(second.fails(2), run.pid, proxy.url, project.plugins)
            deployed(run, project, "notes")
            run.stop()

    def test_on_another_server_goes_on(self, project: Project, server: Server) -> None:
        with project.watch() as run, project.watch("--url", server.url) as second:
            project.save("notes.py", source())
            until(lambda: run.deploys("notes") and second.deploys("notes"), "both have it")
            second.stop()
            run.stop()

    @pytest.mark.parametrize(("first", "second"), [("plugins", "."), (".", "plugins")])
    def test_on_an_overlapping_tree_ends(self, project: Project, proxy: TcpProxy, first: str, second: str) -> None:
        with project.run(first, "--log-format", "json") as run:
            run.wait_for("watching")
            project.folder = project.folder / second  # started from there: nothing above it is its own
            assert is_refusal(project.run(".").fails(2), run.pid, proxy.url, (run.folder / first).resolve())
            deployed(run, project, "notes")
            run.stop()

    def test_on_a_wider_tree_replaces_a_killed_one(self, project: Project, server: Server) -> None:
        with project.watch() as run:
            deployed(run, project, "notes")
            os.kill(run.pid, signal.SIGKILL)
            run.ends(-signal.SIGKILL)
        project.save("notes.py", source(mark="two"))
        with project.run(".", "--log-format", "json") as run:
            until(lambda: run.deploys("notes"), "what was saved meanwhile is deployed")
            run.stop()
        assert run.of("backed_up") == []
        assert server.content(Kind.PIPE, "notes") == source(mark="two")

    def test_on_a_killed_runs_tree_goes_on(self, project: Project) -> None:
        with project.watch() as run:
            os.kill(run.pid, signal.SIGKILL)
            run.ends(-signal.SIGKILL)
        with project.watch() as run:
            deployed(run, project, "notes")
            run.stop()


class TestDeletedFile:
    def test_leaves_its_plugin_alone(self, project: Project, server: Server) -> None:
        with project.watch() as run:
            deployed(run, project, "notes", "other")
            (project.plugins / "notes.py").unlink()
            missing = run.wait_for("missing", plugin="notes")
            assert (missing["path"], missing["live"]) == ("plugins/notes.py", True)
            run.stop()
        assert server.plugin(Kind.PIPE, "notes")["is_active"] is True
        assert server.content(Kind.PIPE, "notes") == source()

    def test_disables_its_function_while_it_is_gone(self, project: Project, server: Server) -> None:
        with project.watch("--on-delete", "disable") as run:
            deployed(run, project, "notes", "other")
            deployed(run, project, "helper", kind=Kind.TOOL)
            (project.plugins / "helper.py").unlink()
            (project.plugins / "notes.py").unlink()
            run.wait_for("disabled", plugin="notes")
            assert server.plugin(Kind.PIPE, "notes")["is_active"] is False
            assert server.plugin(Kind.PIPE, "other")["is_active"] is True
            project.save("notes.py", source(mark="two"))
            run.wait_for("updated", plugin="notes")
            assert server.plugin(Kind.PIPE, "notes")["is_active"] is True
            run.stop()
        assert len(run.of("disabled")) == 1
        assert server.content(Kind.TOOL, "helper") == source(Kind.TOOL)

    def test_leaves_off_what_others_disabled(self, project: Project, server: Server) -> None:
        with project.watch("--on-delete", "disable") as run:
            deployed(run, project, "notes", "other")
            server.toggle("notes")
            (project.plugins / "notes.py").unlink()
            run.wait_for("missing", plugin="notes")
            (project.plugins / "other.py").unlink()
            project.save("third.py", source(mark="three"))
            run.wait_for("disabled", plugin="other")
            project.save("notes.py", source(mark="two"))
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert server.plugin(Kind.PIPE, "notes")["is_active"] is False

    def test_that_came_back_enables_its_function_again(self, project: Project, server: Server) -> None:
        with project.watch("--on-delete", "disable") as run:
            deployed(run, project, "notes", "other")
            (project.plugins / "notes.py").unlink()
            run.wait_for("disabled", plugin="notes")
            os.kill(run.pid, signal.SIGKILL)
            run.ends(-signal.SIGKILL)
        with project.watch("--on-delete", "disable") as run:
            project.save("notes.py", source())
            until(lambda: server.plugin(Kind.PIPE, "notes")["is_active"], "the function is enabled")
            run.stop()

    @pytest.mark.parametrize("drain", ["5", "0"])
    def test_before_a_stop_is_disabled_or_named(self, drain: str, project: Project, server: Server) -> None:
        with project.watch("--on-delete", "disable", "--drain", drain) as run:
            deployed(run, project, "notes", "other")
            (project.plugins / "notes.py").unlink()
            run.wait_for("missing", plugin="notes")
            run.interrupt()
            assert run.wait_for("stopped")["pending"] == ([] if drain == "5" else ["notes"])
            run.ends(0 if drain == "5" else 1)
        assert server.plugin(Kind.PIPE, "notes")["is_active"] is (drain == "0")
        assert server.plugin(Kind.PIPE, "other")["is_active"] is True

    @pytest.mark.parametrize("how", ["deleted", "renamed"])
    def test_disables_nothing_if_the_whole_tree_vanishes(self, how: str, project: Project, server: Server) -> None:
        (project.folder / "owui-watch.toml").write_text("", "utf-8")  # what owui-watch remembers lies outside
        with project.watch("--on-delete", "disable") as run:
            deployed(run, project, "notes", "other")
            if how == "deleted":
                shutil.rmtree(project.plugins)
            else:
                project.plugins.rename(project.folder / "elsewhere")
            until(
                lambda: [line for line in run.of("warning") if "is gone" in line["error"]], "the line about the folder"
            )
            project.plugins.mkdir()
            deployed(run, project, "third", "fourth")
            with pytest.raises(pytest.fail.Exception, match="without disabled"):
                run.wait_for("disabled", timeout=3)
            (project.plugins / "fourth.py").unlink()
            run.wait_for("disabled", plugin="fourth")
            run.stop()
        assert len(run.of("disabled")) == 1
        assert [server.plugin(Kind.PIPE, name)["is_active"] for name in ("notes", "other")] == [True, True]


class TestRename:
    def test_that_keeps_the_id_is_no_change(self, project: Project, proxy: TcpProxy, server: Server) -> None:
        with project.watch() as run:
            path = project.save("notes.py", source(header="id: my_notes"))
            run.wait_for("created", plugin="my_notes")
            (project.plugins / "sub").mkdir()
            path.rename(project.plugins / "sub" / "renamed.py")
            run.wait_for("unchanged", plugin="my_notes")
            project.save("sub/renamed.py", source(mark="two", header="id: my_notes"))
            run.wait_for("updated", plugin="my_notes")
            run.stop()
        assert (run.of("missing"), server.ids()) == ([], {"my_notes"})
        assert len(proxy.taken("functions/my_notes")) == 2

    def test_with_a_new_id_names_the_old_copy(self, project: Project, server: Server) -> None:
        with project.watch() as run:
            deployed(run, project, "notes")
            (project.plugins / "notes.py").rename(project.plugins / "remarks.py")
            run.wait_for("created", plugin="remarks")
            missing = run.wait_for("missing", plugin="notes")
            assert (missing["moved_to"], missing["live"]) == ("remarks", True)
            run.stop()
        assert server.ids() == {"notes", "remarks"}

    def test_of_the_id_names_the_old_copy(self, project: Project, server: Server) -> None:
        with project.watch("--on-delete", "disable") as run:
            deployed(run, project, "notes", "other")
            project.save("notes.py", source(header="id: remarks"))
            run.wait_for("created", plugin="remarks")
            missing = run.wait_for("missing", plugin="notes", path="plugins/notes.py")
            assert (missing["moved_to"], missing["live"]) == ("remarks", True)
            run.stop()
        assert (server.ids(), run.of("disabled")) == ({"notes", "other", "remarks"}, [])

    def test_on_a_terminal_names_the_line_to_add(self, project: Project) -> None:
        with project.run("plugins/") as run:
            run.wait_for_text("watching")
            project.save("notes.py", source())
            run.wait_for_text("created")
            (project.plugins / "notes.py").rename(project.plugins / "remarks.py")
            run.wait_for_text("missing")
            run.wait_for_text("id: notes")
            run.stop()

    def test_and_back_is_no_change(self, project: Project, proxy: TcpProxy) -> None:
        with project.watch("-v") as run:
            path = project.save("notes.py", source())
            run.wait_for("created", plugin="notes")
            moved = path.rename(project.plugins / "remarks.py")
            run.wait_for("created", plugin="remarks")
            moved.rename(path)
            run.wait_for("unchanged", plugin="notes")
            run.stop()
        assert proxy.taken("functions/notes") == [source()]
