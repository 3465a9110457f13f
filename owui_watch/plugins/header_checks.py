"""Warnings about headers that the server does not read, or reads in another sense than their author's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import islice

from owui_watch.plugins.frontmatter import FIELDS, field_line, fields, has_header, header_lines, is_block
from owui_watch.plugins.model import Diagnostic, Severity
from owui_watch.plugins.source import lines_of, source_line

_NAMES = "|".join(sorted(FIELDS))
_FIELD_LINE = re.compile(rf"(?m)^[ \t]*(?:{_NAMES})[ \t]*:")
_COMMENTED_FIELD = re.compile(rf"[ \t]*#[ \t]*({_NAMES})[ \t]*:", re.IGNORECASE)
_SPACED_FIELD = re.compile(rf"[ \t]*({_NAMES})[ \t]+:", re.IGNORECASE)
_TELLING = frozenset({"title", "requirements", "openwebui_id", "required_open_webui_version"})
"""Fields that make a comment a header: ``# author:`` alone stands in many files."""
_COMMENT = re.compile(r"\s#")
_WITHOUT_COMMENTS = ("id", "version", "requirements", "required_open_webui_version")
_LONGEST = 1_000
"""Characters of a requirement that are looked at."""
_REQUIREMENT = r"[a-z0-9][\w.-]*(?:\[[^\]]*\])?\s*(?:[<>=!~]=?[^,;]*)?(?:;[^,]*)?"
_CONTINUES = re.compile(rf"(?i)\s*(?:-\s*)?{_REQUIREMENT}(?:,\s*{_REQUIREMENT})*,?\s*")
"""A line that goes on with the requirements of the line above it, which the server does not read."""
_TWO_IN_ONE = re.compile(r"(?i)[a-z0-9][\w.-]*(?:\[[^\]]*\])?\s*(?:[<>=!~]=?=?\s*[\w.*+!-]+)?\s+[a-z0-9]")
_BOUNDS = ("<", ">", "=", "!", "~")
_ON_TOP = 'make the first line of the file exactly """ and put the fields on the lines below it'
_RULE = "header"
_MOST_MISSPELT = 20


def header_diagnostics(content: str, tree: ast.Module) -> Iterator[Diagnostic]:
    """Find what the server reads otherwise than it is meant. ``tree`` is ``content`` parsed."""
    misspelt = list(islice(_misspelt_fields(content), _MOST_MISSPELT))
    yield from misspelt
    if has_header(content):
        yield from _values(content)
        yield from _requirements(content)
    elif not misspelt and (number := misplaced_header(content, tree)) is not None:
        error = "Open WebUI will not read this header (title, version, requirements …)"
        yield _warning(content, number, "", error, _ON_TOP)


def misplaced_header(content: str, tree: ast.Module) -> int | None:
    """Return the line (from 1) of a header that the server does not read for its place or its quotes; None without one.

    Headers are found in any string at the top level and in the comments above the code.
    """
    for node in tree.body:
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))) if _FIELD_LINE.search(text):
                return node.lineno
    names: dict[str, int] = {}
    for number, line in enumerate(lines_of(content[:10_000]), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            break
        if match := _COMMENTED_FIELD.match(line):
            names.setdefault(match[1].lower(), number)
    return min(names.values()) if len(names) > 1 or names.keys() & _TELLING else None


def _misspelt_fields(content: str) -> Iterator[Diagnostic]:
    """Find fields that the server does not read: it wants small letters and no blank before the colon."""
    read = {name for _, name, _ in fields(content)}
    for number, name, _ in fields(content):
        meant = name.lower()
        if name != meant and meant in FIELDS and meant not in read:
            error = f"Open WebUI reads no {name} from this line: it knows field names in small letters only"
            yield _warning(content, number, name, error, f"write `{meant}:`")
    for number, line in header_lines(content):
        match = _SPACED_FIELD.match(line)
        if match and match[1].lower() not in read:
            error = "Open WebUI will not read this line: a blank stands before the colon"
            yield _warning(content, number, match[1], error, f"write `{match[1].lower()}:`")


def _values(content: str) -> Iterator[Diagnostic]:
    """Find values that hold quotes, a comment or YAML's mark of a block, all of which the server takes literally."""
    last = {name: (number, value) for number, name, value in fields(content) if name in FIELDS}
    for name, (number, value) in last.items():
        if value[:1] in {'"', "'"} and len(value) > 1 and value.find(value[0], 1) == len(value) - 1:
            error = f"Open WebUI takes the quotes as a part of the {name}"
            yield _warning(content, number, value, error, f"write `{name}: {value[1:-1][:80]}`")
        elif name in _WITHOUT_COMMENTS and (comment := _COMMENT.search(value)):
            error = f"Open WebUI takes the comment as a part of the {name}"
            yield _warning(content, number, value[comment.start() + 1 :], error, "put the comment on a line of its own")
        elif is_block(value):
            sent = "; owui-watch sends the text below it as the description" if name == "description" else ""
            error = f"Open WebUI reads one line only, so its {name} would be “{value}”{sent}"
            yield _warning(content, number, value, error, f"put the whole {name} on this line")


def _requirements(content: str) -> Iterator[Diagnostic]:
    """Find requirements that pip will be given otherwise than they are meant: the server splits one line at commas."""
    number = field_line(content, "requirements")
    if number is None:
        return
    requirements = next(value for line, _, value in fields(content) if line == number)
    if is_block(requirements) or requirements[:1] in {'"', "'"} or _COMMENT.search(requirements):
        return
    for item in map(str.strip, requirements.split(",")):
        if item.startswith(_BOUNDS) or item.count("[") != item.count("]"):
            error = f"Open WebUI splits requirements at every comma, so pip will be given “{item[:80]}”"
            hint = "use one bound per package (name>=1) and one extra at most (name[extra])"
            yield _warning(content, number, item, error, hint)
            return
        if _TWO_IN_ONE.match(item[:_LONGEST]):
            error = f"Open WebUI splits requirements only at commas, so pip will be given “{item[:80]}”"
            yield _warning(content, number, item, error, "put a comma between two packages")
            return
    if (following := _continued(content, number, requirements)) is not None:
        error = "Open WebUI reads requirements from one line, and this one is not part of it"
        yield _warning(content, number + 1, following, error, "put all requirements on one line, with commas between")


def _continued(content: str, number: int, requirements: str) -> str | None:
    """Return the line below the requirements, stripped, if it goes on with them."""
    lines = dict(header_lines(content))
    line, following = lines[number], lines.get(number + 1, "")[:_LONGEST]
    goes_on = not requirements or requirements.endswith(",") or _indent(following) > _indent(line)
    is_field = any(each == number + 1 for each, _, _ in fields(content))
    if goes_on and not is_field and _CONTINUES.fullmatch(following):
        return following.strip()
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _warning(content: str, number: int, part: str, error: str, hint: str) -> Diagnostic:
    """Warn of ``part`` of line ``number`` (from 1)."""
    line = source_line(content, number) or ""
    return Diagnostic(error, number, line.find(part) + 1 or 1, line, hint, Severity.WARNING, _RULE)
