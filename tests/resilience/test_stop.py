"""Stopping: the first signal ends when all that is saved is deployed, or says what is not; the second ends at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from owui_watch.plugins.model import Kind, Space
from tests.live.conftest import Project
from tests.live.harness import Run, until
from tests.live.samples import source
from tests.live.server import Server
from tests.resilience.tcp_proxy import STALLED, Diagnostic, TcpProxy

SIGNALS = [signal.SIGINT, signal.SIGTERM]
UPDATE = "POST .*/update$"
SLOW = Diagnostic(pause=1.0)


def deployed(run: Run, project: Project, name: str = "notes") -> None:
    project.save(f"{name}.py", source(mark="one"))
    run.wait_for("created", plugin=name)


SLOW_FILES = """
import os, time
scandir, marker = os.scandir, {marker!r}
def slow(path="."):
    if "plugins" in os.fsdecode(path) and os.path.exists(marker):
        open(marker + ".reached", "w").close()
        time.sleep(60)
    return scandir(path)
os.scandir = slow
"""


def slow_file_system(project: Project) -> tuple[Path, Path]:
    """Have the next watch run on files that take a minute for each folder, once the first of these paths exists.

    The second one exists as soon as the watch waits for them.
    """
    marker = project.folder / "slow"
    patches = project.folder / "patches"
    patches.mkdir()
    (patches / "sitecustomize.py").write_text(SLOW_FILES.format(marker=str(marker)))
    project.environ["PYTHONPATH"] = str(patches)
    return marker, marker.with_name("slow.reached")


class TestSecondSignal:
    @pytest.mark.parametrize("number", SIGNALS)
    def test_ends_at_once(self, number: signal.Signals, project: Project, proxy: TcpProxy) -> None:
        with project.watch("--drain", "60") as run:
            deployed(run, project)
            proxy.always(STALLED, UPDATE)
            project.save("notes.py", source(mark="two"))
            until(lambda: proxy.count(UPDATE), "an update under way")
            os.kill(run.pid, number)
            assert run.wait_for("stopping")["pending"] == ["notes"]
            os.kill(run.pid, number)
            run.ends(130)

    @pytest.mark.parametrize("number", SIGNALS)
    def test_ends_at_once_on_slow_files(self, number: signal.Signals, project: Project, proxy: TcpProxy) -> None:
        marker, reached = slow_file_system(project)
        with project.watch("--drain", "60") as run:
            deployed(run, project)
            proxy.always(STALLED, UPDATE)
            project.save("notes.py", source(mark="two"))
            until(lambda: proxy.count(UPDATE), "an update under way")
            marker.touch()
            (project.folder / "plugins" / "new").mkdir()
            until(reached.exists, "a look at the files")
            os.kill(run.pid, number)
            run.wait_for("stopping")
            os.kill(run.pid, number)
            run.ends(130)


class TestStop:
    @pytest.mark.parametrize("number", SIGNALS)
    def test_deploys_a_save_of_the_last_moment(
        self, number: signal.Signals, project: Project, proxy: TcpProxy, server: Server
    ) -> None:
        with project.watch() as run:
            deployed(run, project)
            proxy.next(UPDATE, SLOW)
            project.save("notes.py", source(mark="two"))
            until(lambda: proxy.count(UPDATE), "an update under way")
            os.kill(run.pid, number)
            run.wait_for("updated", plugin="notes")
            assert run.wait_for("stopped")["pending"] == []
            run.ends(0)
        assert server.content(Kind.PIPE, "notes") == source(mark="two")

    @pytest.mark.parametrize("name", [f"notes_{number}" for number in range(5)])
    def test_deploys_a_save_without_an_event(self, name: str, project: Project, server: Server) -> None:
        with project.watch() as run:
            project.save("broken.py", "class Pipe:\n  (")  # settles first, and leaves nothing to deploy
            project.save(f"{name}.py", source(mark="one"))
            os.kill(run.pid, signal.SIGTERM)
            run.wait_for("created", plugin=name)
            run.ends(0)
        assert server.content(Kind.PIPE, name) == source(mark="one")

    def test_names_what_a_sync_could_not_compare(self, project: Project, proxy: TcpProxy) -> None:
        project.save("notes.py", source())
        proxy.close()
        with project.watch("--sync", "--drain", "0.6") as run:
            run.wait_for("waiting")
            run.interrupt()
            assert run.wait_for("stopping")["pending"] == ["notes"]
            assert run.wait_for("stopped")["pending"] == ["notes"]
            run.ends(1)

    def test_is_not_delayed_by_slow_files(self, project: Project) -> None:
        marker, reached = slow_file_system(project)
        with project.watch() as run:
            deployed(run, project)
            marker.touch()
            (project.folder / "plugins" / "new").mkdir()
            until(reached.exists, "a look at the files")
            os.kill(run.pid, signal.SIGTERM)
            run.wait_for("stopped")
            run.ends(0)

    def test_during_a_slow_start_is_heeded(self, project: Project) -> None:
        marker, reached = slow_file_system(project)
        marker.touch()
        with project.run("plugins/", "--log-format", "json") as run:
            until(reached.exists, "a look at the files")
            os.kill(run.pid, signal.SIGTERM)
            run.wait_for("stopped")
            run.ends(0)


def until_live(server: Server, mark: str) -> None:
    """Wait until the server has one function, with the content of ``mark``."""
    until(lambda: [each["content"] for each in server.all(Space.FUNCTIONS)] == [source(mark=mark)], mark)


class TestNextStart:
    @pytest.mark.parametrize("number", SIGNALS)
    def test_deploys_what_the_drain_left(
        self, number: signal.Signals, project: Project, proxy: TcpProxy, server: Server
    ) -> None:
        with project.watch("--drain", "0.3") as run:
            deployed(run, project)
            deployed(run, project, "other")
            proxy.close()
            project.save("notes.py", source(mark="two"))
            run.wait_for("waiting")
            os.kill(run.pid, number)
            stopped = run.wait_for("stopped")
            assert (stopped["pending"], stopped["level"]) == (["notes"], "info")
            run.ends(1)
        proxy.open()
        with project.watch() as run:
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert server.content(Kind.PIPE, "notes") == source(mark="two")
        assert proxy.taken("functions/other") == [source(mark="one")]

    @pytest.mark.parametrize("known", [True, False])
    def test_deploys_what_no_drain_waited_for(self, known: bool, project: Project, server: Server) -> None:
        with project.watch("--drain", "0") as run:
            if known:
                deployed(run, project)
            project.save("notes.py", source(mark="two"))
            project.save("helper.py", "x = 1\n")
            run.interrupt()
            assert run.wait_for("stopped")["pending"] == ["notes"]
            run.ends(1)
        with project.watch() as run:
            run.wait_for("updated" if known else "created", plugin="notes")
            run.stop()
        assert server.content(Kind.PIPE, "notes") == source(mark="two")

    def test_by_a_supervisor_loses_no_save(self, project: Project, server: Server) -> None:
        """What ``Restart=on-failure`` of the documented unit does, with kill -9 in place of the failure."""
        for number in range(3):
            with project.watch() as run:
                project.save("notes.py", source(mark=f"number {number}"))
                until_live(server, f"number {number}")
                os.kill(run.pid, signal.SIGKILL)
                run.ends(-signal.SIGKILL)
            project.save("notes.py", source(mark=f"meanwhile {number}"))
            with project.watch() as run:
                until_live(server, f"meanwhile {number}")
                os.kill(run.pid, signal.SIGTERM)
                run.ends(0)


class TestReader:
    @pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes to close")
    def test_that_leaves_does_not_stop_the_watch(self, project: Project, server: Server) -> None:
        reader, writer = os.pipe()
        command = [sys.executable, "-m", "owui_watch", "plugins/", "--log-format", "json"]
        with subprocess.Popen(command, cwd=project.folder, env=project.environ, stdout=writer) as process:
            os.close(writer)
            try:
                with os.fdopen(reader, "rb") as lines:
                    assert b'"watching"' in lines.readline()
                for mark in ("one", "two"):
                    project.save("notes.py", source(mark=mark))
                    until_live(server, mark)
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 0
            finally:
                process.kill()
