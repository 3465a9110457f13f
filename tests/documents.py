"""The README and the reference pages: blocks between ``<!-- name -->`` and ``<!-- /name -->`` are generated or tested."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "owui_watch" / "docs"


def documents() -> list[Path]:
    """Return the README and all reference pages."""
    return [README, *sorted(DOCS.glob("*.md"))]


def _find(name: str) -> tuple[Path, str, str, str]:
    """Return the document that holds the block ``name``, and its text before, in and after the block."""
    for path in documents():
        parts = re.split(rf"(?<=<!-- {name} -->\n)(.*?)(?=<!-- /{name} -->)", path.read_text("utf-8"), flags=re.DOTALL)
        if len(parts) == 3:
            return path, parts[0], parts[1], parts[2]
    raise LookupError(f"no document has a block {name}")


def block(name: str) -> str:
    """Return the text of the block ``name``."""
    return _find(name)[2]


def code(name: str) -> str:
    """Return the code in the block ``name``, without its fences."""
    found = re.fullmatch(r"```\w*\n(.*?)\n```\n", block(name), re.DOTALL)
    assert found is not None, name
    return found[1]


def write_block(name: str, text: str) -> None:
    """Replace the text of the block ``name``."""
    path, before, _, after = _find(name)
    path.write_text(f"{before}{text}{after}", encoding="utf-8")
