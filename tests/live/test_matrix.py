"""The same misfortunes on every Open WebUI in use: whatever is saved, what is live ends as it was, or as it should be.

Run on one release with ``pytest tests/live/test_matrix.py --openwebui=VERSION``; ``--matrix=FILE`` adds the outcomes to
FILE, one JSON line a scenario, from which ``python -m tests.live.matrix_table FILE`` makes the table of releases.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from owui_watch.openwebui.releases import version_number
from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.harness import Line, Run
from tests.live.proxy import proxy
from tests.live.samples import source
from tests.live.server import Server

Record = Callable[..., None]


@pytest.fixture
def record(request: pytest.FixtureRequest, server: Server) -> Iterator[Record]:
    """Write down how a scenario ended, once the test has passed."""
    rows: list[dict[str, Any]] = []

    def add(scenario: str, ending: str, restored: Line | None = None) -> None:
        off = restored["ms"] if restored else None
        rows.append({"version": server.version, "scenario": scenario, "ending": ending, "off_ms": off})

    yield add
    if (file := request.config.getoption("--matrix")) and not request.session.testsfailed:
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def old(server: Server) -> bool:
    """Whether a refusal harms what is live on this release."""
    return version_number(server.version) < (0, 12)


def mood(server: Server, kind: Kind, name: str) -> dict[str, Any]:
    """What must survive: everything that an update is not about."""
    plugin = server.plugin(kind, name)
    kept = ("is_active", "is_global", "access_control", "access_grants", "user_id", "content", "name", "type")
    return {key: plugin.get(key) for key in kept} | {"valves": server.valves(kind, name)}


def live_filter(server: Server, project: Project, run: Run) -> Path:
    """Have a filter live, active, global and configured, and a pipe that says what the filter did."""
    project.save("echo.py", ECHO)
    run.wait_for("created", plugin="echo")
    path = project.save("mark.py", marker("one"))
    run.wait_for("created", plugin="mark")
    server.toggle_global("mark")
    server.set_valves(Kind.FILTER, "mark", {"level": 7})
    assert server.models() >= {"echo"}
    assert server.chat("echo") == "hi one7"
    return path


ECHO = '''"""
title: Echo
"""
class Pipe:
    def pipe(self, body):
        return body["messages"][-1]["content"]
'''


def marker(mark: str, *, top: str = "", init: str = "", valve: str = "level: int = 1") -> str:
    return f'''"""
title: Mark
version: 1.0.{len(mark)}
"""
from pydantic import BaseModel
{top}

class Filter:
    class Valves(BaseModel):
        {valve}

    def __init__(self):
        self.valves = self.Valves()
        {init}

    def inlet(self, body):
        body["messages"][-1]["content"] += f" {mark}{{self.valves.level}}"
        return body
'''


def tool(mark: str, annotation: str = "int") -> str:
    return f'''"""
