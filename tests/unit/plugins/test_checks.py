"""What the check finds in a file: each diagnostic in full, and the harmless forms that look like it."""

from __future__ import annotations

import platform
from pathlib import Path, PurePath

import pytest

from owui_watch.plugins.checks import check
from owui_watch.plugins.kinds import guess_kind
from owui_watch.plugins.model import BrokenPlugin, Diagnostic, Kind, NotPlugin, ParsedFile, Plugin, Severity
from owui_watch.plugins.reader import read_plugin
from owui_watch.plugins.source import lines_of, rewritten, source_line
from owui_watch.reporting.console import Excerpt, excerpt
from owui_watch.reporting.layout import source_lines

PIPE = "class Pipe:\n    def pipe(self): ...\n"
CHECKED = f"checked with Python {platform.python_version()}"
AS_UTF8 = "save it as UTF-8, or name its encoding in a coding line"
UNDER_MAIN = 'remove it, or put it under `if __name__ == "__main__":`'
ENDS = "ends the Python process when it is loaded, and with it an older Open WebUI"
NOT_BOUND = "no class named Pipe, Filter, Action, Event or Tools"
HEADER = '"""\ntitle: Mine\n"""\n'


def read(source: str | bytes) -> ParsedFile:
    raw = source if isinstance(source, bytes) else source.encode()
    return read_plugin(raw, Path("/w/mine.py"), PurePath("mine.py"))


def the_diagnostic(source: str | bytes) -> Diagnostic:
    """Return the one error of a plugin that is refused."""
    reading = read(source)
    assert isinstance(reading, BrokenPlugin), reading
    [diagnostic] = reading.diagnostics
    return diagnostic


def the_warning(source: str) -> Diagnostic:
    """Return the one warning of a plugin that is sent all the same."""
    reading = read(source)
    assert isinstance(reading, Plugin), reading
    [diagnostic] = reading.warnings
    return diagnostic


def sent(source: str | bytes) -> str:
    """Return what would be sent of a plugin without diagnostics."""
    reading = read(source)
    assert isinstance(reading, Plugin), reading
    assert reading.warnings == ()
    return reading.content


def why_not(source: str | bytes) -> str:
    reading = read(source)
    assert isinstance(reading, NotPlugin), reading
    return reading.reason


def shown(diagnostic: Diagnostic) -> list[str]:
    excerpts = excerpt(diagnostic.line, diagnostic.column, diagnostic.source)
    return [line for each in excerpts if isinstance(each, Excerpt) for line in source_lines(each, None)]


def kind_of(source: str) -> Kind | None:
    checked = check(source)
    assert checked.diagnostics == ()
    return checked.kind


