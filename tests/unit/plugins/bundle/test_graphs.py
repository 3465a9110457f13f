"""Random packages: a bundle behaves as the package does when Python imports it."""

from __future__ import annotations

import importlib
import itertools
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from owui_watch.plugins.bundle.bundle import bundle, unbundle
from owui_watch.plugins.bundle.collect import Reach, reach
from owui_watch.plugins.bundle.local_files import Scope
from owui_watch.plugins.model import Kind, PluginKey, Space
from owui_watch.plugins.source import rewritten

_NUMBERS = itertools.count()
_OWN = {"__builtins__", "__cached__", "__file__", "__loader__", "__path__", "__spec__"}
_PLACES = ("main", "client", "config", "tools.__init__", "tools.text", "tools.deep.late", "__init__", "data.rows")


@st.composite
def packages(draw: st.DrawFn) -> dict[str, str]:
    """Files of a package by their paths, ``main.py`` among them, that import each other at random."""
    chosen = draw(st.sets(st.sampled_from(_PLACES[1:]), min_size=2))
    places = sorted({"main", *chosen})
    files = {f"{place.replace('.', '/')}.py": _source(draw, place, places) for place in places}
    # A folder without __init__.py whose parent package once failed to load is a KeyError in CPython's namespace paths.
    return files | ({"tools/deep/__init__.py": ""} if "tools.deep.late" in places else {})


def _source(draw: st.DrawFn, place: str, places: Sequence[str]) -> str:
    lines = [
        draw(st.sampled_from(["", "from __future__ import annotations", "# from utils import x", "'''\n\\\"\"\"'''"]))
    ]
    fewest = 1 if place == "main" else 0
    imports = draw(
        st.lists(st.sampled_from([each for each in places if each != place]), min_size=fewest, max_size=3, unique=True)
    )
    statements = [_import(draw, place, other, number) for number, other in enumerate(imports)]
    late = draw(st.integers(0, len(statements)))
    late += sum("import *" in statement for statement in statements[late:]) and len(statements)
    lines += statements[:late]
    lines += [
        f"value_{place.replace('.', '_')} = {draw(st.integers(0, 9))}",
        "class Thing:",
        "    pass",
        "def boom():",
        *(f"    {line}" for statement in statements[late:] for line in statement.splitlines()),
        "    raise ValueError(__name__.rpartition('.')[2])",
    ]
    if place == "main":
        lines += ["class Pipe:", "    def pipe(self, body):", "        return 'live'"]
    return "\n".join(lines) + draw(st.sampled_from(["\n", "", "\n\n# end"]))


def _import(draw: st.DrawFn, place: str, other: str, number: int) -> str:
    """Write an import of module ``other`` in module ``place``."""
    depth = place.count(".") + 1
    target = other.removesuffix("__init__").removesuffix(".")
    folder, _, name = target.rpartition(".")
    dots = "." * depth
    if not target:
        return (
            f"from {dots} import Thing as thing_{number}"
            if draw(st.booleans())
            else f"from {dots} import boom as b{number}"
        )
    return draw(
        st.sampled_from(
            [
                f"from {dots}{folder} import {name} as m{number}",
                f"from {dots}{target} import Thing as thing_{number}",
                f"from {dots}{target} import *",
                f"try:\n    from {dots}{target} import Thing as T{number}\nexcept ImportError:\n    T{number} = None",
                f"import importlib\nm{number} = importlib.import_module('{dots}{target}', __package__)",
            ]
        )
    )


@contextmanager
def written(files: dict[str, str]) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        top = Path(folder).resolve() / f"many_{next(_NUMBERS)}"
        for name, text in files.items():
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, newline="")
        before = set(sys.modules)
        sys.path.insert(0, str(top.parent))
        try:
            yield top
        finally:
            sys.path.remove(str(top.parent))
            for name in set(sys.modules) - before:
                del sys.modules[name]


def reached(top: Path) -> Reach:
    entry = top / "main.py"
    return reach(entry, entry.read_text(), Scope((top.parent,), {}, lambda _: False))


def run(text: str) -> ModuleType:
    module = ModuleType("function_many")
    exec(text, module.__dict__)
    return module


def outcome(load: Any) -> ModuleType | str:
    try:
        return load()  # type: ignore[no-any-return]
    except Exception as error:
        return type(error).__name__


def described(module: ModuleType, prefix: str) -> dict[str, Any]:
    """What a module shows of itself, with its package's own name left out."""
    return {name: _described(value, prefix) for name, value in vars(module).items() if name not in _OWN}


def _described(value: object, prefix: str) -> object:
    match value:
        case ModuleType():
            return "module", value.__name__.removeprefix(prefix)
        case type():
            return "class", value.__module__.removeprefix(prefix), value.__qualname__
        case str():
            return value.removeprefix(prefix)
        case _ if callable(value):
            return "function", value.__module__.removeprefix(prefix), value.__code__.co_firstlineno  # type: ignore[attr-defined]
        case _:
            return repr(value)


def raised(module: ModuleType, folder: str) -> list[tuple[str, int | None, str, str]]:
    """Where ``boom`` raises: file, line, function and source line of each frame of the author's."""
    try:
        module.boom()
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        return [
            (frame.filename.removeprefix(folder), frame.lineno, frame.name, frame.line or "")
            for frame in frames
            if frame.filename.endswith(".py") and "many_" in frame.filename
        ]
    return []


class TestBehavesAsThePackage:
    @given(packages())
    @settings(suppress_health_check=[HealthCheck.too_slow])
    def test_names_modules_and_tracebacks(self, files: dict[str, str]) -> None:
        with written(files) as top:
            found = reached(top)
            assert found.package is not None
            text = bundle(found.package, PluginKey(Space.FUNCTIONS, "many"), Kind.PIPE)
            python = outcome(lambda: importlib.import_module(f"{top.name}.main"))
            server = outcome(lambda: run(text))
            if isinstance(python, str) or isinstance(server, str):
                event(f"fails {python}")
                assert python == server
                return
            event("loads")
            package = server.PACKAGE
            theirs = {name.removeprefix(f"{top.name}") for name in sys.modules if name.startswith(f"{top.name}")}
            ours = {
                name.removeprefix(f"{package}.{top.name}") for name in sys.modules if name.startswith(f"{package}.")
            }
            assert ours == theirs
            for name in theirs:
                expected = sys.modules[f"{top.name}{name}"]
                actual = sys.modules[f"{package}.{top.name}{name}"]
                assert described(actual, f"{package}.") == described(expected, "")
                if hasattr(expected, "boom"):
                    assert raised(actual, "") == raised(expected, f"{top.parent}/")

    @given(packages())
    def test_comes_apart_exactly(self, files: dict[str, str]) -> None:
        with written(files) as top:
            found = reached(top)
            assert found.package is not None
            text = bundle(found.package, PluginKey(Space.TOOLS, "many"), Kind.TOOL)
            assert rewritten(text) == text
            apart = unbundle(text)
            assert apart is not None
            assert apart.key == PluginKey(Space.TOOLS, "many")
            assert apart.sections[0].name == f"{top.name}/main.py"
            for section in apart.sections:
                assert section.text == found.files[section.name].read_bytes().decode()
                last = section.text.count("\n") + 1
                assert apart.place(section.first_line) == (section.name, 1)
                assert apart.place(section.first_line + last - 1) == (section.name, last)
