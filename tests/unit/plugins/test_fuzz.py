"""Thousands of damaged plugin files through check and map: none ends owui-watch, none is sent that can't compile.

``OWUI_WATCH_FUZZ`` is how many (default 1500), ``OWUI_WATCH_FUZZ_SEED`` where the damage begins (default 1).
"""

from __future__ import annotations

import os
import random
import warnings
from collections import Counter
from pathlib import Path, PurePath

from owui_watch.plugins.checks import check as check_text
from owui_watch.plugins.model import BrokenPlugin, Kind, NotPlugin, ParsedFile, Plugin, Severity
from owui_watch.plugins.reader import read_plugin
from owui_watch.plugins.starters import starter
from owui_watch.reporting.console import Excerpt
from owui_watch.reporting.layout import source_lines

FILES = int(os.environ.get("OWUI_WATCH_FUZZ", "1500"))
SEED = int(os.environ.get("OWUI_WATCH_FUZZ_SEED", "1"))
PLACES = ["filters/mine.py", "main.py", "my-rag/main.py", "tools/3d.py", "größe.py", "gr\udcfc.py", "a.b.py"]
PIECES = [
    *(b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\r", b"\r\n", b"\x0c", b"\x1a", b"\t", b"\\\n"),
    *(b'"""', b"'''", b'"', b"(", b"[", b"{", b")", b"]", b"}", b":", b"@", b"=", b"\\", b"#", b";", b"f'{", b"\\N{"),
    *(
        b"# coding: latin-1\n",
        b"# coding: utf-16\n",
        b"# coding: utf-7\n",
        b"# coding: nope\n",
        b"# -*- coding: hex -*-",
    ),
    *(b"\nimport sys\nsys.exit()\n", b"\nexit()\n", b"\nraise SystemExit\n", b"\nfrom configparser import x\n"),
    *(b"\nclass Pipe:\n    pipe = 1\n", b"\nTools = 1\n", b"\nEvent = 2\n", b"\nclass Pipeline: ...\n", b"\nreturn\n"),
    *(b"\nid: 3d\n", b"\nid: \xc3\x9cber\n", b"\nrequirements: a>=1,<2, b[\n", b"\nversion:\n", b"await ", b"yield "),
    *(b"(" * 200, b"-" * 3000, b"[" * 90, b"not " * 500, b".a" * 500, "\u202e\u2028\u0130".encode(), b"9" * 5000),
]


def damaged(text: bytes, at: random.Random) -> bytes:
    """Cut, double, swap, overwrite or add something, a few times over."""
    raw = bytearray(text)
    for _ in range(at.randint(1, 4)):
        start = at.randrange(len(raw) + 1)
        end = min(len(raw), start + at.choice([1, 1, 3, 20, 400]))
        match at.randrange(7):
            case 0:
                del raw[start:end]
            case 1:
                raw[start:start] = at.choice(PIECES)
            case 2:
                raw[start:end] = at.choice(PIECES)
            case 3:
                raw[start:start] = raw[start:end]
            case 4:
                raw[start:end] = at.randbytes(end - start)
            case 5:
                del raw[start:]
            case _:
                lines = bytes(raw).splitlines(keepends=True)
                at.shuffle(lines)
                raw[:] = b"".join(lines) if at.random() < 0.2 else bytes(raw)
        if at.random() < 0.1:
            raw[0:0] = at.choice(PIECES)
    return bytes(raw)


def check(reading: ParsedFile) -> None:
    match reading:
        case Plugin():
            compile(reading.content, "<plugin>", "exec", dont_inherit=True)
            assert reading.content.encode()
            assert "\0" not in reading.content
            assert not reading.content.startswith("\ufeff")
            assert reading.id.isidentifier()
            assert reading.id == reading.id.lower()
            assert reading.kind is check_text(reading.content).kind
            assert all(diagnostic.severity is Severity.WARNING for diagnostic in reading.warnings)
            diagnostics = reading.warnings
        case BrokenPlugin():
            assert reading.diagnostics
            assert all(diagnostic.severity is Severity.ERROR for diagnostic in reading.diagnostics)
            diagnostics = reading.diagnostics
        case NotPlugin():
            assert reading.reason
            diagnostics = (reading.diagnostic,) if reading.diagnostic else ()
    for diagnostic in diagnostics:
        assert diagnostic.error
        assert diagnostic.line is None or diagnostic.line > 0
        assert diagnostic.column is None or diagnostic.column > 0
        if diagnostic.line is not None and diagnostic.source is not None:
            excerpt = Excerpt(diagnostic.line, diagnostic.column, diagnostic.source)
            assert len(list(source_lines(excerpt, None))) <= 2


def test_damaged_files_are_read_and_sendable_ones_compile() -> None:
    texts = [starter(kind, "Mine").replace("Mine", "Mine – größer").encode() for kind in Kind]
    seen: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own, of what is compiled once more here
        for number in range(FILES):
            at = random.Random(f"{SEED}/{number}")
            raw = damaged(at.choice(texts), at)
            place = PurePath(at.choice(PLACES))
            try:
                reading = read_plugin(raw, Path("/w") / place, place, at.choice([None, None, None, "My-Own", "3d"]))
                check(reading)
            except BaseException as error:
                error.add_note(f"file {number} of seed {SEED} at {place}: {raw!r}")
                raise
            seen[type(reading).__name__] += 1
    # The damaged files must have led to all three outcomes.
    assert min(seen[outcome.__name__] for outcome in (Plugin, BrokenPlugin, NotPlugin)) >= FILES // 50
