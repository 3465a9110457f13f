"""Plugins of many files on a real server: what a chat and the server's own Python see of them."""

from __future__ import annotations

from pathlib import Path

from owui_watch.plugins.bundle.bundle import unbundle
from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.server import Server

MANY = 40
REDEPLOYS = 200


def write_many(project: Project, mark: str = "one") -> dict[str, Path]:
    """Write a pipe of 40 modules in three packages that imports a shared library."""
    files = {"shared/text.py": f'MARK = "{mark}"\n\n\ndef clip(text: str) -> str:\n    return text[:200]\n'}
    chain = ["client", "prompts", "tools"]
    modules = [f"{chain[number % 3]}/part{number}" for number in range(MANY - 5)]
    for number, module in enumerate(modules):
        following = modules[number + 1] if number + 1 < len(modules) else None
        name = f"value{number}"
        link = f"from ..{following.replace('/', '.')} import total as rest\n" if following else "rest = ()\n"
        files[f"pipes/many/{module}.py"] = f"{link}{name} = {number}\ntotal = ({name}, *rest)\n"
    files |= {f"pipes/many/{package}/__init__.py": "" for package in chain}
    files["pipes/many/__init__.py"] = ""
    files["pipes/many/main.py"] = f'''"""
title: Many
version: 1.0.0
"""
from __future__ import annotations

import pickle
from dataclasses import dataclass

from pydantic import BaseModel

import shared.text
from shared.text import clip

from .{modules[0].replace("/", ".")} import total


@dataclass
class Row:
    text: str
    other: Row | None = None


class Valves(BaseModel):
    row: Row | None = None


class Pipe:
    Valves = Valves

    def __init__(self):
        self.valves = self.Valves()

    def pipe(self, body):
        from .tools import late

        row = pickle.loads(pickle.dumps(Row(late.WORD)))
        modules = len([name for name in __import__("sys").modules if name.startswith("owui_")])
        return clip(f"{{shared.text.MARK}} {{len(total)}} {{sum(total)}} {{row.text}} {{__name__.partition('.')[2]}} {{modules}}")
'''
    files["pipes/many/tools/late.py"] = 'WORD = "late"\n'
    files["../owui-watch.toml"] = 'libraries = ["plugins/shared"]\n'
    return {name: project.save(name, text) for name, text in files.items()}


def answer(server: Server, model: str = "many") -> str:
    assert model in server.models()
    return server.chat(model, "hello")


class TestAPipeOfFortyModules:
    def test_a_save_of_any_file_is_live(self, project: Project, server: Server) -> None:
        paths = write_many(project)
        assert len([name for name in paths if name.endswith(".py") and name.startswith("pipes/")]) == MANY + 1
        with project.watch() as run:
            project.save("pipes/many/main.py", paths["pipes/many/main.py"].read_text() + "\n")
            created = run.wait_for("created", plugin="many")
            assert created["path"] == "plugins/pipes/many/main.py"
            assert answer(server).startswith("one 35 595 late many.main ")

            write = paths["shared/text.py"].write_text
            write(paths["shared/text.py"].read_text().replace("one", "two"))
            updated = run.wait_for("updated", plugin="many")
            assert updated["through"] == "plugins/shared/text.py"
            assert answer(server).startswith("two 35 595 late many.main ")

            late = paths["pipes/many/tools/late.py"]
            late.write_text('WORD = "later"\n')
            assert run.wait_for("updated", plugin="many")["through"] == "plugins/pipes/many/tools/late.py"
            assert answer(server).startswith("two 35 595 later many.main ")
            assert run.of("skipped") == []
        content = unbundle(server.content(Kind.PIPE, "many"))
        assert content is not None
        assert {section.name for section in content.sections} == {
            name if name.startswith("shared/") else name.removeprefix("pipes/")
            for name in paths
            if name.endswith(".py")
        }


