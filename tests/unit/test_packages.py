"""How the files are laid out: a package's docstring leads through its modules, classes group tests with short names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import owui_watch

ROOT = Path(owui_watch.__file__).parent
TESTS = Path(__file__).parents[1]
MOST_WORDS = 8
MOST_WITHOUT_CLASS = 8
"""Tests of a file with one subject, which needs no class."""


def names(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


class TestDocstring:
    @pytest.mark.parametrize(
        "package",
        [
            *("cli", "concurrency", "deployer", "files", "openwebui", "plugins", "plugins/bundle", "reporting"),
            *("runtime", "runtime/call", "runtime/server_log", "sandbox", "sandbox/in_server", "settings", "state"),
            "watcher",
        ],
    )
    def test_names_every_module(self, package: str) -> None:
        text = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(text)) or ""
        modules = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
        assert {module for module in modules if f"``{module}``" not in docstring} == set()


class TestFileOfTests:
    def test_has_short_names_and_all_classes_or_none(self) -> None:
        unfit = []
        for path in TESTS.rglob("test_*.py"):
            body = ast.parse(path.read_text("utf-8")).body
            flat = list(names(body))
            grouped = [name for node in body if isinstance(node, ast.ClassDef) for name in names(node.body)]
            unfit += [f"{path.name}: {name}" for name in flat + grouped if name.count("_") > MOST_WORDS]
            if flat and (grouped or len(flat) > MOST_WITHOUT_CLASS):
                unfit.append(f"{path.name}: put all tests into classes")
        assert unfit == []
