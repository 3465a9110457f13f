"""Every kind of plugin, from the first save to the last: what the server then holds, and what a save leaves alone."""

from __future__ import annotations

import re

import pytest

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project, Watched
from tests.live.samples import EVERY_KIND, source
from tests.live.server import Server

each_kind = pytest.mark.parametrize("kind", EVERY_KIND)
FUNCTIONS = [kind for kind in EVERY_KIND if kind is not Kind.TOOL]


class TestUpdate:
    @pytest.mark.parametrize("kind", FUNCTIONS)
    def test_leaves_active_and_global_alone(self, kind: Kind, watched: Watched) -> None:
        flags = {}
        for name, change in ((f"{kind}_off", watched.server.toggle), (f"{kind}_global", watched.server.toggle_global)):
            watched.create(kind, name)
            change(name)
            watched.project.save(f"{name}.py", source(kind, "two"))
            watched.run.wait_for("updated", plugin=name)
            state = watched.server.plugin(kind, name)
            assert state["content"] == source(kind, "two")
            flags[name] = (state["is_active"], state["is_global"])
        assert flags == {f"{kind}_off": (False, False), f"{kind}_global": (True, True)}

    @each_kind
    def test_leaves_valves_owner_and_sharing_alone(self, kind: Kind, watched: Watched) -> None:
        server, name = watched.server, f"their_{kind}"
        owner, session = server.new_user("admin")
        server.create(kind, name, source(kind), title=f"Their {kind}", session=session)
        server.set_valves(kind, name, {"level": 7})
        if kind is Kind.TOOL:
            server.share(name)
        before = server.plugin(kind, name)
        watched.project.save(f"{name}.py", source(kind, "two"))
        watched.run.wait_for("updated", plugin=name)
        after = server.plugin(kind, name)
        assert after["content"] == source(kind, "two")
        assert server.valves(kind, name) == {"level": 7}
        assert after["user_id"] == before["user_id"] == owner != server.admin
        assert after.get("access_grants") == before.get("access_grants") != []

    @each_kind
    def test_keeps_the_servers_name_without_a_title(self, kind: Kind, watched: Watched) -> None:
        server, name = watched.server, f"named_{kind}"
        server.create(kind, name, source(kind), title="Named by Hand")
        watched.project.save(f"{name}.py", source(kind, "two"))
        watched.run.wait_for("updated", plugin=name)
        silent = server.plugin(kind, name)
        assert (silent["name"], silent["meta"]["description"]) == ("Named by Hand", "Named by Hand as described here")

        watched.project.save(
            f"{name}.py", source(kind, "two", title="Named in Code", header="description: told in code")
        )
        watched.run.wait_for("updated", plugin=name)
        told = server.plugin(kind, name)
        assert (told["name"], told["meta"]["description"]) == ("Named in Code", "told in code")


class TestNewPlugin:
    @each_kind
    def test_without_title_is_named_after_its_id(self, kind: Kind, watched: Watched) -> None:
        watched.project.save(f"{kind}s/Word-count.{kind}.py", source(kind))
        watched.run.wait_for("created", plugin=f"word_count_{kind}", version=None)
        assert watched.server.plugin(kind, f"word_count_{kind}")["name"] == f"Word Count {kind.capitalize()}"

    def test_stays_inactive_without_enable_new(self, project: Project, server: Server) -> None:
        with project.watch("--no-enable-new") as run:
            project.save("quiet.py", source(Kind.FILTER))
            run.wait_for("created", plugin="quiet")
        assert server.plugin(Kind.FILTER, "quiet")["is_active"] is False

    def test_is_global_only_as_filter_or_action(self, project: Project, server: Server) -> None:
        with project.watch("--global-new") as run:
            for kind in FUNCTIONS:
                project.save(f"{kind}_one.py", source(kind))
                assert run.wait_for("created", plugin=f"{kind}_one")["attach"] is None
        states = {kind: server.plugin(kind, f"{kind}_one") for kind in FUNCTIONS}
        assert {kind for kind, state in states.items() if state["is_global"]} == {Kind.FILTER, Kind.ACTION}
        assert all(state["is_active"] for state in states.values())


