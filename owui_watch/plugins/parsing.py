"""From the bytes of one file to what it is: a plugin, a broken plugin, or no plugin."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePath

from owui_watch.plugins.checks import Examined, examine, guess_kind
from owui_watch.plugins.frontmatter import header_diagnostics, parse_header
from owui_watch.plugins.ids import plugin_id
from owui_watch.plugins.model import BrokenPlugin, Diagnostic, NotPlugin, ParsedFile, Plugin, PluginKey, Severity
from owui_watch.plugins.source import decode

_BINDS_NONE = "its top level binds no Pipe, Filter, Action, Event or Tools"
_NAMED = r"\b(Pipe|Filter|Action|Event|Tools|Pipeline)\b"


def read_plugin(
    raw: bytes,
    path: Path,
    relative: PurePath,
    assigned: str | None = None,
    examine: Callable[[str], Examined] = examine,
) -> ParsedFile:
    """Decode, examine and name the file at ``path``, whose id is inferred from ``relative``.

    ``assigned`` is its id in the settings, if any; ``examine`` is how its text is looked into.
    """
    decoded = decode(raw)
    if isinstance(decoded, Diagnostic):
        # What can be read of it still tells the id, so that the fault is told of the right plugin.
        text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
        examined = Examined(guess_kind(text), pipeline=False, docstring=None, diagnostics=(decoded,))
    elif not decoded.strip():
        return NotPlugin(path, "the file is empty")
    else:
        text, examined = decoded, examine(decoded)
    if examined.kind is None:
        reason, diagnostic = _why_not(examined)
        return NotPlugin(path, reason, diagnostic=diagnostic)
    header = parse_header(text)
    name = plugin_id(relative, header, assigned)
    diagnostics = (*examined.diagnostics, *header_diagnostics(text, header, examined.docstring))
    errors = tuple(diagnostic for diagnostic in diagnostics if diagnostic.severity is Severity.ERROR)
    if isinstance(name, Diagnostic):
        return BrokenPlugin(path, (*errors, name), kind=examined.kind, header=header)
    key = PluginKey(examined.kind.space, name.id)
    if errors:
        return BrokenPlugin(path, errors, key, examined.kind, header)
    return Plugin(key, examined.kind, path, text, header, inferred=name.inferred, warnings=diagnostics)


def outline_plugin(raw: bytes, path: Path, relative: PurePath, assigned: str | None = None) -> ParsedFile:
    """Tell what ``read_plugin`` most likely would, without compiling: enough to count and compare, not to send."""
    try:
        text = raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        return read_plugin(raw, path, relative, assigned)
    kind = guess_kind(text)
    if kind is None:
        return read_plugin(raw, path, relative, assigned) if re.search(_NAMED, text) else NotPlugin(path, _BINDS_NONE)
    header = parse_header(text)
    name = plugin_id(relative, header, assigned)
    if isinstance(name, Diagnostic):
        return BrokenPlugin(path, (name,), kind=kind, header=header)
    return Plugin(PluginKey(kind.space, name.id), kind, path, text, header, inferred=name.inferred)


def _why_not(examined: Examined) -> tuple[str, Diagnostic | None]:
    """Say why it is no plugin, and what keeps one from telling."""
    if examined.pipeline:
        return "it is a plugin for a Pipelines server (class Pipeline), which Open WebUI itself does not load", None
    for diagnostic in examined.diagnostics:
        if diagnostic.severity is Severity.ERROR:
            place = f" (line {diagnostic.line})" if diagnostic.line else ""
            return f"nothing in it looks like a plugin: {diagnostic.error}{place}", diagnostic
    return _BINDS_NONE, None
