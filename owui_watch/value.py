"""What travels between the rooms: frozen dataclasses that share one way to be made, compared and shown.

``dataclasses`` writes and compiles six methods a class: for the eighty classes here, a fifth of every start.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from typing import Any, ClassVar, dataclass_transform


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Value:
    """A frozen dataclass, by deriving from it. ``kw_only``: its fields are given by name.

    Raises TypeError for a field that is unknown, given twice or missing, and FrozenInstanceError for a change.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    _positional: ClassVar[tuple[str, ...]]
    _fields: ClassVar[dict[str, Field[Any]]]

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        super().__init_subclass__()
        dataclass(init=False, repr=False, eq=False, match_args=True, kw_only=kw_only)(cls)
        cls._fields = {each.name: each for each in fields(cls)}
        cls._positional = tuple(name for name, each in cls._fields.items() if not each.kw_only)

    def __init__(self, *given: Any, **named: Any) -> None:
        held = vars(self)
        held.update(zip(self._positional, given, strict=False), **named)
        if len(held) < len(given) + len(named) or not held.keys() <= self._fields.keys():
            raise TypeError(f"{type(self).__name__} takes {', '.join(self._fields)}, each once")
        if len(held) < len(self._fields):
            held.update((name, _default(each)) for name, each in self._fields.items() if name not in held)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *(vars(self)[name] for name, each in self._fields.items() if each.hash is not False)))

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={vars(self)[name]!r}" for name, each in self._fields.items() if each.repr)
        return f"{type(self).__name__}({told})"

    def __setattr__(self, name: str, _: object) -> None:
        raise FrozenInstanceError(f"{type(self).__name__}.{name} can't be changed")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"{type(self).__name__}.{name} can't be deleted")


def _default(of: Field[Any]) -> object:
    if of.default is not MISSING:
        return of.default
    if of.default_factory is not MISSING:
        return of.default_factory()
    raise TypeError(f"{of.name} is not given")
