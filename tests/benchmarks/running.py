"""owui-watch as a process to be measured: its lines, its processor time, its memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.installed import command


class Running:
    """A watch on ``folder/plugins``; lines are read as they are asked for.

    ``started``: milliseconds from the start of the process to its first line.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], *arguments: str) -> None:
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [command(), "plugins/", "--log-format", "json", *arguments],
            cwd=folder,
            env={**clean(), **environ},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.wait_for("watching")
        self.started = (time.perf_counter() - began) * 1000

    def wait_for(self, *events: str, limit: int = 100_000) -> dict[str, Any]:
        """Read up to the next line of these events; ``limit`` bounds the lines read."""
        assert self.process.stdout is not None
        for _ in range(limit):
            line: dict[str, Any] = json.loads(self.process.stdout.readline() or '{"event": "ended"}')
            if line["event"] in events:
                return line
            assert line["event"] != "ended", f"owui-watch ended without {events}"
        raise AssertionError(f"no {events} in {limit} lines")

    def memory(self) -> float:
        """Return resident memory in MB (10⁶ bytes)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024 / 1e6

    def processor_time(self) -> float:
        """Return the processor time of all threads in milliseconds: exact, where clock ticks are of 10 ms."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e6

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        self.process.stdout.read()
        self.process.wait(30)


def clean() -> dict[str, str]:
    """Return our environment without what would change what is measured."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "OPENWEBUI", "OWUI"))}


@contextmanager
def watching(folder: Path, environ: Mapping[str, str], *arguments: str) -> Iterator[Running]:
    """Run a watch until the block is left; it watches when the block begins."""
    running = Running(folder, environ, *arguments)
    try:
        yield running
    finally:
        running.end()
