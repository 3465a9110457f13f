"""Measures everything on one machine: ``python -m tests.benchmarks [--quick] [--runs N] [--write]``.

Each figure stands beside its floor, what the same server takes without owui-watch, measured in the same run.
``--quick`` saves less often; of several ``--runs`` the table has the median one, with the ratios of all; ``--write``
puts it into ``docs/performance.md``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from owui_watch.sandbox import sandbox
from tests.benchmarks import bulk, loader, loads, peers, saves
from tests.benchmarks.awake import awake
from tests.benchmarks.rows import Row, over_runs, spread, table
from tests.benchmarks.saves import Bench
from tests.documents import write_block
from tests.live.server import Server

QUICK = 50
"""Saves a row with ``--quick``."""
MOST_SPREAD = 0.2
"""How far apart the ratios of one row may be before it is said."""


def measure(bench: Bench, count: int) -> Iterator[Row]:
    with awake():
        yield from saves.rows(bench, count)
        yield from peers.rows(bench, min(count, 60))
        yield saves.packages(bench, count)
        yield saves.burst(bench)
        yield loads.storm(bench)
        yield from loader.rows(bench.folder)
    yield from loads.rest(bench)
    yield from loads.start(bench)
    yield from loads.growth(bench)
    yield loads.check(bench)
    yield from loads.ignored(bench)
    yield from bulk.rows(bench, (500, 5_000, 10_000) if count > QUICK else (500, 5_000))


def run(count: int) -> Iterator[Row]:
    """Measure once, on a server and in a folder of its own."""
    with tempfile.TemporaryDirectory() as name, sandbox() as running:
        bench = Bench(Server(running), Path(name))
        bench.plugins.mkdir()
        for row in measure(bench, count):
            print(" | ".join(row.cells()), file=sys.stderr, flush=True)
            yield row
        bench.server.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    runs = [list(run(QUICK if arguments.quick else 1_000)) for _ in range(arguments.runs)]
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
