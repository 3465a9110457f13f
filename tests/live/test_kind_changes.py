"""A plugin that becomes one of another kind: in place where the server can, else the old one is named."""

from __future__ import annotations

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.samples import source
from tests.live.server import Server


def test_filter_that_becomes_a_pipe_is_updated(server: Server, project: Project) -> None:
    with project.watch() as run:
        project.save("turncoat.py", source(Kind.FILTER, "one", title="Turncoat"))
        run.wait_for("created", plugin="turncoat", kind="filter")
        project.save("turncoat.py", source(Kind.PIPE, "two", title="Turncoat"))
        run.wait_for("updated", plugin="turncoat", kind="pipe")
    found = server.plugin(Kind.PIPE, "turncoat")
    assert (found["type"], found["is_active"]) == ("pipe", True)


def test_function_that_becomes_a_tool_is_created_anew(server: Server, project: Project) -> None:
    with project.watch() as run:
        project.save("turncoat.py", source(Kind.ACTION, "one", title="Turncoat"))
        run.wait_for("created", plugin="turncoat", kind="action")
        project.save("turncoat.py", source(Kind.TOOL, "two", title="Turncoat"))
        run.wait_for("created", plugin="turncoat", kind="tool")
        warned = run.wait_for("warning", plugin="turncoat")
    assert warned["error"] == (
        f"the old copy is still on the server, among the functions: {server.url}/admin/functions/edit?id=turncoat"
    )
    assert warned["hint"] == "delete it there if you no longer need it"
    assert "one" in server.content(Kind.ACTION, "turncoat")
    assert "two" in server.content(Kind.TOOL, "turncoat")


def test_function_that_becomes_an_existing_tool_is_named(server: Server, project: Project) -> None:
    """Neither was put there by owui-watch."""
    server.create(Kind.ACTION, "turncoat", source(Kind.ACTION, "one", title="Turncoat"), title="Turncoat")
    server.create(Kind.TOOL, "turncoat", source(Kind.TOOL, "old", title="Turncoat"), title="Turncoat")
    project.save("turncoat.py", source(Kind.ACTION, "one", title="Turncoat"))
    with project.watch() as run:
        project.save("turncoat.py", source(Kind.ACTION, "one", title="Turncoat"))
        run.wait_for("unchanged", plugin="turncoat", kind="action")
        project.save("turncoat.py", source(Kind.TOOL, "two", title="Turncoat"))
        run.wait_for("updated", plugin="turncoat", kind="tool")
        warned = run.wait_for("warning", plugin="turncoat")
    assert warned["error"].startswith("the old copy is still on the server, among the functions: ")


def test_the_commit_message_says_what_was_saved(server: Server, project: Project) -> None:
    with project.watch() as run:
        project.save("told.py", source(version="1.0.0"))
        run.wait_for("created", plugin="told")
        project.save("told.py", source(mark="two", version="1.1.0"))
        run.wait_for("updated", plugin="told")
    # A set: the server orders its history by whole seconds, and these two saves may share one.
    assert set(server.messages(Kind.PIPE, "told")) == {
        "1.0.0 (plugins/told.py, owui-watch)",
        "1.0.0 → 1.1.0 (plugins/told.py, owui-watch)",
    }
