"""The first deploy of hundreds and thousands of plugins, and a deploy with nothing to do."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.benchmarks.installed import command
from tests.benchmarks.loads import fill
from tests.benchmarks.plugins import sized
from tests.benchmarks.rows import Row
from tests.benchmarks.running import clean
from tests.benchmarks.saves import Bench

_LOOK_AGAIN = threading.Event()
AT_ONCE = 4
"""Requests of the raw loop at once, as many as owui-watch has workers."""


def rows(bench: Bench, counts: Sequence[int]) -> Iterator[Row]:
    """Deploy so many plugins to a server that has none of them, and again; the floor is a raw loop of the same requests."""
    for count in counts:
        fill(bench.plugins, count)
        floor = _raw_creates(bench, count)
        bench.server.delete_all()
        ours, memory = _deploy(bench)
        most = 60 + 0.002 * count
        yield Row(
            f"first deploy of {count:,} plugins",
            f"{ours:.1f} s",
            f"{floor:.1f} s",
            ours / floor,
            "≤ 1.15 × floor",
            ours <= 1.15 * floor,
        )
        yield Row(
            f"memory, first deploy of {count:,} plugins",
            f"{memory:.1f} MB",
            "0",
            memory / most,
            f"≤ {most:.0f} MB",
            memory <= most,
        )
        floor = _listings(bench)
        ours, _ = _deploy(bench)
        yield Row(
            f"deploy of {count:,} plugins, nothing to do",
            f"{ours:.1f} s",
            f"{floor:.1f} s: the server's lists",
            ours / floor,
            "≤ floor + 3 s",
            ours <= floor + 3,
        )
        bench.server.delete_all()


def _deploy(bench: Bench) -> tuple[float, float]:
    """Deploy all plugins; return seconds, and the most MB (10⁶ bytes) that were resident."""
    state = {"OWUI_WATCH_STATE_DIR": str(bench.folder / "bulk-state")}
    program = command()  # its first call installs owui-watch
    began = time.perf_counter()
    with subprocess.Popen(
        [program, "deploy", "plugins/"],
        cwd=bench.folder,
        env={**clean(), **bench.environ, **state},
        stdout=subprocess.DEVNULL,
    ) as process:
        most = 0.0
        while process.poll() is None:
            most = max(most, _most_resident(process.pid))
            _LOOK_AGAIN.wait(0.05)
    assert process.returncode == 0, "the deploy failed"
    return time.perf_counter() - began, most


def _most_resident(process: int) -> float:
    """Return the most MB (10⁶ bytes) that a process had resident so far; 0 for one that has ended.

    ``ru_maxrss`` would be at least what this process holds: the system counts a child's memory from the fork on.
    """
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _raw_creates(bench: Bench, count: int) -> float:
    """Create and enable plugins; return the seconds."""

    def create(client: httpx.Client, number: int) -> None:
        content = sized(2_000, title=f"P {number}", body="MARK = '0'")
        form = {"id": f"p{number}", "name": f"P {number}", "meta": {}, "content": content}
        client.post("/api/v1/functions/create", json=form).raise_for_status()
        client.post(f"/api/v1/functions/id/p{number}/toggle").raise_for_status()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return _timed(bench, lambda client: list(pool.map(create, [client] * count, range(count))))


def _listings(bench: Bench) -> float:
    def read(client: httpx.Client) -> None:
        for space in ("functions", "tools"):
            client.get(f"/api/v1/{space}/export").raise_for_status()

    return _timed(bench, read)


def _timed(bench: Bench, work: Callable[[httpx.Client], object]) -> float:
    headers = {"authorization": f"Bearer {bench.server.key}"}
    with httpx.Client(base_url=bench.server.url, headers=headers, trust_env=False, timeout=300) as client:
        began = time.perf_counter()
        work(client)
        return time.perf_counter() - began
