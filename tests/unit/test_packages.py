"""The docstring of a package leads through its modules."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import owui_watch

ROOT = Path(owui_watch.__file__).parent


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
