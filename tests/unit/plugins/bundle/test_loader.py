"""The loader of a bundle: several versions in one process, threads, failures, and what it leaves behind."""

from __future__ import annotations

import gc
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from types import ModuleType

import pytest

from owui_watch.plugins.bundle.bundle import BundleFile, Package, bundle, plugin_of_module
from owui_watch.plugins.bundle.loader import loader
from owui_watch.plugins.model import Kind, PluginKey, Space

KEY = PluginKey(Space.FUNCTIONS, "many")
MAIN = """
from dataclasses import dataclass
from .helper import NAME

@dataclass
class Row:
    name: str

class Pipe:
    def pipe(self, body):
        from .late import WORD
        return f"{NAME} {WORD}"

    def row(self):
        return Row(NAME)
"""


def text(name: str = "one", key: PluginKey = KEY, main: str = MAIN) -> str:
    files = (
        BundleFile("many/main.py", main, "many.main"),
        BundleFile("many/helper.py", f"NAME = {name!r}\n", "many.helper"),
        BundleFile("many/late.py", f"WORD = 'late {name}'\n", "many.late"),
    )
    return bundle(Package(files), key, Kind.PIPE)


def load(content: str) -> ModuleType:
    module = ModuleType("function_many")
    exec(content, module.__dict__)
    return module


def modules() -> set[str]:
    return {name for name in sys.modules if name.startswith(("owui_function_", "owui_tool_"))}


class TestVersions:
    def test_an_old_version_still_imports_late(self) -> None:
        old, new = load(text("one")), load(text("two"))
        assert (new.Pipe().pipe({}), old.Pipe().pipe({})) == ("two late two", "one late one")

    def test_an_old_versions_objects_can_be_pickled(self) -> None:
        old = load(text("one")).Pipe().row()
        load(text("two"))
        assert pickle.loads(pickle.dumps(old)) == old

    def test_only_the_newest_stays_in_sys_modules(self) -> None:
        for number in range(5):
            newest = load(text(str(number)))
            newest.Pipe().pipe({})
        assert {name.partition(".")[0] for name in modules()} == {newest.PACKAGE}
        assert len(modules()) == 5
        assert sum(type(finder).__name__ == "OwuiWatchModules" for finder in sys.meta_path) == 1

    def test_an_old_version_is_freed(self) -> None:
        load(text("zero"))  # its names are the ones that the finder lives in
        old = load(text("one"))
        package, finder = old.PACKAGE, old.finder
        load(text("two"))
        del old
        gc.collect()
        assert package not in finder.versions

    def test_same_content_again_gets_its_own_modules(self) -> None:
        first, second = load(text()), load(text())
        assert first.Pipe is not second.Pipe
        assert f"{first.PACKAGE}x" == second.PACKAGE
        assert (first.Pipe().pipe({}), second.Pipe().pipe({})) == ("one late one", "one late one")

    def test_other_plugins_stay(self) -> None:
        longer = PluginKey(Space.FUNCTIONS, "many_2")
        tool = PluginKey(Space.TOOLS, "many")
        others = [load(text("x", longer)), load(text("y", tool))]
        load(text("one"))
        load(text("two"))
        assert [plugin_of_module(name) for name in {each.PACKAGE for each in others}].count(None) == 0
        assert {each.PACKAGE for each in others} <= modules()


class TestFailures:
    def test_the_live_version_is_untouched(self) -> None:
        live = load(text("one"))
        live.Pipe().pipe({})
        before = modules()
        with pytest.raises(ZeroDivisionError):
            load(text("two", main=f"{MAIN}\n1 / 0\n"))
        assert modules() == before
        assert live.Pipe().pipe({}) == "one late one"

    def test_a_traceback_names_the_authors_file_and_line(self) -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            load(text(main="from . import helper\n\x0c\n1 / 0\n"))
        last = traceback.extract_tb(caught.value.__traceback__)[-1]
        assert (last.filename, last.lineno, last.line) == ("many/main.py", 3, "1 / 0")


class TestImportsDuringALoad:
    """A version that imports something while a newer one is loaded: its packages are still in ``sys.modules``."""

    LATE = "import gate\ngate.reached()\nWORD = 'late'\n"

    def old(self, late: str = LATE, main: str = MAIN) -> ModuleType:
        files = (
            BundleFile("many/main.py", main, "many.main"),
            BundleFile("many/helper.py", "NAME = 'old'\n", "many.helper"),
            BundleFile("many/late.py", late, "many.late"),
        )
        return load(bundle(Package(files, calls_import_module="importlib" in main), KEY, Kind.PIPE))

    def gate(self, reached: Callable[[], object]) -> None:
        sys.modules["gate"] = gate = ModuleType("gate")
        vars(gate)["reached"] = reached

    @pytest.mark.parametrize(
        "code",
        [
            "from .late import WORD",
            "from . import late; WORD = late.WORD",
            "import importlib; WORD = importlib.import_module('.late', __package__).WORD",
        ],
    )
    def test_while_the_module_runs(self, code: str) -> None:
        old = self.old(main=MAIN.replace("from .late import WORD", code))
        self.gate(lambda: load(text("new")))
        assert old.Pipe().pipe({}) == "old late"

    def test_between_its_package_and_its_own_search(self) -> None:
        old = self.old("WORD = 'late'\n")
        news = iter(["new", "newer"])

        class Other:
            def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
                if name.endswith(".late") and (new := next(news, None)) is not None:
                    load(text(new))

        sys.meta_path.insert(0, Other())
        assert old.Pipe().pipe({}) == "old late"

    def test_in_another_thread(self) -> None:
        old, running, loaded = self.old(), threading.Event(), threading.Event()

        def wait() -> None:
            running.set()
            loaded.wait(20)

        self.gate(wait)
        answers: list[str] = []
        thread = threading.Thread(target=lambda: answers.append(old.Pipe().pipe({})))
        thread.start()
        assert running.wait(20)
        load(text("new"))
        loaded.set()
        thread.join()
        assert answers == ["old late"]

    def test_it_leaves_with_the_next_load(self) -> None:
        old = self.old()
        self.gate(lambda: load(text("new")))
        old.Pipe().pipe({})
        assert {name.partition(".")[0] for name in modules()} >= {old.PACKAGE}
        newest = load(text("newest"))
        assert {name.partition(".")[0] for name in modules()} == {newest.PACKAGE}


class TestThreads:
    def test_many_load_at_once(self) -> None:
        answers, errors = [], []

        all_loaded = threading.Barrier(24, timeout=20)

        def run(name: str) -> None:
            try:
                pipe = load(text(name)).Pipe()
                all_loaded.wait()
                answers.append(pipe.pipe({}) == f"{name} late {name}")
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=run, args=(str(number % 3),)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert answers == [True] * 24


class TestLoader:
    def test_is_short(self) -> None:
        lines = map(str.strip, loader("Pipe", "many.main", libraries=False, calls=False, data=False).splitlines())
        assert len([line for line in lines if line and not line.startswith('"""')]) <= 40


class TestModuleName:
    @pytest.mark.parametrize(
        ("name", "plugin"),
        [
            ("owui_function_many_0123456789", KEY),
            ("owui_tool_my_rag_0123456789x.many.client", PluginKey(Space.TOOLS, "my_rag")),
            ("function_many", None),
            ("owui_function_many", None),
        ],
    )
    def test_says_which_plugin_it_is_of(self, name: str, plugin: PluginKey | None) -> None:
        assert plugin_of_module(name) == plugin
