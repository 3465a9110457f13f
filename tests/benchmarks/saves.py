"""From a save to the new code running in the server, beside a bare request sent the moment the file is written."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from owui_watch.plugin import Kind
from tests.benchmarks.plugins import telling
from tests.benchmarks.rows import Row, percentile
from tests.benchmarks.running import Running, watching
from tests.live.server import Server

_PAUSE = threading.Event()
_COUNT = itertools.count()


@dataclass(frozen=True)
class Bench:
    """A server, a folder with ``plugins/`` in it, and how to reach the one from the other."""

    server: Server
    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"OPENWEBUI_URL": self.server.url, "OPENWEBUI_API_KEY": self.server.key}

    @property
    def plugins(self) -> Path:
        return self.folder / "plugins"


def in_place(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def by_rename(path: Path, text: str) -> None:
    new = path.with_suffix(".tmp")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


WRITES: dict[str, Callable[[Path, str], None]] = {"in place": in_place, "atomic rename": by_rename}


def ran_at(log: Path, nonce: str, looks: int = 20_000) -> int:
    """Wait until the server has run the code with this nonce; give the moment in nanoseconds."""
    for _ in range(looks):
        for line in log.read_text(encoding="ascii").splitlines():
            if line.startswith(f"{nonce} "):
                return int(line.split()[1])
        _PAUSE.wait(0.001)
    raise AssertionError(f"{nonce} was never run")


def floor_and_ours(bench: Bench, size: int, write: Callable[[Path, str], None], count: int) -> tuple[list[float], ...]:
    """Measure ``count`` bare requests and as many saves, turn about: milliseconds from a write to its code running."""
    log, path = bench.folder / "ran.log", bench.plugins / "telling.py"
    bare = bench.folder / "bare.py"
    log.touch()
    floor, ours = [], []
    form: dict[str, object] = {"id": "bare", "name": "Bare", "meta": {}}
    headers = {"authorization": f"Bearer {bench.server.key}"}
    with httpx.Client(base_url=bench.server.url, headers=headers, trust_env=False, timeout=60) as client:
        for name in ("telling", "bare"):
            first: dict[str, object] = {"id": name, "name": name, "meta": {}, "content": telling(size, "first", log)}
            client.post("/api/v1/functions/create", json=first).raise_for_status()
        path.write_text(telling(size, "first", log), encoding="utf-8")
        with watching(bench.folder, bench.environ) as running:
            for _ in range(count):
                floor.append(_bare(client, form, bare, telling(size, mark := nonce(), log), (log, mark), write))
                ours.append(_saved(running, path, telling(size, mark := nonce(), log), (log, mark), write))
                log.write_text("", encoding="ascii")
    bench.server.delete_all()
    return floor, ours


def rows(bench: Bench, count: int) -> Iterator[Row]:
    """Measure each way of saving a small plugin, and larger ones."""
    for how, write in WRITES.items():
        floor, ours = floor_and_ours(bench, 2_000, write, count)
        for share, name, goal in ((0.5, "p50", 22), (0.99, "p99", 35)):
            low, high = percentile(floor, share), percentile(ours, share)
            yield Row(
                f"save to live, 2 kB, {how}, {name}",
                f"{high:.1f} ms",
                f"{low:.1f} ms",
                high / low,
                f"floor + {goal} ms",
                high <= low + goal,
            )
    for size, goal in ((140_000, 40), (450_000, 100)):
        floor, ours = floor_and_ours(bench, size, by_rename, max(20, count // 10))
        low, high = percentile(floor, 0.5), percentile(ours, 0.5)
        what = f"save to live, {size // 1000} kB, p50"
        yield Row(what, f"{high:.1f} ms", f"{low:.1f} ms", high / low, f"floor + {goal} ms", high <= low + goal)


def burst(bench: Bench) -> Row:
    """Write one plugin ten times in 100 ms: one deploy, of the last content."""
    log, path = bench.folder / "ran.log", bench.plugins / "telling.py"
    log.write_text("", encoding="ascii")
    path.write_text(telling(2_000, "first", log), encoding="utf-8")
    deploys = 0
    with watching(bench.folder, bench.environ) as running:
        by_rename(path, telling(2_000, nonce(), log))
        running.wait_for("created")
        for _ in range(10):
            for _ in range(10):
                in_place(path, telling(2_000, mark := nonce(), log))
                _PAUSE.wait(0.01)
            ran_at(log, mark)
            running.wait_for("updated")
            by_rename(path, telling(2_000, mark := nonce(), log))
            ran_at(log, mark)
            running.wait_for("updated")
        deploys = bench.server.saves(Kind.FILTER, "telling") - 1 - 10
    bench.server.delete_all()
    return Row(
        "ten bursts of ten writes in 100 ms", f"{deploys} deploys", "10", deploys / 10, "1 a burst", deploys == 10
    )


def nonce() -> str:
    return f"n{next(_COUNT)}"


def _bare(
    client: httpx.Client,
    form: dict[str, object],
    path: Path,
    text: str,
    ran: tuple[Path, str],
    write: Callable[[Path, str], None],
) -> float:
    write(path, text)
    began = time.monotonic_ns()
    client.post("/api/v1/functions/id/bare/update", json={**form, "content": text}).raise_for_status()
    return (ran_at(*ran) - began) / 1e6


def _saved(running: Running, path: Path, text: str, ran: tuple[Path, str], write: Callable[[Path, str], None]) -> float:
    write(path, text)
    began = time.monotonic_ns()
    moment = ran_at(*ran)
    running.wait_for("updated")
    return (moment - began) / 1e6
