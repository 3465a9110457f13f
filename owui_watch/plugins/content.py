"""Content as the server holds it, and what tells two contents apart."""

from __future__ import annotations

import hashlib
from functools import lru_cache

REWRITTEN = ("utils", "apps", "main", "config")
"""Modules that the server's text replacement takes for its own."""


def rewritten(content: str) -> str:
    """Return ``content`` as the server will hold it: it replaces these imports in the whole text (0.3.35 to 0.12.4)."""
    for module in REWRITTEN:
        content = content.replace(f"from {module}", f"from open_webui.{module}")
    return content


@lru_cache(maxsize=4)  # of one content it is asked several times while it is deployed
def digest(content: str) -> str:
    """Fingerprint of ``content`` after the server's rewriting: equal where the server would hold the same."""
    return hashlib.sha256(rewritten(content).encode("utf-8", "surrogatepass")).hexdigest()
