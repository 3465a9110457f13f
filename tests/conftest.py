"""Shared by all tests: the tiers, one real Open WebUI for the whole run, and a check for leaked threads."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest

from owui_watch.sandbox import DEFAULT_VERSION, Sandbox, sandbox

EXAMPLES = int(os.environ.get("OWUI_WATCH_EXAMPLES", "40"))
"""Examples that a property is tried with. `.ci/run --full` tries more."""

# A server obeys what it inherits. These must not reach it; with the first one it would not even start.
POISON = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "OPENAI_API_KEY": "sk-poison",
    "OPENWEBUI_API_KEY": "sk-poison",
}

# A shared machine may be slow for a moment; that is no failure. CI tries the same examples every time.
hypothesis.settings.register_profile(
    "owui-watch", max_examples=EXAMPLES, deadline=None, derandomize=os.environ.get("CI") == "true"
)
hypothesis.settings.load_profile("owui-watch")


TIERS = {"live": "needs a real Open WebUI", "resilience": "breaks servers, networks and disks on purpose"}
UNIT_TESTS = "not live and not resilience"
"""The value of ``-m`` that selects the unit tests alone."""
BROWSER = "drives a real browser (Chromium)"
REPLICAS = "several instances on PostgreSQL and Redis behind nginx; run with -m replicas"
REAL_SERVER_FIXTURES = {"openwebui", "rules"}


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in TIERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    config.addinivalue_line("markers", f"replicas: {REPLICAS}")
    config.addinivalue_line("markers", f"browser: {BROWSER}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its tier: its folder below ``tests/`` decides, and so does a fixture that starts a server.

    Tests of replicas run only if ``-m`` names them: they need PostgreSQL, Redis and nginx.
    """
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in TIERS:
            item.add_marker(folder)
        elif REAL_SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("live")
    if "replicas" not in str(config.getoption("-m")):
        left_out = [item for item in items if item.get_closest_marker("replicas")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the unit tests by themselves in a process for each processor, anything else in one process.

    The other tiers measure times, and share one server.
    """
    return os.cpu_count() or 1 if config.getoption("-m") == UNIT_TESTS else 0


def pytest_collection(session: pytest.Session) -> None:
    """Collect no garbage while tests are collected: nothing of them goes away before the end."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave the thousands of collected tests out of each later collection of garbage: that took a tenth of the run."""
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long each tier took: setup, tests and teardown, in seconds."""
    seconds = dict.fromkeys(("unit", *TIERS), 0.0)
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        if isinstance(report, pytest.TestReport):
            seconds[next((tier for tier in TIERS if tier in report.keywords), "unit")] += report.duration
    terminalreporter.write_line("tiers: " + ", ".join(f"{tier} {spent:.0f} s" for tier, spent in seconds.items()))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--openwebui", metavar="VERSION", default=DEFAULT_VERSION, help="the Open WebUI to test with")
    parser.addoption(
        "--replicas-table", metavar="FILE", help="add the outcomes of tests/live/test_replica_sets.py to FILE"
    )
    parser.addoption("--runtime", metavar="FILE", help="add the outcomes of tests/live/test_runtime.py to FILE")
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


@pytest.fixture(scope="session", autouse=True)
def _state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the state of all tests out of the user's own folder."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as environment:
        for name in ("XDG_STATE_HOME", "OWUI_WATCH_STATE_DIR"):
            environment.setenv(name, str(folder))
        yield


@pytest.fixture(autouse=True)
def _no_leaked_thread() -> Iterator[None]:
    """Fail a test that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    leaked = [thread for thread in threading.enumerate() if thread not in before]
    for thread in leaked:
        thread.join(timeout=2)
    assert not [thread for thread in leaked if thread.is_alive()]
