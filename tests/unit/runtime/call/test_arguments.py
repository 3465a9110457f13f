"""The arguments of a call: how they are written, and what the server's specification says of them."""

from __future__ import annotations

from typing import Any

import pytest

from owui_watch.runtime.call.arguments import ArgumentError, Method, check, methods, parse

SPECS = [
    {
        "name": "now",
        "description": "Tell the time.",
        "parameters": {
            "type": "object",
            "properties": {
                "zone": {"type": "string"},
                "count": {"type": "integer"},
                "kind": {"type": "string", "enum": ["long", "short"]},
                "tags": {"type": "array", "items": {"type": "string"}},
                "maybe": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                "__user__": {"type": "object"},
            },
            "required": ["zone"],
        },
    }
]


def method() -> Method:
    return methods(SPECS)[0]


class TestParse:
    @pytest.mark.parametrize(
        ("words", "arguments"),
        [
            (["zone=UTC"], {"zone": "UTC"}),
            (["zone=a=b"], {"zone": "a=b"}),
            (["zone="], {"zone": ""}),
            (["count:=3"], {"count": 3}),
            (['tags:=["a", "b"]'], {"tags": ["a", "b"]}),
            (["count=3"], {"count": "3"}),
        ],
    )
    def test_sign_decides_between_text_and_json(self, words: list[str], arguments: dict[str, Any]) -> None:
        assert parse(words) == arguments

    def test_json_object_and_words_together(self) -> None:
        assert parse(["count:=3"], '{"zone": "UTC", "count": 1}') == {"zone": "UTC", "count": 3}

    @pytest.mark.parametrize(
        ("words", "as_json", "message"),
        [
            (["Hello"], None, "write name=text, or name:=JSON"),
            (["count:=three"], None, "count: three is no JSON"),
            ([], "[1]", "--json: is not an object"),
            ([], "{", "--json: { is no JSON"),
            (["a:=" + "[" * 100_000], None, "is no JSON"),
        ],
    )
    def test_what_is_none_of_them(self, words: list[str], as_json: str | None, message: str) -> None:
        with pytest.raises(ArgumentError) as caught:
            parse(words, as_json)
        assert message in str(caught.value)


class TestCheck:
    @pytest.mark.parametrize(
        "arguments",
        [
            {"zone": "UTC"},
            {"zone": "UTC", "count": 3, "kind": "long", "tags": ["a"], "maybe": None},
            {"zone": "UTC", "maybe": 1},
        ],
    )
    def test_takes_what_fits(self, arguments: dict[str, Any]) -> None:
        check(method(), arguments)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({}, "now needs zone: now zone=STRING [count:=INTEGER]"),
            ({"zone": "UTC", "city": "x"}, "now has no argument city; it takes zone, count"),
            ({"zone": "UTC", "count": "3"}, "count: must be integer, is string; write count:=3"),
            ({"zone": "UTC", "count": True}, "count: must be integer, is boolean"),
            ({"zone": 3}, "zone: must be string, is integer"),
            ({"zone": "UTC", "kind": "wide"}, 'kind: is none of "long", "short"'),
            ({"zone": "UTC", "tags": ["a", 1]}, "tags[1]: must be string, is integer"),
            ({"zone": "UTC", "maybe": "x"}, "maybe: must be number or null, is string"),
        ],
    )
    def test_names_what_does_not(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(ArgumentError) as caught:
            check(method(), arguments)
        assert message in str(caught.value)


class TestSpecs:
    @pytest.mark.parametrize("specs", [None, 3, [3], [{}], [{"name": 3}], [{"name": "x", "parameters": [1]}]])
    def test_of_another_form_break_nothing(self, specs: object) -> None:
        for found in methods(specs):
            check(found, {})

    def test_leave_out_what_open_webui_passes_itself(self) -> None:
        assert "__user__" not in method().properties
