"""From a line of a bundle, or a file name in a traceback, back to the author's file and line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from owui_watch.plugins.bundle.bundle import Section, unbundle, without_package
from owui_watch.plugins.frontmatter import field_line
from owui_watch.plugins.model import Diagnostic, Plugin
from owui_watch.plugins.source import source_line

_NAMED = re.compile(r"\s*\(([^()\s]+\.py), line (\d{1,9})\)")
"""What Python adds to the text of a SyntaxError."""


def author_file(name: str, plugin: Path) -> Path:
    """Return the file that a traceback names: ``many/client.py`` lies beside the plugin's file or further up."""
    if Path(name).is_absolute() or name.startswith("<"):
        return Path(name)
    return next((folder / name for folder in plugin.parents if (folder / name).is_file()), Path(name))


def at_home(plugin: Plugin, diagnostic: Diagnostic) -> Diagnostic:
    """Return a diagnostic about what was sent as one about the author's file and line."""
    apart = unbundle(plugin.content) if plugin.files else None
    if apart is None:
        return diagnostic
    error = without_package(diagnostic.error)
    sections = {section.name: section for section in apart.sections}
    place = apart.place(diagnostic.line) if diagnostic.line else None
    if match := _NAMED.search(error):
        named = [name for name in sections if f"/{name}".endswith(f"/{match[1]}")]
        if len(named) == 1:
            error, place = _NAMED.sub("", error), (named[0], int(match[2]))
    if place is None and (diagnostic.source or "").startswith("requirements:"):
        place = _requirements(apart.sections)
    if place is None:
        return replace(diagnostic, error=error, line=None, column=None, source=None)
    name, line = place
    path = plugin.files.get(name)
    source = source_line(sections[name].text, line)
    return replace(diagnostic, error=error, path=None if path == plugin.path else path, line=line, source=source)


def own_text(plugin: Plugin) -> str:
    """Return the text of the plugin's own file."""
    apart = unbundle(plugin.content) if plugin.files else None
    return apart.sections[0].text if apart is not None else plugin.content


def _requirements(sections: tuple[Section, ...]) -> tuple[str, int] | None:
    for section in sections:
        if (line := field_line(section.text, "requirements")) is not None:
            return section.name, line
    return None
