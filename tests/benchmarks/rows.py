"""What a measurement comes to: a row that holds a figure, its floor, their relation and the goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """``ratio`` is what three runs are compared by; ``met`` is whether the goal is reached."""

    what: str
    ours: str
    floor: str
    ratio: float
    goal: str
    met: bool

    def cells(self) -> list[str]:
        return [self.what, self.ours, self.floor, f"{self.ratio:.2f}", self.goal, "✓" if self.met else "✗"]


HEAD = ["what", "owui-watch", "floor", "ratio", "goal", "met"]


def table(rows: Sequence[Row]) -> str:
    """Draw the rows as Markdown."""
    return "".join(f"| {' | '.join(row)} |\n" for row in [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)])


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value below which ``share`` of all lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
