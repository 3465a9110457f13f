"""Commands that find a running sandbox or a running watch, and flags that only a sandbox has."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest

from owui_watch.cli.commands import stop
from owui_watch.sandbox import SandboxError
from owui_watch.settings import Secret, load
from owui_watch.state import (
    Request,
    RunningSandbox,
    RunningWatch,
    StopRequest,
    announced_sandbox,
    announced_start,
    own,
)
from tests.unit.cli.runs import Run, refused

URL = "http://127.0.0.1:9"


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path.parent / f"{tmp_path.name}-state"
    monkeypatch.setenv("OWUI_WATCH_STATE_DIR", str(folder))
    return folder


@pytest.fixture
def no_sandbox(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every start of a sandbox fail."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise SandboxError("not started in this test")

    monkeypatch.setattr("owui_watch.sandbox.sandbox", fail)


@contextmanager
def sandbox(state_dir: Path, version: str = "0.12.4") -> Iterator[None]:
    """Announce a sandbox whose server does not answer."""
    secrets = (Secret("sk-sandbox-key"), "a@b.example", Secret("sandbox-password"))
    entry = RunningSandbox(os.getpid(), time.time(), URL, version, *secrets, state_dir, Secret("channel-token"))
    with announced_sandbox(state_dir, entry):
        yield


class TestRunningSandbox:
    @pytest.mark.parametrize("command", [["status"], ["call", "x"], ["pull"]])
    def test_is_used_if_nothing_names_a_server(self, run: Run, state_dir: Path, command: list[str]) -> None:
        with sandbox(state_dir):
            code, _, err = run(*command)
        assert code == 2
        assert err.startswith(f"on the running sandbox, Open WebUI 0.12.4 at {URL}\n")
        assert f"{URL}: connection refused" in err
        assert "sk-sandbox" not in err

    def test_named_server_wins(self, run: Run, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENWEBUI_API_KEY", "sk-1")
        with sandbox(state_dir):
            _, _, err = run("status", "--url", "http://127.0.0.1:8")
        assert "running sandbox" not in err

    def test_flag_wins_over_a_server_of_the_environment(
        self, run: Run, state_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENWEBUI_URL", "http://127.0.0.1:8")
        with sandbox(state_dir):
            _, _, err = run("status", "--sandbox")
        assert f"at {URL}" in err

    @pytest.mark.usefixtures("state_dir")
    def test_flag_without_any_says_how_to_start_one(self, run: Run) -> None:
        expected = "owui-watch: no sandbox runs: start one with `owui-watch plugins/ --sandbox`\n"
        assert refused(run, "status", "--sandbox") == expected

    def test_other_version_is_not_taken(self, run: Run, state_dir: Path) -> None:
        with sandbox(state_dir, "0.9.6"):
            assert "no sandbox of Open WebUI 0.12.4 runs" in refused(run, "status", "--sandbox=0.12.4")

    def test_entry_of_a_killed_one_is_passed_over(
        self, run: Run, state_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (state_dir / "sandboxes").mkdir(parents=True)
        (state_dir / "sandboxes" / "0123456789abcdef.json").write_text('{"pid": 1, "url": "http://127.0.0.1:7"}')
        monkeypatch.setenv("OPENWEBUI_API_KEY", "sk-1")
        _, _, err = run("status")
        assert "127.0.0.1:7" not in err


class TestStop:
    @pytest.mark.usefixtures("state_dir")
    def test_without_a_watch_is_no_error(self, run: Run) -> None:
        assert run("stop") == (0, "no owui-watch runs here\n", "")

    @pytest.mark.usefixtures("state_dir")
    def test_asks_the_owner_and_waits(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = load([tmp_path / "plugins"], {}, environ=dict(os.environ), cwd=tmp_path)
        taken: list[Request] = []
        with ExitStack() as owner:
            mine = owner.enter_context(own(settings, "http://localhost:3000"))

            def obey(_seconds: float) -> None:
                taken.extend(mine.requests.take(settings.roots))
                owner.close()

            monkeypatch.setattr(stop, "run", partial(stop.run, pause=obey))
            code, out, err = run("stop", "plugins")
        assert taken == [StopRequest()]
        assert (code, err) == (0, "")
        assert out.startswith(f"stopping the owui-watch (pid {os.getpid()}, since ")
        assert out.endswith("on http://localhost:3000\nstopped\n")

    @pytest.mark.usefixtures("state_dir")
    @pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't interrupt a sleep there")
    @pytest.mark.parametrize(
        "command", [["plugins", "--sandbox"], ["call", "foo", "--sandbox"], ["deploy", "--sandbox"]]
    )
    def test_reaches_a_sandbox_that_boots(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str], tmp_path: Path
    ) -> None:
        code, stopped = _interrupted_boot(run, monkeypatch, command, ["stop", str(tmp_path / "plugins")])
        assert code == 130
        assert stopped.stdout.startswith(f"stopping the owui-watch (pid {os.getpid()}, since ")
        assert stopped.stdout.endswith("on a sandbox that starts\nstopped\n")

    def test_entry_of_a_killed_start_harms_nothing(self, run: Run, state_dir: Path) -> None:
        entry = state_dir / "starting" / "0123456789abcdef"
        entry.mkdir(parents=True)
        (entry / "lock").write_text("")
        (entry / "watch.json").write_text(f'{{"pid": 1, "since": 1, "url": "x", "roots": ["{Path.cwd()}"]}}')
        assert run("stop") == (0, "no owui-watch runs here\n", "")
        assert not entry.exists()

    def test_leaves_a_start_on_other_plugins(self, run: Run, state_dir: Path, tmp_path: Path) -> None:
        elsewhere = RunningWatch(1, time.time(), "a sandbox that starts", (tmp_path.parent / "other",))
        with announced_start(state_dir, elsewhere):
            assert run("stop") == (0, "no owui-watch runs here\n", "")


def _interrupted_boot(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str], stop: list[str]
) -> tuple[int, subprocess.CompletedProcess[str]]:
    """Run ``command`` with a sandbox that never comes up, and ``stop`` in a second process; return how both ended."""
    stopping: list[subprocess.Popen[str]] = []

    def boot(*_: object, **__: object) -> NoReturn:
        arguments = [sys.executable, "-m", "owui_watch", *stop]
        stopping.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, encoding="utf-8"))
        time.sleep(60)
        pytest.fail("the sandbox was not interrupted")

    monkeypatch.setattr("owui_watch.sandbox.sandbox", boot)
    code, _, err = run(*command)
    assert err.endswith("asked to stop by `owui-watch stop`\n")
    out, _ = stopping[0].communicate(timeout=60)
    return code, subprocess.CompletedProcess(stop, stopping[0].returncode, out)


@pytest.mark.usefixtures("no_sandbox")
class TestCallInANewSandbox:
    def test_unknown_plugin_is_answered_before_the_start(self, run: Run) -> None:
        assert "call fo: there is no plugin with this id: did you mean foo?" in refused(run, "call", "fo", "--sandbox")
        assert "run this command in the folder above your plugins" in refused(run, "call", "xyz", "--sandbox")

    def test_starts_one_for_a_known_plugin(self, run: Run) -> None:
        assert refused(run, "call", "foo", "--sandbox") == "owui-watch: not started in this test\n"


@pytest.mark.usefixtures("no_sandbox")
class TestBeforeTheStart:
    """What the command line has wrong is said before a sandbox is installed and started."""

    @pytest.mark.parametrize("command", [[], ["deploy"]])
    def test_named_file_that_is_no_plugin(self, run: Run, command: list[str]) -> None:
        Path("notes.md").write_text("# Notes")
        code, out, err = run(*command, "notes.md", "--sandbox")
        assert (code, err) == (1, "")
        assert "rejected  not a plugin: its name does not end in .py" in out

    @pytest.mark.parametrize("command", [["plugins"], ["deploy", "plugins"]])
    @pytest.mark.parametrize(
        ("flags", "error"),
        [(["--ask", " "], "flag --ask: needs a value"), (["--call", "foo 'x"], "--call foo 'x: No closing quotation")],
    )
    def test_flag_that_cannot_be_used(self, run: Run, command: list[str], flags: list[str], error: str) -> None:
        assert error in refused(run, *command, "--sandbox", *flags)

    def test_id_that_is_unknown(self, run: Run) -> None:
        assert "--only fo: there is no plugin" in refused(run, "deploy", "--only", "fo", "--sandbox")

    def test_server_log_that_is_a_folder(self, run: Run) -> None:
        assert "is a folder" in refused(run, "plugins", "--sandbox", "--server-log", "plugins")


class TestFlags:
    def test_debug_needs_a_sandbox(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENWEBUI_API_KEY", "sk-1")
        assert refused(run, "plugins", "--debug") == "owui-watch: --debug is for a sandbox: add --sandbox\n"

    @pytest.mark.parametrize("port", ["80", "x", "70000"])
    def test_debug_port_is_checked(self, run: Run, port: str) -> None:
        assert f"--debug={port}: a port is a number" in refused(run, "plugins", "--sandbox", f"--debug={port}")

    def test_server_log_that_is_a_folder(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENWEBUI_API_KEY", "sk-1")
        assert "--server-log plugins: is a folder" in refused(run, "plugins", "--server-log", "plugins")

    @pytest.mark.parametrize("flag", ["--ask", "--call"])
    def test_empty_value_is_refused(self, run: Run, monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
        monkeypatch.setenv("OPENWEBUI_API_KEY", "sk-1")
        assert f"flag {flag}: needs a value" in refused(run, "plugins", flag, " ")


@pytest.mark.usefixtures("state_dir", "no_sandbox")
class TestTry:
    def test_writes_a_first_plugin_once(
        self, run: Run, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        empty = tmp_path_factory.mktemp("empty")
        monkeypatch.chdir(empty)
        for wrote in ("wrote plugins/hello.py: change it while owui-watch runs\n", ""):
            code, out, err = run("try")
            assert (code, out, err) == (2, wrote, "owui-watch: not started in this test\n")
        assert (empty / "plugins" / "hello.py").is_file()

    def test_leaves_plugins_that_are_there(self, run: Run, tmp_path: Path) -> None:
        assert run("try")[1] == ""
        assert not (tmp_path / "plugins" / "hello.py").exists()
