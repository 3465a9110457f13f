"""The header and the content, read as the server reads them: compared with its own code."""

from __future__ import annotations

import ast
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from owui_watch.plugins.frontmatter import field_line, header_diagnostics, parse_header
from owui_watch.plugins.model import Diagnostic, Severity
from owui_watch.plugins.source import digest, rewritten
from owui_watch.sandbox.environ import server_environ
from owui_watch.sandbox.packages import cache_folder, install, make_venv

_ASKED = """
import json, sys
from open_webui.utils.plugin import extract_frontmatter, replace_imports
rules = {"header": extract_frontmatter, "content": replace_imports}
for line in sys.stdin:
    rule, text = json.loads(line)
    print(json.dumps(rules[rule](text)), flush=True)
"""


class Rules:
    """Asks Open WebUI's own code."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def header(self, content: str) -> dict[str, str]:
        answer: dict[str, str] = self._ask("header", content)
        return answer

    def content(self, content: str) -> str:
        return str(self._ask("content", content))

    def _ask(self, rule: str, text: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([rule, text]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def rules(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rules]:
    """The functions of the newest server, in one process of their own."""
    installed = install(request.config.getoption("--openwebui"), cache_folder(), print)
    folder = tmp_path_factory.mktemp("rules")
    no_start = {"ENABLE_DB_MIGRATIONS": "false", "OFFLINE_MODE": "true"}
    python = make_venv(installed, folder / "venv")
    environ = server_environ(folder, python, email="", password="", secret="x", extra=no_start)
    for name in ("open-webui", "static"):
        (folder / name).mkdir()
    with subprocess.Popen(
        [str(python), "-c", _ASKED],
        env=environ,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asked = Rules(process)
        asked.content("the first answer waits for all its imports")
        yield asked


LINES = st.one_of(
    st.sampled_from(
        [
            '"""',
            ' """ ',
            '"""title: here',
            "'''",
            "title: My Filter",
            "  Title :  spaced",
            "title:",
            "TITLE: loud",
            "version: 1.2.3",
            "description: a: b: c",
            "requirements: a>=1,<2, b[x,y]",
            "k2: digit",
            "a-b: dash",
            "https://example.com",
            "ſ: long s",
            "\ufefftitle: mark",
            "# a comment",
            "",
        ]
    ),
    st.text(max_size=20),
)
HEADERS = st.builds(
    lambda start, lines, end: start + end.join(lines),
    st.sampled_from(["", '"""\n', ' """\r\n', '"""\r', '\ufeff"""\n', '\n"""\n', '"""\x0b', '"""\u2028']),
    st.lists(LINES, max_size=12),
    st.sampled_from(["\n", "\r\n", "\r", "\x0c", "\u2028", "\x1c"]),
)
CODE = st.lists(
    st.one_of(
        st.sampled_from(["from ", "utils", "apps", "main", "config", "parser", "open_webui.", " ", "\n", "\r\n", "\t"]),
        st.text(max_size=6),
    ),
    max_size=20,
).map("".join)


def diagnostics(content: str) -> list[Diagnostic]:
    return list(header_diagnostics(content, ast.parse(content)))


class TestServersRules:
    @settings(max_examples=600)
    @given(HEADERS)
    @example('"""\ntitle: x\ntitle: y\n"""\ntitle: z\n')
    @example('"""\ntitle: text """ and more\nversion: 1\n"""')
    @example('"""\nİtitle: dotted\nK: kelvin\n')
    def test_header_is_read_alike(self, rules: Rules, content: str) -> None:
        assert parse_header(content) == rules.header(content)

    @settings(max_examples=600)
    @given(CODE)
    @example("from  utils import a\nfrom utils_of_mine import b\nyield from main()\n'from config'")
    @example("from from utils from open_webui.utils from mainfrom config")
    def test_content_is_rewritten_alike(self, rules: Rules, content: str) -> None:
        assert rewritten(content) == rules.content(content)


class TestDigest:
    @given(CODE)
    def test_is_the_same_after_rewriting(self, content: str) -> None:
        assert rewritten(rewritten(content)) == rewritten(content)
        assert digest(rewritten(content)) == digest(content)

    @pytest.mark.parametrize(
        ("one", "other"), [("a = 1\n", "a = 1"), ("a\n", "a\r\n"), ("from utils", "from utilsx"), ("", " ")]
    )
    def test_differs_with_the_content(self, one: str, other: str) -> None:
        assert digest(one) != digest(other)


class TestFieldLine:
    @given(HEADERS)
    def test_is_the_line_of_the_value(self, content: str) -> None:
        lines = content.splitlines()
        for name, value in parse_header(content).items():
            number = field_line(content, name)
            assert number is not None
            assert lines[number - 1].strip().startswith(f"{name}:")
            assert lines[number - 1].strip().endswith(value)
        assert field_line(content, "nothing") is None


class TestUnreadHeader:
    @pytest.mark.parametrize(
        ("content", "first"),
        [
            ('"""title: Mine\nversion: 1\n"""\n', '"""title: Mine'),
            ("'''\ntitle: Mine\n'''\n", "'''"),
            ('\n"""\ntitle: Mine\n"""\n', '"""'),
            ('# a comment\n"""\ntitle: Mine\n"""\n', '"""'),
            ('#!/usr/bin/env python\n"""\nrequirements: numpy\n"""\n', '"""'),
            ('r"""\r\ntitle: Mine\r\n"""\r\n', 'r"""'),
        ],
    )
    def test_is_a_warning_at_its_line(self, content: str, first: str) -> None:
        assert diagnostics(content) == [
            Diagnostic(
                "Open WebUI will not read this header (title, version, requirements …)",
                line=content.splitlines().index(first) + 1,
                column=1,
                source=first,
                hint='make the first line of the file exactly """ and put the fields on the lines below it',
                severity=Severity.WARNING,
                rule="header",
            )
        ]


