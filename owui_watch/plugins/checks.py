"""Can this source text work as a plugin? One parse per content; nothing is ever run or imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice

from owui_watch.plugins.frontmatter import has_header, header_diagnostics, misplaced_header
from owui_watch.plugins.kinds import Kinds, find_kinds
from owui_watch.plugins.model import Diagnostic, Kind
from owui_watch.plugins.rules import exits, missing_method, other_kind, rewritten_imports
from owui_watch.plugins.source import lines_of
from owui_watch.plugins.syntax import nested_too_deeply, parse

MOST_DIAGNOSTICS = 50
"""Diagnostics of one file that are reported."""
_REMEMBERED = 64
_CLASS_LINE = re.compile(r"class\s+(Pipe|Filter|Action|Event|Tools)\b")
_INNER_CLASS_LINE = re.compile(r"\n[ \t]+class[ \t]+(?:Pipe|Filter|Action|Event|Tools)\b")
_ANY_NAME = re.compile(r"\b(?:Pipe|Filter|Action|Event|Tools)\b")
_PUBLIC_NAME = r"[a-zA-Z]\w*"
_METHOD_LINES = {
    kind: re.compile(rf"\n[ \t]+(?:async[ \t]+)?def[ \t]+(?:{'|'.join(kind.called or (_PUBLIC_NAME,))})\b")
    for kind in Kind
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What the text of a file says about itself.

    ``kind`` is None if the file is no plugin. ``possible`` is the kind that it would be if something else made it a
    plugin, its record on the server for example. ``kinds`` is None for a file that Python can't parse.
    """

    kind: Kind | None
    possible: Kind | None
    kinds: Kinds | None
    diagnostics: tuple[Diagnostic, ...]


class Checker:
    """Checks texts, and remembers the results of the last ones by their digests."""

    def __init__(self) -> None:
        self._known: dict[bytes, Checked] = {}

    def check(self, text: str) -> Checked:
        """Check ``text``, or return what was found in the same text before."""
        digest = blake2b(text.encode(), digest_size=16).digest()
        checked = self._known.pop(digest, None) or check(text)
        self._known[digest] = checked
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        return checked


def check(text: str) -> Checked:
    """Parse ``text`` and look at what its top level binds."""
    tree = parse(text)
    if isinstance(tree, Diagnostic):
        return _unchecked(text, tree)
    try:
        return _checked(text, tree)
    except RecursionError:  # Python 3.12 and newer compile what is nested more deeply than our rules can follow
        return _unchecked(text, nested_too_deeply())


def _unchecked(text: str, diagnostic: Diagnostic) -> Checked:
    guessed = guess_kind(text)
    return Checked(guessed, guessed, None, (diagnostic,))


def _checked(text: str, tree: ast.Module) -> Checked:
    kinds = find_kinds(text, tree)
    possible = kinds.certain or kinds.possible
    own = kinds.certain
    if own is None and possible is not None and (has_header(text) or misplaced_header(text, tree) is not None):
        own = possible
    if possible is None:
        return Checked(None, None, kinds, ())
    diagnostics = tuple(islice(_diagnostics(text, tree, kinds, possible), MOST_DIAGNOSTICS))
    return Checked(kinds.loaded(own) if own else None, kinds.loaded(possible), kinds, diagnostics)


def _diagnostics(text: str, tree: ast.Module, kinds: Kinds, own: Kind) -> Iterator[Diagnostic]:
    yield from exits(text, tree.body)
    yield from rewritten_imports(text, tree)
    yield from other_kind(text, tree, kinds, own)
    yield from missing_method(text, tree, kinds, own)
    yield from header_diagnostics(text, tree)


def guess_kind(text: str) -> Kind | None:
    """Return the kind of a file that does not parse, by its lines; None if none of them looks like a plugin's class."""
    found = _class_lines(text)
    if Kind.EVENT in found and not _METHOD_LINES[Kind.EVENT].search(_with_newlines(text)):
        found.discard(Kind.EVENT)
    return next((kind for kind in Kind if kind in found), None)


def scan_kind(text: str) -> Kind | None:
    """Return the kind of a file by a look at its lines, without parsing. Raises UnsureError if only a parse can tell."""
    found = _class_lines(text)
    is_titled = has_header(text)
    if len(found) == 1:
        [kind] = found
        if (is_titled and kind is not Kind.EVENT) or _METHOD_LINES[kind].search(_with_newlines(text)):
            return kind
    elif not found and not _INNER_CLASS_LINE.search(text) and not (is_titled and _ANY_NAME.search(text)):
        return None
    raise UnsureError


class UnsureError(Exception):
    """A look at the lines of a file does not tell what it is."""


def _class_lines(text: str) -> set[Kind]:
    """Return the kinds whose classes begin at the left margin."""
    text = _with_newlines(text)
    # A pattern that begins with ^ would be tried at every line of every file.
    names = {match[1] for match in _CLASS_LINE.finditer(text) if not match.start() or text[match.start() - 1] == "\n"}
    return {kind for kind in Kind if kind.class_name in names}


def _with_newlines(text: str) -> str:
    return "\n".join(lines_of(text)) if "\r" in text else text
