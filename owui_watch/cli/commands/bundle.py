"""``owui-watch bundle PATH``: print the one file that a plugin is sent as."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from owui_watch.cli.errors import CommandError, print_error
from owui_watch.cli.selected_plugins import plugin_files
from owui_watch.cli.settings_from_flags import NO_SERVER, current_folder, settings_from
from owui_watch.cli.terminal import Terminal
from owui_watch.deployer.comparison import difference
from owui_watch.files import exists, read_regular
from owui_watch.plugins.model import BrokenPlugin, Plugin
from owui_watch.plugins.source import decode
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.console import shown_path


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Print or write the file; with ``--check`` return 1 if it is stale. Raises SettingsError and CommandError."""
    settings = settings_from(arguments, os.environ, paths=[arguments.path], sandbox=NO_SERVER)
    plugin = _only([*plugin_files(Tree.of(settings).scan(), settings.roots)], arguments.path)
    if isinstance(plugin, BrokenPlugin):
        for diagnostic in plugin.diagnostics:
            place = shown_path(diagnostic.path or plugin.path, current_folder())
            where = f"{place}:{diagnostic.line}" if diagnostic.line else place
            hint = f"\n{diagnostic.hint}" if diagnostic.hint else ""
            print_error(f"{where}: {diagnostic.error}{hint}", terminal.secrets)
        return 1
    if arguments.check is not None:
        return _check(Path(arguments.check), plugin, terminal)
    if arguments.output is None:
        terminal.output.write(plugin.content)
        return 0
    output = Path(arguments.output)
    if exists(output) and any(output.samefile(source) for source in (plugin.path, *plugin.files.values())):
        raise CommandError(f"{output} is one of the files that the plugin is made of: name another file with -o")
    try:
        output.write_text(plugin.content, encoding="utf-8", newline="")
    except OSError as error:
        raise CommandError(f"{output} can't be written: {error.strerror or error}") from error
    terminal.print(f"wrote {output}")
    return 0


def _only(plugins: list[Plugin | BrokenPlugin], path: str) -> Plugin | BrokenPlugin:
    """Return the one plugin at ``path``. Raises CommandError for none and for several."""
    if not plugins:
        raise CommandError(f"{path} holds no plugin: name the file with the class Pipe, Filter, Action, Event or Tools")
    if len(plugins) > 1:
        named = "\n".join(f"  {shown_path(plugin.path, current_folder())}" for plugin in plugins)
        raise CommandError(f"{path} holds {len(plugins)} plugins; name the file of one:\n{named}")
    return plugins[0]


def _check(built: Path, plugin: Plugin, terminal: Terminal) -> int:
    """Compare a file that was built before with ``plugin``."""
    source = shown_path(plugin.path, current_folder())
    to_do = f"run `owui-watch bundle {source} -o {built}`"
    try:
        raw = read_regular(built)
    except FileNotFoundError:
        print_error(f"{built} is missing: {to_do}", terminal.secrets)
        return 1
    except OSError as error:
        raise CommandError(f"--check {built}: can't be read: {error.strerror or error}") from error
    content = decode(raw) if isinstance(raw, bytes) else None
    if content == plugin.content:
        terminal.print(f"{built} is up to date")
        return 0
    print_error(f"{built} is stale: {to_do}", terminal.secrets)
    for line in difference(content if isinstance(content, str) else "", plugin.content, str(built), source):
        terminal.print(line)
    return 1
