"""Saves that can't work: each is refused with the place and the reason, and what is live goes on as it was."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Any

import pytest

from owui_watch.openwebui.releases import version_number
from owui_watch.plugins.model import Kind
from tests.live.conftest import Project, Watched
from tests.live.samples import source
from tests.live.server import Server

CHECKED = f"checked with Python {platform.python_version()}"
EXIT = "ends the Python process when it is loaded, and with it an older Open WebUI"
EXIT_HINT = 'remove it, or put it under `if __name__ == "__main__":`'
CLASS_HINT = "put its class back, or delete the file if the plugin is done with"
NO_ID = "can't be an id: Open WebUI allows only letters, digits and _, and no digit at the start"
NOWHERE_HINT = "add `requirements: nowhere` to the header, or install it where Open WebUI runs"
GOOD = source(version="1.1.0")


@dataclass(frozen=True)
class Broken:
    """A save that can't work, and what must be said of it. ``at`` is how the line begins that the rejection names."""

    name: str
    content: str
    stage: str
    error: str
    hint: str | None = None
    at: str | None = None
    column: int | None = None
    kind: Kind = Kind.PIPE
    encoding: str = "utf-8"


def in_constructor(statement: str) -> str:
    """Write a plugin whose constructor runs ``statement``."""
    return GOOD.replace("self.valves = self.Valves()", f"self.valves = self.Valves()\n        {statement}")


BROKEN = [
    Broken("colon", GOOD.replace("body):", "body)"), "check", "expected ':'", CHECKED, "def pipe", 25),
    Broken("parenthesis", f"{GOOD}\nx = (1,\n", "check", "'(' was never closed", CHECKED, "x = (1", 5),
    Broken("emptied", "", "check", "no plugin any more: the file is empty", CLASS_HINT),
    Broken(
        "no_class",
        GOOD.replace("class Pipe", "class Piep"),
        "check",
        "no plugin any more: no class named Pipe, Filter, Action, Event or Tools",
        CLASS_HINT,
    ),
    Broken(
        "undecodable",
        GOOD.replace("one", "\xe9"),
        "check",
        "not readable as text: 'utf-8' codec can't decode byte 0xe9 in position 224: invalid continuation byte",
        "save it as UTF-8, or name its encoding in a coding line",
        "return",
        17,
        encoding="latin-1",
    ),
    Broken(
        "nul_bytes",
        GOOD.replace("one", "\0"),
        "check",
        "NUL byte, which Python cannot compile",
        "save it as UTF-8 text",
        "return",
        17,
    ),
    Broken("sys_exit", f"{GOOD}\nimport sys\nsys.exit(1)\n", "check", EXIT, EXIT_HINT, "sys.exit(1)", 1),
    Broken("system_exit", f"{GOOD}\nraise SystemExit\n", "check", EXIT, EXIT_HINT, "raise SystemExit", 1),
    Broken(
        "bad_id",
        source(header="id: 3d-printer"),
        "check",
        f"“3d-printer” (id: in the header) {NO_ID}",
        "change that line",
    ),
    Broken(
        "bad_import",
        source(top="from nowhere.at_all import thing"),
        "server",
        "No module named 'nowhere'",
        NOWHERE_HINT,
        "from nowhere",
    ),
    Broken(
        "bad_tool_import",
        source(Kind.TOOL, top="import nowhere"),
        "server",
        "No module named 'nowhere'",
        NOWHERE_HINT,
        "import nowhere",
        kind=Kind.TOOL,
    ),
    Broken(
        "rewritten_import",
        source(top="from configparser import ConfigParser"),
        "server",
        "No module named 'open_webui.configparser'",
        "Open WebUI turns `from configparser` into `from open_webui.configparser`; "
        "`import configparser` stays as it is",
        "from configparser",
    ),
    Broken("raises", in_constructor("raise ValueError('no such luck')"), "server", "no such luck"),
    Broken(
        "asserts",
        in_constructor("assert False"),
        "server",
        "its code raised an exception without a message while the server loaded it",
        "a bare assert?",
    ),
    Broken("undefined", f"{GOOD}\nundefined_name\n", "server", "name 'undefined_name' is not defined"),
    Broken(
        "unfit_valves",
        source(valve="level: list[int] = []"),
        "server",
        "Current Valves are incompatible with this code: level: Input should be a valid list",
        "change the valve level in Open WebUI, or make the new code accept the old value",
        "level: list",
    ),
    Broken(
        "required_valve",
        source(valve="level: int"),
        "server",
        "1 validation error for Valves\nlevel\n  Field required [type=missing, input_value={}, input_type=dict]",
        "give Valves.level a default",
        "level: int",
    ),
    Broken(
        "requirements",
        source(header="requirements: ./no-such-wheel.whl"),
        "server",
        "pip could not install ./no-such-wheel.whl on the server",
        "see pip's output in the server's log",
        "requirements:",
    ),
    Broken(
        "hidden_exit",
        f"{GOOD}\ndef leave():\n    raise SystemExit\nleave()\n",
        "server",
        "the server fails (500) when it loads this code: does it call sys.exit() or raise SystemExit?",
    ),
]


