"""Any text as a literal, and back; the server finds nothing in it to replace."""

from __future__ import annotations

import ast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from owui_watch.plugins.bundle.string_literals import block_literal, line_literal, literal_value
from owui_watch.plugins.source import rewritten

_PIECES = [
    "'",
    '"',
    "'''",
    '"""',
    "\\",
    "\n",
    "\r",
    "\r\n",
    "from utils",
    "from config",
    "from  main",
    "x",
    "é",
    "\x0c",
    "\u2028",
]
TEXTS = st.lists(st.sampled_from(_PIECES), max_size=12).map("".join) | st.text(
    st.characters(codec="utf-8", exclude_characters="\0")
)


@given(TEXTS)
@example("\\'")
@example("'''\\'")
def test_a_text_comes_back(text: str) -> None:
    for literal in (block_literal(text), line_literal(text)):
        assert eval(literal) == text
        assert literal_value(ast.parse(literal, mode="eval").body) == text
        assert rewritten(literal) == literal


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("x = 1\n", "r'''\nx = 1\n'''[1:]"),
        ("x = '''a'''\n", "r\"\"\"\nx = '''a'''\n\"\"\"[1:]"),
        ("a\\b\n", "r'''\na\\b\n'''[1:]"),
        ("'''\"\"\"\\\n", "'''\n''\\'\"\"\"\\\\\n'''[1:]"),
        ("from utils\n", "'''\nfrom\\x20utils\n'''[1:]"),
        ("a\r\nb\r\n", "r'''\na\nb\n'''[1:].replace(\"\\n\", \"\\r\\n\")"),
        ("a\rb", "'''\na\\rb'''[1:]"),
    ],
)
def test_what_a_person_reads(text: str, literal: str) -> None:
    assert block_literal(text) == literal


def test_other_expressions_are_no_literals() -> None:
    for code in ("f'{x}'", "open('x').read()", "'a'[2:]", "'a'.replace('b', 'c')", "1"):
        assert literal_value(ast.parse(code, mode="eval").body) is None
