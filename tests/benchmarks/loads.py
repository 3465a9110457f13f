"""Many plugins at once, many plugins at rest, and the way to the first line."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import httpx

from tests.benchmarks.awake import awake
from tests.benchmarks.installed import command, interpreter
from tests.benchmarks.plugins import sized
from tests.benchmarks.rows import Row, turn_by_turn
from tests.benchmarks.running import Running, clean, watching
from tests.benchmarks.saves import Bench, by_rename, in_turn

_NOWHERE = {"OPENWEBUI_URL": "http://127.0.0.1:9", "OPENWEBUI_API_KEY": "sk-of-no-server"}
"""A server that refuses at once: its answers are no part of the start."""
_STORM = 200
_REST_SECONDS = 20
_TICK = 10.0
"""Milliseconds."""
_STARTS = 30
"""Fresh processes a row. The machine's own speed swings by a third from one to the next."""
_LIBRARIES = """\
import sys
sys.modules["rich"] = None  # owui-watch keeps structlog from loading it
import anyio._backends._asyncio, argparse, httpcore, httpx, pathspec, platformdirs, structlog, watchdog.observers
print("loaded", flush=True)
"""


def fill(plugins: Path, count: int, mark: str = "0") -> None:
    """Have ``count`` plugins of 2 kB there, and nothing else."""
    shutil.rmtree(plugins, ignore_errors=True)
    plugins.mkdir(parents=True)
    for number in range(count):
        (plugins / f"p{number}.py").write_text(sized(2_000, title=f"P {number}", body=f"MARK = {mark!r}"))


def storm(bench: Bench) -> Row:
    """Rewrite 200 plugins at once; the floor is a raw loop of the same requests, one or two or four at a time.

    The best of three, each the median of five turns: a single one swings by a tenth. Which loop is the quickest is
    found out before: else it would be the one with the most luck.
    """
    fill(bench.plugins, _STORM)
    floors: list[float] = []
    ours: list[float] = []
    # Its plugins are managed then, and deleted on the server: a later watch would hold them back together with a save.
    state = {"OWUI_WATCH_STATE_DIR": str(bench.folder / "storm-state")}
    with watching(bench.folder, {**bench.environ, **state}, "--sync") as running:
        for _ in range(_STORM):
            running.wait_for("created")
        tried: dict[int, list[float]] = {1: [], 2: [], 4: []}
        for turn in range(3):
            for at_once, times in tried.items():
                times.append(_raw_loop(bench, f"try {turn} {at_once}", at_once))
        quickest = min(tried, key=lambda at_once: statistics.median(tried[at_once]))
        for turn in range(15):
            floors.append(_raw_loop(bench, f"raw {turn}", quickest))
            ours.append(_rewritten(bench, running, f"storm {turn}"))
    bench.server.delete_all()
    best, floor = _best_of_three(ours), _best_of_three(floors)
    return Row(
        f"storm of {_STORM} plugins",
        f"{best:.2f} s",
        f"{floor:.2f} s",
        best / floor,
        "≤ 1.15 × floor",
        best <= 1.15 * floor,
    )


def rest(bench: Bench) -> Iterator[Row]:
    """Watch 1,000 plugins, deploy 100 times, and do nothing for nine times 20 s: looks are up to a minute apart."""
    fill(bench.plugins, 1_000)
    with watching(bench.folder, bench.environ) as running:
        path = bench.plugins / "p0.py"
        for number in range(100):
            by_rename(path, sized(2_000, title="P 0", body=f"MARK = {number}"))
            running.wait_for("created", "updated")
        memory = running.memory()
        threading.Event().wait(2)
        before = running.processor_time()
        threading.Event().wait(9 * _REST_SECONDS)
        used = (running.processor_time() - before) / 9
    bench.server.delete_all()
    floor = _interpreter_memory()
    yield Row(
        f"idle, 1,000 plugins: processor time in {_REST_SECONDS} s",
        f"{used:.1f} ms",
        "0",
        used / _TICK,
        "≤ 1 tick (10 ms)",
        used <= _TICK,
    )
    yield Row(
        "memory after 100 deploys", f"{memory:.1f} MB", f"{floor:.1f} MB", memory / floor, "≤ 44 MB", memory <= 44
    )


def start(bench: Bench) -> Iterator[Row]:
    """Start a fresh process many times; the floor, turn about, is to load the libraries that it stands on."""
    goals = {10: 100, 1_000: 180}
    folders = _filled(bench, goals)
    floors: list[float] = []
    took: dict[int, list[float]] = {count: [] for count in goals}
    for _ in range(_STARTS):
        floors.append(_loaded(bench.folder))
        for count, folder in folders.items():
            took[count].append(_start(folder)[0])
    floor = statistics.median(floors)
    for count, goal in goals.items():
        ours = statistics.median(took[count])
        yield Row(
            f"start to `watching`, {count:,} plugins",
            f"{ours:.0f} ms",
            f"{floor:.0f} ms: its libraries",
            turn_by_turn(took[count], floors),
            f"floor + {goal} ms",
            ours <= floor + goal,
        )


