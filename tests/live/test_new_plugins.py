"""What is new, absent, renamed or gone: no twins, no uploads in bulk, nothing deleted."""

from __future__ import annotations

import pytest

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project, Watched
from tests.live.samples import EVERY_KIND, source
from tests.live.server import Server

SIX = [f"plugin_{number}" for number in range(6)]


class TestTwin:
    @pytest.mark.parametrize("kind", [Kind.FILTER, Kind.TOOL])
    def test_by_title_is_adopted_by_one_line(self, kind: Kind, watched: Watched) -> None:
        project, server, run = watched.project, watched.server, watched.run
        title, theirs, ours = f"My {kind} Parrot", f"my_{kind}_parrot_2", f"{kind}_parrot"
        server.create(kind, theirs, source(kind, title=title), title=title)
        project.save(f"{ours}.py", source(kind, "two", title=title))
        rejected = run.wait_for("rejected", plugin=ours, stage="server", path=f"plugins/{ours}.py")
        assert (rejected["error"], rejected["hint"]) == (
            f"the server seems to have this plugin already, as {theirs} (“{title}”)",
            f"add `id: {theirs}` to the header to update that one, or `id: {ours}` to create a second one",
        )
        assert ours not in server.ids()
        adopting = source(kind, "two", title=title, header=f"id: {theirs}")
        project.save(f"{ours}.py", adopting)
        run.wait_for("updated", plugin=theirs)
        assert ours not in server.ids()
        assert server.content(kind, theirs) == adopting

    def test_is_none_under_a_written_id(self, project: Project, server: Server) -> None:
        server.create(Kind.PIPE, "my_parrot_2", source(title="My Parrot"), title="My Parrot")
        (project.folder / "owui-watch.toml").write_text('[ids]\n"plugins/by_setting.py" = "set_by_hand"\n')
        with project.watch() as run:
            project.save("parrot.py", source(title="My Parrot", header="id: parrot"))
            run.wait_for("created", plugin="parrot")
            project.save("by_setting.py", source(title="My Parrot"))
            run.wait_for("created", plugin="set_by_hand")
        assert server.ids() == {"my_parrot_2", "parrot", "set_by_hand"}

    def test_by_community_id_is_one(self, watched: Watched) -> None:
        theirs = source(title="Old Name", header="openwebui_id: 0123-4567")
        watched.server.create(Kind.PIPE, "old_name", theirs, title="Old Name")
        watched.project.save("new_name.py", source(title="New Name", header="openwebui_id: 0123-4567"))
        assert "id: old_name" in watched.run.wait_for("rejected", plugin="new_name")["hint"]
        assert "new_name" not in watched.server.ids()

    def test_is_none_of_another_kind(self, watched: Watched) -> None:
        watched.server.create(Kind.FILTER, "cockatoo_filter", source(Kind.FILTER, title="Cockatoo"), title="Cockatoo")
        watched.project.save("cockatoo.py", source(Kind.PIPE, title="Cockatoo"))
        watched.run.wait_for("created", plugin="cockatoo")


class TestDeploy:
    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["plugins"], 0),
            (["plugins/heron.py", "plugins/heron_2.py"], 1),
            (["plugins", "--only", "heron_2"], 1),
            (["plugins/heron_2.py"], 1),
        ],
    )
    def test_reports_on_a_copy_that_is_named(
        self, arguments: list[str], code: int, project: Project, server: Server
    ) -> None:
        text = source(title="Heron", version="1.0.0")
        server.create(Kind.PIPE, "heron", text, title="Heron")
        project.save("heron.py", text)
        project.save("heron_2.py", text)
        with project.run("deploy", *arguments) as deploy:
            deploy.ends(code)
        assert server.ids() == {"heron"}

    def test_creates_what_a_watch_holds(self, project: Project, server: Server) -> None:
        with project.watch() as run:
            for name in SIX:
                project.save(f"{name}.py", source())
            assert run.wait_for("held")["plugins"] == SIX
            with project.run("deploy", "--only", "plugin_1", "plugin_2") as deploy:
                deploy.wait_for_text("the running watch deploys plugin_1, plugin_2; see its output")
                deploy.ends(0)
            for name in ("plugin_1", "plugin_2"):
                run.wait_for("created", plugin=name)
            assert server.ids() == {"plugin_1", "plugin_2"}
            with project.run("deploy") as deploy:
                deploy.ends(0)
            run.wait_for("created", plugin="plugin_0")
            run.stop()
        assert server.ids() == set(SIX)


