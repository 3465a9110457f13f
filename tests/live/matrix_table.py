"""Makes the table of scenarios and releases from the outcomes of ``test_matrix.py``.

``python -m tests.live.matrix_table FILE`` prints it; with ``--write`` it goes into ``docs/releases.md``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from owui_watch.openwebui.releases import version_number
from tests.documents import write_block


def table(lines: list[str]) -> str:
    """Make a row a scenario and a column a release; a time is how long the live plugin was off or replaced."""
    rows = [json.loads(line) for line in lines]
    cells = {(row["scenario"], row["version"]): row for row in rows}
    scenarios = list(dict.fromkeys(row["scenario"] for row in rows))
    versions = sorted({row["version"] for row in rows}, key=version_number)
    head = ["saved", "ends", *versions]
    body = []
    for scenario in scenarios:
        found = [cells.get((scenario, version)) for version in versions]
        ending = next(cell["ending"] for cell in found if cell)
        marks = ["–" if cell is None else "✓" if cell["off_ms"] is None else f"✓ {cell['off_ms']} ms" for cell in found]
        body.append([scenario, ending, *marks])
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *body])


def main() -> None:
    made = table(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines())
    print(made, end="")
    if "--write" in sys.argv:
        write_block("matrix", made)


if __name__ == "__main__":
    main()
