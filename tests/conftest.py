"""What all tests share: one real Open WebUI for the whole run, and a watch over threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import hypothesis
import pytest

from owui_watch.sandbox import DEFAULT_VERSION, Sandbox, sandbox

# A server obeys what it inherits. These must not reach it; with the first one it would not even start.
POISON = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "OPENAI_API_KEY": "sk-poison",
    "OPENWEBUI_API_KEY": "sk-poison",
}

# A shared machine may be slow for a moment; that is no failure. CI tries the same examples every time.
hypothesis.settings.register_profile("owui-watch", deadline=None, derandomize=os.environ.get("CI") == "true")
hypothesis.settings.load_profile("owui-watch")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--openwebui", metavar="VERSION", default=DEFAULT_VERSION, help="the Open WebUI to test with")
    parser.addoption("--matrix", metavar="FILE", help="add the outcomes of tests/live/test_matrix.py to FILE")


@pytest.fixture(scope="session")
def openwebui(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A real Open WebUI: started when the first test asks for it, and shared by all."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in POISON.items():
                environment.setenv(name, value)
            running = stack.enter_context(sandbox(request.config.getoption("--openwebui"), api_key=True))
        yield running


@pytest.fixture(autouse=True)
def _no_leaked_thread() -> Iterator[None]:
    """Fail a test that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    leaked = [thread for thread in threading.enumerate() if thread not in before]
    for thread in leaked:
        thread.join(timeout=2)
    assert not [thread for thread in leaked if thread.is_alive()]
