"""Runs of the command line within a test."""

from __future__ import annotations

import re
from collections.abc import Callable

CANARY = "sk-canary0123456789abcdef"
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpZCI6ImNhbmFyeSJ9.c2lnbmF0dXJl"
FILTER = "class Filter:\n    def inlet(self, body): return body\n"
SERVER = re.compile(r"\d\d:\d\d:\d\d  server    \S+ \(.*\)\n")
"""The line that names the server of a command; it comes before everything else."""
Run = Callable[..., tuple[int, str, str]]
"""Takes arguments; returns the exit code, stdout and stderr."""


def refused(run: Run, *arguments: str) -> str:
    """Return the error of a command line that must be refused without showing a key."""
    code, out, err = run(*arguments)
    assert (code, SERVER.sub("", out)) == (2, "")
    assert "canary" not in err
    assert JWT[:20] not in err
    return err
