"""The error boundary, exit codes and streams of the whole program."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn

import pytest

from owui_watch.cli.errors import CommandError
from owui_watch.cli.terminal import Terminal
from owui_watch.sandbox import SandboxError
from owui_watch.settings import SettingsError, load
from owui_watch.state import Owned, own
from tests.unit.cli.runs import CANARY, FILTER, Run, refused

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="descriptors and devices of POSIX")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Terminal], int]], None]:
    """Return a function that puts another command in the place of ``check``."""

    def replace(run: Callable[[Terminal], int]) -> None:
        module = types.ModuleType("owui_watch.cli.commands.check")
        module.run = lambda _arguments, terminal: run(terminal)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return replace


Command = Callable[[Callable[[Terminal], int]], None]


def raising(error: BaseException) -> Callable[[Terminal], int]:
    def run(_: Terminal) -> NoReturn:
        raise error

    return run


class TestErrors:
    @pytest.mark.parametrize("error", [SettingsError("not like this"), CommandError("not like this")])
    def test_of_the_user_are_one_text(self, run: Run, command: Command, error: Exception) -> None:
        command(raising(error))
        assert run("check") == (2, "", "owui-watch: not like this\n")

    def test_of_a_task_group_are_unpacked(self, run: Run, command: Command) -> None:
        command(raising(BaseExceptionGroup("", [ExceptionGroup("", [CommandError("alone")])])))
        assert run("check") == (2, "", "owui-watch: alone\n")

    def test_show_no_key_and_no_control_character(self, run: Run, command: Command) -> None:
        command(raising(CommandError(f"see {CANARY}\x1b[2J\nand \x9b more")))
        assert run("check") == (2, "", "owui-watch: see ***\ufffd[2J\nand \ufffd more\n")

    def test_of_ours_say_where_and_how_to_report(self, run: Run, command: Command) -> None:
        def buggy(terminal: Terminal) -> int:
            terminal.print("first")
            terminal.secrets.add("my secret")
            raise ValueError(f"my secret and {CANARY}")

        command(buggy)
        code, out, err = run("check", "plugins")
        assert (code, out) == (1, "first\n")
        first, *places, last = err.splitlines()
        assert first == (
            "owui-watch: bug in owui-watch: `owui-watch check` failed with ValueError: *** and *** "
            "(at owui_watch/cli/main.py:" + first.rpartition(":")[2]
        )
        assert places
        assert all(place.startswith("  owui_watch/") for place in places)
        assert last == "Please report it with the lines above: `owui-watch help bugs` says how."

    def test_of_ours_outrank_those_of_the_user(self, run: Run, command: Command) -> None:
        command(raising(ExceptionGroup("", [CommandError("x"), ZeroDivisionError("y")])))
        code, _, err = run("check")
        assert code == 1
        assert "ZeroDivisionError: y" in err

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), BaseExceptionGroup("", [KeyboardInterrupt()])])
    def test_a_signal_is_no_error(self, run: Run, command: Command, error: BaseException) -> None:
        command(raising(error))
        assert run("check") == (130, "", "")


def spawn(
    *arguments: str, cwd: Path, before: Callable[[], None] | None = None, stdout: int = subprocess.PIPE, **environ: str
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "owui_watch", *arguments],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if not name.startswith("OPENWEBUI")} | environ,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=before,  # noqa: PLW1509 - this process starts no thread meanwhile
    )


def wait_until_full(pipe: int) -> None:
    """Wait until a pipe takes no more: a process that has more to write waits for its reader."""
    import fcntl
    import termios

    pause, capacity = threading.Event(), fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) if sys.platform == "linux" else 4096
    for _ in range(600):
        (waiting,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
        if waiting > capacity - 4096:  # less than a page is left
            return
        pause.wait(0.1)
    pytest.fail("the pipe was never full")


def heed_interrupts() -> None:
    """Take SIGINT as a process in the foreground does: tests may run in a shell's background, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


