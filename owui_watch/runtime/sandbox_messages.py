"""A message from the sandbox's server (one JSON line) → events. Plugins run in the process that sends it: trust nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owui_watch.plugins.bundle.bundle import without_package
from owui_watch.plugins.bundle.source_map import author_file
from owui_watch.reporting.events import Event, Warned
from owui_watch.reporting.runtime_events import Cause, Frame, Printed, Raised, Traceback

LONGEST = 64_000
"""Bytes of one message."""
_MOST_TEXT = 4_000
_MOST_FRAMES = 60
_MOST_CAUSES = 10
_KINDS = ("pipe", "filter", "action", "event", "tool")
FileOf = Callable[[str, str], Path | None]
"""Return the file of a plugin by space (``function`` or ``tool``) and id, None if it is not known."""


def events_of(line: bytes, file_of: FileOf) -> list[Event]:
    """Return what a message reports; empty for a line that is no message."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return []
    if not isinstance(record, dict):
        return []
    fields = _Fields(record)
    plugin = _Source(fields.text("plugin") or "?", _kind(fields), file_of(fields.text("space"), fields.text("plugin")))
    match fields.text("record"):
        case "raised":
            return _raised(fields, plugin)
        case "printed":
            return [_printed(fields, plugin)]
        case "left_out":
            count = fields.number("count")
            what = (
                f"{count:,} more writes were left out"
                if count
                else "the plugin writes too fast: some of its output is left out"
            )
            return [Warned(what, None, plugin.id, plugin.kind or None, plugin.file)]
        case "blocked":
            method, seconds = fields.text("method"), fields.number("seconds")
            what = f"{method} blocked Open WebUI for {seconds} s; its call was ended, because a save waits"
            path = plugin.author_file(fields.text("path"))
            hint = "use `await` and asynchronous libraries: asyncio.sleep, httpx.AsyncClient"
            return [Warned(what, hint, plugin.id, plugin.kind or None, path, fields.number("line"))]
        case "lost":
            return [Warned(f"{fields.number('count') or 'some'} lines were left out: the plugins write too fast")]
    return []


@dataclass(frozen=True, slots=True)
class _Source:
    """The plugin that a message is about. ``file`` is where its source is now."""

    id: str
    kind: str
    file: Path | None

    def author_file(self, name: str) -> Path:
        """Return the author's file that a frame names: the plugin's own, or one that the plugin imports."""
        return author_file(name, self.file) if self.file is not None else Path(name)


class _Fields:
    """A message's fields by type. What has another type than expected counts as absent."""

    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record

    def text(self, name: str) -> str:
        value = self._record.get(name)
        return value[:_MOST_TEXT] if isinstance(value, str) else ""

    def number(self, name: str) -> int | None:
        value = self._record.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else None

    def flag(self, name: str) -> bool:
        return self._record.get(name) is True

    def several(self, name: str, most: int) -> list[_Fields]:
        value = self._record.get(name)
        items = value[-most:] if isinstance(value, list) else []
        return [_Fields(item) for item in items if isinstance(item, dict)]


def _kind(fields: _Fields) -> str:
    return kind if (kind := fields.text("kind")) in _KINDS else ""


def _raised(fields: _Fields, plugin: _Source) -> list[Event]:
    frames = _frames(fields, plugin)
    path = plugin.author_file(fields.text("path"))
    raised = Raised(
        plugin.id,
        plugin.kind,
        fields.text("method"),
        path,
        fields.number("line"),
        _error(fields),
        tuple(frame for frame in frames if frame.author),
        tuple(
            Cause(
                cause.text("relation"), _error(cause), tuple(frame for frame in _frames(cause, plugin) if frame.author)
            )
            for cause in fields.several("causes", _MOST_CAUSES)
        ),
        fields.number("column"),
        fields.number("end_column"),
        fields.text("source") or None,
        fields.text("version") or None,
        fields.flag("outdated"),
        _moved(path, plugin.file),
    )
    return [raised, Traceback(frames=frames)] if any(not frame.author for frame in frames) else [raised]


def _printed(fields: _Fields, plugin: _Source) -> Printed:
    return Printed(
        plugin.id,
        plugin.kind,
        fields.text("method"),
        plugin.author_file(fields.text("path")),
        fields.number("line"),
        fields.text("text"),
        fields.text("stream"),
        fields.text("level") or None,
        fields.text("logger") or None,
        fields.text("version") or None,
        fields.flag("outdated"),
        fields.flag("cut"),
    )


def _moved(path: Path, file: Path | None) -> str | None:
    """Say where a plugin's file is now, if it was moved after its code was loaded."""
    if file is None or file == path or path.exists():
        return None
    return f"its file is {file.name} now, in {file.parent}"


def _error(fields: _Fields) -> str:
    kind, text = without_package(fields.text("type")) or "an exception", fields.text("text")
    return f"{kind}: {text}" if text else kind


def _frames(fields: _Fields, plugin: _Source) -> tuple[Frame, ...]:
    return tuple(
        Frame(
            plugin.author_file(frame.text("path")) if frame.flag("author") else Path(frame.text("path")),
            frame.number("line") or 1,
            frame.text("function"),
            frame.flag("author"),
            frame.text("source") or None,
            frame.number("column"),
            frame.number("end_column"),
        )
        for frame in fields.several("frames", _MOST_FRAMES)
    )
