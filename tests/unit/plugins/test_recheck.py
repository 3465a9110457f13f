"""A large file that is saved again: what can be left out is, and what is told stays the same."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import indent
from types import CodeType

import pytest

from owui_watch.plugins import checks as check
from owui_watch.plugins import recheck
from owui_watch.plugins.checks import Examined, compiled, examine
from owui_watch.plugins.model import Diagnostic
from owui_watch.plugins.recheck import LARGE, REMEMBERED, Rechecker

EDITS = int(os.environ.get("OWUI_WATCH_EDITS", "3000"))
SEED = int(os.environ.get("OWUI_WATCH_EDITS_SEED", "1"))
PATH = Path("/plugins/large.py")
KIND_IN_THE_MIDST = '''"""
title: All
version: 1
"""
from __future__ import annotations

import logging
import typing as t

log = logging.getLogger("all")
PROMPT = """
def not_code(:
    class Pipe:
"""


def helper(a, b=lambda x: x, *, c: int = 3) -> str:
    """Help."""
    return f"{a}{b}" "..."


@decorated(
    lambda: 1,
)
@twice
async def later(
    a,
):
    async with a as b:
        yield b


if t.TYPE_CHECKING:

    def unseen():
        return 1

else:

    def seen():
        return 2


class Helper(dict):
    x: int = 1

    def one(self):
        global log
        log = 1

    @property
    def two(self):
        text = """
first
    second
"""
        return text

    class Inner:
        def deep(self):
            return [x for x in self]

    def last(self): return 1


class Event:
    def one(self):
        pass

    def event(self, event):
        return event

    def two(self):
        pass


class Filter:
    """A filter."""

    class Valves(BaseModel):
        n: int = 1

        def check(self):
            return True

        def again(self):
            return False

    if True:

        def inlet(self, body):
            return body

    else:

        def inlet(self, body):
            raise ValueError

    def outlet(self, body):
        def inner():
            nonlocal body
            body = 1

        # a comment
        return (
            inner,
    )

    @staticmethod
    def stream(event):
        try:
            return event
        finally:
            pass

    async def wait(self):
        await self


def after_all():
    return 1
'''
LINES = [
    "",
    "    ",
    "pass",
    "    pass",
    "        return 1",
    "    return 1",
    "def f():",
    "    def g(self):",
    "    def g(self): pass",
    "    @property",
    "@property",
    "class Pipe:",
    "class Pipe: pass",
    "class Event:",
    "    async def event(self):",
    "    else:",
    "else:",
    "if x:",
    "    if x:",
    '"""',
    "    '''",
    '        """text"""',
    "(",
    "    )",
    "x = (1 + \\",
    "# comment",
    "    # comment",
    "global log",
    "    global one",
    "    nonlocal x",
    "import sys; sys.exit()",
    "from configparser import ConfigParser",
    "        from mainly import x",
    "    await x",
    "\tpass",
    "    \tpass",
    "from __future__ import division",
    "    x: int = (yield)",
    "Tools = 1",
    "def Tools(): pass",
    "except ValueError:",
    "from multiprocessing import Pipe",
    "Action = Filter",
    "from .util import Filter",
    "    from .util import x",
    "        yield from configs()",
    "        raise x from config",
]


def edited(text: str, at: random.Random) -> str:
    """Change a few lines that lie close together, as an editor's user does, or in two places."""
    lines = text.split("\n")
    for _ in range(at.choice([1, 1, 1, 2])):
        for _ in range(at.randint(1, 2)):
            number = at.randrange(len(lines))
            match at.randrange(7):
                case 0:
                    lines[number:number] = [at.choice(LINES)]
                case 1:
                    lines[number] = at.choice(LINES)
                case 2:
                    del lines[number : number + at.choice([1, 2, 8])]
                case 3:
                    lines[number] = f"    {lines[number]}"
                case 4:
                    lines[number] = lines[number].removeprefix("    ")
                case 5:
                    lines[number] = lines[number][: at.randrange(len(lines[number]) + 1)]
                case _:
                    lines[number:number] = lines[number : number + at.choice([1, 5, 20])]
            lines = lines or [""]
    return "\n".join(lines)


