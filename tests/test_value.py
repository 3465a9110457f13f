"""What all values between the rooms have in common."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import ClassVar

import pytest

from owui_watch.value import Value


class Place(Value):
    sort: ClassVar[str] = "place"
    name: str
    text: str = field(repr=False)
    line: int = 1
    marks: list[str] = field(default_factory=list, hash=False)


class Named(Place):
    owner: str | None = None


class Apart(Value, kw_only=True):
    name: str


def test_fields_are_given_by_place_and_by_name_and_have_defaults() -> None:
    place = Place("a", text="b")
    assert (place.name, place.text, place.line, place.marks) == ("a", "b", 1, [])
    assert Place("a", "b").marks is not place.marks


def test_a_value_of_a_derived_class_has_its_fields_too() -> None:
    assert Named("a", "b", 2, [], "c").owner == "c"


def test_values_are_equal_where_class_and_fields_are() -> None:
    assert Place("a", "b") == Place(text="b", name="a")
    assert Place("a", "b") != Place("a", "b", 2)
    assert Place("a", "b") != Named("a", "b")
    assert Place("a", "b") != ("a", "b", 1, [])


def test_equal_values_have_one_hash_however_they_were_made() -> None:
    assert hash(Apart(name="a")) == hash(Apart(name="a"))
    assert hash(Place("a", marks=[], line=1, text="b")) == hash(Place("a", "b"))


def test_a_value_shows_its_fields_but_those_that_are_too_long() -> None:
    assert repr(Place("a", "b")) == "Place(name='a', line=1, marks=[])"


def test_a_value_can_not_be_changed() -> None:
    place = Place("a", "b")
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"Place\.name can't be changed"):
        place.name = "c"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"Place\.name can't be deleted"):
        del place.name
    assert place.name == "a"


def test_a_value_is_a_dataclass() -> None:
    changed = dataclasses.replace(Named("a", "b"), line=3)
    assert changed == Named("a", "b", 3)
    assert dataclasses.asdict(changed) == {"name": "a", "text": "b", "line": 3, "marks": [], "owner": None}
    match changed:
        case Place(name, _, line):
            assert (name, line) == ("a", 3)


@pytest.mark.parametrize(
    ("given", "named", "message"),
    [
        (("a",), {}, "text is not given"),
        (("a", "b"), {"name": "c"}, "Place takes name, text, line, marks, each once"),
        (("a", "b"), {"nane": "c"}, "Place takes name, text, line, marks, each once"),
        (("a", "b", 1, [], "e"), {}, "Place takes name, text, line, marks, each once"),
    ],
)
def test_what_does_not_fit_is_refused(given: tuple[object, ...], named: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Place(*given, **named)  # type: ignore[arg-type]


def test_what_is_given_by_name_only_is_not_taken_by_place() -> None:
    with pytest.raises(TypeError, match="Apart takes name, each once"):
        Apart("a")  # type: ignore[call-arg]
