"""What differs from run to run, made the same: times, and the address of the server."""

from __future__ import annotations

import os
import re
from pathlib import Path
from textwrap import dedent

README = Path(__file__).parents[2] / "README.md"


def same(text: str, url: str = "") -> str:
    """Return what was said with the times and the server of the README, and no blanks at the ends of lines."""
    text = re.sub(r"^\d\d:\d\d:\d\d", "14:02:31", text, flags=re.MULTILINE)
    text = re.sub(r" {1,5}\d+ ms\b", "   41 ms", text)
    text = re.sub(r"\b\d+\.\d s\b", "0.4 s", text)
    text = re.sub(r" +$", "", text, flags=re.MULTILINE)
    return text.replace(url, "http://localhost:3000") if url else text


def told(text: str) -> str:
    """Return an expected text as it stands in a test, its indentation and first line end taken off."""
    return dedent(text).removeprefix("\n")


def as_in_readme(name: str, command: str, text: str) -> str:
    """Hold what a command said against the README's block ``name``; give it back.

    With ``OWUI_README=write`` in the environment the block is written instead: what it shows was said in this test.
    """
    block = f"```\n$ owui-watch {command}\n{text}```\n"
    readme = README.read_text(encoding="utf-8")
    before, shown, after = re.split(rf"(?<=<!-- {name} -->\n)(.*?)(?=<!-- /{name} -->)", readme, flags=re.DOTALL)
    if os.environ.get("OWUI_README") == "write":
        README.write_text(f"{before}{block}{after}", encoding="utf-8")
    else:
        assert _any_python(shown) == _any_python(block)
    return text


def _any_python(text: str) -> str:
    return re.sub(r"Python 3\.[\d.]+", "Python 3", text)