def growth(bench: Bench) -> Iterator[Row]:
    """Save with 10 and with 10,000 plugins there, turn about; memory and start by the plugin, half by half."""
    folders = _filled(bench, (10, 5_000, 10_000))
    with awake():
        few, many = map(statistics.median, in_turn(bench, [folders[10], folders[10_000]], 50))
    yield Row(
        "save to live at 10,000 plugins",
        f"{many:.1f} ms",
        f"{few:.1f} ms at 10",
        many / few,
        "≤ 1.2 ×",
        many <= 1.2 * few,
    )
    starts, memories = _in_turns(folders.values(), 15)
    yield _by_plugin("memory", [[megabytes * 1000 for megabytes in each] for each in memories], "kB")
    yield _by_plugin("start", starts, "ms")


def _by_plugin(what: str, measured: Sequence[Sequence[float]], unit: str) -> Row:
    """Tell growth by what 10, 5,000 and 10,000 plugins take; the ratio is of what half adds to half of what all add."""
    least, _, most = map(statistics.median, measured)
    share = statistics.median(2 * (half - least) / (most - least) for least, half, most in zip(*measured, strict=True))
    figure = f"{(most - least) / 9_990:.2g} {unit}"
    return Row(f"growth by plugin: {what}", figure, "0", share, "linear ± 10 %", 0.9 <= share <= 1.1)


def check(bench: Bench) -> Row:
    """Check 1,000 plugins; the floor, turn about, is to compile them."""
    fill(bench.plugins, 1_000)
    compiling = "import pathlib\nfor p in pathlib.Path('plugins').glob('*.py'): compile(p.read_text(), p, 'exec')"
    ours, floors = [], []
    for _ in range(15):
        ours.append(_run([command(), "check", "plugins/"], bench.folder))
        floors.append(_run([interpreter(), "-c", compiling], bench.folder))
    took, floor = statistics.median(ours), statistics.median(floors)
    return Row(
        "`check` of 1,000 plugins",
        f"{took:.2f} s",
        f"{floor:.2f} s",
        turn_by_turn(ours, floors),
        "≤ 1.5 s",
        took <= 1.5,
    )


def ignored(bench: Bench) -> Iterator[Row]:
    """Start with and without 50,000 files that are passed over, turn about."""
    folders = _filled(bench, ("without", "with"), 10)
    _crowd(folders["with"] / "plugins")
    starts, memories = _in_turns(folders.values(), _STARTS)
    shutil.rmtree(folders["with"])
    (start, crowded_start), (memory, crowded_memory) = map(statistics.median, starts), map(statistics.median, memories)
    ratio = turn_by_turn(starts[1], starts[0])
    yield Row(
        "start, 50,000 ignored files", f"{crowded_start:.0f} ms", f"{start:.0f} ms without", ratio, "≤ 2 ×", ratio <= 2
    )
    ratio = crowded_memory / memory
    yield Row(
        "memory, 50,000 ignored files",
        f"{crowded_memory:.1f} MB",
        f"{memory:.1f} MB without",
        ratio,
        "≤ 1.3 ×",
        ratio <= 1.3,
    )


_Name = TypeVar("_Name", int, str)


def _filled(bench: Bench, names: Iterable[_Name], count: int | None = None) -> dict[_Name, Path]:
    """Make a folder a name, with ``count`` plugins in it, or as many as the name says."""
    folders = {name: bench.folder / str(name) for name in names}
    for name, folder in folders.items():
        fill(folder / "plugins", int(name) if count is None else count)
    return folders


def _start(folder: Path) -> tuple[float, float]:
    """Start once; give milliseconds to the first line, and MB resident then."""
    with watching(folder, _NOWHERE) as running:
        return running.started, running.memory()


def _in_turns(folders: Collection[Path], turns: int) -> tuple[list[list[float]], list[list[float]]]:
    """Start in each folder, turn about; give all starts and all memories of each."""
    taken = [[_start(folder) for folder in folders] for _ in range(turns)]
    of_each = list(zip(*taken, strict=True))
    return [[start for start, _ in one] for one in of_each], [[memory for _, memory in one] for one in of_each]


def _best_of_three(turns: Sequence[float]) -> float:
    third = len(turns) // 3
    return min(statistics.median(turns[at : at + third]) for at in range(0, len(turns), third))


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


def _loaded(folder: Path) -> float:
    """Return milliseconds from the start of a process to the end of its imports."""
    began = time.perf_counter()
    with subprocess.Popen(
        [interpreter(), "-c", _LIBRARIES], cwd=folder, env=clean(), stdout=subprocess.PIPE
    ) as loading:
        assert loading.stdout is not None
        loading.stdout.readline()
        return (time.perf_counter() - began) * 1000


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
