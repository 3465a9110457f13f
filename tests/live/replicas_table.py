"""Makes the table of ``docs/replicas.md`` from the outcomes of ``test_replica_sets.py``.

``python -m tests.live.replicas_table FILE`` prints it; with ``--write`` it goes into the page.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.documents import write_block


def table(lines: list[str]) -> str:
    """Return a Markdown table: a row for each scenario and result, with the sets of instances that showed it."""
    rows = [json.loads(line) for line in lines]
    sets = list(dict.fromkeys(row["set"] for row in rows))
    shown: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        shown.setdefault((row["scenario"], row["result"]), []).append(row["set"])
    scenarios = list(dict.fromkeys(scenario for scenario, _ in shown))
    body = [
        [scenario, result, _named([each for each in sets if each in where], sets)]
        for wanted in scenarios
        for (scenario, result), where in shown.items()
        if scenario == wanted
    ]
    head = ["what happens", "result", "instances"]
    table = "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *body])
    return f"Instances: {', '.join(sets)}.\n\n{table}"


def _named(where: list[str], sets: list[str]) -> str:
    without = [each for each in sets if each not in where]
    return "all" if not without else f"all but {without[0]}" if len(without) == 1 else ", ".join(where)


def main() -> None:
    made = table(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines())
    print(made, end="")
    if "--write" in sys.argv:
        write_block("replicas", made)


if __name__ == "__main__":
    main()
