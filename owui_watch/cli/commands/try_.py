"""``owui-watch try``: from nothing to a plugin that answers, in a sandbox. Can be run again and again."""

from __future__ import annotations

import argparse
from pathlib import Path

from owui_watch.cli.arguments import parse
from owui_watch.cli.commands import watch
from owui_watch.cli.errors import CommandError
from owui_watch.cli.settings_from_flags import current_folder
from owui_watch.cli.terminal import Terminal
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import BrokenPlugin, Kind, Plugin
from owui_watch.plugins.starters import StarterError, write_starter
from owui_watch.plugins.tree import Tree

FOLDER = Path("plugins")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Write ``plugins/hello.py`` if there is no plugin, then watch with a sandbox. Raises CommandError."""
    folder = current_folder() / FOLDER
    if not _holds_a_plugin(folder):
        try:
            write_starter(Kind.PIPE, FOLDER / "hello.py")
        except StarterError as error:
            raise CommandError(str(error)) from error
        terminal.print(f"wrote {(FOLDER / 'hello.py').as_posix()}: change it while owui-watch runs")
    wanted = parse(["watch", str(FOLDER), "--sandbox="])
    given = {name: value for name, value in vars(arguments).items() if name not in {"command", "sandbox"}}
    for name, value in given.items():
        setattr(wanted, name, value)
    wanted.sandbox = arguments.sandbox or ""
    return watch.run(wanted, terminal)


def _holds_a_plugin(folder: Path) -> bool:
    """Return whether a watch of the folder finds a plugin, one with an error too."""
    if not folder.is_dir():
        return False
    tree = Tree((folder,), Ignore(()), {}, folder.parent)
    return any(isinstance(reading, Plugin | BrokenPlugin) for reading in tree.scan())
