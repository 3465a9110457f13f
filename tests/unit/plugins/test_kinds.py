"""What makes a file a plugin: methods of its own class, a header, or the plugin's record."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest

from owui_watch.plugins.model import Kind, NotPlugin, ParsedFile, Plugin, PluginKey, Severity, Space
from owui_watch.plugins.reader import PluginReader, read_plugin

HEADER = '"""\ntitle: Mine\n"""\n'
METHODS = {Kind.PIPE: "pipe", Kind.FILTER: "outlet", Kind.ACTION: "action", Kind.EVENT: "event", Kind.TOOL: "add"}
EVERY_KIND = pytest.mark.parametrize("kind", list(Kind))
NO_EVENT = pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.EVENT])


def read(text: str) -> ParsedFile:
    return read_plugin(text.encode(), Path("/w/mine.py"), PurePath("mine.py"))


def kind_of(text: str) -> Kind | None:
    parsed = read(text)
    return None if isinstance(parsed, NotPlugin) else parsed.kind


def reason(text: str) -> str:
    parsed = read(text)
    assert isinstance(parsed, NotPlugin), parsed
    return parsed.reason


class TestMethods:
    @EVERY_KIND
    @pytest.mark.parametrize("definition", ["def {}(self): ...", "async def {}(self): ..."])
    def test_of_its_kind_make_a_class_a_plugin(self, kind: Kind, definition: str) -> None:
        assert kind_of(f"class {kind.class_name}:\n    {definition.format(METHODS[kind])}\n") is kind

    @EVERY_KIND
    @pytest.mark.parametrize(
        "form",
        [
            "class {0}:\n    if True:\n        def {1}(self): ...\n",
            "class Base:\n    def {1}(self): ...\nclass {0}(Base): ...\n",
            "class Root:\n    def {1}(self): ...\nclass Base(Root): ...\nclass {0}(Base, dict): ...\n",
            "try:\n    import x\nexcept ImportError:\n    pass\nif x:\n    class {0}:\n        def {1}(self): ...\n",
        ],
    )
    def test_are_found_in_blocks_and_bases(self, kind: Kind, form: str) -> None:
        assert kind_of(form.format(kind.class_name, METHODS[kind])) is kind

    @EVERY_KIND
    @pytest.mark.parametrize(
        "form",
        [
            "from mine import Base\nclass {0}(Base): ...\n",
            "import mine\nclass {0}(mine.Base): ...\n",
            "from .base import Base\nclass {0}(Base): ...\n",
            "from .typing import Base\nclass {0}(Base): ...\n",
            "from mine import Base\nclass {0}(Base[int]): ...\n",
            "class {0}(make_base()): ...\n",
            "Base = make()\nclass {0}(Base): ...\n",
            "from mine import made\n@made\nclass {0}: ...\n",
            "from mine import made\n@made(1)\nclass {0}: ...\n",
            "from mine import Meta\nclass {0}(metaclass=Meta): ...\n",
            "class {0}:\n    def __getattr__(self, name): ...\n",
            "class {0}:\n    from mine import {1}\n",
            "class {0}: ...\nsetattr({0}, '{1}', run)\n",
            "class {0}: ...\nfor name in names:\n    setattr({0}, name, run)\n",
            "class {0}:\n    def __init__(self):\n        setattr(self, '{1}', 1)\n",
            "class {0}: ...\n{0} = traced({0})\n",
        ],
    )
    def test_that_may_come_from_elsewhere_count(self, kind: Kind, form: str) -> None:
        assert kind_of(form.format(kind.class_name, METHODS[kind])) is kind

    @pytest.mark.parametrize("kind", [Kind.PIPE, Kind.FILTER, Kind.ACTION])
    @pytest.mark.parametrize(
        "form",
        [
            "class {0}: ...\n{0}.{1} = run\n",
            "class {0}:\n    def __init__(self):\n        self.{1} = self.run\n",
            "class {0}: ...\ndef patch():\n    {0}.{1}, x = run, 1\n",
        ],
    )
    def test_may_be_set_as_attributes(self, kind: Kind, form: str) -> None:
        assert kind_of(form.format(kind.class_name, METHODS[kind])) is kind

    @EVERY_KIND
    @pytest.mark.parametrize(
        "form",
        [
            "class {0}: ...\n",
            "class {0}:\n    name = 1\n    _x = 2\n    class Valves: ...\n",
            "class {0}:\n    def __init__(self): ...\n    def _private(self): ...\n",
            "from pydantic import BaseModel\nclass {0}(BaseModel):\n    name: str\n",
            "import pydantic\nclass {0}(pydantic.BaseModel): ...\n",
            "from enum import Enum\nclass {0}(str, Enum):\n    A = 'a'\n",
            "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass {0}:\n    name: str\n",
            "import logging\nclass {0}(logging.Filter): ...\n",
            "from logging import Filter as Base\nclass {0}(Base): ...\n",
            "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass {0}(Generic[T]): ...\n",
            "from abc import ABCMeta\nclass {0}(metaclass=ABCMeta): ...\n",
            "class Base: ...\nclass {0}(Base): ...\n",
            "class {0}({0}): ...\n",
            "class A(B): ...\nclass B(A): ...\nclass {0}(A): ...\n",
            "import threading\nclass {0}(threading.Thread): ...\n",
            "from sqlmodel import SQLModel\nclass {0}(SQLModel, table=True):\n    name: str\n",
            "from sqlalchemy.orm import declarative_base\nBase = declarative_base()\nclass {0}(Base):\n    _x = 1\n",
            "from open_webui.internal.db import Base\nclass {0}(Base):\n    __tablename__ = 'x'\n",
            "import attrs\n@attrs.define\nclass {0}:\n    name: str\n",
            "import msgspec\nclass {0}(msgspec.Struct):\n    name: str\n",
        ],
    )
    def test_are_missing_in_models_enums_and_helpers(self, kind: Kind, form: str) -> None:
        assert kind_of(form.format(kind.class_name)) is None

    @NO_EVENT
    def test_may_be_bound_in_the_body(self, kind: Kind) -> None:
        assert kind_of(f"class {kind.class_name}:\n    {METHODS[kind]} = run\n") is kind

    def test_of_an_event_is_a_function(self) -> None:
        assert kind_of("class Event:\n    event = 1\n") is None

    def test_of_a_deleted_class_do_not_count(self) -> None:
        assert kind_of("class Filter:\n    def inlet(self): ...\ndel Filter\n") is None


class TestImports:
    @EVERY_KIND
    @pytest.mark.parametrize(
        "form",
        [
            "from mine import {}",
            "from mine import Other as {}",
            "import mine as {}",
            "from .pk import {}",
            "try:\n    from mine import {}\nexcept ImportError:\n    pass",
            "if not TYPE_CHECKING:\n    from mine import {}",
        ],
    )
    def test_make_no_plugin_without_a_header(self, kind: Kind, form: str) -> None:
        text = form.format(kind.class_name) + "\n"
        assert reason(text) == f"{kind.class_name} is only imported, and the file has no header"
        assert kind_of(HEADER + text) is kind

    @pytest.mark.parametrize(
        "line",
        [
            "from logging import Filter",
            "from open_webui.models.tools import Tools",
            "from multiprocessing import Pipe",
            "from qdrant_client.models import Filter, FieldCondition",
        ],
    )
    def test_of_libraries_make_no_plugin(self, line: str) -> None:
        assert isinstance(read(f"{line}\n\ndef helper(): ...\n"), NotPlugin)

    def test_beside_an_own_class_are_not_the_plugin(self) -> None:
        assert kind_of("from logging import Filter\nclass Tools:\n    def add(self): ...\n") is Kind.TOOL
        model = "from pydantic import BaseModel\nclass Filter(BaseModel): ...\nclass Tools:\n    def add(self): ...\n"
        assert kind_of(model) is Kind.TOOL
        assert kind_of(HEADER + model) is Kind.TOOL


class TestAssignments:
    @EVERY_KIND
    @pytest.mark.parametrize(
        "form", ["{} = make()", "x = {} = make()", "a, ({}, *b) = make()", "def {}(): ...", "{}: T = 1"]
    )
    def test_count_with_a_header(self, kind: Kind, form: str) -> None:
        text = form.format(kind.class_name) + "\n"
        assert reason(text) == f"{kind.class_name} is no class of the file's own, and the file has no header"
        assert kind_of(HEADER + text) is kind


class TestHeader:
    @pytest.mark.parametrize(
        "header",
        [HEADER, '"""\nid: x\n"""\n', "'''\ntitle: x\n'''\n", "# title: x\n", 'import a\n"""\ntitle: x\n"""\n'],
    )
    def test_makes_a_class_without_methods_a_plugin(self, header: str) -> None:
        parsed = read(f"{header}class Filter:\n    toggle = True\n")
        assert isinstance(parsed, Plugin)
        warnings = [each.error for each in parsed.warnings if each.rule == "missing-method"]
        assert warnings == [
            "Open WebUI calls Filter.inlet or Filter.outlet or Filter.stream, which this file does not define"
        ]

    @pytest.mark.parametrize("docstring", ["Helpers.", "Usage: call it", "Note: a b", "https://example.com"])
    def test_is_more_than_a_docstring(self, docstring: str) -> None:
        text = f'"""\n{docstring}\n"""\nfrom logging import Filter\n'
        assert reason(text) == "Filter is only imported, and the file has no header"

    def test_is_asked_for_in_the_hint(self) -> None:
        parsed = read("class Filter:\n    toggle = True\n")
        assert isinstance(parsed, NotPlugin)
        assert parsed.reason == "class Filter has no method inlet, outlet or stream, and the file has no header"
        assert parsed.hint == (
            'if it is a plugin, add a header: """ alone on the first line, `title: …` below it, and """ again'
        )
        assert (
            reason("class Tools: ...\n")
            == "class Tools has no method that a model could call, and the file has no header"
        )
        assert reason("class Pipe: ...\n") == "class Pipe has no method pipe, and the file has no header"


class TestManaged:
    @EVERY_KIND
    def test_plugin_that_loses_its_method_stays_one(self, kind: Kind) -> None:
        key = PluginKey(kind.space, "mine")
        reader = PluginReader(lambda asked: asked == key)
        text = f"class {kind.class_name}:\n    name = 1\n"
        parsed = reader.read(text.encode(), Path("/w/mine.py"), PurePath("mine.py"))
        assert isinstance(parsed, Plugin)
        assert parsed.key == key
        assert isinstance(reader.read(text.encode(), Path("/w/other.py"), PurePath("other.py")), NotPlugin)

    def test_file_without_the_class_is_none(self) -> None:
        reader = PluginReader(lambda _: True)
        assert isinstance(reader.read(b"x = 1\n", Path("/w/mine.py"), PurePath("mine.py")), NotPlugin)


class TestOtherKind:
    @pytest.mark.parametrize(
        ("code", "loaded"),
        [
            ("from multiprocessing import Pipe\n", Kind.PIPE),
            ("Pipe = os.pipe()\n", Kind.PIPE),
            ("class Pipe(dict): ...\n", Kind.PIPE),
        ],
    )
    def test_that_the_server_would_take_is_a_warning(self, code: str, loaded: Kind) -> None:
        parsed = read(f"{code}class Filter:\n    def inlet(self): ...\n")
        assert isinstance(parsed, Plugin)
        assert (parsed.kind, parsed.key) == (loaded, PluginKey(Space.FUNCTIONS, "mine"))
        [warning] = parsed.warnings
        assert (warning.severity, warning.rule, warning.line) == (Severity.WARNING, "other-kind", 1)
        assert warning.error == "Open WebUI takes this Pipe for the plugin, and not the file's own class Filter"
