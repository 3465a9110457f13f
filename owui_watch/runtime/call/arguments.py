"""The arguments of ``owui-watch call``: ``name=text`` and ``name:=JSON``, checked against what the server made of the code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_ARGUMENT = re.compile(r"(?P<name>[A-Za-z_]\w*)(?P<sign>:=|=)(?P<value>.*)", re.DOTALL)
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_LONGEST_SHOWN = 60


class ArgumentError(Exception):
    """What is wrong with the arguments, for the user."""


@dataclass(frozen=True, slots=True)
class Method:
    """A tool's method, as the server's specification describes it."""

    name: str
    description: str
    properties: Mapping[str, Mapping[str, Any]]
    required: tuple[str, ...]

    def usage(self) -> str:
        """Return how the method is called, with each argument's type; those in brackets may be left out."""
        return " ".join((self.name, *(self._shown(name) for name in self.properties)))

    def _shown(self, name: str) -> str:
        kind = _kind(self.properties[name])
        sign = "=" if kind == "string" else ":="
        text = f"{name}{sign}{kind.upper()}"
        return text if name in self.required else f"[{text}]"


def methods(specs: object) -> list[Method]:
    """Return the methods in a tool's ``specs``, as any release writes them. What can't be read is left out."""
    found = []
    for spec in specs if isinstance(specs, list) else []:
        if not isinstance(spec, dict) or not isinstance(name := spec.get("name"), str):
            continue
        parameters = spec.get("parameters")
        parameters = parameters if isinstance(parameters, dict) else {}
        given = parameters.get("properties")
        properties = {
            str(key): value
            for key, value in (given.items() if isinstance(given, dict) else ())
            if isinstance(value, dict) and not str(key).startswith("__")
        }
        required = parameters.get("required")
        names = tuple(one for one in required if one in properties) if isinstance(required, list) else ()
        description = spec.get("description")
        found.append(Method(name, description if isinstance(description, str) else "", properties, names))
    return found


def parse(words: Sequence[str], as_json: str | None = None) -> dict[str, Any]:
    """Return the arguments that ``words`` and ``--json`` give. Raises ArgumentError."""
    arguments: dict[str, Any] = {}
    if as_json is not None:
        arguments = _json("--json", as_json)
        if not isinstance(arguments, dict):
            raise ArgumentError('--json: is not an object, as {"name": "value"} is')
    for word in words:
        match = _ARGUMENT.fullmatch(word)
        if match is None:
            raise ArgumentError(f"{word[:_LONGEST_SHOWN]}: write name=text, or name:=JSON for any other value")
        name, value = match["name"], match["value"]
        arguments[name] = value if match["sign"] == "=" else _json(name, value)
    return arguments


def check(method: Method, arguments: Mapping[str, Any]) -> None:
    """Compare arguments with a method's specification. Raises ArgumentError for the first that does not fit."""
    for name, value in arguments.items():
        if name not in method.properties:
            takes = ", ".join(method.properties) or "none"
            raise ArgumentError(f"{method.name} has no argument {name}; it takes {takes}")
        _check(name, value, method.properties[name])
    if missing := [name for name in method.required if name not in arguments]:
        raise ArgumentError(f"{method.name} needs {', '.join(missing)}: {method.usage()}")


def _check(name: str, value: Any, schema: Mapping[str, Any]) -> None:
    options = schema.get("anyOf")
    if isinstance(options, list):
        if not any(_fits(value, option) for option in options if isinstance(option, dict)):
            raise ArgumentError(f"{name}: {_wrong(name, value, schema)}")
        return
    if not _fits(value, schema):
        raise ArgumentError(f"{name}: {_wrong(name, value, schema)}")
    allowed = schema.get("enum")
    if isinstance(allowed, list) and value not in allowed:
        raise ArgumentError(f"{name}: is none of {', '.join(map(json.dumps, allowed))}")
    items = schema.get("items")
    if isinstance(value, list) and isinstance(items, dict):
        for number, item in enumerate(value):
            _check(f"{name}[{number}]", item, items)


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    types = _TYPES.get(str(schema.get("type")))
    if types is None:
        return True
    if isinstance(value, bool):
        return bool in types
    return isinstance(value, types)


def _wrong(name: str, value: Any, schema: Mapping[str, Any]) -> str:
    expected, given = _kind(schema), _kind_of(value)
    hint = f"; write {name}:={value}" if isinstance(value, str) and expected != "string" else ""
    return f"must be {expected}, is {given}{hint}"


def _kind(schema: Mapping[str, Any]) -> str:
    options = schema.get("anyOf")
    if isinstance(options, list):
        return " or ".join(dict.fromkeys(_kind(option) for option in options if isinstance(option, dict))) or "json"
    kind = schema.get("type")
    return kind if isinstance(kind, str) and kind in _TYPES else "json"


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return next((name for name, types in _TYPES.items() if isinstance(value, types)), type(value).__name__)


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"{name}: {text[:_LONGEST_SHOWN]} is no JSON: {error}") from None
