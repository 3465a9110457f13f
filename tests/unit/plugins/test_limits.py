"""No content keeps the check from other saves for long: the worst that is known for CPython's parser and our rules."""

from __future__ import annotations

import time
from pathlib import Path, PurePath

import pytest

from owui_watch.plugins.model import BrokenPlugin, NotPlugin, ParsedFile, Plugin
from owui_watch.plugins.reader import PluginReader, read_plugin
from owui_watch.plugins.source import LARGEST, TooLarge, read_source

FACTOR = 4
"""How many times as long as an ordinary plugin of a third of the allowed size a file may take. Without the limits, these
files take ten to a thousand times as long; they have a quarter of the allowed size."""
METHOD = (
    "    def m{0}(self, a, b={{'k': [1, 2]}}):\n        return f'{{a}}-{{b}}' + ', '.join(x for x in a if x != {0})\n"
)
ORDINARY = "class Tools:\n" + "".join(METHOD.format(number) for number in range(2_400))
TOOL = "class Tools:\n    def add(self): ...\n"
TOO_COMPLEX = {
    "statements": "a;" * 320_000,
    "assignments": "a=1\n" * 160_000,
    "blank lines": "class Event:\n    pass\n" + "\n" * 300_000 + "(",
    "list": f"x=[{'a,' * 310_000}]",
    "comparisons": "x=" + "<".join(["a"] * 310_000),
    "sum": "x=" + "+".join(["1"] * 310_000),
    "brackets": ("[" * 199 + "]" * 199 + "\n") * 1_550,
    "calls": ("a(" * 95 + ")" * 95 + "\n") * 2_200,
    "functions": "def f():0\n" * 63_000,
    "lambdas": "lambda:0\n" * 70_000,
    "classes": "class A:0\n" * 63_000,
    "generators": "(a for a in b)\n" * 42_000,
    "keywords": f"f({','.join(f'a{number}=0' for number in range(20_000))})",
    "class keywords": f"class A({','.join(f'a{number}=0' for number in range(20_000))}):0",
    "arguments": f"def f({','.join(f'a{number}' for number in range(40_000))}):\n" + " def g():0\n" * 1_000,
    "names": "def f():\n" + "".join(f" a{number}=1\n" for number in range(8_000)) + " class A:0\n" * 1_500,
    "globals": f"global {','.join(f'a{number}' for number in range(40_000))}\n" + "def g():0\n" * 1_000,
    "equal hashes": f"x=[{','.join(str((2**61 - 1) * number) for number in range(1, 29_000))}]",
}
SLOW = {
    "statements": "a;" * 18_500,
    "strings": "'a'\n" * 35_000,
    "or": "x=" + " or ".join(["a"] * 31_750),
    "in": f"({' in '.join(['a'] * 31_750)})",
    "try": "try:0\nfinally:0\n" * 7_500,
    "match": "match a:\n" + " case 1:0\n" * 14_500,
    "alternatives": "match a:\n case " + "|".join(["1"] * 35_000) + ":0",
    "functions": "def f():0\n" * 1_225,
    "equal classes": "class Filter:0\n" * 2_500,
    "classes below equal classes": "class A:0\n" * 1_200 + "class Filter(A):0\n" * 1_200,
    "equal bases": "class A:0\n" * 1_200 + f"class Filter({'A,' * 30_000}):0\n",
    "imports": f"from a import {','.join(f'b{number}' for number in range(20_000))}",
    "exits": "exit()\n" * 11_250,
    "classes that exit": "class A:\n  exit()\n" * 1_225,
    "rewritten": "from configparser import x\n" * 5_500,
    "rewritten in one statement": f"from configparser import x\nx=[{'a,' * 35_000}]",
    "digits": "x=" + "9" * 150_000,
    "one comment": "#" + "coding " * 22_500,
    "one requirement": f'"""\nrequirements: {"a" * 25_000}\n"""\n',
    "many requirements": f'"""\nrequirements: {"a b," * 6_250}\n"""\n',
    "many titles": '"""\n' + "title: x\n" * 15_000 + '"""\n',
    "many misspelt fields": '"""\n' + "Title : x\n" * 12_500 + '"""\n',
    "refusal": f'raise ValueError("{"1" * 50_000}")\n',
    "blanks": " " * 150_000 + "x",
    "colons": "title" + ":" * 25_000,
}


def read(raw: bytes) -> tuple[ParsedFile, float]:
    began = time.process_time()
    parsed = PluginReader().read(raw, Path("/w/x.py"), PurePath("x.py"))
    return parsed, time.process_time() - began


@pytest.fixture(scope="module")
def ordinary() -> tuple[ParsedFile, float]:
    """An ordinary plugin of a third of the allowed size, and how long reading it took."""
    return read(ORDINARY.encode())


