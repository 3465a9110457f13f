"""From the bytes of one file to what it is: a plugin, a broken plugin, or no plugin."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path, PurePath

from owui_watch.plugins.checks import Checked, Checker
from owui_watch.plugins.frontmatter import parse_header
from owui_watch.plugins.ids import PluginId, plugin_id
from owui_watch.plugins.kinds import Evidence, Kinds, UnsureError, guess_kind, scan_kind
from owui_watch.plugins.model import (
    BrokenPlugin,
    Diagnostic,
    Kind,
    NotPlugin,
    ParsedFile,
    Plugin,
    PluginKey,
    Severity,
    Space,
)
from owui_watch.plugins.source import LARGEST, TooLarge, decode, legible_text

NO_CLASS = "no class named Pipe, Filter, Action, Event or Tools"
_NO_CLASS_HINT = "define one of these classes, or name another file"
_ADD_HEADER = 'if it is a plugin, add a header: """ alone on the first line, `title: …` below it, and """ again'


class PluginReader:
    """Reads plugin files. Remembers what it found in the last contents, so that each is parsed once.

    ``is_known`` tells whether a plugin is managed already: then its file stays a plugin even if it looks like none.
    """

    def __init__(self, is_known: Callable[[PluginKey], bool] = lambda _: False) -> None:
        self._checker = Checker()
        self._is_known = is_known

    def read(self, raw: bytes | TooLarge, path: Path, relative: PurePath, assigned: str | None = None) -> ParsedFile:
        """Decode, check and name the file at ``path``, whose id is inferred from ``relative``.

        ``assigned`` is its id in the settings, if any.
        """
        if isinstance(raw, TooLarge):
            text = legible_text(raw.head)
            checked = _unchecked(text, _too_large())
        elif isinstance(decoded := decode(raw), Diagnostic):
            text = legible_text(raw)
            checked = _unchecked(text, decoded)
        elif not decoded.strip():
            return NotPlugin(path, "the file is empty", _NO_CLASS_HINT)
        else:
            text, checked = decoded, self._checker.check(decoded)
        header = parse_header(text)
        kind = checked.kind or self._known_kind(checked, relative, assigned)
        if kind is None:
            return _no_plugin(path, text, checked)
        name = plugin_id(relative, header, assigned)
        errors = tuple(each for each in checked.diagnostics if each.severity is Severity.ERROR)
        if isinstance(name, Diagnostic):
            return BrokenPlugin(path, (*errors, name), kind=kind, header=header)
        key = PluginKey(kind.space, name.id)
        if errors:
            return BrokenPlugin(path, errors, key, kind, header)
        return Plugin(key, kind, path, text, header, inferred=name.inferred, warnings=checked.diagnostics)

    def scan(self, raw: bytes | TooLarge, path: Path, relative: PurePath, assigned: str | None = None) -> ParsedFile:
        """Return what ``read`` would, most likely, by a look at the lines: enough to count and compare, not to send."""
        try:
            text = raw.decode().removeprefix("\ufeff") if isinstance(raw, bytes) else ""
            kind = scan_kind(text)
        except (UnicodeDecodeError, UnsureError):
            return self.read(raw, path, relative, assigned)
        if isinstance(raw, TooLarge) or "\0" in text:
            return self.read(raw, path, relative, assigned)
        if kind is None:
            may_be_known = self._may_be_known(relative, assigned)
            return (
                self.read(raw, path, relative, assigned) if may_be_known else NotPlugin(path, NO_CLASS, _NO_CLASS_HINT)
            )
        header = parse_header(text)
        name = plugin_id(relative, header, assigned)
        if isinstance(name, Diagnostic):
            return BrokenPlugin(path, (name,), kind=kind, header=header)
        return Plugin(PluginKey(kind.space, name.id), kind, path, text, header, inferred=name.inferred)

    def _may_be_known(self, relative: PurePath, assigned: str | None) -> bool:
        name = plugin_id(relative, {}, assigned)
        return isinstance(name, PluginId) and any(self._is_known(PluginKey(space, name.id)) for space in Space)

    def _known_kind(self, checked: Checked, relative: PurePath, assigned: str | None) -> Kind | None:
        """Return the kind of a file without evidence of its own whose plugin is managed; None if it is not."""
        if checked.possible is None:
            return None
        name = plugin_id(relative, {}, assigned)
        if isinstance(name, Diagnostic) or not self._is_known(PluginKey(checked.possible.space, name.id)):
            return None
        return checked.possible


def read_plugin(
    raw: bytes,
    path: Path,
    relative: PurePath,
    assigned: str | None = None,
    *,
    is_known: Callable[[PluginKey], bool] = lambda _: False,
) -> ParsedFile:
    """Return what a file of these bytes at ``path`` would be, without any memory of other files."""
    return PluginReader(is_known).read(raw, path, relative, assigned)


def _unchecked(text: str, diagnostic: Diagnostic) -> Checked:
    """Return what can be known of a file that can't be parsed: enough to report ``diagnostic`` of the right plugin."""
    kind = guess_kind(text)
    return Checked(kind, kind, None, (diagnostic,))


def _too_large() -> Diagnostic:
    hint = "split it into modules, and keep data in files of their own"
    return Diagnostic(f"the file is larger than {LARGEST // 1000} kB", hint=hint, rule="too-large")


def _no_plugin(path: Path, text: str, checked: Checked) -> NotPlugin:
    """Say why a file is no plugin, and what to do if it should be one."""
    if checked.kinds is not None and checked.kinds.pipeline:
        reason = "it is a plugin for a Pipelines server (class Pipeline), which Open WebUI itself does not load"
        hint = "upload it to the Pipelines server: Admin Panel, Settings, Pipelines"
        return NotPlugin(path, reason, hint)
    if is_export(text):
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
    return NotPlugin(path, NO_CLASS, _NO_CLASS_HINT)


def _weak_reason(kind: Kind, kinds: Kinds) -> str:
    name = kind.class_name
    match kinds.evidence[kind]:
        case Evidence.IMPORTED:
            return f"{name} is only imported, and the file has no header"
        case Evidence.ASSIGNED:
            return f"{name} is no class of the file's own, and the file has no header"
        case _:
            *names, last = kind.called or ("that a model could call",)
            wanted = f"{', '.join(names)} or {last}" if names else last
            return f"class {name} has no method {wanted}, and the file has no header"


def is_export(text: str) -> bool:
    """Return whether ``text`` is a file that Open WebUI's export of functions or tools wrote."""
    if text.lstrip()[:1] not in {"[", "{"} or '"content"' not in text:
        return False
    try:
        exported = json.loads(text)
    except (ValueError, RecursionError):
        return False
    rows = exported if isinstance(exported, list) else [exported]
    return any(isinstance(row, dict) and isinstance(row.get("id"), str) and "content" in row for row in rows)