@POSIX
class TestStreams:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins" / "size.py").write_text('"""\ntitle: Größe → x\n"""\n' + FILTER, encoding="utf-8")
        return tmp_path

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
    @pytest.mark.parametrize("arguments", [["check"], ["check", "--json"], ["--help"], ["--version"], ["help"]])
    def test_a_full_disk_is_reported(self, folder: Path, arguments: list[str]) -> None:
        with Path("/dev/full").open("w") as full:
            process = spawn(*arguments, cwd=folder, stdout=full.fileno())
        _, err = process.communicate(timeout=30)
        assert process.returncode == 1
        assert err.decode().endswith("of the output could not be written: No space left on device\n")

    @pytest.mark.parametrize("arguments", [["check"], ["--help"], ["help"]])
    def test_a_reader_that_left_is_no_error(self, folder: Path, arguments: list[str]) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        process = spawn(*arguments, cwd=folder, stdout=writer)
        os.close(writer)
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, b"")

    @pytest.mark.parametrize("closed", [(1,), (0, 1), (0, 1, 2), (2,)])
    def test_closed_streams_are_no_error(self, folder: Path, closed: tuple[int, ...]) -> None:
        process = spawn("check", cwd=folder, before=lambda: close(closed))
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, b"")
        assert bool(out) == (1 not in closed)

    def test_a_deleted_folder_is_named(self, folder: Path) -> None:
        gone = folder / "gone"
        gone.mkdir()
        process = spawn("check", cwd=gone, before=gone.rmdir)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 2
        assert err == b"owui-watch: the current folder does not exist any more: change to another folder (cd)\n"

    def test_an_ascii_terminal_gets_ascii(self, folder: Path) -> None:
        process = spawn("check", cwd=folder, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, b"")
        assert b'"Gr\\xf6\\xdfe -> x"' in out

    @pytest.mark.parametrize("interrupted", [False, True])
    def test_a_slow_reader_gets_everything_or_is_interrupted(self, folder: Path, interrupted: bool) -> None:
        for number in range(500):  # more than a pipe holds
            (folder / "plugins" / f"number_{number}.py").write_text(FILTER)
        process = spawn("check", "--json", cwd=folder, before=heed_interrupts)
        assert process.stdout is not None
        wait_until_full(process.stdout.fileno())
        if interrupted:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        out, err = process.communicate(timeout=60)
        assert interrupted or (process.returncode, err, out.count(b'"plugin"')) == (0, b"", 501)

    def test_a_stderr_that_is_full_hides_nothing_else(self, folder: Path) -> None:
        done = subprocess.run(
            f"'{sys.executable}' -m owui_watch check --nonsense 2>/dev/full", shell=True, cwd=folder, check=False
        )
        assert done.returncode == 2


def owned(folder: Path) -> AbstractContextManager[Owned]:
    return own(load([folder], {}, environ=os.environ, cwd=Path.cwd()), "http://127.0.0.1:1")


class TestOneOwner:
    @pytest.fixture
    def run(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
        monkeypatch.setenv("OPENWEBUI_API_KEY", CANARY)
        return run

    @pytest.mark.parametrize("path", ["plugins", "plugins/filters", "plugins/filters/foo.py"])
    def test_second_run_on_a_part_is_refused(self, run: Run, path: str, tmp_path: Path) -> None:
        with owned(tmp_path / "plugins"):
            Path("owui-watch.toml").touch()  # one that appears later changes nothing
            message = refused(run, "deploy", path, "--on-deploy", "x", "--url", "http://localhost:1")
        assert f" already deploys {tmp_path / 'plugins'} to http://localhost:1: stop it first\n" in message

    @pytest.mark.parametrize(("held", "path"), [("plugins/filters", "."), ("plugins", "."), (".", ".")])
    def test_second_run_on_a_wider_tree_is_refused(
        self, run: Run, held: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with owned(tmp_path / held):
            monkeypatch.chdir(tmp_path / "plugins")
            message = refused(run, "deploy", path, "--on-deploy", "x", "--url", "http://localhost:1")
        assert f" already deploys {tmp_path / held} to http://localhost:1: stop it first\n" in message


class TestSandbox:
    @pytest.mark.parametrize("command", [[], ["deploy"]])
    def test_ignores_the_server_of_the_settings(
        self, run: Run, command: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_sandbox(*_: object, **__: object) -> NoReturn:
            raise SandboxError("not started in this test")

        monkeypatch.setattr("owui_watch.sandbox.sandbox", no_sandbox)
        monkeypatch.setenv("OPENWEBUI_API_KEY", CANARY)
        monkeypatch.setenv("OPENWEBUI_BASE_URL", "nonsense")
        Path("owui-watch.toml").write_text('url = "https://ai.example.com"\n')
        Path(".env").write_text(f"OPENWEBUI_API_KEY={CANARY} {CANARY}\nOPENWEBUI_URL=nonsense\n")
        assert refused(run, *command, "--sandbox") == "owui-watch: not started in this test\n"
        Path("owui-watch.toml").write_text("max_new = -1\n")
        assert "max_new: must be a whole number of 0 or more, not -1" in refused(run, *command, "--sandbox")


class TestNewPlugin:
    def test_that_is_refused_leaves_nothing_behind(self, run: Run) -> None:
        assert "ignores the folder tests" in refused(run, "new", "pipe", "tests/")
        assert not Path("tests").exists()
        assert run("new", "pipe", "deep/down/") == (0, f"wrote {Path('deep/down/my_pipe.py')}\n", "")
