"""``owui-watch new KIND PATH``: write a first plugin."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from owui_watch.cli.errors import CommandError
from owui_watch.cli.terminal import Terminal
from owui_watch.plugins.model import Kind
from owui_watch.plugins.starters import StarterError, write_package, write_starter
from owui_watch.settings import LOOKS_LIKE_KEY, looks_like_key


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Write the plugin and print its path. Raises CommandError if it can't be written."""
    path = Path(arguments.path)
    if looks_like_key(f"{path.name}.py"):
        raise CommandError(f"PATH ***: {LOOKS_LIKE_KEY}")
    if arguments.package:
        return _package(Kind(arguments.kind), path, terminal)
    if str(arguments.path).endswith(("/", os.sep)):
        path /= f"my_{arguments.kind}.py"
    try:
        written = write_starter(Kind(arguments.kind), path)
    except StarterError as error:
        raise CommandError(str(error)) from error
    terminal.print(f"wrote {written}")
    return 0


def _package(kind: Kind, folder: Path, terminal: Terminal) -> int:
    try:
        written = write_package(kind, folder)
    except StarterError as error:
        raise CommandError(str(error)) from error
    for path in written:
        terminal.print(f"wrote {path}")
    return 0
