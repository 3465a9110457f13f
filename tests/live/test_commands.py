"""The commands around the watch, as a person and as a program reads them."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from owui_watch.cli.arguments import COMMANDS
from owui_watch.plugins.model import Kind
from owui_watch.sandbox.packages import cache_folder
from tests.documents import block
from tests.live.conftest import Project
from tests.live.golden import as_documented, same, told, without_server
from tests.live.harness import Run
from tests.live.proxy import proxy
from tests.live.samples import source
from tests.live.server import Json, Server

WRONG_KEY = "sk-3f1c9a7be2d84c6fa05b1d7e9c2a4f68"
PYTHON = platform.python_version()
NOT_GLOBAL = "not global: switch it on for a model (Workspace → Models → Filters), or set global_new"
REFUSED = """\
owui-watch: {url}: the API key is refused: it is wrong, or expired
In {url}: Settings → Account → API keys (or copy the JWT there).
The key came from the environment OPENWEBUI_API_KEY: set a new one there, and start owui-watch again.
"""


def said(run: Run, code: int = 0) -> str:
    with run:
        return without_server(run.ends(code))


def refused(run: Run) -> str:
    """Return the error of a command that can do nothing; stdout names the server at most."""
    with run:
        errors = run.fails(2)
    assert without_server(run.told()) == ""
    return errors


def objects(run: Run, code: int = 0) -> list[Json]:
    found: list[Json] = json.loads(said(run, code))
    return found


def save_one_of_each_sort(project: Project) -> None:
    """Save a good plugin, one with a warning, one with an error and no plugin."""
    project.save("pipes/parrot.py", source(title="Parrot", version="1.0.0"))
    header = "requirements: httpx>=0.28,<1"
    project.save("filters/tidy.py", source(Kind.FILTER, title="Tidy Up", version="0.3", header=header))
    project.save("tools/clock.py", "class Tools:\n    def now(self:\n        return 1\n")
    project.save("helper.py", "x = 1\n")


class TestCheck:
    def test_needs_no_server_and_no_key(self, bare_project: Project) -> None:
        save_one_of_each_sort(bare_project)
        assert as_documented("check", "check", said(bare_project.run("check"), 1)) == told(f"""
        plugins/filters/tidy.py:4:27: warning: Open WebUI splits requirements at every comma, so pip will be given “<1”
          4 │ requirements: httpx>=0.28,<1
            │                           ^
          hint: use one bound per package (name>=1) and one extra at most (name[extra])
        plugins/pipes/parrot.py: pipe parrot 1.0.0 “Parrot”
        plugins/tools/clock.py:2:12: error: '(' was never closed
          2 │     def now(self:
            │            ^
          hint: checked with Python {PYTHON}
        3 plugins, 1 error, 1 warning
        """)

    def test_gives_programs_an_array_and_github_annotations(self, bare_project: Project) -> None:
        save_one_of_each_sort(bare_project)
        tidy, parrot, clock = objects(bare_project.run("check", "--json", "plugins/"), 1)
        assert parrot == {
            "path": "plugins/pipes/parrot.py",
            "plugin": "parrot",
            "kind": "pipe",
            "title": "Parrot",
            "version": "1.0.0",
            "faults": [],
        }
        (diagnostic,) = clock["faults"]
        assert (
            diagnostic["line"],
            diagnostic["column"],
            diagnostic["severity"],
            diagnostic["error"],
            diagnostic["hint"],
        ) == (
            *(2, 12, "error", "'(' was never closed"),
            f"checked with Python {PYTHON}",
        )
        assert [diagnostic["severity"] for diagnostic in tidy["faults"]] == ["warning"]
        assert said(bare_project.run("check", "--format", "github"), 1) == told(f"""
        ::warning file=plugins/filters/tidy.py,line=4,col=27::Open WebUI splits requirements at every comma, so pip \
will be given “<1”%0Ause one bound per package (name>=1) and one extra at most (name[extra])
        ::error file=plugins/tools/clock.py,line=2,col=12::'(' was never closed%0Achecked with Python {PYTHON}
        3 plugins, 1 error, 1 warning
        """)

    def test_does_not_fail_for_a_warning_alone(self, bare_project: Project) -> None:
        save_one_of_each_sort(bare_project)
        assert said(bare_project.run("check", "-q", "plugins/pipes", "plugins/filters/tidy.py")).endswith(
            "2 plugins, 0 errors, 1 warning\n"
        )


class TestDeploy:
    def test_sends_once_what_differs(self, project: Project, server: Server) -> None:
        save_one_of_each_sort(project)
        project.save("filters/tidy.py", source(Kind.FILTER, title="Tidy Up", version="0.3"))
        said(project.run("deploy", "--only", "parrot"))
        assert as_documented("deploy", "deploy", same(said(project.run("deploy"), 1), server.url)) == told(f"""
        14:02:31  rejected  tool    clock  '(' was never closed
                                    plugins/tools/clock.py:2
                                      2 │     def now(self:
                                        │            ^
                                    checked with Python {PYTHON}
        14:02:31  created   filter  tidy  0.3   41 ms
                                    http://localhost:3000/admin/functions/edit?id=tidy
                                    {NOT_GLOBAL}
        14:02:31  finished  deployed 1, unchanged 1, rejected 1 in 0.4 s
        """)
        (project.plugins / "tools/clock.py").unlink()
        project.save("pipes/parrot.py", source(mark="two", title="Parrot", version="1.1.0"))
        assert same(said(project.run("deploy", "plugins/")), server.url) == told("""
        14:02:31  updated   pipe    parrot  1.0.0 → 1.1.0   41 ms
        14:02:31  finished  deployed 1, unchanged 1, rejected 0 in 0.4 s
        """)
        assert server.content(Kind.PIPE, "parrot") == source(mark="two", title="Parrot", version="1.1.0")
        with project.run("deploy", "--json") as run:
            run.ends(0)
        assert {(line["event"], line["plugin"]) for line in run.lines[1:-1]} == {
            ("unchanged", "parrot"),
            ("unchanged", "tidy"),
        }
        end = run.lines[-1]
        assert (end["event"], end["deployed"], end["unchanged"], end["rejected"], end["dry_run"]) == (
            *("finished", 0, 2, 0),
            False,
        )

    def test_only_names_the_plugins(self, project: Project, server: Server) -> None:
        for name in ("one", "two", "three"):
            project.save(f"{name}.py", source())
        assert said(project.run("deploy", "plugins", "--only", "one", "three")).count("created") == 2
        assert server.ids() == {"one", "three"}
        assert refused(project.run("deploy", "--only", "tow")) == (
            "owui-watch: --only tow: there is no plugin with this id: did you mean two?\n"
        )

    def test_waits_for_a_failing_server(self, project: Project, server: Server) -> None:
        dropped: list[str] = []

        def drop_three(request: str, forward: Callable[[], None]) -> None:
            if request.startswith("POST") and len(dropped) < 3:
                dropped.append(request)
                raise ConnectionResetError

        project.save("one.py", source())
        project.save("two.py", source(Kind.TOOL))
        with proxy(server.url, drop_three) as url:
            project.use(url, server.key)
            with project.run("deploy", "--json") as run:
                run.ends(0)
        assert [len(run.of(event)) for event in ("waiting", "reachable", "created", "finished")] == [1, 1, 2, 1]
        assert server.ids() == {"one", "two"}

    @pytest.mark.skipif(sys.platform != "linux", reason="the cache of what a sandbox installs lies elsewhere")
    def test_on_a_sandbox_tells_whether_every_plugin_loads(
        self, bare_project: Project, request: pytest.FixtureRequest
    ) -> None:
        version = request.config.getoption("--openwebui")
        bare_project.save("good.py", source())
        bare_project.save("bad.py", source(Kind.FILTER, top="import no_such_module"))
        bare_project.environ["XDG_CACHE_HOME"] = str(cache_folder().parent)
        with bare_project.run("deploy", f"--sandbox={version}", "--json") as run:
            progress = run.fails(1, patience=300)
        assert "starting Open WebUI" in progress
        assert [run.of(event)[0].get("plugin") for event in ("created", "rejected")] == ["good", "bad"]
        assert run.of("rejected")[0]["error"].endswith("No module named 'no_such_module'")
        assert [line["version"] for line in run.of("sandbox")] == [version]
        # Of a server that was thrown away nothing is remembered.
        assert bare_project.remembered() == ""


class TestReadme:
    @pytest.mark.skipif(sys.platform != "linux", reason="the commands are for the shell of a Linux runner")
    def test_actions_check_and_deploy_as_written(self, bare_project: Project, request: pytest.FixtureRequest) -> None:
        bare_project.save("good.py", source())
        steps = re.findall(r"- run: (owui-watch .*)", block("actions"))
        assert [step.split()[1] for step in steps] == ["check", "deploy"]
        environ = bare_project.environ | {"XDG_CACHE_HOME": str(cache_folder().parent)}
        environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
        for step in steps:
            command = step.replace("${{ matrix.open-webui }}", request.config.getoption("--openwebui"))
            subprocess.run(command, shell=True, check=True, cwd=bare_project.folder, env=environ, timeout=300)


class TestDeployBesideAWatch:
    def test_releases_what_a_watch_held(self, project: Project, server: Server) -> None:
        names = {f"new_{number}" for number in range(7)}
        with project.watch() as watch:
            for name in names:
                project.save(f"{name}.py", source())
            assert set(watch.wait_for("held")["plugins"]) == names
            assert server.ids() == set()
            # What follows a deploy can't be handed over, and is not left out in silence.
            for flag in ("--ask", "--on-deploy", "--on-reject"):
                told_why = refused(project.run("deploy", flag, "x"))
                assert f" already deploys {project.plugins} to {server.url}: stop it first\n" in told_why
            assert server.ids() == set()
            # Two that remember what they did to one server would come into each other's way: the watch does it.
            assert "the running watch deploys everything that differs from the server" in said(project.run("deploy"))
            for name in names:
                watch.wait_for("created", plugin=name)
        assert server.ids() == names

    def test_says_what_the_watch_does_not_see(self, project: Project, server: Server) -> None:
        project.save("rag/rag.py", source())
        project.save("other.py", source())
        with project.run("plugins/rag", "--log-format", "json") as watch:
            watch.wait_for("watching")
            lines = said(project.run("deploy", "plugins"), 1)
            assert "the running watch deploys everything that differs from the server" in lines
            assert "not deployed: other: the running watch covers only plugins/rag" in lines
            watch.wait_for("created", plugin="rag")
        assert server.ids() == {"rag"}

    def test_releases_also_what_an_ended_watch_held(self, project: Project, server: Server) -> None:
        names = {f"new_{number}" for number in range(7)}
        with project.watch() as watch:
            for name in names:
                project.save(f"{name}.py", source())
            watch.wait_for("held")
            watch.stop()
        assert "deployed 7, unchanged 0, rejected 0" in said(project.run("deploy"))
        assert server.ids() == names


class TestEveryCommand:
    @pytest.mark.parametrize("command", [["deploy"], ["deploy", "--dry-run"], ["status"], ["pull"]])
    def test_ends_without_a_server_or_valid_key(self, command: list[str], project: Project, server: Server) -> None:
        project.save("parrot.py", source())
        project.use(server.url, WRONG_KEY)
        assert refused(project.run(*command)) == REFUSED.format(url=server.url)
        project.use("http://127.0.0.1:9", WRONG_KEY)
        assert refused(project.run(*command)) == (
            "owui-watch: http://127.0.0.1:9: connection refused\n"
            "Check that Open WebUI runs there, or name another server with --url, --env-file or OPENWEBUI_URL.\n"
        )
        assert server.ids() == set()

    def test_names_the_server_first(self, project: Project, server: Server) -> None:
        project.save("parrot.py", source(version="1.0.0"))
        for command in ("status", "deploy", "pull"):
            with project.run(command) as run:
                first = run.ends(0).splitlines()[0]
            assert first[10:] == f"server    {server.url} (environment OPENWEBUI_URL)"

    @pytest.mark.parametrize("arguments", [["deploy"], ["deploy", "--dry-run"], ["status"]])
    def test_reports_a_named_file_that_is_no_plugin(
        self, project: Project, server: Server, arguments: list[str]
    ) -> None:
        project.save("helper.py", "x = 1\n")
        text = said(project.run(*arguments, "plugins/helper.py"), 1)
        assert "not a plugin: " in text
        assert "plugins/helper.py" in text

    @pytest.mark.parametrize("command", COMMANDS)
    def test_has_one_screen_of_help_with_examples(self, command: str, bare_project: Project) -> None:
        text = said(bare_project.run(command, "--help"))
        assert text.startswith("usage: owui-watch ")
        assert len(text.splitlines()) <= 50
        assert "\nexamples:\n  owui-watch " in text


class TestDryRun:
    def test_shows_the_diffs_and_sends_nothing(self, project: Project, server: Server) -> None:
        project.save("parrot.py", source(title="Parrot", version="1.0.0"))
        said(project.run("deploy"))
        before = server.plugin(Kind.PIPE, "parrot")
        state = {path: path.read_bytes() for path in project.state.rglob("*") if path.is_file()}
        project.save("parrot.py", source(mark="two", title="Parrot", version="1.1.0"))
        project.save("clock.py", source(Kind.TOOL, version="0.1.0"))
        text = same(said(project.run("deploy", "--dry-run")))
        assert as_documented("dry-run", "deploy --dry-run", text) == told("""
        14:02:31  planned   create  tool clock  0.1.0
        14:02:31  planned   update  pipe parrot  1.0.0 → 1.1.0
        --- server/functions/parrot
        +++ plugins/parrot.py
        @@ -1,6 +1,6 @@
         \"\"\"
         title: Parrot
        -version: 1.0.0
        +version: 1.1.0
         \"\"\"
         from pydantic import BaseModel

        @@ -13,4 +13,4 @@
                 self.valves = self.Valves()

             def pipe(self, body):
        -        return "one"
        +        return "two"
        14:02:31  finished  would deploy 2, unchanged 0, rejected 0 in 0.4 s
        """)
        with project.run("deploy", "--dry-run", "--json") as run:
            run.ends(0)
        assert [line["event"] for line in run.lines] == ["server", "planned", "planned", "finished"]
        assert '-        return "one"\n+        return "two"' in run.lines[2]["diff"]
        assert (server.plugin(Kind.PIPE, "parrot"), server.ids()) == (before, {"parrot"})
        assert {path: path.read_bytes() for path in project.state.rglob("*") if path.is_file()} == state

    def test_says_what_it_ignores(self, project: Project, server: Server) -> None:
        project.save("parrot.py", source(version="1.0.0"))
        text = said(project.run("deploy", "--dry-run", "--ask", "Hello?", "--on-reject", "false"))
        assert "warning   --ask is ignored: --dry-run deploys nothing\n" in text
        assert "warning   --on-reject is ignored: --dry-run deploys nothing\n" in text


class TestStatus:
    def test_shows_how_each_plugin_stands(self, project: Project, server: Server) -> None:
        for name in ("same", "mine", "theirs", "off"):
            project.save(f"{name}.py", source(Kind.FILTER, title=name.capitalize(), version="1.0.0"))
        said(project.run("deploy", "--global-new"))
        project.save("mine.py", source(Kind.FILTER, title="Mine", version="1.1.0"))
        server.edit(Kind.FILTER, "theirs", source(Kind.FILTER, title="Theirs", version="2.0.0"))
        server.toggle("off")
        server.create(
            Kind.TOOL, "wall_clock", source(Kind.TOOL, title="Wall Clock", version="0.9.0"), title="Wall Clock"
        )
        server.share("wall_clock")
        project.save("clock.py", source(Kind.TOOL, title="Wall Clock", version="1.0.0"))
        assert as_documented("status", "status", same(said(project.run("status")))) == told("""
        plugin       kind     file    server   state            sharing
        ───────────────────────────────────────────────────────────────
        clock        tool     1.0.0            not on server
        mine         filter   1.1.0   1.0.0    differs          global
        off          filter   1.0.0   1.0.0    disabled         global
        same         filter   1.0.0   1.0.0    in sync          global
        theirs       filter   1.0.0   2.0.0    foreign          global
        wall_clock   tool             0.9.0    only on server   public

        plugins/clock.py: the server seems to have this plugin already, as wall_clock (“Wall Clock”)
          add `id: wall_clock` to the header to update that one, or `id: clock` to create a second one
        """)
        rows = {row["plugin"]: row for row in objects(project.run("status", "--json"))}
        assert {name: row["state"] for name, row in rows.items()} == {
            "clock": "not_on_server",
            "mine": "differs",
            "off": "disabled",
            "same": "in_sync",
            "theirs": "foreign",
            "wall_clock": "only_on_server",
        }
        fields = ("kind", "path", "version", "server_version", "sharing", "twin")
        assert [rows["mine"][field] for field in fields] == [
            "filter",
            "plugins/mine.py",
            "1.1.0",
            "1.0.0",
            "global",
            None,
        ]
        assert [rows["wall_clock"][field] for field in fields] == ["tool", None, None, "0.9.0", "public", None]
        assert rows["clock"]["twin"] == "wall_clock"

    def test_of_a_broken_file_says_what_is_wrong(self, project: Project, server: Server) -> None:
        project.save("broken.py", "class Pipe(\n")
        (row,) = objects(project.run("status", "--json"), 1)
        assert (row["plugin"], row["state"], row["error"]) == ("broken", "broken", "'(' was never closed")
