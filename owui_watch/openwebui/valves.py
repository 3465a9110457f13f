"""Do stored valves still fit the code? Open WebUI up to 0.11 doesn't ask, and the plugin then fails at every use."""

from __future__ import annotations

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
"""What pydantic takes for each JSON type, at its most lenient: only what can't fit at all counts as unfit."""


def unfit(stored: Any, schema: Any) -> str | None:
    """Name the first stored valve that the new code can't take, and the type that it wants; None if all may fit.

    ``stored`` is the server's JSON, a value by name; ``schema`` the JSON schema that the server made of the new code's
    ``Valves``. The value is not named: it may be a password.
    """
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(stored, dict) or not isinstance(properties, dict):
        return None
    for name, value in stored.items():
        types = _types(properties.get(name))
        if types and not any(_fits(value, each) for each in types):
            return f"{name}: the stored value does not fit {' or '.join(sorted(types))}"
    return None


def _types(schema: Any) -> set[str]:
    """Return the JSON types that a value may have; empty if the schema does not name them plainly."""
    if not isinstance(schema, dict):
        return set()
    options = schema.get("anyOf")
    types = [
        each.get("type") for each in (options if isinstance(options, list) else [schema]) if isinstance(each, dict)
    ]
    known = {each for each in types if isinstance(each, str) and each in _FITS}
    return known if len(types) == len([each for each in types if each in known]) else set()


def _fits(value: object, json_type: str) -> bool:
    if json_type in _NUMBERS and isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
    return isinstance(value, _FITS[json_type])