def line_of(content: str, beginning: str | None) -> int | None:
    """Count lines up to the one that begins so."""
    numbers = (
        number for number, line in enumerate(content.splitlines(), 1) if line.strip().startswith(beginning or "")
    )
    return next(numbers) if beginning else None


class TestId:
    @pytest.mark.parametrize(
        ("name", "error"),
        [
            ("3d.py", f"“3d” (the file's name) {NO_ID}"),
            ("filters/main.py", "the file name main.py gives no id, and no folder above it does"),
        ],
    )
    def test_that_the_place_cannot_make_is_rejected(self, name: str, error: str, watched: Watched) -> None:
        before = watched.server.ids()
        path = watched.project.save(name, GOOD)
        rejected = watched.run.wait_for("rejected", path=f"plugins/{name}", stage="check")
        assert (rejected["error"], rejected["plugin"]) == (error, None)
        assert "add a line `id: my_plugin` to the header" in rejected["hint"]
        assert watched.server.ids() == before
        path.unlink()

    def test_of_two_files_rejects_both(self, watched: Watched) -> None:
        first = watched.create(Kind.PIPE, "twice")
        watched.project.save("other/twice.py", GOOD)
        hint = (
            'the two files are alike: ignore one of them (`ignore = ["other/"]`), or '
            "give one of them an id of its own: a line `id: other_name` in its header"
        )
        for path, other in (("plugins/other/twice.py", "twice.py"), ("plugins/twice.py", "other/twice.py")):
            rejected = watched.run.wait_for("rejected", path=path, plugin="twice", stage="check")
            assert (rejected["error"], rejected["hint"]) == (f"plugins/{other} has the same id, twice", hint)
        assert watched.server.content(Kind.PIPE, "twice") == source(version="1.0.0")
        first.unlink()
        watched.run.wait_for("updated", plugin="twice", path="plugins/other/twice.py")
        assert watched.server.content(Kind.PIPE, "twice") == GOOD

    def test_may_be_one_functions_and_one_tools(self, watched: Watched) -> None:
        watched.project.save("pipes/same.py", source(Kind.PIPE))
        watched.project.save("tools/same.py", source(Kind.TOOL))
        watched.run.wait_for("created", plugin="same", kind="pipe")
        watched.run.wait_for("created", plugin="same", kind="tool")


