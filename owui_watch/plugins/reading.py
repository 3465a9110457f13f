"""From a path to what its file is now: links, names that are passed over, and the other files that a plugin needs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from owui_watch.files.regular import exists, is_link
from owui_watch.plugins.bundle.bundle import bundle
from owui_watch.plugins.bundle.collect import reach
from owui_watch.plugins.bundle.local_files import Scope
from owui_watch.plugins.checks import check
from owui_watch.plugins.copies import is_copy_name
from owui_watch.plugins.dependencies import Dependencies
from owui_watch.plugins.frontmatter import has_header, parse_header
from owui_watch.plugins.ignore import passed_over
from owui_watch.plugins.kinds import UnsureError, scan_kind
from owui_watch.plugins.layout import Layout
from owui_watch.plugins.model import BrokenPlugin, Diagnostic, Kind, Mention, NotPlugin, ParsedFile, Plugin, PluginKey
from owui_watch.plugins.parsing import PluginReader
from owui_watch.plugins.source import TooLarge, legible_text, read_source

_OF_ONE_FILE = frozenset({"other-kind", "rewritten-import"})
"""Rules of warnings that don't apply to a plugin of many files: the loader shows the server its own class alone."""
_RENAME = "rename it if it should be deployed"
_NAME_A_PLUGIN = "name a Python file or a folder"
_UNPACK = "an export of Open WebUI is unpacked by `owui-watch pull {}`"


class FileReader:
    """Reads the files of one tree. Remembers which files each plugin is made of, and which links it has seen.

    ``is_known`` tells whether a plugin is managed already: then its file stays a plugin even if it looks like none.
    """

    def __init__(self, layout: Layout, scope: Scope, is_known: Callable[[PluginKey], bool]) -> None:
        self.dependencies = Dependencies(self._is_watched)
        self._layout = layout
        self._scope = scope
        self._reader = PluginReader(is_known)
        self._links: dict[str, Path] = {}
        self._mentioned: set[Path] = set()

    def _is_watched(self, path: Path) -> bool:
        """Return whether saves of ``path`` are seen anyway: of a module below a watched folder or a library."""
        libraries = self._scope.libraries.values()
        is_below = self._layout.is_below_roots(path) or any(path.is_relative_to(library) for library in libraries)
        return is_below and path.suffix == ".py"

    def read(self, path: Path, *, scan: bool = False, may_be_link: bool = True) -> ParsedFile | None:
        """Return what ``path`` holds; None if it is gone.

        ``scan``: look at the lines only, without parsing. ``may_be_link`` is false if that is ruled out.
        """
        if not self._layout.is_below_roots(path):
            return NotPlugin(path, "it lies outside the watched folders") if exists(path) else None
        try:
            if may_be_link and self._layout.lies_behind_link(path):
                return None
            link_problem = self._link_problem(path) if may_be_link else None
            raw = link_problem or _suffix_problem(path) or read_source(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return _unreadable(path, error.strerror or str(error))
        match raw:
            case NotPlugin():
                return raw
            case str():
                return NotPlugin(path, raw)
            case _:
                return self._parsed(path, raw, scan=scan)

    def _parsed(self, path: Path, raw: bytes | TooLarge, *, scan: bool) -> ParsedFile:
        is_named = path in self._layout.roots
        if (reason := passed_over(path.name)) is not None and (not is_named or is_copy_name(path.name)):
            return NotPlugin(path, reason, _RENAME, self._mention(path, raw))
        read = self._reader.scan if scan else self._reader.read
        return self._assembled(read(raw, path, self._layout.relative(path), self._layout.assigned(path)))

    def _assembled(self, parsed: ParsedFile) -> ParsedFile:
        """Add the other files that a plugin is made of, or refuse it if one of them can't be added."""
        if not isinstance(parsed, Plugin):
            return parsed
        found = reach(parsed.path, parsed.content, self._scope)
        self.dependencies.note(parsed.path, found.concerned)
        if found.diagnostics:
            return BrokenPlugin(parsed.path, found.diagnostics, parsed.key, parsed.kind, parsed.header)
        if found.package is None:
            return parsed
        kind = _own_kind(parsed)
        content = bundle(found.package, parsed.key, kind)
        warnings = tuple(warning for warning in parsed.warnings if warning.rule not in _OF_ONE_FILE)
        header = parse_header(content)
        return replace(parsed, kind=kind, content=content, header=header, warnings=warnings, files=found.files)

    def _link_problem(self, path: Path) -> NotPlugin | None:
        """Say why the link at ``path`` is no plugin. Of several links to one ignored file the first one found is it."""
        problem = self._layout.link_problem(path)
        if problem is not None or not is_link(path):
            return problem
        real = os.path.realpath(path)
        first = self._links.setdefault(real, path)
        if first != path and is_link(first) and os.path.realpath(first) == real:
            reason = f"it is a symlink to the same file as {self._layout.relative(first).as_posix()}, which is deployed"
            return NotPlugin(path, reason)
        self._links[real] = path
        return None

    def _mention(self, path: Path, raw: bytes | TooLarge) -> Mention:
        """Return ``ALWAYS``, once, for a plugin whose name is that of a test: its author will wonder."""
        if path in self._mentioned or is_copy_name(path.name) or isinstance(raw, TooLarge):
            return Mention.NEVER
        text = legible_text(raw)
        try:
            looks_like_plugin = has_header(text) and scan_kind(text) is not None
        except UnsureError:
            looks_like_plugin = False
        if not looks_like_plugin:
            return Mention.NEVER
        self._mentioned.add(path)
        return Mention.ALWAYS


def _own_kind(plugin: Plugin) -> Kind:
    """Return the kind of the plugin's own class: of a plugin of many files the server sees no other class."""
    if sum(kind.class_name in plugin.content for kind in Kind) == 1:
        return plugin.kind
    kinds = check(plugin.content).kinds
    return (kinds.certain if kinds else None) or plugin.kind


def _suffix_problem(path: Path) -> NotPlugin | None:
    """Say why a file that is no Python file by its name is no plugin."""
    if path.suffix == ".py":
        return None
    if not exists(path):
        raise FileNotFoundError(path)
    hint = _UNPACK.format(shlex.quote(str(path))) if path.suffix == ".json" else _NAME_A_PLUGIN
    return NotPlugin(path, "its name does not end in .py", hint)


def _unreadable(path: Path, why: str) -> BrokenPlugin:
    hint = "make it readable for your user and save it again"
    return BrokenPlugin(path, (Diagnostic(f"cannot be read: {why}", hint=hint, rule="unreadable"),))
