"""What a measurement comes to: a row that holds a figure, its floor, their relation and the goal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """``ratio`` is what runs are compared by; ``met`` is whether the goal is reached, None where there is none."""

    what: str
    ours: str
    floor: str
    ratio: float
    goal: str
    met: bool | None

    def cells(self) -> list[str]:
        return [self.what, self.ours, self.floor, f"{self.ratio:.2f}", self.goal, _mark([self])]


def over_runs(rows: Sequence[Row]) -> list[str]:
    """Draw one row of several runs: the figures of the median run, the ratios of all; met is what is met in each."""
    ordered = sorted(rows, key=lambda row: row.ratio)
    median = ordered[(len(rows) - 1) // 2]
    ratios = " ".join(f"{row.ratio:.2f}" for row in rows)
    return [median.what, median.ours, median.floor, ratios, median.goal, _mark(rows)]


def _mark(rows: Sequence[Row]) -> str:
    met = {row.met for row in rows}
    return "✗" if False in met else "✓" if True in met else "–"


def spread(rows: Sequence[Row]) -> float:
    """Return how much higher the highest ratio is than the lowest: 0.2 is 20 %."""
    ratios = [row.ratio for row in rows]
    return max(ratios) / min(ratios) - 1 if min(ratios) else 0.0 if not max(ratios) else float("inf")


HEAD = ["what", "owui-watch", "floor", "ratio", "goal", "met"]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Draw rows as Markdown."""
    return "".join(f"| {' | '.join(row)} |\n" for row in [HEAD, ["---"] * len(HEAD), *rows])


def turn_by_turn(ours: Sequence[float], floors: Sequence[float]) -> float:
    """Return the median of each turn's own ratio: both of one turn meet the machine at the same speed."""
    return statistics.median(our / floor for our, floor in zip(ours, floors, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of all lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