@pytest.fixture
def shorter(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Examine every text as if it were large; give the lengths of what is compiled."""
    monkeypatch.setattr(recheck, "LARGE", 0)
    return count(monkeypatch)


UNDER_A_TRY = KIND_IN_THE_MIDST.replace("from __future__ import annotations\n", "")
UNDER_A_TRY = f"import os\n\ntry:\n{indent(UNDER_A_TRY, '    ')}\nfinally:\n    pass\n"


@pytest.mark.parametrize("original", [KIND_IN_THE_MIDST, UNDER_A_TRY], ids=["plain", "under a try"])
def test_thousands_of_edits_are_told_as_if_the_whole_text_was_compiled(original: str, shorter: list[int]) -> None:
    at = random.Random(SEED)
    rechecker, text, left_out = Rechecker(), original, 0
    for number in range(EDITS):
        changed = edited(text, at)
        shorter.clear()
        found = rechecker.examine(PATH, changed)
        assert found == examine(changed), f"seed {SEED}, edit {number}:\n{changed}"
        left_out += bool(shorter and shorter[-1] < len(changed) and len(shorter) == 1)
        # From a text that can work to the next one, as a file goes; back to the first before it decays.
        text = original if found.diagnostics or at.random() < 0.2 else changed
    assert left_out > EDITS / 20, "of the edits that leave a working text, many are checked without compiling all of it"


def test_a_glance_tells_what_the_syntax_tree_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    at = random.Random(SEED)
    texts, text = [], KIND_IN_THE_MIDST
    for _ in range(EDITS // 3):
        text = edited(text, at)
        texts.append(text)
        if at.random() < 0.3 or isinstance(compiled(text), Diagnostic):
            text = KIND_IN_THE_MIDST
    texts = [text.replace("TYPE_CHECKING", "X") for text in texts]
    glanced = [examine(text) for text in texts]
    monkeypatch.setattr(check, "bound_at_a_glance", lambda *_: None)
    for text, told in zip(texts, glanced, strict=True):
        # The compiler may strip a docstring's indentation.
        assert replace(told, docstring=None) == replace(examine(text), docstring=None), text


def whole(*, methods: int = 400, inside: Callable[[int], str] = lambda number: f"return {number}") -> str:
    head = '"""\ntitle: Large\n"""\nimport logging\n\nlog = logging.getLogger(__name__)\n\n\nclass Pipe(Base):\n'
    return head + "".join(
        f"    def method_{number}(self, first: int) -> int:\n"
        f'        """Do something, as many a method of a large plugin does."""\n'
        f"        {inside(number)}\n\n"
        for number in range(methods)
    )


def compiled_again(monkeypatch: pytest.MonkeyPatch, before: str, after: str) -> tuple[Examined, list[int]]:
    """Examine ``after`` where ``before`` stood; give the lengths of what was compiled for it."""
    rechecker = Rechecker()
    rechecker.examine(PATH, before)
    lengths = count(monkeypatch)
    found = rechecker.examine(PATH, after)
    assert found == examine(after)
    return found, lengths


def count(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that will hold the lengths of what is compiled from now on."""
    lengths: list[int] = []

    def counted(text: str) -> CodeType | Diagnostic:
        lengths.append(len(text))
        return compiled(text)

    monkeypatch.setattr(recheck, "compiled", counted)
    return lengths


def test_of_a_change_in_one_method_little_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    after = whole(inside=lambda number: "return None" if number == 200 else f"return {number}")
    _, [length] = compiled_again(monkeypatch, whole(), after)
    assert length < len(after) / 20


def test_of_a_change_at_the_top_little_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    _, [length] = compiled_again(monkeypatch, whole(), whole().replace("title: Large", "title: Large\nversion: 2"))
    assert length < len(whole()) / 20


def test_an_error_is_told_at_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    after = whole(inside=lambda number: "return (" if number == 200 else f"return {number}")
    found, lengths = compiled_again(monkeypatch, whole(), after)
    [diagnostic] = found.diagnostics
    assert (diagnostic.error, diagnostic.line) == ("'(' was never closed", 10 + 200 * 4 + 2)
    assert len(lengths) == 2, "first in short, then the whole text for its lines"


def test_the_method_that_the_server_calls_is_not_missed_where_others_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = (
        whole().replace("class Pipe(Base):", "class Pipe:").replace("method_100(", "pipe(").replace("__name__", "1")
    )
    found, [length] = compiled_again(monkeypatch, before, before.replace("return 300", "return -300"))
    assert found.diagnostics == ()
    assert length < len(before) / 20
    found, _ = compiled_again(monkeypatch, before, before.replace("def pipe(", "def pape("))
    assert [diagnostic.error for diagnostic in found.diagnostics] == ["Open WebUI calls Pipe.pipe, and there is none"]


def test_a_change_after_a_change_leaves_out_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(upto: int) -> str:
        return whole(inside=lambda number: f"return {-number}\n        # new" if number < upto else f"return {number}")

    rechecker = Rechecker()
    for upto in range(3):
        rechecker.examine(PATH, changed(upto))
    lengths = count(monkeypatch)
    assert rechecker.examine(PATH, changed(3)) == examine(changed(3))
    assert len(lengths) == 1
    assert lengths[0] < len(changed(3)) / 20


def test_small_files_are_not_remembered_and_of_large_ones_a_few() -> None:
    rechecker = Rechecker()
    rechecker.examine(PATH, "class Pipe: ...\n")
    assert not rechecker._good
    assert len(whole()) > LARGE
    for number in range(5):
        rechecker.examine(Path(f"/plugins/{number}.py"), whole())
    assert [path.stem for path in rechecker._good] == ["3", "4"]
    assert REMEMBERED == 2
