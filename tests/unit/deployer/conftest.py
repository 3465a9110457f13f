"""Virtual time and a fake server for every test of the deployer."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from tests.unit.fake_server import FakeServer


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
def server() -> FakeServer:
    return FakeServer(latency=0.01)
