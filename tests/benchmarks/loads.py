"""Many plugins at once, many plugins at rest, and the way to the first line."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.benchmarks.installed import interpreter
from tests.benchmarks.plugins import sized
from tests.benchmarks.rows import Row
from tests.benchmarks.running import TICK, Running, clean, watching
from tests.benchmarks.saves import Bench, by_rename, floor_and_ours

_NOWHERE = {"OPENWEBUI_URL": "http://127.0.0.1:9", "OPENWEBUI_API_KEY": "sk-of-no-server"}
"""A server that refuses at once: its answers are no part of the start."""
_STORM = 200
_REST_SECONDS = 20


def fill(plugins: Path, count: int, mark: str = "0") -> None:
    """Have ``count`` plugins of 2 kB there, and nothing else."""
    shutil.rmtree(plugins, ignore_errors=True)
    plugins.mkdir(parents=True)
    for number in range(count):
        (plugins / f"p{number}.py").write_text(sized(2_000, title=f"P {number}", body=f"MARK = {mark!r}"))


def storm(bench: Bench) -> Row:
    """Rewrite 200 plugins at once; the floor is a raw loop of the same requests, one or two or four at a time."""
    fill(bench.plugins, _STORM)
    raw: list[float] = []
    ours: list[float] = []
    with watching(bench.folder, bench.environ, "--sync") as running:
        for _ in range(_STORM):
            running.wait_for("created")
        for turn in range(3):
            raw += [_raw_loop(bench, f"raw {turn} {workers}", workers) for workers in (1, 2, 4)]
            ours.append(_rewritten(bench, running, f"storm {turn}"))
    bench.server.delete_all()
    best, floor = min(ours), min(raw)
    return Row(
        f"storm of {_STORM} plugins",
        f"{best:.2f} s",
        f"{floor:.2f} s",
        best / floor,
        "≤ 1.15 × floor",
        best <= 1.15 * floor,
    )


def rest(bench: Bench) -> Iterator[Row]:
    """Watch 1,000 plugins, deploy 100 times, and do nothing for 20 s."""
    fill(bench.plugins, 1_000)
    with watching(bench.folder, bench.environ) as running:
        path = bench.plugins / "p0.py"
        for number in range(100):
            by_rename(path, sized(2_000, title="P 0", body=f"MARK = {number}"))
            running.wait_for("created", "updated")
        memory = running.memory()
        threading.Event().wait(2)
        before = running.ticks()
        threading.Event().wait(_REST_SECONDS)
        ticks = running.ticks() - before
    bench.server.delete_all()
    floor = _interpreter_memory()
    yield Row(
        f"idle for {_REST_SECONDS} s, 1,000 plugins",
        f"{ticks} ticks of {1000 // TICK} ms",
        "0",
        ticks,
        "≤ 1 tick",
        ticks <= 1,
    )
    yield Row(
        "memory after 100 deploys", f"{memory:.1f} MB", f"{floor:.1f} MB", memory / floor, "≤ 38 MB", memory <= 38
    )


def start(bench: Bench) -> Iterator[Row]:
    """Start a fresh process ten times; the floor is an interpreter that does nothing."""
    bare = statistics.median(_bare_start() for _ in range(10))
    for count, goal in ((10, 250), (1_000, 350)):
        fill(bench.plugins, count)
        took = statistics.median(_start(bench) for _ in range(10))
        yield Row(
            f"start to `watching`, {count:,} plugins",
            f"{took:.0f} ms",
            f"{bare:.0f} ms",
            took / bare,
            f"≤ {goal} ms",
            took <= goal,
        )


def growth(bench: Bench) -> Iterator[Row]:
    """Save with 10 and with 10,000 plugins there; memory and start by the plugin."""
    figures = {}
    for count in (10, 10_000):
        fill(bench.plugins, count)
        began = _start(bench)
        with watching(bench.folder, _NOWHERE) as running:
            memory = running.memory()
        _, ours = floor_and_ours(bench, 2_000, by_rename, 50)
        figures[count] = statistics.median(ours), memory, began
    (few, few_memory, few_start), (many, many_memory, many_start) = figures[10], figures[10_000]
    yield Row(
        "save to live at 10,000 plugins",
        f"{many:.1f} ms",
        f"{few:.1f} ms at 10",
        many / few,
        "≤ 1.2 ×",
        many <= 1.2 * few,
    )
    memory, began = (many_memory - few_memory) * 1000 / 9_990, (many_start - few_start) / 9_990
    yield Row("growth by plugin: memory", f"{memory:.1f} kB", "0", many_memory / few_memory, "linear", True)
    yield Row("growth by plugin: start", f"{began:.2f} ms", "0", many_start / few_start, "linear", True)


def check(bench: Bench) -> Row:
    """Check 1,000 plugins; the floor is to compile them."""
    fill(bench.plugins, 1_000)
    took = _run([interpreter(), "-m", "owui_watch", "check", "plugins/"], bench.folder)
    compiling = "import pathlib\nfor p in pathlib.Path('plugins').glob('*.py'): compile(p.read_text(), p, 'exec')"
    floor = _run([interpreter(), "-c", compiling], bench.folder)
    return Row("`check` of 1,000 plugins", f"{took:.2f} s", f"{floor:.2f} s", took / floor, "≤ 1.5 s", took <= 1.5)


def ignored(bench: Bench) -> Iterator[Row]:
    """Start with and without 50,000 files that are passed over."""
    fill(bench.plugins, 10)
    times, memories = [], []
    for crowded in (False, True):
        if crowded:
            _crowd(bench.plugins)
        times.append(statistics.median(_start(bench) for _ in range(5)))
        with watching(bench.folder, _NOWHERE) as running:
            memories.append(running.memory())
    shutil.rmtree(bench.plugins)
    ratio = times[1] / times[0]
    yield Row(
        "start, 50,000 ignored files", f"{times[1]:.0f} ms", f"{times[0]:.0f} ms without", ratio, "≤ 2 ×", ratio <= 2
    )
    ratio = memories[1] / memories[0]
    yield Row(
        "memory, 50,000 ignored files",
        f"{memories[1]:.1f} MB",
        f"{memories[0]:.1f} MB without",
        ratio,
        "≤ 1.3 ×",
        ratio <= 1.3,
    )


def _rewritten(bench: Bench, running: Running, mark: str) -> float:
    texts = [(bench.plugins / f"p{n}.py", sized(2_000, title=f"P {n}", body=f"MARK = {mark!r}")) for n in range(_STORM)]
    began = time.perf_counter()
    for path, text in texts:
        path.write_text(text)
    for _ in range(_STORM):
        running.wait_for("updated")
    return time.perf_counter() - began


def _raw_loop(bench: Bench, mark: str, workers: int) -> float:
    headers = {"authorization": f"Bearer {bench.server.key}"}
    with httpx.Client(base_url=bench.server.url, headers=headers, trust_env=False, timeout=60) as client:

        def post(number: int) -> None:
            content = sized(2_000, title=f"P {number}", body=f"MARK = {mark!r}")
            form = {"id": f"p{number}", "name": f"P {number}", "meta": {}, "content": content}
            client.post(f"/api/v1/functions/id/p{number}/update", json=form).raise_for_status()

        with ThreadPoolExecutor(workers) as pool:
            began = time.perf_counter()
            list(pool.map(post, range(_STORM)))
            return time.perf_counter() - began


def _start(bench: Bench) -> float:
    """Give milliseconds from the start of the process to its first line."""
    running = Running(bench.folder, _NOWHERE)
    running.wait_for("watching")
    took = (time.perf_counter() - running.began) * 1000
    running.end()
    return took


def _bare_start() -> float:
    return _run([interpreter(), "-c", "pass"], Path.cwd()) * 1000


def _run(command: Sequence[str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=clean(), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _interpreter_memory() -> float:
    code = "print(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')).split()[1])"
    done = subprocess.run([interpreter(), "-c", code], env=clean(), check=True, capture_output=True, text=True)
    return int(done.stdout) * 1024 / 1e6


def _crowd(plugins: Path) -> None:
    for folder in ("node_modules", ".git", ".venv"):
        for number in range(167):
            below = plugins / folder / f"d{number}"
            below.mkdir(parents=True)
            for each in range(100):
                (below / f"f{each}.py").touch()