class TestManyRedeploys:
    def test_the_servers_modules_do_not_grow(self, project: Project, server: Server) -> None:
        paths = write_many(project)
        text = paths["pipes/many/tools/late.py"]
        with project.watch() as run:
            project.save("pipes/many/main.py", paths["pipes/many/main.py"].read_text() + "\n")
            run.wait_for("created", plugin="many")
            first = answer(server).rpartition(" ")[2]
            for number in range(REDEPLOYS):
                text.write_text(f'WORD = "late{number}"\n')
                run.wait_for("updated", plugin="many")
                if number % 50 == 0:
                    assert f" late{number} " in answer(server)
            assert answer(server).rpartition(" ")[2] == first


class TestAFilterAndAToolOnOneLibrary:
    def test_both_follow_it(self, project: Project, server: Server) -> None:
        project.save("../owui-watch.toml", 'libraries = ["shared"]\n')
        project.save(
            "../shared/models.py",
            "from pydantic import BaseModel, Field\n\n\nclass Query(BaseModel):\n    words: str = Field(description='what to look for')\n",
        )
        project.save("../shared/mark.py", 'MARK = "one"\n')
        pipe = "from shared.mark import MARK\n\n\nclass Pipe:\n    def pipe(self, body):\n        return MARK + ' ' + str(body['messages'][-1]['content'])\n"
        filter_text = "from shared import mark\n\n\nclass Filter:\n    def inlet(self, body):\n        body['messages'][-1]['content'] += f' filtered {mark.MARK}'\n        return body\n"
        tool = '"""\ntitle: Search\n"""\nfrom __future__ import annotations\n\nfrom shared.models import Query\nfrom shared.mark import MARK\n\n\nclass Tools:\n    def search(self, query: Query) -> str:\n        """\n        Search.\n        :param query: the words\n        """\n        return MARK\n'
        with project.watch("--global-new") as run:
            for name, text in (("filters/lens.py", filter_text), ("tools/search.py", tool), ("pipes/echo.py", pipe)):
                project.save(name, text)
                run.wait_for("created", plugin=Path(name).stem)
            assert answer(server, "echo") == "one hello filtered one"
            [spec] = server.plugin(Kind.TOOL, "search")["specs"]
            assert spec["name"] == "search"
            assert "words" in str(spec["parameters"])
            project.save("../shared/mark.py", 'MARK = "two"\n')
            for plugin in ("lens", "search", "echo"):
                assert run.wait_for("updated", plugin=plugin)["through"] == "shared/mark.py"
            assert answer(server, "echo") == "two hello filtered two"


class TestEquallyNamedHelpers:
    def test_each_plugin_has_its_own(self, project: Project, server: Server) -> None:
        with project.watch() as run:
            for name in ("first", "second"):
                project.save(f"pipes/{name}/helper.py", f'NAME = "{name}"\n')
                text = (
                    "class Pipe:\n    def pipe(self, body):\n        from .helper import NAME\n\n        return NAME\n"
                )
                project.save(f"pipes/{name}/main.py", text)
                run.wait_for("created", plugin=name)
            assert [answer(server, name) for name in ("first", "second", "first")] == ["first", "second", "first"]


class TestBrokenHelpers:
    def test_each_dependent_is_rejected_once_and_mended(self, project: Project, server: Server) -> None:
        with project.watch() as run:
            project.save("pipes/helper.py", 'NAME = "one"\n')
            for name in ("first", "second"):
                project.save(
                    f"pipes/{name}.py",
                    "from .helper import NAME\n\n\nclass Pipe:\n    def pipe(self, body):\n        return NAME\n",
                )
                run.wait_for("created", plugin=name)
            project.save("pipes/helper.py", 'NAME = "one"\nbroken = (\n')
            for name in ("first", "second"):
                rejected = run.wait_for("rejected", plugin=name)
                assert (rejected["path"], rejected["line"]) == ("plugins/pipes/helper.py", 2)
            (project.plugins / "pipes/helper.py").unlink()
            for name in ("first", "second"):
                rejected = run.wait_for("rejected", plugin=name)
                assert rejected["error"] == "no local module .helper: pipes has no helper.py"
                assert (rejected["path"], rejected["line"]) == (f"plugins/pipes/{name}.py", 1)
            project.save("pipes/helper.py", 'NAME = "two"\n')
            for name in ("first", "second"):
                run.wait_for("updated", plugin=name)
                assert answer(server, name) == "two"
            assert [len(run.of("rejected", plugin=name)) for name in ("first", "second")] == [2, 2]
            project.save("pipes/unused.py", "x = 1\n")
            assert run.wait_for("skipped")["reason"].endswith("and no plugin imports it")


