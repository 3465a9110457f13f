"""What a save is told before anything is sent: each fault in full, and the fine forms that look like it."""

from __future__ import annotations

import platform
from pathlib import Path, PurePath

import pytest

from owui_watch.plugins.checks import examine, guess_kind
from owui_watch.plugins.content import rewritten
from owui_watch.plugins.model import BrokenPlugin, Diagnostic, Kind, NotPlugin, ParsedFile, Plugin, Severity
from owui_watch.plugins.parsing import read_plugin
from owui_watch.plugins.source import decode, lines_of, source_line
from owui_watch.reporting.console import Excerpt, excerpt
from owui_watch.reporting.layout import source_lines

PIPE = "class Pipe:\n    def pipe(self): ...\n"
CHECKED = f"checked with Python {platform.python_version()}"
AS_UTF8 = "save it as UTF-8, or name its encoding in a coding line"
UNDER_MAIN = 'remove it, or put it under `if __name__ == "__main__":`'
ENDS = "ends the interpreter as soon as it is loaded, and with it an older Open WebUI"
NOT_BOUND = "its top level binds no Pipe, Filter, Action, Event or Tools"


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
    """Return what would be sent of a plugin without any fault."""
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


# Text


def test_bytes_that_are_no_utf8_are_refused_at_their_place() -> None:
    diagnostic = the_diagnostic(PIPE.encode() + "# ä ".encode() + b"gr\xfcn\n")
    assert diagnostic == Diagnostic(
        "not readable as text: 'utf-8' codec can't decode byte 0xfc in position 43: invalid start byte",
        line=3,
        column=7,
        source="# ä gr\ufffdn",
        hint=AS_UTF8,
    )
    assert shown(diagnostic) == ["  3 │ # ä gr\ufffdn", "    │       ^"]


def test_bytes_that_are_no_utf8_in_the_first_line_are_refused_at_their_place() -> None:
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
def test_a_coding_line_that_cannot_hold_is_refused_at_its_line(raw: bytes, error: str) -> None:
    diagnostic = the_diagnostic(raw + PIPE.encode())
    assert diagnostic.error.startswith("not readable as text: ")
    assert error in diagnostic.error
    assert diagnostic.line == raw.split(b"coding")[0].count(b"\n") + 1
    assert diagnostic.hint == AS_UTF8


def test_undecodable_bytes_leave_the_id_of_the_header() -> None:
    reading = read(b'"""\nid: other\n"""\n' + PIPE.encode() + b"# \xff\n")
    assert isinstance(reading, BrokenPlugin)
    assert reading.key is not None
    assert (reading.key.id, reading.kind) == ("other", Kind.PIPE)


def test_latin_1_with_a_coding_line_is_decoded() -> None:
    source = "# -*- coding: latin-1 -*-\n" + PIPE + "# grün\n"
    assert sent(source.encode("latin-1")) == source


def test_a_byte_order_mark_is_stripped_so_that_the_header_is_read() -> None:
    source = '"""\nid: other\n"""\n' + PIPE
    reading = read(b"\xef\xbb\xbf" + source.encode())
    assert isinstance(reading, Plugin)
    assert (reading.content, reading.id, reading.warnings) == (source, "other", ())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_are_kept(end: str) -> None:
    source = f'"""\nversion: 1\n"""\n{PIPE}'.replace("\n", end)
    assert sent(source) == source


