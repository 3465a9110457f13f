"""What ``sandbox.in_server`` costs in the server: at a save, and at each call of a plugin's method.

Measured in this process, on the code that runs in the server. All other rows are measured with it in the server.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from owui_watch.sandbox.in_server import replacement
from owui_watch.sandbox.in_server.methods import Methods
from owui_watch.sandbox.in_server.modules import Registry
from tests.benchmarks.plugins import sized
from tests.benchmarks.rows import Row

_TURNS = 20
_CALLS = 2_000
_PIPE = "class Pipe:\n    async def pipe(self, body):\n        return body\n"
Load = Callable[[str, dict[str, Any]], None]


def rows(folder: Path) -> Iterator[Row]:
    """Measure with and without ``in_server``, turn about."""
    load = _in_server(folder)
    for size in (2_000, 140_000):
        ours, floor = _loading(load, sized(size, title="X"))
        yield Row(
            f"sandbox: the server loads a plugin, {size // 1000} kB, p50",
            f"{ours:.2f} ms",
            f"{floor:.2f} ms",
            ours / floor,
            "floor + 2 ms",
            ours <= floor + 2,
        )
    ours, floor = asyncio.run(_calls(_pipe(load), _pipe(exec)))
    yield Row(
        "sandbox: a call of an async method",
        f"{ours:.1f} µs",
        f"{floor:.2f} µs",
        ours / floor,
        "floor + 50 µs",
        ours <= floor + 50,
    )


def _in_server(folder: Path) -> Load:
    paths = folder / "plugin-paths.json"
    paths.write_text(json.dumps({"function:x": {"path": str(folder / "x.py"), "files": {}}}), encoding="utf-8")
    registry = Registry(str(paths))
    return replacement(registry, Methods(registry, lambda _record: None))


def _module(load: Load, content: str) -> types.ModuleType:
    module = types.ModuleType("function_x")
    load(content, module.__dict__)
    return module


def _pipe(load: Load) -> Any:
    return _module(load, _PIPE).__dict__["Pipe"]()


def _loading(load: Load, content: str) -> tuple[float, float]:
    """Return the medians of milliseconds with ``in_server`` and without."""
    took: dict[Load, list[float]] = {load: [], exec: []}
    for _ in range(_TURNS):
        for way, times in took.items():
            began = time.perf_counter()
            _module(way, content)
            times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took[load]), statistics.median(took[exec])


async def _calls(*plugins: Any) -> list[float]:
    """Return microseconds a call for each plugin: of several turns the best, which nothing else disturbed."""
    best = [float("inf")] * len(plugins)
    for _ in range(_TURNS):
        for number, plugin in enumerate(plugins):
            began = time.perf_counter()
            for _ in range(_CALLS):
                await plugin.pipe({})
            best[number] = min(best[number], (time.perf_counter() - began) / _CALLS * 1e6)
    return best
