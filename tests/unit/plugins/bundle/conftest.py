"""What a bundle leaves in this process ends with its test."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    before, finders = set(sys.modules), list(sys.meta_path)
    yield
    for name in set(sys.modules) - before:
        if name == "gate" or name.startswith("owui_"):
            del sys.modules[name]
    sys.meta_path[:] = finders
