"""Headers that the server does not read as they are meant: each gets a warning at its line."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest

from owui_watch.plugins.frontmatter import full_description, parse_header
from owui_watch.plugins.model import Diagnostic, Plugin
from owui_watch.plugins.reader import read_plugin

TOOL = "class Tools:\n    def add(self): ...\n"


def warnings(text: str) -> list[Diagnostic]:
    parsed = read_plugin(text.encode(), Path("/w/x.py"), PurePath("x.py"))
    assert isinstance(parsed, Plugin), parsed
    return [each for each in parsed.warnings if each.rule == "header"]


def the_warning(text: str) -> tuple[int | None, str, str | None]:
    [warning] = warnings(text)
    assert warning.line is not None
    assert warning.source == text.splitlines()[warning.line - 1]
    return warning.line, warning.error, warning.hint


class TestPlace:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ('from __future__ import annotations\n"""\ntitle: x\n"""\n', 2),
            ('from __future__ import annotations\n\n"""\nrequirements: httpx\n"""\n', 3),
            ('import os\n"""\ntitle: x\n"""\n', 2),
            ('"""Helps."""\n"""\ntitle: x\nversion: 1\n"""\n', 2),
            ("# title: x\n# version: 1\n", 1),
            ("#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\n#   Title: x\n", 4),
            ("# requirements: httpx\nimport httpx\n", 1),
            ("# author: me\n# version: 1\n", 1),
            ('\n"""\ntitle: x\n"""\n', 2),
            ("'''\ntitle: x\n'''\n", 1),
            ('"""\n\n"""\n"""\ntitle : x\n"""\n', 4),
        ],
    )
    def test_other_than_the_top_is_a_warning(self, text: str, line: int) -> None:
        assert the_warning(text + TOOL) == (
            line,
            "Open WebUI will not read this header (title, version, requirements …)",
            'make the first line of the file exactly """ and put the fields on the lines below it',
        )

    @pytest.mark.parametrize(
        "text",
        [
            "# author: me\n",
            "# A comment: with a colon\n",
            '"""Some words.\n\nUsage: call it\n"""\n',
            '"""\ntitle: x\n"""\n"""\ntitle: y\n"""\n',
            'x = """\ntitle: y\n"""\n',
            'def f():\n    """\n    title: y\n    """\n',
            "import os\n# title: x\n",
        ],
    )
    def test_of_other_text_is_none(self, text: str) -> None:
        assert warnings(text + TOOL) == []


class TestFields:
    @pytest.mark.parametrize("name", ["title", "version", "requirements", "Title"])
    @pytest.mark.parametrize("blanks", [" ", "  ", "\t"])
    def test_blank_before_the_colon_is_a_warning(self, name: str, blanks: str) -> None:
        text = f'"""\nauthor: me\n{name}{blanks}: x\n"""\n{TOOL}'
        error = "Open WebUI will not read this line: a blank stands before the colon"
        assert the_warning(text) == (3, error, f"write `{name.lower()}:`")

    @pytest.mark.parametrize("name", ["title", "version", "description", "requirements", "author"])
    @pytest.mark.parametrize("quote", ['"', "'"])
    def test_quoted_value_is_a_warning(self, name: str, quote: str) -> None:
        text = f'"""\nid: mine\n{name}: {quote}a value{quote}\n"""\n{TOOL}'
        assert the_warning(text) == (
            3,
            f"Open WebUI takes the quotes as a part of the {name}",
            f"write `{name}: a value`",
        )

    @pytest.mark.parametrize("value", ['"A" and "B"', "it's", "'", '"', "the 'best'"])
    def test_other_quotes_are_fine(self, value: str) -> None:
        assert warnings(f'"""\ntitle: {value}\n"""\n{TOOL}') == []

    @pytest.mark.parametrize(
        ("line", "column"),
        [("requirements: httpx  # note", 22), ("requirements: a, b # x, y", 20), ("version: 1.0 # beta", 14)],
    )
    def test_comment_in_a_value_is_a_warning(self, line: str, column: int) -> None:
        [warning] = warnings(f'"""\ntitle: x\n{line}\n"""\n{TOOL}')
        name = line.partition(":")[0]
        assert (warning.line, warning.column) == (3, column)
        assert warning.error == f"Open WebUI takes the comment as a part of the {name}"
        assert warning.hint == "put the comment on a line of its own"

    @pytest.mark.parametrize(
        "line", ["title: C # and more", "requirements: git+https://x.y/z#egg=z", "description: a # b"]
    )
    def test_other_hashes_are_fine(self, line: str) -> None:
        assert warnings(f'"""\n{line}\n"""\n{TOOL}') == []


class TestDescription:
    @pytest.mark.parametrize("mark", [">", "|", ">-", "|-", ">+", "|2", ">2-"])
    def test_block_is_a_warning(self, mark: str) -> None:
        text = f'"""\ntitle: x\ndescription: {mark}\n  One\n  two.\n"""\n{TOOL}'
        error = (
            f"Open WebUI reads one line only, so its description would be “{mark}”; "
            "owui-watch sends the text below it as the description"
        )
        assert the_warning(text) == (3, error, "put the whole description on this line")

    @pytest.mark.parametrize(
        ("lines", "text"),
        [
            ("description: >\n  One\n  two.\n\n  Three.\nversion: 1", "One two.\nThree."),
            ("description: |\n  One\n  two.\n\n  Three.\nversion: 1", "One\ntwo.\n\nThree."),
            ("description: >-\n    One\n      two.", "One two."),
            ("  description: >\n    One\n  version: 1", "One"),
            ("description: >\nversion: 1", ""),
            ("description: >", ""),
            ("description: > 5 dogs\n  One", "> 5 dogs"),
            ("description: plain", "plain"),
            ("description: old\ndescription: >\n  new", "new"),
            ("title: x", ""),
        ],
    )
    def test_block_is_folded(self, lines: str, text: str) -> None:
        assert full_description(f'"""\n{lines}\n"""\n{TOOL}') == text

    def test_server_itself_reads_the_mark(self) -> None:
        assert parse_header('"""\ndescription: >\n  One\n"""\n')["description"] == ">"

    def test_block_of_another_field_is_a_warning(self) -> None:
        text = f'"""\ntitle: >\n  Mine\n"""\n{TOOL}'
        assert the_warning(text)[1] == "Open WebUI reads one line only, so its title would be “>”"
