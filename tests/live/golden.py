"""What differs from run to run, made the same: times, and the address of the server."""

from __future__ import annotations

import os
import re
from textwrap import dedent

from tests.documents import block, write_block

SERVER = "14:02:31  server    http://localhost:3000 (environment OPENWEBUI_URL)\n"
"""The first line of commands that talk to a server, which ``without_server`` removes."""


def same(text: str, url: str = "") -> str:
    """Return what was said with the times and the server of the README, and no blanks at the ends of lines."""
    text = re.sub(r"^\d\d:\d\d:\d\d", "14:02:31", text, flags=re.MULTILINE)
    text = re.sub(r" {1,5}\d+ ms\b| {2,5}\d+\.\d s\b", "   41 ms", text)  # a busy machine takes seconds
    text = re.sub(r"\b\d+\.\d s\b", "0.4 s", text)
    text = re.sub(r" +$", "", text, flags=re.MULTILINE)
    return text.replace(url, "http://localhost:3000") if url else text


def without_server(text: str) -> str:
    """Return the text without the first line, if that names the server that a command talks to."""
    return re.sub(r"\A\d\d:\d\d:\d\d  server    \S+ \(.*\)\n", "", text)


def told(text: str) -> str:
    """Return an expected text as it stands in a test, its indentation and first line end taken off."""
    return dedent(text).removeprefix("\n")


def as_documented(name: str, command: str, text: str) -> str:
    """Compare what a command printed with the block ``name`` of the documents; return the text.

    With ``OWUI_DOCS=write`` in the environment the block is written instead.
    """
    server = SERVER if command.split(maxsplit=1)[0] in {"deploy", "status", "pull"} else ""
    printed = f"```\n$ owui-watch {command}\n{server}{text}```\n"
    if os.environ.get("OWUI_DOCS") == "write":
        write_block(name, printed)
    else:
        assert _any_python(block(name)) == _any_python(printed)
    return text


def _any_python(text: str) -> str:
    return re.sub(r"Python 3\.[\d.]+", "Python 3", text)
