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

from tests.benchmarks.installed import interpreter

TICK = os.sysconf("SC_CLK_TCK")


class Running:
    """A watch on ``folder/plugins``; lines are read as they are asked for."""

    def __init__(self, folder: Path, environ: Mapping[str, str], *arguments: str) -> None:
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [interpreter(), "-m", "owui_watch", "plugins/", "--log-format", "json", *arguments],
            cwd=folder,
            env={**clean(), **environ},
            stdout=subprocess.PIPE,
            text=True,
        )

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
        """Give resident memory in MB (10⁶ bytes)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024 / 1e6

    def ticks(self) -> int:
        """Give processor time, user and system, in clock ticks."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        self.process.stdout.read()
        self.process.wait(30)


def clean() -> dict[str, str]:
    """Give our environment without what would change what is measured."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "OPENWEBUI", "OWUI"))}


@contextmanager
def watching(folder: Path, environ: Mapping[str, str], *arguments: str) -> Iterator[Running]:
    """Run a watch until the block is left; it watches when the block begins."""
    running = Running(folder, environ, *arguments)
    try:
        running.wait_for("watching")
        yield running
    finally:
        running.end()
