"""The header of a plugin: the docstring that Open WebUI reads title, version and requirements from."""

from __future__ import annotations

import re
from collections.abc import Iterator

from owui_watch.plugin import Fault, Severity
from owui_watch.text import source_line

_FIELD = re.compile(r"^\s*([a-z_]+):\s*(.*)\s*$", re.IGNORECASE)
_TELLTALE = re.compile(
    r"^\s*(title|version|description|requirements|author|id|required_open_webui_version):", re.MULTILINE
)
_BOUNDS = ("<", ">", "=", "!", "~")


def parse_header(content: str) -> dict[str, str]:
    """Read the header just as the server does.

    The first line must be three double quotes and nothing else; fields follow, one a line, up to the next line
    that holds three double quotes. The last of two fields with one name wins.
    Source: ``extract_frontmatter`` in ``utils/plugin.py``, the same from Open WebUI 0.3.35 to 0.12.4.
    """
    return {name: value for _, name, value in _fields(content)}


def field_line(content: str, wanted: str) -> int | None:
    """Give the line (from 1) of the header's field ``wanted``, of two the one that counts; None where it is silent."""
    return max((number for number, name, _ in _fields(content) if name == wanted), default=None)


def _fields(content: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, name and value of each field."""
    lines = content.splitlines()
    if not lines or lines[0].strip() != '"""':
        return
    for number, line in enumerate(lines[1:], 2):
        if '"""' in line:
            return
        if match := _FIELD.match(line):
            yield number, match[1], match[2].strip()


def header_faults(content: str, header: dict[str, str], docstring: str | None) -> list[Fault]:
    """Warn of a header that the server won't read, or won't read as its author meant it."""
    faults = []
    if not header and docstring and _TELLTALE.search(docstring):
        faults.append(
            Fault(
                "Open WebUI will not read this header (title, version, requirements …)",
                line=1,
                column=1,
                source=source_line(content, 1),
                hint='make the first line of the file exactly """ and put the fields on the lines below it',
                severity=Severity.WARNING,
            )
        )
    faults.extend(_requirement_faults(content, header.get("requirements", "")))
    return faults


def _requirement_faults(content: str, requirements: str) -> list[Fault]:
    """Find commas inside one requirement: the server splits the list at every comma."""
    items = [item.strip() for item in requirements.split(",")]
    broken = [item for item in items if item.startswith(_BOUNDS) or item.count("[") != item.count("]")]
    if not broken:
        return []
    number = field_line(content, "requirements")
    line = source_line(content, number) or ""
    return [
        Fault(
            f"Open WebUI splits requirements at every comma, so pip will be given “{broken[0]}”",
            line=number,
            column=line.find(broken[0]) + 1 or 1,
            source=line,
            hint="use one bound per package (name>=1) and one extra at most (name[extra])",
            severity=Severity.WARNING,
        )
    ]
