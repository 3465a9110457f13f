"""What one save of a module costs that many plugins import: as much for each of them, however many they are."""

from __future__ import annotations

import ast
from cProfile import Profile
from pathlib import Path

import anyio
import pytest
import trio
from trio.testing import MockClock

import owui_watch
from owui_watch.plugins.bundle.module import read_module
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import Plugin
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.events import Created, Updated
from tests.unit.test_daemon import Bench, watching

HOME = str(Path(owui_watch.__file__).parent)
HELPER = "def text(body):\n    return body\n"


def dependent(name: str) -> str:
    return f'"""\ntitle: {name}\n"""\nfrom .shared.text import text\n\n\nclass Filter:\n    def inlet(self, body):\n        return text(body)\n'


def calls(profile: Profile) -> int:
    """Return how many calls of functions of the product ``profile`` has seen, and of others by them."""
    own = [
        entry
        for entry in profile.getstats()
        if not isinstance(entry.code, str) and entry.code.co_filename.startswith(HOME)
    ]
    return sum(entry.callcount + sum(call.callcount for call in entry.calls or ()) for entry in own)


async def calls_of_one_save(base: Path, plugins: int) -> tuple[float, float]:
    """Return the calls per plugin of a start that deploys this many plugins on one module, and of a save of that."""
    bench = Bench(base)
    (bench.root / "shared").mkdir()
    (bench.root / "shared/text.py").write_text(HELPER)
    for number in range(plugins):
        (bench.root / f"plugin{number}.py").write_text(dependent(f"Plugin {number}"))
    first, second = Profile(), Profile()
    first.enable()
    async with watching(bench, sync=True):
        await bench.wait_for(Created, plugins)
        first.disable()
        await anyio.sleep(1000)
        second.enable()
        bench.save("shared/text.py", HELPER + "# saved\n")
        await bench.wait_for(Updated, plugins)
        await anyio.sleep(10)
        second.disable()
    return calls(first) / plugins, calls(second) / plugins


class TestStorm:
    def test_cost_of_each_does_not_grow_with_number(self, tmp_path: Path) -> None:
        def measure(plugins: int) -> tuple[float, float]:
            (tmp_path / str(plugins)).mkdir()
            return trio.run(calls_of_one_save, tmp_path / str(plugins), plugins, clock=MockClock(autojump_threshold=0))

        few, many = measure(20), measure(80)
        assert many[0] < 1.15 * few[0], "a first deploy"
        assert many[1] < 1.15 * few[1], "a save"


class TestParsing:
    def test_is_remembered_for_a_tree_of_any_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        texts = [f"from . import module{number}\n" for number in range(2_000)]
        read = [read_module(text, frozenset()) for text in texts]
        monkeypatch.setattr(ast, "parse", lambda _: pytest.fail("it was parsed"))
        assert [read_module(text, frozenset()) for text in texts] == read

    def test_of_a_dependent_happens_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        helper = tmp_path / "shared/text.py"
        helper.parent.mkdir()
        helper.write_text(HELPER)
        for number in range(50):
            (tmp_path / f"plugin{number}.py").write_text(dependent(f"Dependent {number}"))
        tree = Tree([tmp_path], Ignore(), {}, tmp_path)
        assert tree.survey() == []
        for path in tree.dependents(helper):
            tree.refresh(path)
        parsed: list[str] = []
        original = ast.parse

        def counting(text: str) -> ast.Module:
            parsed.append(text)
            return original(text)

        saved = f"{HELPER}# saved here\n"
        helper.write_text(saved)
        with monkeypatch.context() as patched:
            patched.setattr(ast, "parse", counting)
            read = [tree.refresh(path, through=helper) for path in tree.dependents(helper)]
        assert all(isinstance(plugin, Plugin) and "# saved here" in plugin.content for plugin in read)
        assert parsed == [saved]