class TestDeploy:
    @each_kind
    def test_creates_updates_and_leaves_what_is_unchanged(self, kind: Kind, watched: Watched) -> None:
        project, server, run = watched.project, watched.server, watched.run
        name = f"my_{kind}"
        with project.run("new", kind.value, "plugins/") as new:
            assert new.ends(0) == f"wrote plugins/{name}.py\n"
        path = project.plugins / f"{name}.py"
        first = path.read_text("utf-8")

        created = run.wait_for("created", plugin=name)
        on_server = server.plugin(kind, name)
        assert on_server["content"] == first
        assert (on_server["name"], on_server["meta"]["manifest"]["version"]) == (f"My {kind.capitalize()}", "0.1.0")
        assert on_server["meta"]["description"] == on_server["meta"]["manifest"]["description"] != ""
        assert on_server.get("is_active", True) is True
        assert on_server.get("is_global", False) is False
        assert on_server.get("access_grants", []) == []
        place = "workspace/tools" if kind is Kind.TOOL else "admin/functions"
        assert (created["kind"], created["path"], created["version"], created["previous_version"], created["open"]) == (
            *(kind.value, f"plugins/{name}.py", "0.1.0", None),
            f"{server.url}/{place}/edit?id={name}",
        )
        attach = "not global: switch it on for a model (Workspace → Models → {}s), or set global_new"
        attachable = kind in {Kind.FILTER, Kind.ACTION}
        assert created["attach"] == (attach.format(kind.capitalize()) if attachable else None)

        second = first.replace("version: 0.1.0", "version: 0.2.0")
        path.write_text(second, "utf-8")
        updated = run.wait_for("updated", plugin=name)
        on_server = server.plugin(kind, name)
        assert (on_server["content"], on_server["meta"]["manifest"]["version"]) == (second, "0.2.0")
        assert (updated["version"], updated["previous_version"]) == ("0.2.0", "0.1.0")
        assert 0 < updated["ms"] < 5000

        path.write_text(second, "utf-8")
        run.wait_for("unchanged", plugin=name, version="0.2.0", previous_version="0.2.0")
        assert server.saves(kind, name) == 2
        assert run.deploys(name) == ["created", "updated", "unchanged"]

    def test_makes_a_pipe_answer_with_saved_code(self, watched: Watched) -> None:
        project, server, run = watched.project, watched.server, watched.run
        project.save("parrot.py", source(mark="the first code"))
        run.wait_for("created", plugin="parrot")
        assert "parrot" in server.models()
        assert server.chat("parrot") == "the first code"
        project.save("parrot.py", source(mark="the second code"))
        run.wait_for("updated", plugin="parrot")
        assert server.chat("parrot") == "the second code"

    def test_takes_what_the_server_rewrites_as_unchanged(self, watched: Watched) -> None:
        project, server, run = watched.project, watched.server, watched.run
        content = source(top="from utils.misc import get_last_user_message")
        path = project.save("rewritten.py", content)
        run.wait_for("created", plugin="rewritten")
        assert "from open_webui.utils.misc" in server.content(Kind.PIPE, "rewritten") != content
        path.write_text(content, "utf-8")
        run.wait_for("unchanged", plugin="rewritten")

    def test_drops_a_byte_order_mark_keeps_line_ends(self, watched: Watched) -> None:
        project, server, run = watched.project, watched.server, watched.run
        content = source(title="Windows").replace("\n", "\r\n")
        (project.plugins / "windows.py").write_bytes(b"\xef\xbb\xbf" + content.encode())
        run.wait_for("created", plugin="windows")
        assert server.content(Kind.PIPE, "windows") == content
        assert server.plugin(Kind.PIPE, "windows")["name"] == "Windows"

    def test_backs_up_an_edit_by_someone_else_first(self, watched: Watched) -> None:
        project, server, run = watched.project, watched.server, watched.run
        project.save("shared.py", source())
        run.wait_for("created", plugin="shared")
        server.edit(Kind.PIPE, "shared", source(mark="edited in the browser"))
        project.save("shared.py", source(mark="two"))
        backup = run.wait_for("backed_up", plugin="shared", kind="pipe")["backup"]
        run.wait_for("updated", plugin="shared")
        assert (project.folder / backup).read_text("utf-8") == source(mark="edited in the browser")
        assert re.fullmatch(r".*/home/state/trees/plugins-\w+/[\w.-]+/backups/shared/[\dTZ-]+\.py", backup)
        project.save("shared.py", source(mark="three"))
        run.wait_for("updated", plugin="shared")
        assert len(run.of("backed_up", plugin="shared")) == 1

    def test_skips_a_file_that_is_no_plugin(self, watched: Watched) -> None:
        project, server, run = watched.project, watched.server, watched.run
        for name, content, reason in (
            ("helper.py", "x = 1\n", "no class named Pipe, Filter, Action, Event or Tools"),
            ("empty.py", "", "the file is empty"),
            (
                "pipeline.py",
                "class Pipeline:\n    pass\n",
                "it is a plugin for a Pipelines server (class Pipeline), which Open WebUI itself does not load",
            ),
        ):
            project.save(name, content)
            assert run.wait_for("skipped", path=f"plugins/{name}")["reason"] == f"{reason}, and no plugin imports it"
        assert server.ids().isdisjoint({"helper", "empty", "pipeline"})

    def test_leaves_out_what_nobody_saved(self, project: Project, server: Server) -> None:
        project.save("old.py", source())
        with project.watch() as run:
            run.wait_for("differs")
            project.save("new.py", source(Kind.FILTER))
            run.wait_for("created", plugin="new")
        assert server.ids() == {"new"}