class TestGoodHeader:
    @pytest.mark.parametrize(
        "content",
        [
            '"""\ntitle: Mine\n"""\n',
            '  """  \ntitle: Mine\n"""\n'.lstrip(),
            '"""Only words: nothing that looks like a field."""\n',
            "import os\n",
            '"""\nrequirements: numpy>=1, pandas[excel], x==1; python_version < "3.12"\n"""\n',
            '"""\nrequirements: numpy,\n"""\n',
            '"""\nrequirements:\n"""\n',
            '"""\ntitle: x\nTitle: y\nHow To: use it\nLICENSE: MIT\n"""\n',
            '"""\nrequirements: a @ https://x.y/z.whl, b ; python_version < "3.12", c >= 1, d [e], git+https://x.y/z\n"""\n',
            '"""\nrequirements: numpy\nSome words on it.\nOne\n"""\n',
            '"""\nrequirements: numpy,\n\npandas\n"""\n',
            '"""\nrequirements:\n  version: 1\n"""\n',
            '"""\nrequirements:\nNeeds no more than that.\n"""\n',
            '"""\n  requirements: numpy\n  words\n"""\n',
        ],
    )
    def test_has_no_warning(self, content: str) -> None:
        assert diagnostics(content) == []


class TestRequirements:
    @pytest.mark.parametrize(
        ("requirements", "broken", "column"),
        [
            ("numpy>=1,<2", "<2", 24),
            ("pandas[excel,html]", "pandas[excel", 15),
            ("a, b[x, y]>=1", "b[x", 18),
            ("a,, b~=1,!=1.5", "!=1.5", 24),
        ],
    )
    def test_comma_inside_one_is_a_warning(self, requirements: str, broken: str, column: int) -> None:
        content = f'"""\ntitle: Mine\nrequirements: {requirements}\n"""\n'
        assert diagnostics(content) == [
            Diagnostic(
                f"Open WebUI splits requirements at every comma, so pip will be given “{broken}”",
                line=3,
                column=column,
                source=f"requirements: {requirements}",
                hint="use one bound per package (name>=1) and one extra at most (name[extra])",
                severity=Severity.WARNING,
                rule="header",
            )
        ]

    @pytest.mark.parametrize("requirements", ["[httpx, numpy]", "[httpx]", "['httpx', 'numpy>=1,<2']", "[httpx,"])
    def test_brackets_around_all_are_a_warning(self, requirements: str) -> None:
        [found] = diagnostics(f'"""\ntitle: Mine\nrequirements: {requirements}\n"""\n')
        assert found.error == "Open WebUI takes the brackets as a part of the requirements"
        assert found.hint == "write the packages without brackets, with commas between"

    def test_last_line_counts(self) -> None:
        content = '"""\nrequirements: a>=1,<2\nrequirements: b>=1\n"""\n'
        assert diagnostics(content) == []
        content = '"""\nrequirements: b>=1\nrequirements: a>=1,<2\n"""\n'
        assert [diagnostic.line for diagnostic in diagnostics(content)] == [3]

    @pytest.mark.parametrize(
        ("requirements", "broken", "column"),
        [
            ("a b", "a b", 15),
            ("x, numpy==1.0 pandas>=2", "numpy==1.0 pandas>=2", 18),
            ("a[x] >= 1 b", "a[x] >= 1 b", 15),
        ],
    )
    def test_blank_between_two_is_a_warning(self, requirements: str, broken: str, column: int) -> None:
        content = f'"""\ntitle: Mine\nrequirements: {requirements}\n"""\n'
        assert diagnostics(content) == [
            Diagnostic(
                f"Open WebUI splits requirements only at commas, so pip will be given “{broken}”",
                line=3,
                column=column,
                source=f"requirements: {requirements}",
                hint="put a comma between two packages",
                severity=Severity.WARNING,
                rule="header",
            )
        ]

    @pytest.mark.parametrize(
        ("requirements", "following"),
        [
            ("a,", "b"),
            ("a,", "  b>=1, c[d]"),
            ("a", "    b==1.0"),
            ("", "  numpy"),
            ("", "- numpy>=1"),
            ("a,", 'b; python_version < "3.12", c,'),
        ],
    )
    def test_second_line_is_a_warning_there(self, requirements: str, following: str) -> None:
        content = f'"""\nrequirements: {requirements}\n{following}\ntitle: Mine\n"""\n'
        assert diagnostics(content) == [
            Diagnostic(
                "Open WebUI reads requirements from one line, and this one is not part of it",
                line=3,
                column=len(following) - len(following.lstrip()) + 1,
                source=following,
                hint="put all requirements on one line, with commas between",
                severity=Severity.WARNING,
                rule="header",
            )
        ]

    @pytest.mark.parametrize("part", ["a", "a,", "a ", "a=", "a[", "a;", "-", " ", "a.-"])
    def test_endless_line_is_checked_fast(self, part: str) -> None:
        began = time.process_time()
        diagnostics(f'"""\nrequirements: {part * 20_000},\n{part * 20_000}!\n"""\n')
        assert time.process_time() - began < 2


class TestFieldNames:
    @pytest.mark.parametrize("name", ["Title", "VERSION", "Requirements", "Id"])
    def test_capitals_are_a_warning(self, name: str) -> None:
        content = f'"""\nauthor: me\n  {name}: 1\n"""\n'
        assert diagnostics(content) == [
            Diagnostic(
                f"Open WebUI reads no {name} from this line: it knows field names in small letters only",
                line=3,
                column=3,
                source=f"  {name}: 1",
                hint=f"write `{name.lower()}:`",
                severity=Severity.WARNING,
                rule="header",
            )
        ]
