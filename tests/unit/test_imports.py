"""What a command loads before it says anything: a check waits for no HTTP client, a watch for no table."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("rooms", "absent"),
    [
        ("owui_watch.cli.main", {"anyio", "httpx", "rich", "structlog", "watchdog"}),
        ("owui_watch.cli.commands.check", {"anyio", "httpx", "rich", "structlog", "watchdog"}),
        (
            "owui_watch.cli.commands.watch, owui_watch.cli.after_deploy, owui_watch.start_and_stop",
            {"packaging", "rich"},
        ),
        ("owui_watch.cli.commands.deploy", {"rich", "watchdog"}),
    ],
)
def test_a_command_loads_only_what_it_needs(rooms: str, absent: set[str]) -> None:
    code = f"import sys, {rooms}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert absent & set(loaded) == set()


def test_rich_is_there_for_tables() -> None:
    code = "import owui_watch.reporting.log, owui_watch.reporting.tables, rich.table; print(rich.__name__)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "rich\n"
