"""Why a file is no plugin, and what to do if it should be one."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from owui_watch.files import exists
from owui_watch.plugins.checks import Checked
from owui_watch.plugins.kinds import Evidence, Kinds
from owui_watch.plugins.model import Kind, NotPlugin

_NAME_A_PLUGIN = "name a Python file or a folder"
_UNPACK = "an export of Open WebUI is unpacked by `owui-watch pull {}`"
NO_CLASS = "no class named Pipe, Filter, Action, Event or Tools"
NO_CLASS_HINT = "define one of these classes, or name another file"
_ADD_HEADER = 'if it is a plugin, add a header: """ alone on the first line, `title: …` below it, and """ again'


def not_python(path: Path) -> NotPlugin:
    """Say why a file whose name does not end in ``.py`` is no plugin. Raises FileNotFoundError if it is gone."""
    if not exists(path):
        raise FileNotFoundError(path)
    hint = _UNPACK.format(shlex.quote(str(path))) if path.suffix == ".json" else _NAME_A_PLUGIN
    return NotPlugin(path, "its name does not end in .py", hint)


def no_plugin(path: Path, text: str, checked: Checked) -> NotPlugin:
    """Say why a file is no plugin, and what to do if it should be one."""
    if checked.kinds is not None and checked.kinds.pipeline:
        reason = "it is a plugin for a Pipelines server (class Pipeline), which Open WebUI itself does not load"
        hint = "upload it to the Pipelines server: Admin Panel, Settings, Pipelines"
        return NotPlugin(path, reason, hint)
    if _is_export(text):
        reason = "it is a JSON export of Open WebUI, and no Python file"
        renamed = path.with_suffix(".json")
        hint = f"rename it to {renamed.name}, then unpack it: `owui-watch pull {shlex.quote(str(renamed))}`"
        return NotPlugin(path, reason, hint)
    if (error := next(iter(checked.diagnostics), None)) is not None and checked.kinds is None:
        place = f" (line {error.line})" if error.line else ""
        reason = f"nothing in it looks like a plugin: {error.error}{place}"
        return NotPlugin(path, reason, error.hint, diagnostic=error)
    if checked.possible is not None and checked.kinds is not None:
        return NotPlugin(path, _weak_reason(checked.possible, checked.kinds), _ADD_HEADER)
    return NotPlugin(path, NO_CLASS, NO_CLASS_HINT)


def _weak_reason(kind: Kind, kinds: Kinds) -> str:
    name = kind.class_name
    match kinds.evidence(kind):
        case Evidence.IMPORTED:
            return f"{name} is only imported, and the file has no header"
        case Evidence.ASSIGNED:
            return f"{name} is no class of the file's own, and the file has no header"
        case _:
            *names, last = kind.called or ("that a model could call",)
            wanted = f"{', '.join(names)} or {last}" if names else last
            return f"class {name} has no method {wanted}, and the file has no header"


def _is_export(text: str) -> bool:
    """Return whether ``text`` is a file that Open WebUI's export of functions or tools wrote."""
    if text.lstrip()[:1] not in {"[", "{"} or '"content"' not in text:
        return False
    try:
        exported = json.loads(text)
    except (ValueError, RecursionError):
        return False
    rows = exported if isinstance(exported, list) else [exported]
    return any(isinstance(row, dict) and isinstance(row.get("id"), str) and "content" in row for row in rows)
