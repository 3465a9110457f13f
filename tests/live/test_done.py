"""What the whole is for, in numbers: every save live, soon, once, and nothing of a plugin run on this side."""

from __future__ import annotations

import statistics
import threading

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.samples import EVERY_KIND, source
from tests.live.server import Server


def test_each_of_fifty_saves_is_one_deploy(project: Project, server: Server) -> None:
    plugins = [(kind, f"{kind}_{number}") for kind in EVERY_KIND for number in (1, 2)]
    with project.watch() as run:
        for kind, name in plugins:
            project.save(f"{kind}s/{name}.py", source(kind))
            run.wait_for("created", plugin=name)
        for save in range(5):
            for kind, name in plugins:
                project.save(f"{kind}s/{name}.py", source(kind, f"save {save}"))
            for kind, name in plugins:
                run.wait_for("updated", plugin=name)
                assert server.content(kind, name) == source(kind, f"save {save}")
        run.stop()
        assert {name: run.deploys(name) for _, name in plugins} == {
            name: ["created", *["updated"] * 5] for _, name in plugins
        }
        times = [line["ms"] for line in run.of("updated")]
    assert {name: server.saves(kind, name) for kind, name in plugins} == {name: 6 for _, name in plugins}
    print(f"50 saves: median {statistics.median(times)} ms, slowest {max(times)} ms")
    assert statistics.median(times) < 1000


def test_chat_150_ms_later_runs_the_new_code(project: Project, server: Server) -> None:
    fresh = 0
    with project.watch() as run:
        project.save("parrot.py", source(mark="save 0"))
        run.wait_for("created", plugin="parrot")
        assert "parrot" in server.models()
        for save in range(1, 51):
            project.save("parrot.py", source(mark=f"save {save}"))
            threading.Event().wait(0.15)  # what is measured, not a wait for something
            fresh += server.chat("parrot") == f"save {save}"
            run.wait_for("updated", plugin="parrot")
        run.stop()
        assert run.deploys("parrot") == ["created", *["updated"] * 50]
        times = [line["ms"] for line in run.of("updated")]
    print(f"{fresh} of 50 chats new; median {statistics.median(times)} ms, slowest {max(times)} ms")
    assert fresh >= 48


MARK_ITSELF = """import os
with open({marker!r}, "a") as marker:
    marker.write(f"{{os.getpid()}} {{__name__}}\\n")
"""


def test_owui_watch_never_runs_a_plugin_itself(project: Project, server: Server) -> None:
    marker = project.folder / "marker"
    top = MARK_ITSELF.format(marker=str(marker))
    with project.watch() as run:
        for kind in EVERY_KIND:
            for save in ("one", "two"):
                project.save(f"{kind}_marks.py", source(kind, save, top=top))
                run.wait_for("created" if save == "one" else "updated", plugin=f"{kind}_marks")
        for name, more in (("syntax", "x = (1,\n"), ("fails", "raise ValueError\n"), ("exits", "raise SystemExit\n")):
            project.save(f"{name}.py", source(Kind.PIPE, top=top) + more)
            run.wait_for("rejected", plugin=name)
        project.save("helper.py", top)
        run.wait_for("skipped", path="plugins/helper.py")
        processes = {int(line.split()[0]) for line in marker.read_text().splitlines()}
        assert run.pid not in processes
        assert processes == {server.pid}
