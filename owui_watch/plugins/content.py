"""Content as the server holds it, and its digest."""

from __future__ import annotations

import hashlib
from functools import lru_cache

REWRITTEN = ("utils", "apps", "main", "config")
"""Modules whose imports the server redirects to its own package."""


def rewritten(content: str) -> str:
    """Return ``content`` as the server will hold it: it replaces these imports in the whole text (0.3.35 to 0.12.4)."""
    for module in REWRITTEN:
        content = content.replace(f"from {module}", f"from open_webui.{module}")
    return content


@lru_cache(maxsize=4)  # one deploy needs the same digest several times
def digest(content: str) -> str:
    """Return a digest of ``content`` after the server's rewriting: equal if the server would hold the same."""
    return hashlib.sha256(rewritten(content).encode("utf-8", "surrogatepass")).hexdigest()