class TestText:
    def test_bad_utf8_is_refused_at_its_place(self) -> None:
        diagnostic = the_diagnostic(PIPE.encode() + "# ä ".encode() + b"gr\xfcn\n")
        assert diagnostic == Diagnostic(
            "not readable as text: 'utf-8' codec can't decode byte 0xfc in position 43: invalid start byte",
            line=3,
            column=7,
            source="# ä gr\ufffdn",
            hint=AS_UTF8,
            rule="encoding",
        )
        assert shown(diagnostic) == ["  3 │ # ä gr\ufffdn", "    │       ^"]

    def test_bad_utf8_in_the_first_line(self) -> None:
        diagnostic = the_diagnostic(b"# gr\xfcn\r\n" + PIPE.encode())
        assert (diagnostic.line, diagnostic.column, diagnostic.source) == (1, 5, "# gr\ufffdn")
        assert "byte 0xfc in position 4" in diagnostic.error

    @pytest.mark.parametrize(
        ("raw", "error"),
        [
            (b"# coding: klingon\n", "unknown encoding: klingon"),
            (b"#!/usr/bin/python\n# coding: rot13\n", "'rot13' is not a text encoding"),
            (b"\xef\xbb\xbf# coding: latin-1\n", "encoding problem: utf-8"),
            (b"# coding: utf-7\nx = '+2AA-'\n", "surrogates not allowed"),
        ],
    )
    def test_bad_coding_line_is_refused(self, raw: bytes, error: str) -> None:
        diagnostic = the_diagnostic(raw + PIPE.encode())
        assert diagnostic.error.startswith("not readable as text: ")
        assert error in diagnostic.error
        assert diagnostic.line == raw.split(b"coding")[0].count(b"\n") + 1
        assert diagnostic.hint == AS_UTF8

    def test_bad_bytes_leave_the_id_readable(self) -> None:
        reading = read(b'"""\nid: other\n"""\n' + PIPE.encode() + b"# \xff\n")
        assert isinstance(reading, BrokenPlugin)
        assert reading.key is not None
        assert (reading.key.id, reading.kind) == ("other", Kind.PIPE)

    def test_coding_line_is_obeyed(self) -> None:
        source = "# -*- coding: latin-1 -*-\n" + PIPE + "# grün\n"
        assert sent(source.encode("latin-1")) == source

    def test_byte_order_mark_is_stripped(self) -> None:
        source = '"""\nid: other\n"""\n' + PIPE
        reading = read(b"\xef\xbb\xbf" + source.encode())
        assert isinstance(reading, Plugin)
        assert (reading.content, reading.id, reading.warnings) == (source, "other", ())

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_line_ends_are_kept(self, end: str) -> None:
        source = f'"""\nversion: 1\n"""\n{PIPE}'.replace("\n", end)
        assert sent(source) == source

    @pytest.mark.parametrize("raw", [b"", b" \r\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
    def test_empty_file_is_no_plugin(self, raw: bytes) -> None:
        assert why_not(raw) == "the file is empty"

    def test_nul_is_refused_at_its_place(self) -> None:
        diagnostic = the_diagnostic(PIPE.replace("\n", "\r\n") + 'x = "ä\0"\r\n')
        assert diagnostic == Diagnostic(
            "NUL byte, which Python cannot compile",
            line=3,
            column=7,
            source='x = "ä\0"',
            hint="save it as UTF-8 text",
            rule="encoding",
        )

    def test_lines_are_counted_as_editors_count(self) -> None:
        assert lines_of("a\nb\r\nc\rd\x0ce\u2028f") == ["a", "b", "c", "d\x0ce\u2028f"]
        assert [source_line("a\nb", number) for number in (None, 0, 1, 2, 3)] == [None, None, "a", "b", None]


class TestSyntax:
    @pytest.mark.parametrize(
        ("code", "error", "column", "caret"),
        [
            ("y = fix(1", "'(' was never closed", 8, "           ^"),
            ("x = 'ä'; y z", "invalid syntax", 12, "               ^"),
            ("x = 'äöü'; return 5", "'return' outside function", 12, "               ^"),
            ("await x", "'await' outside function", 1, "    ^"),
            ("break", "'break' outside loop", 1, "    ^"),
            (
                "x = 0777",
                "leading zeros in decimal integer literals are not permitted; use an 0o prefix",
                5,
                "        ^",
            ),
            ("def f(a, a): pass", "duplicate argument 'a' in function definition", None, None),
            ("'\\N{nope}'", "(unicode error) 'unicodeescape' codec can't decode", None, None),
            ("x = 'a", "unterminated string literal (detected at line 3)", 5, "        ^"),
            ("  x = 1", "unindent does not match any outer indentation level", None, None),
            ("from __future__ import nope", "from __future__ imports must occur at the beginning", 1, "    ^"),
        ],
    )
    def test_error_in_full(self, code: str, error: str, column: int | None, caret: str | None) -> None:
        diagnostic = the_diagnostic(PIPE + code + "\n")
        assert diagnostic.error.startswith(error)
        assert (diagnostic.line, diagnostic.source, diagnostic.hint) == (3, code, CHECKED)
        if column is not None:
            assert diagnostic.column == column
            assert shown(diagnostic) == [f"  3 │ {code}", f"    │ {(caret or '').removeprefix('    ')}"]

    def test_caret_after_tabs_and_in_long_lines(self) -> None:
        diagnostic = the_diagnostic(f"{PIPE}if x:\n\ty z\n")
        assert shown(diagnostic) == ["  4 │     y z", "    │       ^"]
        diagnostic = the_diagnostic(f"{PIPE}x = '{'a' * 300}'; y z + '{'b' * 300}'\n")
        line, caret = shown(diagnostic)
        assert line[caret.index("^")] == "z"
        assert len(line) < 220
        assert line.count("…") == 2

    def test_form_feeds_do_not_shift_the_line(self) -> None:
        diagnostic = the_diagnostic(f"{PIPE}\x0c\n# \u2028 \x0b\ny z\n")
        assert (diagnostic.line, diagnostic.source) == (5, "y z")

    def test_carriage_returns_end_lines(self) -> None:
        diagnostic = the_diagnostic(PIPE.replace("\n", "\r") + "y z\r")
        assert (diagnostic.line, diagnostic.column, diagnostic.source) == (3, 3, "y z")

    @pytest.mark.parametrize(
        "code",
        [
            "x = " + "-" * 90_000 + "1",
            "x = 1" + " + 1" * 90_000,
            "x = a" + ".b" * 90_000,
            "x = " + "f(" * 190 + ")" * 190 + "[0]" * 60_000,
            "if a:\n    pass\n" + "elif a:\n    pass\n" * 20_000,
        ],
    )
    def test_deep_nesting_is_refused(self, code: str) -> None:
        diagnostic = the_diagnostic(f"{PIPE}{code}\n")
        assert diagnostic.error == f"Python {platform.python_version()} cannot compile it: it is nested too deeply"
        assert diagnostic.hint == "simplify the file"

    @pytest.mark.parametrize("depth", [90, 400, 900, 1200, 2000])
    @pytest.mark.parametrize(
        "shape", ["if a:\n    pass\n{}", "if {}a:\n    pass\n", "a{}()\n", "x = {}1\n", "raise a{}\n"]
    )
    def test_no_depth_breaks_the_rules(self, shape: str, depth: int) -> None:
        part = {"if a:": "elif a:\n    pass\n", "if {}": "not ", "x = {": "-"}.get(shape[:5], ".b")
        reading = read(PIPE + shape.format(part * depth))
        assert isinstance(reading, Plugin | BrokenPlugin)

    def test_too_many_parentheses(self) -> None:
        diagnostic = the_diagnostic(f"{PIPE}x = {'(' * 300}\n")
        assert (diagnostic.error, diagnostic.line) == ("too many nested parentheses", 3)

    def test_nothing_is_run(self, capfd: pytest.CaptureFixture[str]) -> None:
        sent("print('I ran')\n1 / 0\n" + PIPE)
        assert capfd.readouterr() == ("", "")

    def test_compiler_warnings_are_not_shown(self, recwarn: pytest.WarningsRecorder) -> None:
        sent(f"{PIPE}x = '\\q'; assert (x, 1)\ny = x is 1\n")
        assert not recwarn.list


class TestExits:
    @pytest.mark.parametrize(
        ("before", "code"),
        [
            ("import sys\n", "sys.exit()"),
            ("import sys\n", "sys.exit(1)"),
            ("import sys as s\n", "s.exit()"),
            ("from sys import exit\n", "exit()"),
            ("from sys import exit as bye\n", "bye(0)"),
            ("", "exit()"),
            ("", "quit()"),
            ("import os\n", "os._exit(1)"),
            ("import os as o\n", "o._exit(1)"),
            ("import builtins\n", "builtins.exit()"),
            ("", "raise SystemExit"),
            ("", "raise SystemExit(2)"),
            ("", "raise SystemExit('x') from None"),
            ("import builtins\n", "raise builtins.SystemExit(2)"),
        ],
    )
    def test_every_form_is_refused(self, before: str, code: str) -> None:
        assert the_diagnostic(before + PIPE + code + "\n") == Diagnostic(
            ENDS, line=3 + before.count("\n"), column=1, source=code, hint=UNDER_MAIN, rule="exit"
        )

    @pytest.mark.parametrize(
        ("code", "line", "column"),
        [
            ("with open('x') as f:\n    sys.exit()\n", 5, 5),
            ("try:\n    sys.exit()\nfinally:\n    pass\n", 5, 5),
            ("try:\n    pass\nexcept Exception:\n    pass\nfinally:\n    sys.exit()\n", 9, 5),
            ("x = 'ä'; sys.exit()\n", 4, 10),
            ("x = sys.exit(1)\n", 4, 1),
            ("x: int = sys.exit(1)\n", 4, 1),
            ("class Helper:\n    sys.exit()\n", 5, 5),
            ("class Helper:\n    class Inner:\n        if True:\n            x = sys.exit()\n", 7, 13),
            ('if __name__ != "__main__":\n    sys.exit()\n', 5, 5),
            ('if __name__ == "__main__":\n    pass\nelse:\n    sys.exit()\n', 7, 5),
            ("if True:\n    sys.exit()\n", 5, 5),
            ("if not TYPE_CHECKING:\n    raise SystemExit\n", 5, 5),
        ],
    )
    def test_inside_what_always_runs_is_refused(self, code: str, line: int, column: int) -> None:
        diagnostic = the_diagnostic(f"import sys\n{PIPE}{code}")
        assert (diagnostic.error, diagnostic.line, diagnostic.column) == (ENDS, line, column)

    @pytest.mark.parametrize(
        "code",
        [
            'if __name__ == "__main__":\n    sys.exit()\n',
            "if sys.version_info < (3, 11):\n    sys.exit()\n",
            "try:\n    import numpy\nexcept ImportError:\n    sys.exit()\n",
            "try:\n    sys.exit()\nexcept SystemExit:\n    pass\n",
            "def main():\n    sys.exit()\n",
            "def exit():\n    pass\nexit()\n",
            "from mine import exit\nexit()\n",
            "exit = print\nexit()\n",
            "class SystemExit(Exception):\n    pass\ntry:\n    pass\nfinally:\n    pass\n",
            "import mine as sys\nsys.exit()\n",
            "class Helper:\n    def exit(self):\n        raise SystemExit\nHelper().exit\n",
            "exit\nsys.exit\n",
            "if False:\n    sys.exit()\n",
            'if __name__ != "__main__":\n    pass\nelse:\n    sys.exit()\n',
            "if x:\n    pass\nelse:\n    sys.exit()\n",
            "from contextlib import suppress\nwith suppress(SystemExit):\n    sys.exit()\n",
            "import contextlib\nwith open('x') as f, contextlib.suppress(SystemExit):\n    sys.exit()\n",
            "class Helper:\n    def exit(): ...\n    x = exit()\n",
            "def exit(): ...\nclass Helper:\n    x = exit()\n",
            "class Helper:\n    def leave(self):\n        sys.exit()\n",
            "leave = sys.exit\n",
            "x = (lambda: sys.exit())\n",
            "lambda: sys.exit()\n",
        ],
    )
    def test_that_may_not_run_is_accepted(self, code: str) -> None:
        sent(f"import sys\n{PIPE}{code}")


class TestRelativeImports:
    @pytest.mark.parametrize("kind", list(Kind))
    @pytest.mark.parametrize(
        "code", ["from .pk import {}", "from .pk import Other as {}, x", "try:\n    from . import {}\nexcept E: ..."]
    )
    def test_of_a_class_makes_no_plugin(self, kind: Kind, code: str) -> None:
        reason = f"{kind.class_name} is only imported, and the file has no header"
        assert why_not(code.replace("{}", kind.class_name) + "\n") == reason


class TestRewriting:
    @pytest.mark.parametrize(
        ("code", "module", "name", "column"),
        [
            ("from configparser import ConfigParser", "configparser", "ConfigParser", 1),
            ("from utils_of_mine.text import clean, fold", "utils_of_mine.text", "clean", 1),
            ("from mainframe import x", "mainframe", "x", 1),
            ("from apps2 import x", "apps2", "x", 1),
            ("def f():\n    from configparser import x", "configparser", "x", 5),
        ],
    )
    def test_broken_import_is_a_warning(self, code: str, module: str, name: str, column: int) -> None:
        assert the_warning(f"{PIPE}{code}\n") == Diagnostic(
            f"Open WebUI will turn `from {module}` into `from open_webui.{module}`, which fails",
            line=2 + len(code.splitlines()),
            column=column,
            source=code.splitlines()[-1],
            hint=f"write `import {module}` and use {module}.{name}",
            severity=Severity.WARNING,
            rule="rewritten-import",
        )

    @pytest.mark.parametrize(
        "code",
        [
            "from utils import x",
            "from utils.plugin import x",
            "from main import app",
            "from config import x",
            "import configparser",
            "def f():\n    from .configparser import x",
            "from open_webui.utils import x",
            "# from configparser import x",
            "'from configparser import x'",
        ],
    )
    def test_other_imports_are_fine(self, code: str) -> None:
        sent(f"{PIPE}{code}\n")

    @pytest.mark.parametrize(
        ("code", "name", "column"),
        [
            ("def f():\n    yield from configs()", "configs", 16),
            ("def f():\n    x = yield from main.rows(1)", "main", 20),
            ("def f():\n    'ä'; yield from config", "config", 21),
            ("def f():\n    raise ValueError('x') from config_error", "config_error", 32),
            ("def f():\n    raise ValueError(\n        'x'\n    ) from utils_error.cause", "utils_error", 12),
        ],
    )
    def test_broken_raise_and_yield_are_warnings(self, code: str, name: str, column: int) -> None:
        assert the_warning(f"{PIPE}{code}\n") == Diagnostic(
            f"Open WebUI will turn `from {name}` into `from open_webui.{name}`, which fails",
            line=2 + len(code.splitlines()),
            column=column,
            source=code.splitlines()[-1],
            hint=f"rename {name}, or put what follows `from` in parentheses",
            severity=Severity.WARNING,
            rule="rewritten-import",
        )

    @pytest.mark.parametrize(
        "code",
        [
            "yield from (configs())",
            "yield from  configs()",
            "yield from my.configs()",
            "yield from rows(config)",
            "raise ValueError('x') from (config_error)",
            "raise ValueError('x') from error",
            "raise ValueError('x') from None",
            "x = 1  # raise it from config",
        ],
    )
    def test_other_raise_and_yield_are_fine(self, code: str) -> None:
        content = sent(f"{PIPE}def f():\n    {code}\n")
        assert "#" in code or rewritten(content) == content


class TestKind:
    @pytest.mark.parametrize("kind", list(Kind))
    @pytest.mark.parametrize(
        "form",
        [
            "class My{}:\n    pass",
            "class Outer:\n    class {}:\n        pass",
            "def f():\n    class {}:\n        pass",
            "def f():\n    global {}\n    {} = 1",
            "{}: type",
            "{}.valves = 1",
            "{}[0] = 1",
            "x[{}] = 1",
            "print({})",
            "from {} import x",
            "import {}.x as y",
            "if TYPE_CHECKING:\n    from mine import {}",
            "if typing.TYPE_CHECKING and x:\n    from mine import {}",
            'if __name__ == "__main__":\n    {} = 1',
            'if "__main__" == __name__:\n    {} = 1',
            "if not TYPE_CHECKING:\n    pass\nelse:\n    from mine import {}",
            '"""\nclass {}:\n    pass\n"""',
        ],
    )
    def test_name_the_server_will_not_find_is_none(self, kind: Kind, form: str) -> None:
        assert kind_of(form.replace("{}", kind.class_name) + "\n") is None

    @pytest.mark.parametrize("definition", ["def event(self): ...", "async def event(self): ..."])
    def test_event_needs_its_method(self, definition: str) -> None:
        assert kind_of(f"class Event:\n    {definition}\n") is Kind.EVENT
        assert kind_of(f"class Event:\n    {definition}\nEvent.priority = 1\n") is Kind.EVENT

    def test_first_in_the_servers_order_decides(self) -> None:
        bodies = [f"class {kind.class_name}:\n    def {[*kind.called, 'x'][0]}(self): ...\n" for kind in Kind]
        assert list(Kind) == [Kind.PIPE, Kind.FILTER, Kind.ACTION, Kind.EVENT, Kind.TOOL]
        for number, kind in enumerate(Kind):
            assert kind_of("".join(bodies[number:])) is kind
            assert kind_of("".join(reversed(bodies[number:]))) is kind

    @pytest.mark.parametrize(
        ("code", "own", "kind", "line", "hint"),
        [
            (
                "from multiprocessing import Pipe\n",
                Kind.FILTER,
                Kind.PIPE,
                1,
                "import it under another name (`from multiprocessing import Pipe as …`)",
            ),
            (
                "try:\n    from a.b import x, Old as Filter\nexcept ImportError: ...\n",
                Kind.ACTION,
                Kind.FILTER,
                2,
                "import it under another name (`from a.b import Old as …`)",
            ),
            ("import pipes as Pipe\n", Kind.EVENT, Kind.PIPE, 1, "import it under another name (`import pipes as …`)"),
            ("import os\nPipe = os.pipe()\n", Kind.FILTER, Kind.PIPE, 2, "give it another name"),
            ("def Filter(): ...\n", Kind.ACTION, Kind.FILTER, 1, "give it another name"),
        ],
    )
    def test_import_that_the_server_takes_is_a_warning(
        self, code: str, own: Kind, kind: Kind, line: int, hint: str
    ) -> None:
        reading = read(f"{code}class {own.class_name}:\n    inlet = action = run\n    def event(self): ...\n")
        assert isinstance(reading, Plugin)
        assert reading.kind is kind
        [diagnostic] = reading.warnings
        assert diagnostic == Diagnostic(
            f"Open WebUI takes this {kind.class_name} for the plugin, and not the file's own class {own.class_name}",
            line=line,
            column=5 if code.startswith("try") else 1,
            source=code.splitlines()[line - 1],
            hint=hint,
            severity=Severity.WARNING,
            rule="other-kind",
        )

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("from qdrant_client.models import Filter\nclass Tools:\n    def add(self): ...\n", Kind.TOOL),
            (
                "from multiprocessing import Pipe\nfrom a import Action\nclass Tools:\n    def add(self): ...\n",
                Kind.TOOL,
            ),
            ("from langchain import Tools\nclass Filter(Base): ...\n", Kind.FILTER),
            ("from asyncio import Event\nclass Tools:\n    def add(self): ...\n", Kind.TOOL),
            ("from asyncio import Event\nclass Filter(Base): ...\n", Kind.FILTER),
            ("from qdrant_client.models import Filter\nclass Pipe(Base): ...\n", Kind.PIPE),
            ("from multiprocessing import Pipe as Connection\nclass Filter(Base): ...\n", Kind.FILTER),
            ("class Pipe: ...\nclass Filter(Base): ...\nPipe = traced(Pipe)\n", Kind.PIPE),
            ("if TYPE_CHECKING:\n    from multiprocessing import Pipe\nclass Filter(Base): ...\n", Kind.FILTER),
            ("def f():\n    from multiprocessing import Pipe\nclass Filter(Base): ...\n", Kind.FILTER),
        ],
    )
    def test_names_that_decide_nothing_are_fine(self, code: str, kind: Kind) -> None:
        assert kind_of(code) is kind

    @pytest.mark.parametrize(
        ("code", "line", "called", "first"),
        [
            ("class Pipe:\n    def pipes(self): ...\n", 1, "Pipe.pipe", "pipe"),
            ("class Action():\n    def run(self):\n        def action(): ...\n", 1, "Action.action", "action"),
            ("import os\nclass Filter:\n    pass\n", 2, "Filter.inlet or Filter.outlet or Filter.stream", "inlet"),
            (
                "class Filter:\n    class Inner:\n        def inlet(self): ...\n",
                1,
                "Filter.inlet or Filter.outlet or Filter.stream",
                "inlet",
            ),
        ],
    )
    def test_missing_method_is_a_warning(self, code: str, line: int, called: str, first: str) -> None:
        assert the_warning(HEADER + code) == Diagnostic(
            f"Open WebUI calls {called}, which this file does not define",
            line=line + 3,
            column=1,
            source=code.splitlines()[line - 1],
            hint=f"deployed anyway; add `def {first}(self, body)`",
            severity=Severity.WARNING,
            rule="missing-method",
        )

    @pytest.mark.parametrize(
        "code",
        [
            "class Filter:\n    def outlet(self): ...\n",
            "class Filter:\n    async def stream(self): ...\n",
            "class Filter:\n    if x:\n        def inlet(self): ...\n",
            "class Filter:\n    from mine import inlet\n",
            "class Pipe:\n    pipe = run\n",
            "class Pipe(Base): ...\n",
            "class Pipe(metaclass=Meta): ...\n",
            "@made\nclass Pipe: ...\n",
            "class Pipe: ...\nPipe.pipe = run\n",
            "class Pipe: ...\nsetattr(Pipe, 'pipe', run)\n",
            "class Pipe: ...\nPipe = made(Pipe)\n",
            "class Pipe:\n    def __init__(self):\n        self.pipe = self.run\n",
            "class Pipe:\n    def __getattr__(self, name): ...\n",
            "try:\n    from mine import Pipe\nexcept ImportError:\n    class Pipe: ...\n",
            "if x:\n    class Pipe: ...\nelse:\n    class Pipe:\n        def pipe(self): ...\n",
            "Pipe = make()\n",
            "class Tools: ...\n",
        ],
    )
    def test_possible_method_is_no_warning(self, code: str) -> None:
        sent(HEADER + code)


