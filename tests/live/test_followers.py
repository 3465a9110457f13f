"""What follows a save: the pipe's answer (``--ask``) and the user's own commands (``--on-deploy``, ``--on-reject``)."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.golden import as_documented, same, told, without_server
from tests.live.harness import until
from tests.live.samples import source
from tests.live.server import Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell")

NOTES = """
import json, os, sys
with open(sys.argv[1], "a") as log:
    told = {name: value for name, value in os.environ.items() if name.startswith("OWUI_") and not name.startswith("OWUI_WATCH_")}
    print(json.dumps({**told, "keys": [name for name in os.environ if "KEY" in name.upper()]}), file=log)
"""


def noting(project: Project) -> tuple[str, Path]:
    """Return a command that notes its environment, and where."""
    script, log = project.folder / "note.py", project.folder / "notes.jsonl"
    script.write_text(NOTES, "utf-8")
    return shlex.join([sys.executable, str(script), str(log)]), log


def notes(log: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []


def pipe(*lines: str, version: str = "1.0.0") -> str:
    body = "".join(f"        {line}\n" for line in lines)
    return f'"""\nversion: {version}\n"""\nimport time\n\n\nclass Pipe:\n    def pipe(self, body):\n{body}'


class TestAsk:
    def test_reports_the_answer_of_a_saved_pipe(self, project: Project, server: Server) -> None:
        with project.watch("--ask", "Polly?") as run:
            project.save("parrot.py", pipe("return 'You said ' + body['messages'][-1]['content']"))
            run.wait_for("created", plugin="parrot")
            assert run.wait_for("asking", plugin="parrot")["prompt"] == "Polly?"
            answer = run.wait_for("answer", plugin="parrot")
            assert (answer["text"], answer["error"]) == ("You said Polly?", None)
            assert 0 < answer["ms"] < 5000
            project.save("parrot.py", pipe("yield 'Two\\n'", "yield 'lines'"))
            assert run.wait_for("answer")["text"] == "Two\nlines"
            project.save("parrot.py", pipe("feather = 1", "return fether"))
            failed = run.wait_for("answer", level="error")
            assert (failed["error"], failed["path"], failed["line"], failed["source"]) == (
                *("name 'fether' is not defined", "plugins/parrot.py", 10),
                "        return fether",
            )
            project.save("parrot.py", pipe("return ''"))
            assert run.wait_for("answer", level="error")["error"] == "its answer is empty"

    def test_shows_the_answer_a_person_reads(self, project: Project, server: Server) -> None:
        project.save("parrot.py", pipe("yield 'You said:\\n'", "yield body['messages'][-1]['content']"))
        with project.run("deploy", "--ask", "Polly?") as run:
            text = run.ends(0)
        assert as_documented("ask", 'deploy --ask "Polly?"', same(without_server(text), server.url)) == told("""
        14:02:31  created   pipe    parrot  1.0.0   41 ms
                                    http://localhost:3000/admin/functions/edit?id=parrot
        14:02:31  finished  deployed 1, unchanged 0, rejected 0 in 0.4 s
        14:02:31  asking    pipe    parrot  “Polly?”
        14:02:31  answer    pipe    parrot   41 ms
                            You said:
                            Polly?
        """)
        project.save("parrot.py", pipe("return nope"))
        with project.run("deploy", "--ask", "Polly?") as run:
            assert same(run.ends(0)).endswith(
                told("""
                14:02:31  answer    pipe    parrot  name 'nope' is not defined
                                            plugins/parrot.py:9
                                              9 │         return nope
                """)
            )

    def test_asks_each_model_of_a_pipe(self, project: Project, server: Server) -> None:
        models = "    def pipes(self):\n        return [{'id': 'small', 'name': 'S'}, {'id': 'large', 'name': 'L'}]\n"
        project.save("many.py", pipe("return body['model']") + models)
        with project.run("deploy", "--json", "--ask", "which?") as run:
            run.ends(0)
        assert [(line["model"], line["text"]) for line in run.of("answer")] == [
            ("many.small", "many.small"),
            ("many.large", "many.large"),
        ]

    def test_gives_up_a_slow_answer_after_a_save(self, project: Project, server: Server) -> None:
        with project.watch("--ask", "hi") as run:
            # Not a generator that sleeps: that one blocks Open WebUI 0.12.4 to its end, since a hang-up goes unnoticed.
            begun = project.folder / "begun"
            project.save(
                "slow.py",
                "import asyncio\n"
                + pipe(f"open({str(begun)!r}, 'w').close()", "await asyncio.sleep(60)", "yield 'old'").replace(
                    "def pipe", "async def pipe"
                ),
            )
            until(begun.exists, "the slow answer")
            project.save("slow.py", pipe("return 'new'"))
            assert run.wait_for("updated")["ms"] < 5000
            assert run.wait_for("answer")["text"] == "new"
            endless = "import asyncio\n" + pipe().replace("def pipe", "async def pipe")
            project.save(
                "slow.py",
                endless + "        while True:\n            await asyncio.sleep(0.1)\n            yield 'x'\n",
            )
            run.wait_for("asking", plugin="slow")
            project.save("other.py", pipe("return 'newest'"))
            assert run.wait_for("answer")["text"] == "newest"
            run.stop()
            assert [line["plugin"] for line in run.of("answer")] == ["slow", "other"]

    def test_asks_each_pipe_of_a_bulk_change(self, project: Project, server: Server) -> None:
        for number in range(6):
            project.save(f"parrot_{number}.py", pipe(f"return 'one of {number}'"))
        with project.run("deploy", "--json", "--ask", "hi") as run:
            run.ends(0)
        assert len(run.of("created")) == 6
        assert sorted((line["plugin"], line["text"]) for line in run.of("answer")) == [
            (f"parrot_{number}", f"one of {number}") for number in range(6)
        ]


class TestCommands:
    def test_get_what_happened_and_never_the_key(self, project: Project, server: Server) -> None:
        command, log = noting(project)
        with project.watch("--on-deploy", command, "--on-reject", command) as run:
            project.save("parrot.py", source())
            run.wait_for("created")
            project.save("parrot.py", source(mark="two"))
            run.wait_for("updated")
            project.save("parrot.py", source(mark="two"))
            run.wait_for("unchanged")
            project.save("parrot.py", "class Pipe(\n")
            run.wait_for("rejected")
            until(lambda: len(notes(log)) == 3, "three commands")
        told = {"OWUI_PLUGIN": "parrot", "OWUI_KIND": "pipe", "OWUI_PATH": "plugins/parrot.py", "OWUI_URL": server.url}
        assert notes(log) == [
            {**told, "OWUI_EVENT": "created", "OWUI_ERROR": "", "keys": []},
            {**told, "OWUI_EVENT": "updated", "OWUI_ERROR": "", "keys": []},
            {**told, "OWUI_EVENT": "rejected", "OWUI_ERROR": "'(' was never closed", "keys": []},
        ]

    def test_are_waited_for_by_a_one_shot_deploy(self, project: Project, server: Server) -> None:
        for kind in (Kind.PIPE, Kind.FILTER):
            project.save(f"a_{kind}.py", source(kind))
        with project.run("deploy", "--json", "--on-deploy", 'echo "$OWUI_PLUGIN" >> done; exit 3') as run:
            run.ends(0)
        created = [line["plugin"] for line in run.of("created")]
        assert (sorted(created), (project.folder / "done").read_text("utf-8").split()) == (
            ["a_filter", "a_pipe"],
            created,
        )
        # The two deploy side by side: either can be created first.
        assert [line["error"] for line in run.of("warning")] == [
            f"the --on-deploy command ended with exit code 3; it ran for the event created of {created[0]}"
        ]

    def test_delay_no_deploy_and_end_with_the_watch(self, project: Project, server: Server) -> None:
        with project.watch("--on-deploy", "echo $$ >> pids; sleep 60; echo late >> pids") as run:
            for number in range(3):
                project.save("parrot.py", source(mark=str(number)))
                run.wait_for("created" if number == 0 else "updated")
            until((project.folder / "pids").exists, "the first command")
            run.stop()
        (pid,) = (project.folder / "pids").read_text("utf-8").split()
        assert not Path(f"/proc/{pid}").exists()
