"""Commands that find a running sandbox or a running watch, and flags that only a sandbox has."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from owui_watch.sandbox import SandboxError
from owui_watch.settings import Secret, load
from owui_watch.state import Request, RunningSandbox, StopRequest, announced_sandbox, own
from tests.unit.cli.runs import Run, refused

URL = "http://127.0.0.1:9"


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path.parent / f"{tmp_path.name}-state"
    monkeypatch.setenv("OWUI_WATCH_STATE_DIR", str(folder))
    return folder


@contextmanager
def sandbox(state_dir: Path, version: str = "0.12.4") -> Iterator[None]:
    """Announce a sandbox whose server does not answer."""
    secrets = (Secret("sk-sandbox-key"), "a@b.example", Secret("sandbox-password"))
    entry = RunningSandbox(os.getpid(), time.time(), URL, version, *secrets, state_dir, Secret("loader-token"))
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
        assert refused(run, "call", "x", "--sandbox") == expected

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
    def test_asks_the_owner_and_waits(self, run: Run, tmp_path: Path) -> None:
        settings = load([tmp_path / "plugins"], {}, environ=dict(os.environ), cwd=tmp_path)
        owned = threading.Event()
        taken: list[Request] = []

        def watch() -> None:
            nonlocal taken
            with own(settings, "http://localhost:3000") as mine:
                owned.set()
                for _ in range(1_000):
                    if taken := [*taken, *mine.requests.take(settings.roots)]:
                        return
                    time.sleep(0.01)

        owner = threading.Thread(target=watch)
        owner.start()
        owned.wait(5)
        code, out, err = run("stop", "plugins")
        owner.join(10)
        assert taken == [StopRequest()]
        assert (code, err) == (0, "")
        assert out.startswith(f"stopping the owui-watch (pid {os.getpid()}, since ")
        assert out.endswith("on http://localhost:3000\nstopped\n")


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
        assert f"flag {flag}: is empty" in refused(run, "plugins", flag, " ")


@pytest.mark.usefixtures("state_dir")
class TestTry:
    @pytest.fixture(autouse=True)
    def _no_sandbox(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_sandbox(*_: object, **__: object) -> NoReturn:
            raise SandboxError("not started in this test")

        monkeypatch.setattr("owui_watch.sandbox.sandbox", no_sandbox)

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