title: Adder
version: 1.0.0
"""
from pydantic import BaseModel

class Tools:
    class Valves(BaseModel):
        mark: str = "{mark}"

    def __init__(self):
        self.valves = self.Valves()

    def add(self, a: {annotation}) -> str:
        """
        Add.
        :param a: a number
        """
        return "{mark}"
'''


def mark_in_memory(server: Server) -> str:
    """The mark in the tool's code that the server's process runs."""
    return str(server.spec(Kind.TOOL, "adder")["properties"]["mark"]["default"])


def ended(run: Run, *, restored: bool, plugin: str, kind: str, error: str | None) -> tuple[Line | None, Line]:
    """Wait for a rejection, and for what it did to be undone where it did something."""
    line = run.wait_for("restored", plugin=plugin) if restored else None
    rejected = run.wait_for("rejected", plugin=plugin, stage="server", kind=kind)
    assert "already" not in rejected["error"]
    if error is not None:
        assert error in rejected["error"] or "gives no reason" in rejected["error"]
    return line, rejected


def test_every_kind_is_created_and_updated(server: Server, project: Project, record: Record) -> None:
    with project.watch() as run:
        for kind in Kind:
            if kind is Kind.EVENT and version_number(server.version) < (0, 10):
                project.save("an_event.py", source(kind))
                rejected = run.wait_for("rejected", plugin="an_event")
                assert "has no Event functions" in rejected["error"]
                continue
            name = f"a_{kind}"
            project.save(f"{name}.py", source(kind, "one", version="1.0.0"))
            run.wait_for("created", plugin=name)
            project.save(f"{name}.py", source(kind, "two", version="1.0.1"))
            assert run.wait_for("updated", plugin=name)["previous_version"] == "1.0.0"
            plugin = server.plugin(kind, name)
            assert "two" in plugin["content"]
            assert plugin.get("is_active", True) is True
        assert server.models() >= {"a_pipe"}
        assert server.chat("a_pipe") == "two"
        project.save("a_pipe.py", source(Kind.PIPE, "three", version="1.0.2"))
        run.wait_for("updated", plugin="a_pipe")
        assert server.chat("a_pipe") == "three"
    record("create", "live, private, enabled")
    record("update", "live")


@pytest.mark.parametrize(
    "broken",
    [
        ("import error", {"top": "import nothing_here"}, "No module named 'nothing_here'"),
        ("constructor raises", {"init": "raise RuntimeError('not today')"}, "not today"),
    ],
    ids=lambda broken: broken[0],
)
def test_refused_function_leaves_the_live_one(
    broken: tuple[str, dict[str, str], str], server: Server, project: Project, record: Record, old: bool
) -> None:
    scenario, change, error = broken
    with project.watch() as run:
        live_filter(server, project, run)
        before = mood(server, Kind.FILTER, "mark")
        project.save("mark.py", marker("two", **change))
        restored, rejected = ended(run, restored=old, plugin="mark", kind="filter", error=error)
        if "nothing_here" in error and "does not say" not in rejected["error"]:
            assert rejected["line"] == 6
        assert mood(server, Kind.FILTER, "mark") == before
        assert server.chat("echo") == "hi one7"
        project.save("mark.py", marker("three"))
        run.wait_for("updated", plugin="mark")
        assert server.chat("echo") == "hi three7"
    record(scenario, "as before", restored)


def test_disabled_stays_disabled(server: Server, project: Project, record: Record) -> None:
    with project.watch() as run:
        live_filter(server, project, run)
        server.toggle("mark")
        before = mood(server, Kind.FILTER, "mark")
        project.save("mark.py", marker("two", top="import nothing_here"))
        ended(run, restored=False, plugin="mark", kind="filter", error="nothing_here")
        assert mood(server, Kind.FILTER, "mark") == before
        project.save("mark.py", marker("three"))
        run.wait_for("updated", plugin="mark")
        assert server.plugin(Kind.FILTER, "mark")["is_active"] is False
    record("import error, was off", "stays off")


def test_unfit_valves_leave_the_live_one(server: Server, project: Project, record: Record, old: bool) -> None:
    with project.watch() as run:
        live_filter(server, project, run)
        before = mood(server, Kind.FILTER, "mark")
        project.save("mark.py", marker("two", valve="level: list[int] = []"))
        restored, rejected = ended(run, restored=old, plugin="mark", kind="filter", error="Valves are incompatible")
        assert "level" in rejected["error"]
        assert rejected["line"] == 10
        assert mood(server, Kind.FILTER, "mark") == before
        assert server.chat("echo") == "hi one7"
    record("valves don't fit", "as before", restored)


@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
def test_tool_with_broken_specs(server: Server, project: Project, record: Record, old: bool, public: bool) -> None:
    with project.watch() as run:
        project.save("adder.py", tool("one"))
        run.wait_for("created", plugin="adder")
        assert not server.is_public("adder")
        if public:
            server.share("adder")
        server.set_valves(Kind.TOOL, "adder", {"mark": "set"})
        before = mood(server, Kind.TOOL, "adder")
        project.save("adder.py", tool("two", annotation='"NoSuchType"'))
        restored, _ = ended(run, restored=old, plugin="adder", kind="tool", error="NoSuchType")
        after = mood(server, Kind.TOOL, "adder")
        by_change = old and version_number(server.version) >= (0, 9, 3)  # other instances load only changed tools
        assert after == before | ({"content": before["content"] + "\n"} if by_change else {})
        assert server.is_public("adder") is public
        assert mark_in_memory(server) == "one"
        project.save("adder.py", tool("three"))
        run.wait_for("updated", plugin="adder")
        assert mark_in_memory(server) == "three"
        assert server.is_public("adder") is public
        assert server.valves(Kind.TOOL, "adder") == {"mark": "set"}
    record(f"tool's specs fail, {'public' if public else 'private'}", "as before", restored)


def test_foreign_edit_is_backed_up_first(server: Server, project: Project, record: Record) -> None:
    with project.watch() as run:
        live_filter(server, project, run)
        theirs = marker("theirs")
        server.edit(Kind.FILTER, "mark", theirs)
        project.save("mark.py", marker("ours"))
        backup = run.wait_for("backed_up", plugin="mark")["backup"]
        run.wait_for("updated", plugin="mark")
        assert (project.folder / backup).read_text(encoding="utf-8") == theirs
        assert server.chat("echo") == "hi ours7"
    record("edited in the browser", "copy kept, ours live")


def test_deleted_between_look_and_update(server: Server, project: Project, record: Record) -> None:
    doomed = [False]

    def meddle(request: str, forward: Callable[[], None]) -> None:
        if doomed[0] and request == "POST /api/v1/functions/id/mark/update":
            doomed[0] = False
            server.delete(Kind.FILTER, "mark")
        forward()

    with proxy(server.url, meddle) as url:
        project.use(url, server.key)
        with project.watch() as run:
            project.save("mark.py", marker("one"))
            run.wait_for("created", plugin="mark")
            doomed[0] = True
            project.save("mark.py", marker("two"))
            run.wait_for("created", plugin="mark")
            assert not doomed[0]
            assert server.plugin(Kind.FILTER, "mark")["is_active"] is True
            assert "two" in server.content(Kind.FILTER, "mark")
    record("deleted on the server meanwhile", "created anew")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is POSIX")
def test_killed_before_putting_back(server: Server, project: Project, record: Record, old: bool) -> None:
    runs: list[Run] = []
    deadly = [False]

    def meddle(request: str, forward: Callable[[], None]) -> None:
        forward()
        if deadly[0] and request == "POST /api/v1/functions/id/mark/update":
            deadly[0] = False
            os.kill(runs[0].pid, signal.SIGKILL)

    with proxy(server.url, meddle) as url:
        project.use(url, server.key)
        run = project.watch()
        runs.append(run)
        live_filter(server, project, run)
        before = mood(server, Kind.FILTER, "mark")
        deadly[0] = True
        project.save("mark.py", marker("two", top="import nothing_here"))
        run.ends(-signal.SIGKILL)
        assert server.plugin(Kind.FILTER, "mark")["is_active"] is not old
        project.save("mark.py", marker("one"))
        with project.watch() as again:
            restored = again.wait_for("restored", plugin="mark") if old else None
            again.wait_for("unchanged", plugin="mark")
        assert mood(server, Kind.FILTER, "mark") == before
        assert server.chat("echo") == "hi one7"
    record("killed before putting back", "as before, at the next start", restored)
