"""The header of a plugin: the docstring that Open WebUI reads title, version and requirements from."""

from __future__ import annotations

import re
from collections.abc import Iterator

FIELDS = frozenset(
    {"title", "version", "description", "requirements", "author", "id", "openwebui_id", "required_open_webui_version"}
)
"""Fields that the server, its editor or owui-watch reads."""
_QUOTES = '"""'
_FIELD = re.compile(r"^\s*([a-z_]+):\s*(.*)\s*$", re.IGNORECASE)
_BLOCK = re.compile(r"([>|])(?:[+-]?[0-9]?|[0-9][+-])")


def parse_header(content: str) -> dict[str, str]:
    """Read the header just as the server does.

    The first line must be three double quotes and nothing else; fields follow, one a line, up to the next line
    that holds three double quotes. The last of two fields with one name wins.
    Source: ``extract_frontmatter`` in ``utils/plugin.py``, the same from Open WebUI 0.3.35 to 0.12.4.
    """
    return {name: value for _, name, value in fields(content)}


def has_header(content: str) -> bool:
    """Return whether the server reads a header here that has a field of a plugin."""
    return any(name in FIELDS for _, name, _ in fields(content))


def field_line(content: str, wanted: str) -> int | None:
    """Return the line (from 1) of the header's field ``wanted``, the last if there are two; None without one."""
    return max((number for number, name, _ in fields(content) if name == wanted), default=None)


def full_description(content: str) -> str:
    """Return the description that the author means: the text below ``description: >`` or ``|`` too.

    The server itself reads one line, which would be the ``>``.
    """
    number, value = max(
        ((number, value) for number, name, value in fields(content) if name == "description"), default=(0, "")
    )
    return block_text(content, number, value) if is_block(value) else value


def is_block(value: str) -> bool:
    """Return whether ``value`` is YAML's mark of a text on the lines below it."""
    return _BLOCK.fullmatch(value) is not None


def block_text(content: str, number: int, mark: str) -> str:
    """Return the text below line ``number`` (from 1), whose field has the value ``mark``: folded by ``>``, not by ``|``."""
    lines = dict(header_lines(content))
    paragraphs: list[list[str]] = [[]]
    for line in (lines[each] for each in range(number + 1, len(lines) + 2)):
        if line.strip() and _indent(line) <= _indent(lines[number]):
            break
        if mark.startswith("|") or not line.strip():
            paragraphs.append([])
        if line.strip():
            paragraphs[-1].append(line.strip())
    return "\n".join(" ".join(paragraph) for paragraph in paragraphs).strip()


def fields(content: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, name and value of each field that the server reads."""
    for number, line in header_lines(content):
        if match := _FIELD.match(line):
            yield number, match[1], match[2].strip()


def header_lines(content: str) -> Iterator[tuple[int, str]]:
    """Yield the lines, with their numbers from 1, that the server takes for the header; none if there is no header."""
    closing = content.find(_QUOTES, content.find(_QUOTES) + 1)
    lines = (content if closing < 0 else content[: closing + len(_QUOTES)]).splitlines()
    if not lines or lines[0].strip() != _QUOTES:
        return
    for number, line in enumerate(lines[1:], 2):
        if _QUOTES in line:
            return
        yield number, line


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
