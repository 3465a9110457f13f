"""The header of a plugin: the docstring that Open WebUI reads title, version and requirements from, and what is wrong in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import islice

from owui_watch.plugins.model import Diagnostic, Severity
from owui_watch.plugins.source import lines_of, source_line

FIELDS = frozenset(
    {"title", "version", "description", "requirements", "author", "id", "openwebui_id", "required_open_webui_version"}
)
"""Fields that the server, its editor or owui-watch reads."""
_QUOTES = '"""'
_FIELD = re.compile(r"^\s*([a-z_]+):\s*(.*)\s*$", re.IGNORECASE)
_BLOCK = re.compile(r"([>|])(?:[+-]?[0-9]?|[0-9][+-])")
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


def parse_header(content: str) -> dict[str, str]:
    """Read the header just as the server does.

    The first line must be three double quotes and nothing else; fields follow, one a line, up to the next line
    that holds three double quotes. The last of two fields with one name wins.
    Source: ``extract_frontmatter`` in ``utils/plugin.py``, the same from Open WebUI 0.3.35 to 0.12.4.
    """
    return {name: value for _, name, value in _fields(content)}


def has_header(content: str) -> bool:
    """Return whether the server reads a header here that has a field of a plugin."""
    return any(name in FIELDS for _, name, _ in _fields(content))


def field_line(content: str, wanted: str) -> int | None:
    """Return the line (from 1) of the header's field ``wanted``, the last if there are two; None without one."""
    return max((number for number, name, _ in _fields(content) if name == wanted), default=None)


def full_description(content: str) -> str:
    """Return the description that the author means: the text below ``description: >`` or ``|`` too.

    The server itself reads one line, which would be the ``>``.
    """
    number, value = max(
        ((number, value) for number, name, value in _fields(content) if name == "description"), default=(0, "")
    )
    return _block_text(content, number, value) if _is_block(value) else value


def _is_block(value: str) -> bool:
    """Return whether ``value`` is YAML's mark of a text on the lines below it."""
    return _BLOCK.fullmatch(value) is not None


def _block_text(content: str, number: int, mark: str) -> str:
    """Return the text below line ``number`` (from 1), whose field has the value ``mark``: folded by ``>``, not by ``|``."""
    lines = dict(_header_lines(content))
    paragraphs: list[list[str]] = [[]]
    for line in (lines[each] for each in range(number + 1, len(lines) + 2)):
        if line.strip() and _indent(line) <= _indent(lines[number]):
            break
        if mark.startswith("|") or not line.strip():
            paragraphs.append([])
        if line.strip():
            paragraphs[-1].append(line.strip())
    return "\n".join(" ".join(paragraph) for paragraph in paragraphs).strip()


def _fields(content: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, name and value of each field that the server reads."""
    for number, line in _header_lines(content):
        if match := _FIELD.match(line):
            yield number, match[1], match[2].strip()


def _header_lines(content: str) -> Iterator[tuple[int, str]]:
    """Yield the lines, with their numbers from 1, that the server takes for the header; none if there is no header."""
    closing = content.find(_QUOTES, content.find(_QUOTES) + 1)
    lines = (content if closing < 0 else content[: closing + len(_QUOTES)]).splitlines()
    if not lines or lines[0].strip() != _QUOTES:
        return
    for number, line in enumerate(lines[1:], 2):
        if _QUOTES in line:
            return
        yield number, line


def header_diagnostics(content: str, tree: ast.Module) -> Iterator[Diagnostic]:
    """Find what the server does not read as its author means it. ``tree`` is ``content`` parsed."""
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
    read = {name for _, name, _ in _fields(content)}
    for number, name, _ in _fields(content):
        meant = name.lower()
        if name != meant and meant in FIELDS and meant not in read:
            error = f"Open WebUI reads no {name} from this line: it knows field names in small letters only"
            yield _warning(content, number, name, error, f"write `{meant}:`")
    for number, line in _header_lines(content):
        match = _SPACED_FIELD.match(line)
        if match and match[1].lower() not in read:
            error = "Open WebUI will not read this line: a blank stands before the colon"
            yield _warning(content, number, match[1], error, f"write `{match[1].lower()}:`")


def _values(content: str) -> Iterator[Diagnostic]:
    """Find values that hold quotes, a comment or YAML's mark of a block, all of which the server takes literally."""
    last = {name: (number, value) for number, name, value in _fields(content) if name in FIELDS}
    for name, (number, value) in last.items():
        if value[:1] in {'"', "'"} and len(value) > 1 and value.find(value[0], 1) == len(value) - 1:
            error = f"Open WebUI takes the quotes as a part of the {name}"
            yield _warning(content, number, value, error, f"write `{name}: {value[1:-1][:80]}`")
        elif name in _WITHOUT_COMMENTS and (comment := _COMMENT.search(value)):
            error = f"Open WebUI takes the comment as a part of the {name}"
            yield _warning(content, number, value[comment.start() + 1 :], error, "put the comment on a line of its own")
        elif _is_block(value):
            sent = "; owui-watch sends the text below it as the description" if name == "description" else ""
            error = f"Open WebUI reads one line only, so its {name} would be “{value}”{sent}"
            yield _warning(content, number, value, error, f"put the whole {name} on this line")


def _requirements(content: str) -> Iterator[Diagnostic]:
    """Find requirements that do not reach pip as their author means them: the server splits one line at commas."""
    number = field_line(content, "requirements")
    if number is None:
        return
    requirements = next(value for line, _, value in _fields(content) if line == number)
    if _is_block(requirements) or requirements[:1] in {'"', "'"} or _COMMENT.search(requirements):
        return
    if requirements.startswith("["):
        error = "Open WebUI takes the brackets as a part of the requirements"
        yield _warning(content, number, requirements, error, "write the packages without brackets, with commas between")
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
    lines = dict(_header_lines(content))
    line, following = lines[number], lines.get(number + 1, "")[:_LONGEST]
    goes_on = not requirements or requirements.endswith(",") or _indent(following) > _indent(line)
    is_field = any(each == number + 1 for each, _, _ in _fields(content))
    if goes_on and not is_field and _CONTINUES.fullmatch(following):
        return following.strip()
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _warning(content: str, number: int, part: str, error: str, hint: str) -> Diagnostic:
    """Warn of ``part`` of line ``number`` (from 1)."""
    line = source_line(content, number) or ""
    return Diagnostic(error, number, line.find(part) + 1 or 1, line, hint, Severity.WARNING, _RULE)
