"""The header of a plugin: the docstring that Open WebUI reads title, version and requirements from."""

from __future__ import annotations

import re
from collections.abc import Iterator

from owui_watch.plugins.model import Diagnostic, Severity
from owui_watch.plugins.source import source_line

_QUOTES = '"""'
_FIELD = re.compile(r"^\s*([a-z_]+):\s*(.*)\s*$", re.IGNORECASE)
_NAMES = frozenset({"title", "version", "description", "requirements", "author", "id", "required_open_webui_version"})
# These are left to re's own cache: at a start no header is judged.
_TELLTALE = rf"(?m)^\s*({'|'.join(sorted(_NAMES))}):"
_REQUIREMENT = r"[a-z0-9][\w.-]*(?:\[[^\]]*\])?\s*(?:[<>=!~]=?[^,;]*)?(?:;[^,]*)?"
_CONTINUES = rf"(?i)\s*(?:-\s*)?{_REQUIREMENT}(?:,\s*{_REQUIREMENT})*,?\s*"
"""A line that goes on with the requirements of the line above it, as the server never sees."""
_TWO_IN_ONE = r"(?i)[a-z0-9][\w.-]*(?:\[[^\]]*\])?\s*(?:[<>=!~]=?=?\s*[\w.*+!-]+)?\s+[a-z0-9]"
_BOUNDS = ("<", ">", "=", "!", "~")


def parse_header(content: str) -> dict[str, str]:
    """Read the header just as the server does.

    The first line must be three double quotes and nothing else; fields follow, one a line, up to the next line
    that holds three double quotes. The last of two fields with one name wins.
    Source: ``extract_frontmatter`` in ``utils/plugin.py``, the same from Open WebUI 0.3.35 to 0.12.4.
    """
    return {name: value for _, name, value in _fields(content)}


def field_line(content: str, wanted: str) -> int | None:
    """Return the line (from 1) of the header's field ``wanted``, of two the one that counts; None where it is silent."""
    return max((number for number, name, _ in _fields(content) if name == wanted), default=None)


def _fields(content: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, name and value of each field."""
    closing = content.find(_QUOTES, content.find(_QUOTES) + 1)
    lines = (content if closing < 0 else content[: closing + len(_QUOTES)]).splitlines()
    if not lines or lines[0].strip() != _QUOTES:
        return
    for number, line in enumerate(lines[1:], 2):
        if _QUOTES in line:
            return
        if match := _FIELD.match(line):
            yield number, match[1], match[2].strip()


def header_diagnostics(content: str, header: dict[str, str], docstring: str | None) -> list[Diagnostic]:
    """Warn of a header that the server won't read, or won't read as its author meant it."""
    if not header:
        if not (docstring and re.search(_TELLTALE, docstring)):
            return []
        error = "Open WebUI will not read this header (title, version, requirements …)"
        hint = 'make the first line of the file exactly """ and put the fields on the lines below it'
        return [_warning(content, 1, "", error, hint)]
    return [*_capitals(content, header), *_requirement_diagnostics(content, header.get("requirements", ""))]


def _capitals(content: str, header: dict[str, str]) -> Iterator[Diagnostic]:
    """Find fields that nothing reads: the server keeps their names as they are written, and asks for small letters."""
    for number, name, _ in _fields(content):
        meant = name.lower()
        if name != meant and meant in _NAMES and meant not in header:
            error = f"no {name} is read from this line: the names of fields are in small letters"
            yield _warning(content, number, name, error, f"write `{meant}:`")


def _requirement_diagnostics(content: str, requirements: str) -> Iterator[Diagnostic]:
    """Find what the server does not take as it is meant: it splits one line at every comma, and at nothing else."""
    number = field_line(content, "requirements")
    if number is None:
        return
    items = [item.strip() for item in requirements.split(",")]
    for item in items:
        if item.startswith(_BOUNDS) or item.count("[") != item.count("]"):
            error = f"Open WebUI splits requirements at every comma, so pip will be given “{item}”"
            hint = "use one bound per package (name>=1) and one extra at most (name[extra])"
            yield _warning(content, number, item, error, hint)
            return
        if re.match(_TWO_IN_ONE, item):
            error = f"Open WebUI splits requirements only at commas, so pip will be given “{item}”"
            yield _warning(content, number, item, error, "put a comma between two packages")
            return
    if (following := _continued(content, number, requirements)) is not None:
        error = "Open WebUI reads requirements from one line, and this one is not part of it"
        yield _warning(content, number + 1, following, error, "put all requirements on one line, with commas between")


def _continued(content: str, number: int, requirements: str) -> str | None:
    """Return the line below the requirements, stripped, where it goes on with them."""
    line, following = (source_line(content, each) or "" for each in (number, number + 1))
    goes_on = not requirements or requirements.endswith(",") or _indent(following) > _indent(line)
    if goes_on and re.fullmatch(_CONTINUES, following) and not _FIELD.match(following):
        return following.strip()
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _warning(content: str, number: int, part: str, error: str, hint: str) -> Diagnostic:
    """Warn of ``part`` of line ``number`` (from 1)."""
    line = source_line(content, number) or ""
    return Diagnostic(error, number, line.find(part) + 1 or 1, line, hint, Severity.WARNING)
