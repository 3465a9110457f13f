"""A file is read: a plugin that can be sent comes out, a broken one, or why the file is no plugin.

``FileReader`` reads a path of the tree: links, names that are passed over, and the other files that a plugin needs.
``PluginReader`` takes the bytes of one file: decoded, checked, with its kind and its id.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path, PurePath

from owui_watch.files import exists, is_link
from owui_watch.plugins.bundle.bundle import bundle
from owui_watch.plugins.bundle.local_files import Scope
from owui_watch.plugins.checks import Checked, check
from owui_watch.plugins.frontmatter import has_header, parse_header
from owui_watch.plugins.ids import PluginId, plugin_id
from owui_watch.plugins.ignore import is_copy_name, passed_over
from owui_watch.plugins.index import Dependencies
from owui_watch.plugins.kinds import UnsureError, guess_kind, scan_kind
from owui_watch.plugins.model import (
    BrokenPlugin,
    Diagnostic,
    Kind,
    Mention,
    NotPlugin,
    ParsedFile,
    Plugin,
    PluginKey,
    Severity,
    Space,
)
from owui_watch.plugins.not_a_plugin import NO_CLASS, NO_CLASS_HINT, no_plugin, not_python
from owui_watch.plugins.paths import WatchedPaths
from owui_watch.plugins.source import LARGEST, TooLarge, decode, legible_text, read_source
from owui_watch.plugins.syntax import parsed_once

_OF_ONE_FILE = frozenset({"other-kind", "rewritten-import"})
"""Rules of warnings that don't apply to a plugin of many files: the loader shows the server its own class alone."""
_RENAME = "rename it if it should be deployed"
_RELATIVE_IMPORT = re.compile(r"from\s*\.")
_BEFORE_STATEMENT = ("\n", "\r", ";", ":")
"""What can stand before a statement, apart from blanks: "imported from .env" in a comment is no statement."""
_MOST_BLANKS = 200
"""Blanks before a statement that are looked at. After more of them, anything may be a statement."""


class FileReader:
    """Reads the files of one tree. Remembers which files each plugin is made of, and which links it has seen.

    ``is_known`` tells whether a plugin is managed already: then its file stays a plugin even if it looks like none.
    """

    def __init__(self, paths: WatchedPaths, scope: Scope, is_known: Callable[[PluginKey], bool]) -> None:
        self.dependencies = Dependencies(self._is_watched)
        self._paths = paths
        self._scope = scope
        self._reader = PluginReader(is_known)
        self._links: dict[str, Path] = {}
        self._mentioned: set[Path] = set()

    def _is_watched(self, path: Path) -> bool:
        """Return whether saves of ``path`` are seen anyway: of a module below a watched folder or a library."""
        libraries = self._scope.libraries.values()
        is_below = self._paths.is_below_roots(path) or any(path.is_relative_to(library) for library in libraries)
        return is_below and path.suffix == ".py"

    def read(self, path: Path, *, scan: bool = False, may_be_link: bool = True) -> ParsedFile | None:
        """Return what ``path`` holds; None if it is gone.

        ``scan``: look at the lines only, without parsing. ``may_be_link`` is false if that is ruled out.
        """
        if not self._paths.is_below_roots(path):
            return NotPlugin(path, "it lies outside the watched folders") if exists(path) else None
        try:
            if may_be_link and self._paths.lies_behind_link(path):
                return None
            link_problem = self._link_problem(path) if may_be_link else None
            raw = link_problem or (read_source(path) if path.suffix == ".py" else not_python(path))
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
        is_named = path in self._paths.roots
        if (reason := passed_over(path.name)) is not None and (not is_named or is_copy_name(path.name)):
            return NotPlugin(path, reason, _RENAME, self._mention(path, raw))
        read = self._reader.scan if scan else self._reader.read
        with parsed_once():
            return self._assembled(read(raw, path, self._paths.relative(path), self._paths.assigned(path)))

    def _assembled(self, parsed: ParsedFile) -> ParsedFile:
        """Add the other files that a plugin is made of, or refuse it if one of them can't be added."""
        if not isinstance(parsed, Plugin):
            return parsed
        if not may_reach_others(parsed.content, self._scope.libraries):
            self.dependencies.note(parsed.path, {})
            return parsed
        # Imported here: most plugins are one file, and what this needs (packaging) makes a start some 20 ms longer.
        from owui_watch.plugins.bundle.collect import reach  # noqa: PLC0415

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
        """Say why the link at ``path`` is no plugin. Of links to one ignored file, the first one found may be a plugin."""
        problem = self._paths.link_problem(path)
        if problem is not None or not is_link(path):
            return problem
        real = os.path.realpath(path)
        first = self._links.setdefault(real, path)
        if first != path and is_link(first) and os.path.realpath(first) == real:
            reason = f"it is a symlink to the same file as {self._paths.relative(first).as_posix()}, which is deployed"
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


def may_reach_others(text: str, libraries: Iterable[str]) -> bool:
    """Return whether ``text`` may import a module, or read a file, beside its own. False is certain."""
    # Plain words: one pattern of alternatives takes thirty times as long, for every file at a start.
    if any(word in text for word in ("__import__", "__file__", *libraries)):
        return True
    if "importlib" in text and ("import_module" in text or "resources" in text):
        return True
    if "pkgutil" in text and "get_data" in text:
        return True
    starts = (match.start() for match in _RELATIVE_IMPORT.finditer(text))
    before = (text[max(0, start - _MOST_BLANKS) : start].rstrip(" \t\f") for start in starts)
    return any(not each or each.endswith(_BEFORE_STATEMENT) for each in before)


def _own_kind(plugin: Plugin) -> Kind:
    """Return the kind of the plugin's own class: of a plugin of many files the server sees no other class."""
    if sum(kind.class_name in plugin.content for kind in Kind) == 1:
        return plugin.kind
    kinds = check(plugin.content).kinds
    return (kinds.certain if kinds else None) or plugin.kind


def _unreadable(path: Path, why: str) -> BrokenPlugin:
    hint = "make it readable for your user and save it again"
    return BrokenPlugin(path, (Diagnostic(f"cannot be read: {why}", hint=hint, rule="unreadable"),))


class PluginReader:
    """Reads plugin files.

    ``is_known`` tells whether a plugin is managed already: then its file stays a plugin even if it looks like none.
    """

    def __init__(self, is_known: Callable[[PluginKey], bool] = lambda _: False) -> None:
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
            return NotPlugin(path, "the file is empty", NO_CLASS_HINT)
        else:
            text, checked = decoded, check(decoded)
        header = parse_header(text)
        kind = checked.kind or self._known_kind(checked, relative, assigned)
        if kind is None:
            return no_plugin(path, text, checked)
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
                self.read(raw, path, relative, assigned) if may_be_known else NotPlugin(path, NO_CLASS, NO_CLASS_HINT)
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
    """Return what a file of these bytes at ``path`` would be, whatever the other files hold."""
    return PluginReader(is_known).read(raw, path, relative, assigned)


def _unchecked(text: str, diagnostic: Diagnostic) -> Checked:
    """Return what can be known of a file that can't be parsed: enough to report ``diagnostic`` of the right plugin."""
    kind = guess_kind(text)
    return Checked(kind, kind, None, (diagnostic,))


def _too_large() -> Diagnostic:
    hint = "split it into modules, and keep data in files of their own"
    return Diagnostic(f"the file is larger than {LARGEST // 1000} kB", hint=hint, rule="too-large")
