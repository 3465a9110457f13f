"""Which line an error comes from: named where it is certain, and not where it isn't."""

from __future__ import annotations

import pytest

from owui_watch.runtime.error_line import find_line

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
def test_the_line_that_the_text_can_only_come_from(error: str, line: int | None) -> None:
    assert find_line(PIPE, error) == line


def test_unparsable_file_has_no_such_line() -> None:
    assert find_line("class Pipe(\n", "name 'x' is not defined") is None
