"""The page about events names every event and every field. ``python -m tests.unit.reporting.test_events_page`` writes it."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator

from owui_watch.reporting import command_events, events, runtime_events
from owui_watch.reporting.events import Event, Note, Rejection
from tests.documents import DOCS, block, write_block

FIRST = ("line", "error", "hint", "column", "source")
"""Fields of a rejection that repeat its first diagnostic."""


def every_event() -> Iterator[type[Event]]:
    """Yield the classes of all events that are an interface."""
    for module in (events, command_events, runtime_events):
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, Event) and not issubclass(cls, Note) and "event" in vars(cls):
                yield cls


def fields_table() -> str:
    """Return the table of all events with their levels and fields."""
    levels: dict[str, set[str]] = {}
    fields: dict[str, list[str]] = {}
    for cls in every_event():
        names = [field.name for field in dataclasses.fields(cls)] + (list(FIRST) if cls is Rejection else [])
        levels.setdefault(cls.event, set()).add(cls.level)
        assert fields.setdefault(cls.event, names) == names, "two classes of one event have the same fields"
    rows = ["| event | level | fields |", "| --- | --- | --- |"]
    for event in sorted(fields):
        named = ", ".join(f"`{name}`" for name in fields[event])
        rows.append(f"| `{event}` | {', '.join(sorted(levels[event]))} | {named} |")
    return "".join(f"{row}\n" for row in rows)


def test_lists_every_event_with_its_fields() -> None:
    assert block("fields") == fields_table()


def test_explains_every_event() -> None:
    explained = (DOCS / "events.md").read_text("utf-8").partition("## Fields")[0]
    assert {cls.event for cls in every_event()} - set(re.findall(r"`(\w+)`", explained)) == set()


if __name__ == "__main__":
    write_block("fields", fields_table())
