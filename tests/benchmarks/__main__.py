"""Measures everything on one machine in one run: ``python -m tests.benchmarks [--quick] [--write]``.

Each figure stands beside its floor, what the same server takes without owui-watch. ``--quick`` saves less often;
``--write`` puts the table into the README.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from owui_watch.sandbox import sandbox
from tests.benchmarks import loads, saves
from tests.benchmarks.rows import Row, table
from tests.benchmarks.saves import Bench
from tests.live.server import Server

README = Path(__file__).parents[2] / "README.md"
START, END = "<!-- benchmark -->\n", "<!-- /benchmark -->"


def measure(bench: Bench, count: int) -> Iterator[Row]:
    yield from saves.rows(bench, count)
    yield saves.burst(bench)
    yield loads.storm(bench)
    yield from loads.rest(bench)
    yield from loads.start(bench)
    yield from loads.growth(bench)
    yield loads.check(bench)
    yield from loads.ignored(bench)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name, sandbox() as running:
        bench = Bench(Server(running), Path(name))
        bench.plugins.mkdir()
        for row in measure(bench, 50 if arguments.quick else 1_000):
            print(" | ".join(row.cells()), file=sys.stderr, flush=True)
            rows.append(row)
        bench.server.close()
    made = table(rows)
    print(made, end="")
    if arguments.write:
        text = README.read_text(encoding="utf-8")
        before, after = text.index(START) + len(START), text.index(END)
        README.write_text(text[:before] + made + text[after:], encoding="utf-8")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