class TestBulk:
    def test_stays_held_over_a_restart(self, project: Project, server: Server) -> None:
        with project.watch() as run:
            for name in SIX:
                project.save(f"{name}.py", source())
            run.wait_for("held")
            project.save("plugin_0.py", source(mark="two"))
            run.wait_for("created", plugin="plugin_0")
            run.stop()
        with project.watch() as run:
            differs = run.wait_for("differs")
            assert (differs["absent"], differs["changed"]) == (SIX[1:], [])
            run.stop()
        assert server.ids() == {"plugin_0"}

    def test_of_six_new_is_held_until_sync(self, project: Project, server: Server) -> None:
        with project.watch() as run:
            project.save("known.py", source())
            run.wait_for("created", plugin="known")
            for name in SIX:
                project.save(f"{name}.py", source())
            project.save("known.py", source(mark="two"))
            run.wait_for("updated", plugin="known")
            assert run.wait_for("held")["plugins"] == SIX
            assert server.ids() == {"known"}
            project.save("plugin_3.py", source(mark="two"))
            run.wait_for("created", plugin="plugin_3")
            assert server.ids() == {"known", "plugin_3"}
        with project.watch("--sync") as run:
            for name in SIX:
                if name != "plugin_3":
                    run.wait_for("created", plugin=name)
            run.stop()
            assert run.of("held", "updated") == []
        assert server.ids() == {"known", *SIX}

    def test_of_five_new_is_created(self, project: Project, server: Server) -> None:
        with project.watch() as run:
            for name in SIX[:5]:
                project.save(f"{name}.py", source())
            for name in SIX[:5]:
                run.wait_for("created", plugin=name)
        with project.watch("--max-new", "0") as run:
            project.save("one_more.py", source())
            run.wait_for("held", plugins=["one_more"])
        assert server.ids() == set(SIX[:5])


class TestStart:
    def test_leaves_differences_until_sync(self, project: Project, server: Server) -> None:
        for kind in EVERY_KIND:
            server.create(kind, f"same_{kind}", source(kind), title="Same")
            project.save(f"same_{kind}.py", source(kind))
            server.create(kind, f"changed_{kind}", source(kind), title="Changed")
            project.save(f"changed_{kind}.py", source(kind, "two"))
        for number in range(10):
            project.save(f"absent_{number}.py", source())
        changed = sorted(f"changed_{kind}" for kind in EVERY_KIND if kind is not Kind.TOOL)
        absent = [f"absent_{number}" for number in range(10)]
        with project.watch() as run:
            differs = run.wait_for("differs", count=15, changed_count=5, absent_count=10)
            assert (differs["changed"], differs["absent"]) == ([*changed, "changed_tool"], absent[:8])
            run.stop()
            assert [line["event"] for line in run.lines] == ["watching", "differs", "stopped"]
            assert run.lines[0]["plugins"] == 20
        assert all(server.content(kind, f"changed_{kind}") == source(kind) for kind in EVERY_KIND)
        with project.watch("--sync") as run:
            run.wait_for("differs")
            for name in (*changed, "changed_tool"):
                run.wait_for("updated", plugin=name)
            for name in absent:
                run.wait_for("created", plugin=name)
            run.stop()
            assert run.of("unchanged", "rejected", "held") == []
        assert all(server.content(kind, f"changed_{kind}") == source(kind, "two") for kind in EVERY_KIND)
        with project.watch("--sync") as run:
            project.save("absent_0.py", source(mark="two"))
            run.wait_for("updated", plugin="absent_0")
            run.stop()
            assert run.of("differs") == []

    def test_with_sync_reports_unsaved_broken_files(self, project: Project, server: Server) -> None:
        path = project.save("broken.py", source() + "x = (1,\n")
        with project.watch("--sync") as run:
            run.wait_for("rejected", plugin="broken", stage="check")
            path.write_text(source(), "utf-8")
            run.wait_for("created", plugin="broken")

    def test_deploys_what_was_saved_between(self, project: Project, server: Server) -> None:
        with project.watch() as run:
            project.save("managed.py", source())
            run.wait_for("created", plugin="managed")
        project.save("managed.py", source(mark="two"))
        project.save("never_saved_under_watch.py", source())
        with project.watch() as run:
            run.wait_for("updated", plugin="managed")
        assert server.ids() == {"managed"}
        assert server.content(Kind.PIPE, "managed") == source(mark="two")