class TestImportsByCall:
    def test_a_literal_name_is_followed_into_a_library(self, project: Project, server: Server) -> None:
        project.save("../owui-watch.toml", 'libraries = ["shared"]\n')
        project.save("../shared/word.py", 'WORD = "one"\n')
        late = "from importlib import import_module\n\n        return import_module('shared.word').WORD"
        with project.watch() as run:
            project.save("pipes/late.py", f"class Pipe:\n    def pipe(self, body):\n        {late}\n")
            run.wait_for("created", plugin="late")
            assert answer(server, "late") == "one"
            project.save("../shared/word.py", 'WORD = "two"\n')
            assert run.wait_for("updated", plugin="late")["through"] == "shared/word.py"
            assert answer(server, "late") == "two"


class TestModulesWithAPluginsClass:
    def test_only_the_plugin_that_imports_them_is_deployed(self, project: Project, server: Server) -> None:
        project.save("pipes/many/base.py", "class Pipe:\n    def pipe(self, body):\n        return self.WORD\n")
        project.save("pipes/many/main.py", "from .base import Pipe as Base\n\n\nclass Pipe(Base):\n    WORD = 'one'\n")
        with project.watch() as run:
            assert run.of("watching")[0]["plugins"] == 1
            project.save("pipes/many/base.py", "class Pipe:\n    def pipe(self, body):\n        return self.WORD * 2\n")
            assert run.wait_for("created")["plugin"] == "many"
            assert answer(server) == "oneone"
        assert server.ids() == {"many"}


class TestServerLog:
    HELPER = """import logging


def read(text):
    try:
        return {}[text]
    except KeyError:
        logging.getLogger(__name__).exception("it failed")
        return "done"
"""

    def test_an_error_is_in_the_helpers_file(self, project: Project, server: Server) -> None:
        project.save("pipes/many/helper.py", self.HELPER)
        main = "from .helper import read\n\n\nclass Pipe:\n    def pipe(self, body):\n        return read('x')\n"
        with project.watch("--server-log", str(server.log)) as run:
            project.save("pipes/many/main.py", main)
            run.wait_for("created", plugin="many")
            assert answer(server) == "done"
            raised = run.wait_for("raised", plugin="many")
            assert (raised["path"], raised["line"]) == ("plugins/pipes/many/helper.py", 6)
            assert raised["error"] == "KeyError: 'x'"


class TestPackageData:
    def test_a_save_of_it_is_live(self, project: Project, server: Server) -> None:
        with project.watch() as run:
            project.save("pipes/data/words.txt", "one")
            project.save("pipes/data/more/numbers.txt", "1")
            project.save(
                "pipes/data/helper.py",
                "import importlib.resources\n\nNUMBER = importlib.resources.files(__package__).joinpath('more/numbers.txt').read_text()\n",
            )
            text = "from pathlib import Path\nfrom .helper import NUMBER\n\n\nclass Pipe:\n    def pipe(self, body):\n        return (Path(__file__).parent / 'words.txt').read_text() + NUMBER\n"
            project.save("pipes/data/main.py", text)
            run.wait_for("created", plugin="data")
            assert answer(server, "data") == "one1"
            project.save("pipes/data/words.txt", "two")
            assert run.wait_for("updated", plugin="data")["through"] == "plugins/pipes/data/words.txt"
            assert answer(server, "data") == "two1"