class TestDoubtfulSave:
    @pytest.mark.parametrize(
        ("name", "content", "line", "error"),
        [
            (
                "unread_header",
                GOOD.replace('"""\n', '"""Mine.\n', 1),
                1,
                "Open WebUI will not read this header (title, version, requirements …)",
            ),
            (
                "commas",
                source(header="requirements: pydantic>=1,<99"),
                2,
                "Open WebUI splits requirements at every comma, so pip will be given “<99”",
            ),
            (
                "newer",
                source(header="required_open_webui_version: 99.0"),
                2,
                "it requires Open WebUI 99.0, but the server runs {}",
            ),
            ("older", source(version="0.9"), 2, "its version 0.9 is lower than the live one, 1.0.0"),
            (
                "rewrites",
                f"{GOOD}    def late(self):\n        from configparser import ConfigParser\n",
                17,
                "Open WebUI will turn `from configparser` into `from open_webui.configparser`, which fails",
            ),
        ],
    )
    def test_is_sent_with_a_warning(self, name: str, content: str, line: int, error: str, watched: Watched) -> None:
        path = watched.create(Kind.PIPE, name)
        path.write_text(content, "utf-8")
        warning = watched.run.wait_for("warning", plugin=name)
        assert (warning["error"], warning["line"]) == (error.format(watched.server.version), line)
        assert (warning["level"], warning["path"]) == ("warning", f"plugins/{name}.py")
        if name == "commas":  # pip can't make sense of it either
            watched.run.wait_for("rejected", plugin=name, stage="server")
        else:
            watched.run.wait_for("updated", plugin=name)


class TestBrokenSave:
    @pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
    def test_leaves_the_live_plugin_answering(self, broken: Broken, watched: Watched) -> None:
        server, run, kind, name = watched.server, watched.run, broken.kind, broken.name
        path = watched.create(kind, name, mark=f"good {name}")
        server.set_valves(kind, name, {"level": 7})
        before = server.plugin(kind, name)

        path.write_text(broken.content, broken.encoding)
        rejected = run.wait_for("rejected", path=f"plugins/{name}.py")

        number = line_of(broken.content, broken.at)
        expected: dict[str, Any] = {
            "level": "error",
            "plugin": name,
            "kind": kind.value,
            "stage": broken.stage,
            "line": number,
            "error": broken.error,
            "hint": broken.hint,
            "live": "1.0.0",
            "column": broken.column,
            "source": number
            and broken.content.splitlines()[number - 1].replace("\0", "\ufffd").replace("\xe9", "\ufffd"),
        }
        assert {field: rejected[field] for field in expected} == expected
        assert "already registered" not in run.told()
        assert server.plugin(kind, name) == before | {"updated_at": server.plugin(kind, name)["updated_at"]}
        if kind is Kind.PIPE:
            assert name in server.models()
            assert server.chat(name) == f"good {name}"
        assert run.deploys(name) == ["created", "rejected"]

        path.write_text(source(kind, "repaired", version="1.1.0"), "utf-8")
        assert run.wait_for("updated", plugin=name)["previous_version"] == "1.0.0"

    @pytest.mark.parametrize("kind", [Kind.PIPE, Kind.TOOL])
    def test_of_a_new_plugin_is_rejected_with_details(self, kind: Kind, watched: Watched) -> None:
        name = f"new_and_broken_{kind}"
        path = watched.project.save(f"{name}.py", source(kind, top="import nowhere"))
        rejected = watched.run.wait_for("rejected", plugin=name, stage="server", live=None)
        hides = (0, 10) <= version_number(watched.server.version) < (0, 12)
        said = "Open WebUI refused the plugin and gives no reason" if hides else "No module named 'nowhere'"
        assert rejected["error"].startswith(said)
        assert name not in watched.server.ids()
        assert "already registered" not in watched.run.told()
        path.write_text(source(kind), "utf-8")
        watched.run.wait_for("created", plugin=name)

    def test_on_a_terminal_names_path_and_line(self, project: Project, server: Server) -> None:
        with project.run("plugins/") as run:
            run.wait_for_text("watching")
            project.save("filters/tidy.py", source(Kind.FILTER, version="1.2.8"))
            run.wait_for_text("created")
            project.save("filters/tidy.py", source(Kind.FILTER, version="1.2.9") + "x = (1,\n")
            run.wait_for_text("is untouched")
            run.stop()
        _, _, after = run.told().partition("rejected  ")
        assert after.splitlines()[:6] == [
            "filter  tidy  '(' was never closed",
            "                            plugins/filters/tidy.py:17",
            "                              17 │ x = (1,",
            "                                 │     ^",
            f"                            {CHECKED}",
            "                            the live 1.2.8 is untouched",
        ]
        assert not any(escape in run.told() for escape in ("\x1b", "\r"))