@pytest.mark.parametrize("raw", [b"", b" \r\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_file_is_no_plugin(raw: bytes) -> None:
    assert why_not(raw) == "the file is empty"


def test_a_lone_nul_is_refused_at_its_place() -> None:
    diagnostic = the_diagnostic(PIPE.replace("\n", "\r\n") + 'x = "ä\0"\r\n')
    assert diagnostic == Diagnostic(
        "holds NUL bytes, which Python cannot compile",
        line=3,
        column=7,
        source='x = "ä\0"',
        hint="save it as UTF-8 text",
    )


def test_utf_16_is_no_plugin_and_says_why() -> None:
    reason = why_not(("\ufeff" + PIPE).encode("utf-16-le"))
    assert reason.startswith("nothing in it looks like a plugin: not readable as text: 'utf-8' codec can't decode")
    assert reason.endswith("(line 1)")


def test_an_old_escape_in_an_exotic_encoding_warns_nobody() -> None:
    assert isinstance(decode(b"# coding: unicode_escape\n'\\q'"), str)


def test_lines_are_counted_as_editors_count_them() -> None:
    assert lines_of("a\nb\r\nc\rd\x0ce\u2028f") == ["a", "b", "c", "d\x0ce\u2028f"]
    assert [source_line("a\nb", number) for number in (None, 0, 1, 2, 3)] == [None, None, "a", "b", None]


# Syntax


@pytest.mark.parametrize(
    ("code", "error", "column", "caret"),
    [
        ("y = fix(1", "'(' was never closed", 8, "           ^"),
        ("x = 'ä'; y z", "invalid syntax", 12, "               ^"),
        ("x = 'äöü'; return 5", "'return' outside function", 12, "               ^"),
        ("await x", "'await' outside function", 1, "    ^"),
        ("break", "'break' outside loop", 1, "    ^"),
        ("x = 0777", "leading zeros in decimal integer literals are not permitted; use an 0o prefix", 5, "        ^"),
        ("def f(a, a): pass", "duplicate argument 'a' in function definition", None, None),
        ("'\\N{nope}'", "(unicode error) 'unicodeescape' codec can't decode", None, None),
        ("x = 'a", "unterminated string literal (detected at line 3)", 5, "        ^"),
        ("  x = 1", "unindent does not match any outer indentation level", None, None),
        ("from __future__ import nope", "from __future__ imports must occur at the beginning", 1, "    ^"),
    ],
)
def test_a_syntax_error_in_full(code: str, error: str, column: int | None, caret: str | None) -> None:
    diagnostic = the_diagnostic(PIPE + code + "\n")
    assert diagnostic.error.startswith(error)
    assert (diagnostic.line, diagnostic.source, diagnostic.hint) == (3, code, CHECKED)
    if column is not None:
        assert diagnostic.column == column
        assert shown(diagnostic) == [f"  3 │ {code}", f"    │ {(caret or '').removeprefix('    ')}"]


def test_a_caret_stands_below_its_place_behind_tabs_and_in_long_lines() -> None:
    diagnostic = the_diagnostic(f"{PIPE}if x:\n\ty z\n")
    assert shown(diagnostic) == ["  4 │     y z", "    │       ^"]
    diagnostic = the_diagnostic(f"{PIPE}x = '{'a' * 300}'; y z + '{'b' * 300}'\n")
    line, caret = shown(diagnostic)
    assert line[caret.index("^")] == "z"
    assert len(line) < 220
    assert line.count("…") == 2


def test_form_feeds_do_not_shift_the_line() -> None:
    diagnostic = the_diagnostic(f"{PIPE}\x0c\n# \u2028 \x0b\ny z\n")
    assert (diagnostic.line, diagnostic.source) == (5, "y z")


def test_a_line_of_an_old_mac_is_found_too() -> None:
    diagnostic = the_diagnostic(PIPE.replace("\n", "\r") + "y z\r")
    assert (diagnostic.line, diagnostic.column, diagnostic.source) == (3, 3, "y z")


@pytest.mark.parametrize(
    "code",
    [
        "x = " + "-" * 100_000 + "1",
        "x = 1" + " + 1" * 100_000,
        "x = a" + ".b" * 100_000,
        "x = " + "f(" * 190 + ")" * 190 + "[0]" * 100_000,
        "if a:\n    pass\n" + "elif a:\n    pass\n" * 20_000,
    ],
)
def test_deep_nesting_is_refused_and_harms_nothing(code: str) -> None:
    diagnostic = the_diagnostic(f"{PIPE}{code}\n")
    assert diagnostic.error == f"Python {platform.python_version()} cannot compile it: it is nested too deeply"
    assert diagnostic.hint == "simplify the file"


@pytest.mark.parametrize("depth", [90, 400, 900, 1200, 2000])
@pytest.mark.parametrize("shape", ["if a:\n    pass\n{}", "if {}a:\n    pass\n", "a{}()\n", "x = {}1\n", "raise a{}\n"])
def test_no_depth_gets_past_the_compiler_and_breaks_what_looks_on(shape: str, depth: int) -> None:
    part = {"if a:": "elif a:\n    pass\n", "if {}": "not ", "x = {": "-"}.get(shape[:5], ".b")
    reading = read(PIPE + shape.format(part * depth))
    assert isinstance(reading, Plugin | BrokenPlugin)


def test_too_many_parentheses_are_a_syntax_error_at_their_place() -> None:
    diagnostic = the_diagnostic(f"{PIPE}x = {'(' * 300}\n")
    assert (diagnostic.error, diagnostic.line) == ("too many nested parentheses", 3)


def test_nothing_is_ever_run(capfd: pytest.CaptureFixture[str]) -> None:
    sent("print('I ran')\n1 / 0\n" + PIPE)
    assert capfd.readouterr() == ("", "")


def test_a_warning_of_the_compiler_is_not_shown(recwarn: pytest.WarningsRecorder) -> None:
    sent(f"{PIPE}x = '\\q'; assert (x, 1)\ny = x is 1\n")
    assert not recwarn.list


# Exits


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
def test_an_exit_of_every_form_is_refused(before: str, code: str) -> None:
    assert the_diagnostic(before + PIPE + code + "\n") == Diagnostic(
        ENDS, line=3 + before.count("\n"), column=1, source=code, hint=UNDER_MAIN
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
def test_an_exit_inside_what_always_runs_is_refused_at_its_place(code: str, line: int, column: int) -> None:
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
def test_a_fine_form_of_an_exit_is_sent(code: str) -> None:
    sent(f"import sys\n{PIPE}{code}")


# Imports of a package that is not sent


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    from .util import x\nexcept ImportError:\n    x = None",
        "if TYPE_CHECKING:\n    from .util import x",
        "if x:\n    from .util import x",
        "def f():\n    from .util import x",
        "with contextlib.suppress(ImportError):\n    from .util import x",
        'if __name__ == "__main__":\n    from .util import x',
        "# from .util import x",
        "x = 'from .util import x'",
    ],
)
def test_an_import_from_its_own_package_that_may_fail_in_peace_is_sent(code: str) -> None:
    sent(f"{PIPE}{code}\n")


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(
    "code", ["from .pk import {}", "from .pk import Other as {}, x", "try:\n    from . import {}\nexcept E: ..."]
)
def test_a_name_from_its_own_package_makes_no_plugin(kind: Kind, code: str) -> None:
    assert why_not(code.replace("{}", kind.class_name) + "\n") == NOT_BOUND


def test_a_name_from_its_own_package_or_from_elsewhere_makes_one() -> None:
    sent("try:\n    from .pk import Filter\nexcept ImportError:\n    from pk import Filter\n")


# Imports that the server rewrites


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
def test_an_import_that_the_servers_rewriting_breaks_is_a_warning(
    code: str, module: str, name: str, column: int
) -> None:
    assert the_warning(f"{PIPE}{code}\n") == Diagnostic(
        f"Open WebUI will turn `from {module}` into `from open_webui.{module}`, which fails",
        line=2 + len(code.splitlines()),
        column=column,
        source=code.splitlines()[-1],
        hint=f"write `import {module}` and use {module}.{name}",
        severity=Severity.WARNING,
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
def test_an_import_that_the_rewriting_leaves_whole_is_sent_without_a_word(code: str) -> None:
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
def test_a_from_of_another_sense_that_the_servers_rewriting_breaks_is_a_warning(
    code: str, name: str, column: int
) -> None:
    assert the_warning(f"{PIPE}{code}\n") == Diagnostic(
        f"Open WebUI will turn `from {name}` into `from open_webui.{name}`, which fails",
        line=2 + len(code.splitlines()),
        column=column,
        source=code.splitlines()[-1],
        hint=f"rename {name}, or put what follows `from` in parentheses",
        severity=Severity.WARNING,
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
def test_a_from_that_the_rewriting_leaves_whole_is_sent_without_a_word(code: str) -> None:
    content = sent(f"{PIPE}def f():\n    {code}\n")
    assert "#" in code or rewritten(content) == content


# Kinds


def kind_of(source: str) -> Kind | None:
    examined = examine(source)
    assert examined.diagnostics == ()
    return examined.kind


@pytest.mark.parametrize("kind", [Kind.PIPE, Kind.FILTER, Kind.ACTION, Kind.TOOL])
@pytest.mark.parametrize(
    "form",
    [
        "class {}:\n    pipe = inlet = action = 1",
        "class {}(Base):\n    pass",
        "from mine import {}",
        "from mine import Other as {}",
        "import mine as {}",
        "{} = make()",
        "x = {} = make()",
        "a, ({}, *b) = make()",
        "[{}, b] = make()",
        "{}: type = make()",
        "if x:\n    class {}(Base):\n        pass",
        "if x:\n    pass\nelif y:\n    pass\nelse:\n    {} = make()",
        "try:\n    from mine import {}\nexcept ImportError:\n    pass",
        "try:\n    pass\nexcept ImportError:\n    {} = None",
        "try:\n    pass\nexcept* ImportError:\n    {} = None",
        "try:\n    pass\nexcept E:\n    pass\nelse:\n    {} = None",
        "try:\n    pass\nfinally:\n    {} = None",
        "with x:\n    {} = make()",
        "if not TYPE_CHECKING:\n    from mine import {}",
        "if TYPE_CHECKING:\n    pass\nelse:\n    from mine import {}",
        'if __name__ != "__main__":\n    class {}(Base):\n        pass',
    ],
)
def test_a_plugin_is_what_its_top_level_binds_in_any_form(kind: Kind, form: str) -> None:
    assert kind_of(form.format(kind.class_name) + "\n") is kind


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
def test_a_name_that_the_server_will_not_find_makes_no_plugin(kind: Kind, form: str) -> None:
    assert kind_of(form.replace("{}", kind.class_name) + "\n") is None


@pytest.mark.parametrize("definition", ["def event(self): ...", "async def event(self): ..."])
def test_an_event_is_a_class_with_an_event_method(definition: str) -> None:
    assert kind_of(f"class Event:\n    {definition}\n") is Kind.EVENT
    assert kind_of(f"class Event:\n    {definition}\nEvent.priority = 1\n") is Kind.EVENT


@pytest.mark.parametrize(
    "code",
    [
        "class Event:\n    name = 1\n",
        "class Event:\n    event = 1\n",
        "class Event:\n    class Inner:\n        def event(self): ...\n",
        "from asyncio import Event\n",
        "Event = object()\n",
        "def Event():\n    def event(self): ...\n",
    ],
)
def test_any_other_event_is_none(code: str) -> None:
    assert kind_of(code) is None
    assert kind_of(code + "class Tools: ...\n") is Kind.TOOL


def test_of_several_the_first_in_the_servers_order_decides() -> None:
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
def test_of_functions_the_server_takes_a_name_that_is_only_imported_too(
    code: str, own: Kind, kind: Kind, line: int, hint: str
) -> None:
    reading = read(f"{code}class {own.class_name}:\n    def event(self): ...\n")
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
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("from qdrant_client.models import Filter\nclass Tools: ...\n", Kind.TOOL),
        ("from multiprocessing import Pipe\nfrom a import Action\nclass Tools: ...\n", Kind.TOOL),
        ("from langchain import Tools\nclass Filter(Base): ...\n", Kind.FILTER),
        ("from asyncio import Event\nclass Tools: ...\n", Kind.TOOL),
        ("from asyncio import Event\nclass Filter(Base): ...\n", Kind.FILTER),
        ("from qdrant_client.models import Filter\nclass Pipe(Base): ...\n", Kind.PIPE),
        ("from multiprocessing import Pipe as Connection\nclass Filter(Base): ...\n", Kind.FILTER),
        ("class Pipe: ...\nclass Filter: ...\nPipe = traced(Pipe)\n", Kind.PIPE),
        ("if TYPE_CHECKING:\n    from multiprocessing import Pipe\nclass Filter(Base): ...\n", Kind.FILTER),
        ("def f():\n    from multiprocessing import Pipe\nclass Filter(Base): ...\n", Kind.FILTER),
    ],
)
def test_a_name_that_decides_nothing_is_sent_without_a_word(code: str, kind: Kind) -> None:
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
def test_a_class_without_the_method_that_the_server_calls_is_a_warning(
    code: str, line: int, called: str, first: str
) -> None:
    assert the_warning(code) == Diagnostic(
        f"Open WebUI calls {called}, and there is none",
        line=line,
        column=1,
        source=code.splitlines()[line - 1],
        hint=f"deployed all the same; add `def {first}(self, body)`",
        severity=Severity.WARNING,
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
def test_a_class_that_has_or_may_have_its_method_is_sent_without_a_word(code: str) -> None:
    sent(code)


def test_a_pipelines_plugin_is_none_of_ours() -> None:
    expected = "it is a plugin for a Pipelines server (class Pipeline), which Open WebUI itself does not load"
    assert why_not("class Pipeline:\n    pass\n") == expected
    assert why_not("from mine import Pipeline\n") == expected
    sent(PIPE + "class Pipeline:\n    pass\n")


def test_a_module_without_a_plugin_says_so() -> None:
    assert why_not("x = 1\n") == NOT_BOUND
    assert why_not("# only a comment\n") == NOT_BOUND


def test_what_no_plugin_may_do_any_other_file_may() -> None:
    assert why_not("import sys\nfrom .pk import x\nfrom configparser import y\nsys.exit(x)\n") == NOT_BOUND


def test_a_broken_file_that_looks_like_no_plugin_says_what_is_broken() -> None:
    reading = read("x = (\n")
    assert isinstance(reading, NotPlugin)
    assert reading.reason == "nothing in it looks like a plugin: '(' was never closed (line 1)"
    assert reading.diagnostic == Diagnostic("'(' was never closed", 1, 5, "x = (", CHECKED)


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
def test_the_kind_of_a_broken_file_is_known_by_its_looks(text: str, kind: Kind | None) -> None:
    assert guess_kind(text) is kind


def test_every_error_of_a_file_is_told_at_once() -> None:
    reading = read_plugin(
        b'"""\nid: 3d\n"""\nimport sys\nclass Filter: ...\nsys.exit()\nexit()\n', Path("/w/x.py"), PurePath("x.py")
    )
    assert isinstance(reading, BrokenPlugin)
    assert (reading.key, reading.kind) == (None, Kind.FILTER)
    assert [diagnostic.error for diagnostic in reading.diagnostics] == [
        ENDS,
        ENDS,
        "“3d” (id: in the header) makes no id: Open WebUI takes letters, digits and _ only, and no digit in front",
    ]
