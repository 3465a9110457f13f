"""Do stored valves still fit the code? Open WebUI up to 0.11 doesn't ask, and the plugin then fails at every use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NUMBERS = {"integer", "number"}
_FITS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int, float, str, bool),
    "number": (int, float, str, bool),
    "boolean": (bool, int, float, str),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
"""What pydantic takes for each JSON type, at its most lenient: only what can't fit at all is called unfit."""


def unfit(stored: Mapping[str, Any] | None, spec: Mapping[str, Any] | None) -> str | None:
    """Name the first stored valve that the new code can't take, and what it wants; None where all may fit.

    ``spec`` is the JSON schema that the server made of the new code's ``Valves``.
    """
    properties = (spec or {}).get("properties") or {}
    for name, value in (stored or {}).items():
        types = _types(properties.get(name, {}))
        if types and not any(_fits(value, one) for one in types):
            return f"{name}: {value!r} does not fit {' or '.join(sorted(types))}"
    return None


def _types(schema: Mapping[str, Any]) -> set[str]:
    """Return the JSON types a value may have; empty where the schema does not simply say."""
    options = schema.get("anyOf") or [schema]
    types = [option.get("type") for option in options]
    return set() if not all(isinstance(one, str) and one in _FITS for one in types) else set(types)


def _fits(value: object, json_type: str) -> bool:
    if json_type in _NUMBERS and isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
    return isinstance(value, _FITS[json_type])
