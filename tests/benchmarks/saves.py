"""From a save to the new code running in the server, beside a bare request sent the moment the file is written."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from owui_watch.plugins.model import Kind
from tests.benchmarks.plugins import PACKAGE_FILES, package_of, packaged, telling
from tests.benchmarks.rows import Row, percentile
from tests.benchmarks.running import watching
from tests.live.server import Server

_PAUSE = threading.Event()
_COUNT = itertools.count()
_PACKAGE_SIZE = 140_000
"""Bytes of the plugin of many files, and of the one that it is compared with."""
_BURST = 0.115
"""Seconds that ten writes in 100 ms may take: each pause of 10 ms ends a little late."""
_LONGEST_PAUSE = 0.014
"""Seconds of one such pause. After a longer one the machine has made two saves of it, each complete for 15 ms."""


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

    @property
    def log(self) -> Path:
        """Where the server writes which nonce it ran, and when."""
        return self.folder / "ran.log"


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


@contextmanager
def bare_requests(bench: Bench, size: int, write: Callable[[Path, str], None]) -> Iterator[Callable[[], float]]:
    """Return what measures the floor once: milliseconds from a write to its code running, by a request sent at once."""
    log, path = bench.log, bench.folder / "bare.py"
    headers = {"authorization": f"Bearer {bench.server.key}"}
    form: dict[str, object] = {"id": "bare", "name": "Bare", "meta": {}}
    with httpx.Client(base_url=bench.server.url, headers=headers, trust_env=False, timeout=60) as client:
        first = {**form, "content": telling(size, "first", log)}
        client.post("/api/v1/functions/create", json=first).raise_for_status()

        def measure() -> float:
            text = telling(size, mark := nonce(), log)
            write(path, text)
            began = time.monotonic_ns()
            client.post("/api/v1/functions/id/bare/update", json={**form, "content": text}).raise_for_status()
            return (ran_at(log, mark) - began) / 1e6

        yield measure


@contextmanager
def saves(
    bench: Bench, size: int, write: Callable[[Path, str], None], folder: Path, name: str = "telling"
) -> Iterator[Callable[[], float]]:
    """Watch ``folder``; give what measures a save of its plugin ``name``: milliseconds to the new code running."""
    path = folder / "plugins" / f"{name}.py"
    path.write_text(telling(size, "first", bench.log), encoding="utf-8")
    bench.server.create(Kind.FILTER, name, telling(size, "first", bench.log), title=name)
    with watching(folder, bench.environ) as running:

        def measure() -> float:
            text = telling(size, mark := nonce(), bench.log)
            write(path, text)
            began = time.monotonic_ns()
            running.wait_for("updated")  # first: to ask for the moment again and again would slow down what is measured
            return (ran_at(bench.log, mark) - began) / 1e6

        yield measure


def turn_about(bench: Bench, measures: Sequence[Callable[[], float]], count: int) -> list[list[float]]:
    """Take each measure ``count`` times, one after the other."""
    taken: list[list[float]] = [[] for _ in measures]
    for _ in range(count):
        for measure, times in zip(measures, taken, strict=True):
            times.append(measure())
        bench.log.write_text("", encoding="ascii")
    bench.server.delete_all()
    return taken


def floor_and_ours(bench: Bench, size: int, write: Callable[[Path, str], None], count: int) -> list[list[float]]:
    """Measure ``count`` bare requests and as many saves, turn about."""
    with bare_requests(bench, size, write) as floor, saves(bench, size, write, bench.folder) as ours:
        return turn_about(bench, [floor, ours], count)


def in_turn(bench: Bench, folders: Sequence[Path], count: int) -> list[list[float]]:
    """Save a small plugin ``count`` times in each folder, all of them watched."""
    with ExitStack() as stack:
        measures = [
            stack.enter_context(saves(bench, 2_000, by_rename, folder, f"telling{number}"))
            for number, folder in enumerate(folders)
        ]
        return turn_about(bench, measures, count)


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
    for size, goal in ((140_000, 70), (450_000, 300)):
        floor, ours = floor_and_ours(bench, size, by_rename, max(20, count // 5))
        low, high = percentile(floor, 0.5), percentile(ours, 0.5)
        what = f"save to live, {size // 1000} kB, p50"
        yield Row(what, f"{high:.1f} ms", f"{low:.1f} ms", high / low, f"floor + {goal} ms", high <= low + goal)


def packages(bench: Bench, count: int) -> Row:
    """Measure saves of a plugin of 40 files beside saves of one file of the same size, turn about."""
    other = bench.folder.with_name(f"{bench.folder.name}-package")
    (other / "plugins").mkdir(parents=True)
    with saves(bench, _PACKAGE_SIZE, by_rename, bench.folder) as one, package_saves(bench, other) as many:
        single, package = turn_about(bench, [one, many], max(20, count // 5))
    low, high = percentile(single, 0.5), percentile(package, 0.5)
    what = f"save of one of {PACKAGE_FILES} files to live, {_PACKAGE_SIZE // 1000} kB, p50, floor: one file"
    return Row(what, f"{high:.1f} ms", f"{low:.1f} ms", high / low, "1.5 × one file", high <= 1.5 * low)


@contextmanager
def package_saves(bench: Bench, folder: Path) -> Iterator[Callable[[], float]]:
    """Watch a plugin of many files; give what measures a save of any of them in turn."""
    paths = package_of(_PACKAGE_SIZE, bench.log, folder / "plugins" / "packaged")
    turns = itertools.cycle(paths)
    with watching(folder, bench.environ) as running:
        by_rename(paths[0], packaged(paths[0], "first"))
        running.wait_for("created")

        def measure() -> float:
            path = next(turns)
            text = packaged(path, mark := nonce())
            by_rename(path, text)
            began = time.monotonic_ns()
            running.wait_for("updated")
            return (ran_at(bench.log, mark) - began) / 1e6

        yield measure


def burst(bench: Bench) -> Row:
    """Write one plugin ten times in 100 ms: one deploy, of the last content. A burst with longer pauses is none."""
    path = bench.plugins / "telling.py"
    path.write_text(telling(2_000, "first", bench.log), encoding="utf-8")
    bench.server.create(Kind.FILTER, "telling", telling(2_000, "first", bench.log), title="telling")
    bursts = deploys = 0
    # With the state of the rows before, the start would deploy what the first burst has just written.
    state = {"OWUI_WATCH_STATE_DIR": str(bench.folder / "burst-state")}
    with watching(bench.folder, {**bench.environ, **state}) as running:
        for _ in range(40):
            before = bench.server.saves(Kind.FILTER, "telling")
            seconds, longest_pause, mark = _ten_writes(path, bench.log)
            ran_at(bench.log, mark)
            running.wait_for("updated")
            by_rename(path, telling(2_000, mark := nonce(), bench.log))
            ran_at(bench.log, mark)
            running.wait_for("updated")
            if seconds <= _BURST and longest_pause <= _LONGEST_PAUSE and bursts < 10:
                bursts += 1
                deploys += bench.server.saves(Kind.FILTER, "telling") - before - 1
    bench.server.delete_all()
    return Row(
        "ten bursts of ten writes in 100 ms",
        f"{deploys} deploys",
        f"{bursts}",
        deploys / bursts,
        "1 a burst",
        deploys == bursts == 10,
    )


def _ten_writes(path: Path, log: Path) -> tuple[float, float, str]:
    """Write ten times; give the seconds that it took, those of the longest pause between two writes, and the last nonce."""
    pauses, began = [], time.monotonic()
    for number in range(10):
        in_place(path, telling(2_000, mark := nonce(), log))
        if number < 9:
            written = time.monotonic()
            _PAUSE.wait(0.01)
            pauses.append(time.monotonic() - written)
    return time.monotonic() - began, max(pauses), mark


def nonce() -> str:
    return f"n{next(_COUNT)}"
