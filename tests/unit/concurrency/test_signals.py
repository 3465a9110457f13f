"""The first signal is waited for; the second one ends the process, whatever runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import anyio
import pytest

from owui_watch.concurrency.signals import EXIT_CODE, GRACE, Signals, killable, signals

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends a process there at once"),
]

SIGNALS = [signal.SIGINT, signal.SIGTERM]
SHORT = 0.01
"""Seconds of grace in tests that get a second signal."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def until_it_waits(pid: int) -> None:
    """Wait until a process waits in a system call and has taken in its signals (proc(5), stat and status)."""
    folder, ends = Path(f"/proc/{pid}"), time.monotonic() + 20
    while time.monotonic() < ends:
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        pending = int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)
        if not pending and status["State"].split()[0] == "S":
            return
        time.sleep(0)
    pytest.fail("the process never waits")


class Leave:
    def __init__(self) -> None:
        self.code: int | None = None
        self.left = threading.Event()

    def __call__(self, code: int) -> None:
        self.code = code
        self.left.set()


class TestWait:
    @pytest.mark.parametrize("number", SIGNALS)
    async def test_ends_at_a_signal(self, number: signal.Signals) -> None:
        with signals(Leave()) as arriving, anyio.fail_after(20):
            os.kill(os.getpid(), number)
            await arriving.wait()

    async def test_counts_signals_that_came_before(self) -> None:
        leave = Leave()
        with signals(leave, SHORT) as arriving, anyio.fail_after(20):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            await arriving.wait()
            await arriving.wait()
        assert leave.left.wait(20)

    async def test_first_signal_alone_ends_nothing(self) -> None:
        leave = Leave()
        with signals(leave, SHORT) as arriving:
            os.kill(os.getpid(), signal.SIGINT)
            await arriving.wait()
        assert leave.code is None

    async def test_handlers_are_restored(self) -> None:
        before = [signal.getsignal(number) for number in SIGNALS]
        with signals(Leave()):
            pass
        assert signal.getsignal(signal.SIGTERM) == before[1]


class TestSecondSignal:
    @pytest.mark.parametrize("number", SIGNALS)
    @pytest.mark.parametrize("blocked", ["before the first", "before the second"])
    async def test_ends_the_process_though_the_loop_is_blocked(self, number: signal.Signals, blocked: str) -> None:
        leave = Leave()
        with signals(leave, SHORT) as arriving:
            os.kill(os.getpid(), number)
            if blocked == "before the second":
                await arriving.wait()
            os.kill(os.getpid(), number)
            ends = time.monotonic() + 20
            while not leave.left.is_set() and time.monotonic() < ends:
                pass  # Python code that never returns to the loop
        assert leave.code == EXIT_CODE
        assert GRACE < 1

    async def test_ends_it_if_both_came_during_a_block(self) -> None:
        leave = Leave()
        with signals(leave, SHORT) as arriving, anyio.fail_after(20):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            await arriving.wait()
            await arriving.wait()
            assert leave.left.wait(20)

    async def test_both_at_once_leave_no_grace(self) -> None:
        assert self.grace(2) == [0]

    async def test_leaves_some_grace_otherwise(self) -> None:
        assert self.grace(1, 1) == [GRACE]

    async def test_counts_what_ends_a_watch_like_a_signal(self) -> None:
        left = list[float]()
        arriving = Signals(left.append)
        arriving.arrive()
        await arriving.wait()
        arriving.arrive()
        assert left == [GRACE]

    def grace(self, *counts: int) -> list[float]:
        """Return the seconds that are left after signals that arrived so many at once."""
        left = list[float]()
        arriving = Signals(left.append)
        for count in counts:
            arriving.arrive(count)
        return left

    def seconds_after_a_long_call(self, second: signal.Signals, taken: str) -> float:
        """Run a process that gets both signals in one call that holds the interpreter, and then stays busy for 20 s.

        Return the seconds from the end of the call to the end of the process.
        """
        program = f"""
            import asyncio, ctypes, signal, time
            from owui_watch.concurrency.signals import second_ends, signals

            async def main():
                for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT is ignored in a shell's background job
                    signal.signal(number, lambda *_: None)
                with {taken}():
                    for number in (signal.SIGINT, signal.SIGTERM):
                        signal.siginterrupt(number, False)  # the call goes on after it
                    print("calling", flush=True)
                    ctypes.PyDLL(None).read(0, ctypes.create_string_buffer(1), 1)  # PyDLL: holds the interpreter
                    print("called", flush=True)
                    ends = time.monotonic() + 20
                    while time.monotonic() < ends:
                        pass

            asyncio.run(main())
        """
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", textwrap.dedent(program)]
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=dict(os.environ)) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "calling\n"
            until_it_waits(process.pid)
            process.send_signal(signal.SIGINT)
            until_it_waits(process.pid)  # the kernel makes one of two equal signals that are pending
            process.send_signal(second)
            until_it_waits(process.pid)
            process.stdin.write("x")
            process.stdin.flush()
            assert "called\n".startswith(process.stdout.readline())  # what ends the process may flush half of the line
            began = time.monotonic()
            assert process.wait(60) == EXIT_CODE
            return time.monotonic() - began

    @linux_only
    @pytest.mark.parametrize("second", SIGNALS)
    @pytest.mark.parametrize("taken", ["signals", "second_ends"])
    def test_both_in_one_call_end_what_follows_it(self, second: signal.Signals, taken: str) -> None:
        assert self.seconds_after_a_long_call(second, taken) < 1


class TestKillable:
    def exit_code(self) -> int:
        """Run a process that gets a second signal during a parse of a second and more."""
        program = """
            import ast, asyncio, os, signal
            from owui_watch.concurrency.signals import killable, signals

            async def main():
                with signals() as arriving:
                    os.kill(os.getpid(), signal.SIGTERM)
                    await arriving.wait()
                    with killable():
                        print("parsing", flush=True)
                        for _ in range(20):
                            ast.parse("a;" * 300_000)
                    print("parsed", flush=True)

            asyncio.run(main())
        """
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "parsing\n"
            process.send_signal(signal.SIGTERM)
            return process.wait(60)

    def test_second_signal_ends_a_long_parse(self) -> None:
        assert self.exit_code() == -signal.SIGTERM  # a handler of Python's would run only after the parse

    def test_changes_nothing_before_the_first_signal(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with killable():
            assert signal.getsignal(signal.SIGTERM) == before

    async def test_does_not_begin_after_the_second_signal(self) -> None:
        leave = Leave()
        with signals(leave, SHORT) as arriving, anyio.fail_after(20):
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                await arriving.wait()
            with killable():
                assert leave.code == EXIT_CODE

    async def test_restores_the_handlers_after_the_first_signal(self) -> None:
        with signals(Leave()) as arriving:
            os.kill(os.getpid(), signal.SIGINT)
            await arriving.wait()
            before = signal.getsignal(signal.SIGTERM)
            with killable():
                assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            assert signal.getsignal(signal.SIGTERM) == before
