"""What differs from run to run, made the same: times, and the address of the server."""

from __future__ import annotations

import re
from textwrap import dedent


def same(text: str, url: str = "") -> str:
    """Give what was said with the times and the server of the README, and no blanks at the ends of lines."""
    text = re.sub(r"^\d\d:\d\d:\d\d", "14:02:31", text, flags=re.MULTILINE)
    text = re.sub(r" {1,5}\d+ ms\b", "   41 ms", text)
    text = re.sub(r"\b\d+\.\d s\b", "0.4 s", text)
    text = re.sub(r" +$", "", text, flags=re.MULTILINE)
    return text.replace(url, "http://localhost:3000") if url else text


def told(text: str) -> str:
    """Give an expected text as it stands in a test, its indentation and first line end taken off."""
    return dedent(text).removeprefix("\n")
