"""owui-watch as a user has it: on its own, without what only tests need (httpx loads trio wherever it is there)."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).parents[2]


@functools.cache
def interpreter() -> str:
    """Return the Python of an environment that holds owui-watch and what it needs, compiled; it is left to the system."""
    folder = Path(tempfile.mkdtemp(prefix="owui-watch-installed-"))
    uv = find_uv_bin()
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder], check=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    subprocess.run([uv, "pip", "install", "-q", "--compile-bytecode", "--python", python, ROOT], check=True)
    return str(python)


def command() -> str:
    """Return the ``owui-watch`` of that environment, as a shell finds it."""
    return str(Path(interpreter()).with_name("owui-watch.exe" if sys.platform == "win32" else "owui-watch"))
