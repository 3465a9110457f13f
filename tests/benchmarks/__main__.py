"""Measures everything on one machine: ``python -m tests.benchmarks [--saves N] [--runs N] [--only GROUP…] [--write]``.

Each figure stands beside its floor, what the same server takes without owui-watch, measured in the same run. Of several
``--runs`` the table has the median one, with the ratios of all; ``--write`` puts it into ``docs/performance.md``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext
from pathlib import Path

from owui_watch.sandbox import sandbox
from tests.benchmarks import bulk, in_server, loads, peers, saves
from tests.benchmarks.awake import awake
from tests.benchmarks.rows import Row, over_runs, spread, table
from tests.benchmarks.saves import Bench
from tests.documents import write_block
from tests.live.server import Server

SAVES = 1_000
"""Saves of a small plugin a row."""
PEERS = 60
"""Saves that each peer deploys at most: they take long."""
MOST_SPREAD = 0.2
"""How far apart the ratios of one row may be before it is said."""


def measure_saves(bench: Bench, count: int) -> Iterator[Row]:
    yield from saves.rows(bench, count)
    yield saves.burst(bench)


def measure_others(bench: Bench, count: int) -> Iterator[Row]:
    yield from peers.rows(bench, min(count, PEERS))
    yield saves.packages(bench, count)
    yield from in_server.rows(bench.folder)


def measure_growth(bench: Bench, _count: int) -> Iterator[Row]:
    yield from loads.growth(bench)
    yield loads.check(bench)
    yield from loads.ignored(bench)


GROUPS: dict[str, Callable[[Bench, int], Iterator[Row]]] = {
    "saves": measure_saves,
    "others": measure_others,
    "storm": lambda bench, _: iter([loads.storm(bench)]),
    "rest": lambda bench, _: loads.rest(bench),
    "start": lambda bench, _: loads.start(bench),
    "growth": measure_growth,
    "bulk": lambda bench, count: bulk.rows(bench, (500, 5_000, 10_000) if count >= SAVES else (500, 5_000)),
}
"""What can be measured by itself, in the order of the table."""
KEPT_AWAKE = {"saves", "others", "storm"}
"""Groups that are measured while something keeps the processors from slowing down between two saves."""


def run(count: int, groups: Collection[str]) -> Iterator[Row]:
    """Measure once, on a server and in a folder of its own."""
    with tempfile.TemporaryDirectory() as name, sandbox() as running:
        bench = Bench(Server(running), Path(name))
        bench.plugins.mkdir()
        for group in groups:
            with awake() if group in KEPT_AWAKE else nullcontext():
                for row in GROUPS[group](bench, count):
                    print(" | ".join(row.cells()), file=sys.stderr, flush=True)
                    yield row
        bench.server.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--saves", type=int, default=SAVES, help="saves of a small plugin a row (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument(
        "--only", nargs="+", choices=GROUPS, default=list(GROUPS), help="what to measure (default: all)"
    )
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    runs = [list(run(arguments.saves, arguments.only)) for _ in range(arguments.runs)]
    rows = list(zip(*runs, strict=True))
    made = table([over_runs(each) for each in rows])
    print(made, end="")
    for each in rows:
        if spread(each) > MOST_SPREAD:
            print(f"{each[0].what}: the ratios are {spread(each):.0%} apart", file=sys.stderr)
    if arguments.write:
        write_block("benchmark", made)
    return 0 if all(row.met is not False for each in rows for row in each) else 1


if __name__ == "__main__":
    sys.exit(main())
