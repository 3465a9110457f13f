"""The README says what is true: its commands, its unit, its settings, its lines."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from owui_watch.reporting import events as event
from owui_watch.reporting.events import Event, Note, Sandboxed

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*?)\n```\n<!-- /{name} -->", README, re.DOTALL)
    assert found is not None, name
    return found[1]


def test_ci_runs_the_test_command_as_it_stands() -> None:
    assert f"\n{block('tests')}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_event_is_explained() -> None:
    named = set(re.findall(r"`(\w+)`", README))
    events = {
        cls.event
        for _, cls in inspect.getmembers(event, inspect.isclass)
        if issubclass(cls, Event) and hasattr(cls, "event") and not issubclass(cls, Note | Sandboxed)
    }
    assert events - named == set()


def test_links_lead_somewhere() -> None:
    local = [link for link in re.findall(r"\]\(([^)#]+)", README) if not link.startswith("https://")]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "plugins").mkdir(parents=True)
    program = home / ".local" / "bin" / "owui-watch"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "owui-watch.service"
    unit.write_text(block("unit").replace("%h", str(home)) + "\n")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "owui-watch" in line]) == (0, [])