class TestNotPlugin:
    def test_pipeline(self) -> None:
        expected = "it is a plugin for a Pipelines server (class Pipeline), which Open WebUI itself does not load"
        assert why_not("class Pipeline:\n    pass\n") == expected
        assert why_not("from mine import Pipeline\n") == expected
        sent(PIPE + "class Pipeline:\n    pass\n")

    def test_module_without_class(self) -> None:
        assert why_not("x = 1\n") == NOT_BOUND
        assert why_not("# only a comment\n") == NOT_BOUND

    def test_rules_are_for_plugins_only(self) -> None:
        assert why_not("import sys\nfrom .pk import x\nfrom configparser import y\nsys.exit(x)\n") == NOT_BOUND

    def test_syntax_error_is_the_reason(self) -> None:
        reading = read("x = (\n")
        assert isinstance(reading, NotPlugin)
        assert reading.reason == "nothing in it looks like a plugin: '(' was never closed (line 1)"
        assert reading.diagnostic == Diagnostic("'(' was never closed", 1, 5, "x = (", CHECKED, rule="syntax")


class TestBroken:
    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("class Tools:\n  (", Kind.TOOL),
            ("class  Filter (Base):\nclass Tools:\n  (", Kind.FILTER),
            ("class Event(BaseModel):\n    x: int\nclass Tools:\n  (", Kind.TOOL),
            ("class Event:\n    async def event(self):\n  (", Kind.EVENT),
            ("class Event:\n  (", None),
            (" class Pipe:\n  (", None),
            ("class Pipes:\n  (", None),
            ("x\rclass Pipe:\r  (", Kind.PIPE),
        ],
    )
    def test_kind_is_guessed_from_lines(self, text: str, kind: Kind | None) -> None:
        assert guess_kind(text) is kind

    def test_all_errors_are_reported(self) -> None:
        reading = read_plugin(
            b'"""\nid: 3d\n"""\nimport sys\nclass Filter(Base): ...\nsys.exit()\nexit()\n',
            Path("/w/x.py"),
            PurePath("x.py"),
        )
        assert isinstance(reading, BrokenPlugin)
        assert (reading.key, reading.kind) == (None, Kind.FILTER)
        assert [diagnostic.error for diagnostic in reading.diagnostics] == [
            ENDS,
            ENDS,
            "“3d” (id: in the header) can't be an id: Open WebUI allows only letters, digits and _, and no digit at the start",
        ]
