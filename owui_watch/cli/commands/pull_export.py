"""Reads the plugins of a JSON export of Open WebUI: of functions, of tools, or of a single plugin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from owui_watch.cli.errors import CommandError
from owui_watch.files import read_regular
from owui_watch.openwebui.json_stream import Unreadable
from owui_watch.openwebui.remote import Remote, read_plugin
from owui_watch.plugins.model import Space

LARGEST = 64_000_000
"""Bytes of an export. The plugins of a large server take about 20 MB."""
_DEFAULTS = {"user_id": "", "meta": {}, "is_active": True, "is_global": False, "updated_at": 0, "created_at": 0}
"""Fields that an export may lack and that no file needs."""


def read_export(path: Path) -> tuple[list[Remote], list[str]]:
    """Return the plugins of an export, and a line for each entry that can't be used. Raises CommandError."""
    try:
        raw = read_regular(path, LARGEST)
    except OSError as error:
        raise CommandError(f"{path}: can't be read: {error.strerror or error}") from None
    if isinstance(raw, str):
        raise CommandError(f"{path}: can't be read: {raw}")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path}: is not JSON: {str(error) or 'nested too deep'}") from None
    entries = body if isinstance(body, list) else [body]
    remotes, unusable = [], []
    for number, entry in enumerate(entries, 1):
        plugin = _read(entry)
        if isinstance(plugin, Remote):
            remotes.append(plugin)
        else:
            unusable.append(f"entry {number} of {path} is no function and no tool: {plugin}")
    if not remotes:
        raise CommandError(f"{path}: holds no function and no tool: export them in Open WebUI and try again")
    return remotes, unusable


def _read(entry: Any) -> Remote | str:
    """Return the plugin of one entry, or what is wrong with the entry."""
    if isinstance(entry, dict):
        entry = next((entry[name] for name in ("function", "tool") if isinstance(entry.get(name), dict)), entry)
        entry = _DEFAULTS | {name: value for name, value in entry.items() if value is not None}
        space = Space.FUNCTIONS if "type" in entry else Space.TOOLS
        plugin = read_plugin(space, entry)
        if isinstance(plugin, Remote):
            return plugin
        return plugin.reason if isinstance(plugin, Unreadable) else "it has no content"
    return "it is no JSON object"