class TestRename:
    def test_with_a_written_id_keeps_one_plugin(self, watched: Watched) -> None:
        run, content = watched.run, source(title="Ara", header="id: ara")
        path = watched.project.save("ara.py", content)
        run.wait_for("created", plugin="ara")
        path = path.rename(path.with_name("ara_renamed.py"))
        run.wait_for("unchanged", plugin="ara", path="plugins/ara_renamed.py")
        path.write_text(content.replace("one", "two"), "utf-8")
        run.wait_for("updated", plugin="ara", path="plugins/ara_renamed.py")
        assert run.deploys("ara") == ["created", "unchanged", "updated"]
        assert run.of("missing", plugin="ara") == []
        assert "ara_renamed" not in watched.server.ids()
        assert watched.server.content(Kind.PIPE, "ara") == content.replace("one", "two")

    def test_without_id_makes_no_twin(self, watched: Watched) -> None:
        path = watched.project.save("lory.py", source(title="Lory"))
        watched.run.wait_for("created", plugin="lory")
        path.rename(path.with_name("macaw.py"))
        watched.run.wait_for("missing", plugin="lory")
        assert "`id: lory`" in watched.run.wait_for("rejected", plugin="macaw", stage="server")["hint"]
        assert watched.server.ids() & {"lory", "macaw"} == {"lory"}


class TestTree:
    def test_deleted_file_leaves_the_servers_copy(self, watched: Watched) -> None:
        project, server, run = watched.project, watched.server, watched.run
        path = project.save("gone.py", source())
        run.wait_for("created", plugin="gone")
        path.unlink()
        run.wait_for("missing", plugin="gone", path="plugins/gone.py", live=True)
        assert server.content(Kind.PIPE, "gone") == source()
        path.write_text(source(mark="back"), "utf-8")
        run.wait_for("updated", plugin="gone")

    def test_next_save_creates_what_the_server_deleted(self, project: Project, server: Server) -> None:
        with project.watch() as run:
            project.save("phoenix.py", source(title="Phoenix"))
            run.wait_for("created", plugin="phoenix")
            server.delete_all()
            project.save("phoenix.py", source(mark="two", title="Phoenix"))
            run.wait_for("created", plugin="phoenix")
        assert server.plugin(Kind.PIPE, "phoenix")["is_active"] is True

    def test_new_and_moved_folders_are_seen(self, watched: Watched) -> None:
        project, run = watched.project, watched.run
        project.save("pipes/deep/er/first.py", source())
        run.wait_for("created", plugin="first")
        outside = project.folder / "second-plugin"
        outside.mkdir()
        (outside / "main.py").write_text(source(Kind.TOOL), "utf-8")
        outside.rename(project.plugins / "second-plugin")
        run.wait_for("created", plugin="second_plugin", kind="tool")
        (project.plugins / "second-plugin" / "main.py").write_text(source(Kind.TOOL, "two"), "utf-8")
        run.wait_for("updated", plugin="second_plugin", path="plugins/second-plugin/main.py")

    def test_ignored_files_are_never_deployed(self, project: Project, server: Server) -> None:
        ignored = (
            *(
                ".hidden.py",
                ".venv/x.py",
                "__pycache__/x.py",
                "node_modules/x.py",
                "test_x.py",
                "x_test.py",
                "conftest.py",
            ),
            *("tests/x.py", "drafts/x.py", "x_old.py", "4913", "x.py~", ".#x.py", "#x.py#", ".x.py.swp", "x.py.tmp"),
            *("x.py___jb_tmp___", "x.py___jb_old___"),
        )
        with project.watch("--ignore", "drafts/", "--ignore", "*_old.py") as run:
            for name in ignored:
                project.save(name, source())
            project.save("last.py", source(Kind.FILTER))
            run.wait_for("created", plugin="last")
            run.stop()
            assert [line["event"] for line in run.lines] == ["watching", "created", "stopped"]
        assert server.ids() == {"last"}