@pytest.fixture(scope="module")
def most(ordinary: tuple[ParsedFile, float]) -> float:
    """CPU seconds for one file, on this machine as busy as it is now."""
    return FACTOR * ordinary[1]


class TestComplexity:
    @pytest.mark.parametrize("text", TOO_COMPLEX.values(), ids=TOO_COMPLEX)
    def test_beyond_the_limits_is_refused_at_once(self, text: str, most: float) -> None:
        parsed, seconds = read((TOOL + text).encode())
        assert seconds < most
        assert isinstance(parsed, BrokenPlugin)
        [diagnostic] = parsed.diagnostics
        assert diagnostic.error.startswith("too complex to check: ")
        assert diagnostic.hint == "split it into modules, and keep data in files of their own"

    @pytest.mark.parametrize("text", SLOW.values(), ids=SLOW)
    def test_within_the_limits_is_checked_in_time(self, text: str, most: float) -> None:
        assert read((TOOL + text).encode())[1] < most

    def test_f_string_of_fields_is_refused_or_fast(self, most: float) -> None:
        _, seconds = read((TOOL + "x=f'" + "{a}" * 10_000 + "'").encode())
        assert seconds < most

    def test_ordinary_large_plugin_is_accepted(self, ordinary: tuple[ParsedFile, float]) -> None:
        assert len(ORDINARY) > LARGEST / 3
        assert isinstance(ordinary[0], Plugin)

    def test_scan_of_any_text_is_fast(self, most: float) -> None:
        reader = PluginReader()
        for text in (*TOO_COMPLEX.values(), *SLOW.values()):
            began = time.process_time()
            reader.scan(text.encode(), Path("/w/x.py"), PurePath("x.py"))
            assert time.process_time() - began < most


class TestEncodings:
    @pytest.mark.parametrize(
        "name",
        ["punycode", "idna", "rot13", "hex", "base64", "zip", "bz2", "uu", "unicode_escape", "undefined", "charmap"],
    )
    def test_that_are_none_of_text_are_refused(self, name: str, most: float) -> None:
        parsed, seconds = read(f"# coding: {name}\n{TOOL}".encode() + b"a" * 500_000)
        assert seconds < most
        assert isinstance(parsed, BrokenPlugin)
        assert parsed.diagnostics[0].hint == "save it as UTF-8, or name its encoding in a coding line"

    @pytest.mark.parametrize(
        "name", ["utf-8", "latin-1", "cp1252", "iso-8859-15", "koi8-r", "gbk", "shift_jis", "ascii"]
    )
    def test_of_text_are_accepted(self, name: str) -> None:
        assert isinstance(read(f"# coding: {name}\n{TOOL}".encode(name))[0], Plugin)

    @pytest.mark.parametrize("name", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    def test_of_two_bytes_get_a_word(self, name: str) -> None:
        parsed, _ = read(TOOL.encode(name))
        assert isinstance(parsed, BrokenPlugin)
        [diagnostic] = parsed.diagnostics
        assert diagnostic.error.startswith("the file is encoded as UTF-")
        assert diagnostic.hint == "save it as UTF-8"


class TestSize:
    def test_over_the_limit_is_refused_under_its_id(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.py"
        path.write_text('"""\nid: other\n"""\n' + TOOL + "#" * LARGEST)
        raw = read_source(path)
        assert isinstance(raw, TooLarge)
        parsed = PluginReader().read(raw, path, PurePath("mine.py"))
        assert isinstance(parsed, BrokenPlugin)
        assert parsed.key is not None
        assert parsed.key.id == "other"
        [diagnostic] = parsed.diagnostics
        assert diagnostic.error == "the file is larger than 640 kB"

    def test_at_the_limit_is_accepted(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.py"
        path.write_text(TOOL + "#" * (LARGEST - len(TOOL)))
        raw = read_source(path)
        assert isinstance(raw, bytes)
        assert isinstance(read_plugin(raw, path, PurePath("mine.py")), Plugin)

    @pytest.mark.parametrize("size", [LARGEST + 1, 8 * 2**20, 8 * 2**20 + 1, 2**30])
    def test_of_data_is_no_plugin(self, tmp_path: Path, size: int) -> None:
        path = tmp_path / "mine.py"
        with path.open("wb") as file:
            file.write(b"a=1\n" * 200_000)
            file.truncate(size)
        raw = read_source(path)
        assert isinstance(raw, TooLarge)
        parsed = PluginReader().read(raw, path, PurePath("mine.py"))
        assert isinstance(parsed, NotPlugin)
        assert parsed.reason == "nothing in it looks like a plugin: the file is larger than 640 kB"
