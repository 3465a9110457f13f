"""What travels between the rooms: frozen dataclasses that share one way to be made, compared and shown.

``dataclasses`` writes and compiles six methods a class, and reads its fields as soon as it is defined: for the eighty
classes here, a quarter of every start, which needs few of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from typing import Any, ClassVar, NamedTuple, dataclass_transform


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Value:
    """A frozen dataclass, by deriving from it. ``kw_only``: its fields are given by name.

    Raises TypeError for a field that is unknown, given twice or missing, and FrozenInstanceError for a change.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    _kw_only: ClassVar[bool]

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        super().__init_subclass__()
        cls._kw_only = kw_only

    def __init__(self, *given: Any, **named: Any) -> None:
        known, positional = _shape(type(self))
        held = vars(self)
        held.update(zip(positional, given, strict=False), **named)
        if len(held) < len(given) + len(named) or not held.keys() <= known.keys():
            raise TypeError(f"{type(self).__name__} takes {', '.join(known)}, each once")
        if len(held) < len(known):
            held.update((name, _default(each)) for name, each in known.items() if name not in held)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        known = fields_of(type(self)).items()
        return hash((type(self), *(vars(self)[name] for name, each in known if each.hash is not False)))

    def __repr__(self) -> str:
        known = fields_of(type(self)).items()
        told = ", ".join(f"{name}={vars(self)[name]!r}" for name, each in known if each.repr)
        return f"{type(self).__name__}({told})"

    def __setattr__(self, name: str, _: object) -> None:
        raise FrozenInstanceError(f"{type(self).__name__}.{name} can't be changed")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"{type(self).__name__}.{name} can't be deleted")


class _Shape(NamedTuple):
    fields: Mapping[str, Field[Any]]
    positional: tuple[str, ...]


def fields_of(kind: type[Value]) -> Mapping[str, Field[Any]]:
    """Give the fields of a class by their names."""
    return _shape(kind).fields


def _shape(kind: type[Value]) -> _Shape:
    """Make a class, and those that it derives from, the dataclasses that they are for everyone else, the first time."""
    if kind not in _SHAPES:
        for each in reversed(kind.__mro__):
            if each is not Value and issubclass(each, Value) and "__dataclass_fields__" not in vars(each):
                dataclass(init=False, repr=False, eq=False, kw_only=each._kw_only)(each)
        known = {each.name: each for each in fields(kind)}
        _SHAPES[kind] = _Shape(known, tuple(name for name, each in known.items() if not each.kw_only))
    return _SHAPES[kind]


_SHAPES: dict[type[Value], _Shape] = {}


def _default(of: Field[Any]) -> object:
    if of.default is not MISSING:
        return of.default
    if of.default_factory is not MISSING:
        return of.default_factory()
    raise TypeError(f"{of.name} is not given")
