"""Keeps out what libraries load wherever they find it, though nothing here needs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_if_absent(module: str) -> Iterator[None]:
    """Let imports inside find that ``module`` isn't installed: Python says so of a None in ``sys.modules``."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
