"""Makes the table of ``docs/replicas.md`` from the outcomes of ``test_replica_sets.py``.

``python -m tests.live.replicas_table FILE`` prints it; with ``--write`` it goes into the page.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.documents import write_block


def table(lines: list[str]) -> str:
    """Return a Markdown table: a row for each scenario, a column for each set of releases."""
    rows = [json.loads(line) for line in lines]
    results = {(row["scenario"], row["set"]): row["result"] for row in rows}
    scenarios = list(dict.fromkeys(row["scenario"] for row in rows))
    sets = list(dict.fromkeys(row["set"] for row in rows))
    body = [[scenario, *(results.get((scenario, each), "–") for each in sets)] for scenario in scenarios]
    head = ["what happens", *sets]
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *body])


def main() -> None:
    made = table(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines())
    print(made, end="")
    if "--write" in sys.argv:
        write_block("replicas", made)


if __name__ == "__main__":
    main()
