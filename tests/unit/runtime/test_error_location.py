"""Which line an error comes from: named where it is certain, and not where it isn't."""

from __future__ import annotations

from pathlib import Path

import pytest

from owui_watch.runtime.error_location import find_place

MAIN, HELPER = Path("main.py"), Path("helper.py")
PIPE = """\
import json
import missing.part
from other import thing


class Pipe:
    def pipe(self, body):
        if not body["model"]:
            raise ValueError(f"no model for {body}, sorry")
        if body.get("x"):
            raise KeyError("x")
        return undefined + self.nothing / body["count"]
"""


class TestLineOfAnError:
    @pytest.mark.parametrize(
        ("error", "line"),
        [
            ("name 'undefined' is not defined", 12),
            ("'Pipe' object has no attribute 'nothing'", 12),
            ("'model'", 8),
            ("'count'", 12),
            ("division by zero", 12),
            ("no model for {'a': 1}, sorry", 9),
            ("No module named 'missing'", 2),
            ("No module named 'other'", 3),
            ("Pipe.pipe() missing 1 required positional argument: 'body'", 7),
            ("name 'body' is not defined", None),
            ("'nowhere'", None),
            ("something else", None),
            ("", None),
        ],
    )
    def test_is_the_only_one_its_text_fits(self, error: str, line: int | None) -> None:
        place = find_place({MAIN: PIPE}, error)
        assert place == (line and (MAIN, line, PIPE.splitlines()[line - 1]))

    def test_is_unknown_in_a_file_with_syntax_errors(self) -> None:
        assert find_place({MAIN: "class Pipe(\n"}, "name 'x' is not defined") is None

    @pytest.mark.parametrize(
        ("helper", "path"),
        [
            ("def read():\n    raise ValueError('it is not there')\n", HELPER),
            ("x = 1\n", None),
            ("broken(\n", None),
            ("def read():\n    raise ValueError('no model for you, sorry')\n", None),
        ],
    )
    def test_may_be_in_a_helper(self, helper: str, path: Path | None) -> None:
        error = "it is not there" if "not there" in helper else "no model for you, sorry"
        place = find_place(
            {MAIN: PIPE if path is None and "sorry" in helper else "import helper\n", HELPER: helper}, error
        )
        assert (place and place[0]) == path
