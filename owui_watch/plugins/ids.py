"""From a file's path and header to its plugin id. A function of these two alone: no other file can change it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from owui_watch.plugins.model import Diagnostic

_GENERIC = frozenset({"main", "plugin", "index", "__init__", "function", "tool", "filter", "pipe", "action", "event"})
_KIND_FOLDERS = frozenset(
    name + ending
    for name in ("plugin", "function", "tool", "pipe", "filter", "action", "event", "pipeline", "src")
    for ending in ("", "s")
)
_SEPARATORS = re.compile(r"[-.\s]")


@dataclass(frozen=True, slots=True)
class PluginId:
    """An id, and whether it was inferred from the path; if not, the author wrote it."""

    id: str
    inferred: bool


def normalise(name: str) -> str:
    """Return a name in the form in which Open WebUI keeps ids.

    NFKC; ``-``, white space and dots become ``_``; lower case, since Open WebUI lower-cases on create and compares
    exactly on update (0.3.35 to 0.12.4). Idempotent.
    """
    text = _SEPARATORS.sub("_", unicodedata.normalize("NFKC", name)).lower()
    return text if text == name or text.isascii() else normalise(text)


def plugin_id(relative: PurePath, header: Mapping[str, str], assigned: str | None = None) -> PluginId | Diagnostic:
    """Return the id of the file at ``relative``, its path below the folder whose own name no longer counts.

    The first of these decides: ``assigned`` (the settings' ``[ids]``), ``id:`` of the header, for a generic file name
    the nearest folder with a name of its own, the file's stem. A Diagnostic if that makes no identifier.
    """
    if assigned is not None:
        return _checked(assigned, "[ids] in the settings", "change it there")
    if header.get("id"):
        return _checked(header["id"], "id: in the header", "change that line")
    stem = relative.stem
    if normalise(stem) not in _GENERIC:
        return _checked(stem, "the file's name")
    for folder in reversed(relative.parent.parts):
        if normalise(folder) not in _GENERIC | _KIND_FOLDERS:
            return _checked(folder, "the folder's name")
    return Diagnostic(
        f"the file name {relative.name} gives no id, and no folder above it does",
        hint="add a line `id: my_plugin` to the header, or give the file a name of its own",
        rule="id",
    )


def _checked(name: str, origin: str, remedy: str | None = None) -> PluginId | Diagnostic:
    """Make an id of ``name``, which comes from ``origin``. ``remedy`` is given if the author wrote it."""
    normal = normalise(name)
    if normal.isidentifier():
        return PluginId(normal, inferred=remedy is None)
    return Diagnostic(
        f"“{name}” ({origin}) can't be an id: Open WebUI allows only letters, digits and _, and no digit at the start",
        hint=remedy or "add a line `id: my_plugin` to the header",
        rule="id",
    )
