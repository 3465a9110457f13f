"""Makes the table of what a sandbox reports from the outcomes of ``test_runtime.py``.

``python -m tests.live.runtime_table FILE`` prints it; with ``--write`` it goes into ``docs/runtime.md``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from owui_watch.openwebui.releases import version_number
from tests.documents import write_block


def table(lines: list[str]) -> str:
    """Make a row for each kind and happening, a column for each release; a cell is the longest delay in milliseconds."""
    rows = [json.loads(line) for line in lines]
    cells: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row["kind"], row["what"], row["version"])
        cells[key] = max(row["ms"], cells.get(key, 0))
    versions = sorted({row["version"] for row in rows}, key=version_number)
    head = ["kind", "what it does", *versions]
    body = []
    for kind, what in dict.fromkeys((row["kind"], row["what"]) for row in rows):
        found = [cells.get((kind, what, version)) for version in versions]
        body.append([kind, what, *("–" if ms is None else f"{ms} ms" for ms in found)])
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *body])


def main() -> None:
    made = table(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines())
    print(made, end="")
    if "--write" in sys.argv:
        write_block("runtime", made)


if __name__ == "__main__":
    main()
