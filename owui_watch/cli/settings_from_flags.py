"""From the flags of a command to its settings."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owui_watch.plugins.ignore import Ignore
from owui_watch.settings import OPTIONS, Layer, SandboxServer, Secret, Settings, SettingsError, load, masked

if TYPE_CHECKING:
    from owui_watch.reporting.command_events import Server

NO_SERVER = SandboxServer("http://localhost", Secret("stand-in"))
"""Stands in for the server of a command that needs none, so that no URL and no key is asked for."""


def settings_from(
    arguments: argparse.Namespace,
    environ: Mapping[str, str],
    *,
    paths: Sequence[str] | None = None,
    sandbox: SandboxServer | None = None,
) -> Settings:
    """Return the settings of a run, on a ``sandbox`` if there is one. Raises SettingsError.

    ``paths`` are by default the PATHs of the command line.
    """
    given = {name: getattr(arguments, name) for name in OPTIONS if hasattr(arguments, name)}
    flags: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    flags["sync"] = getattr(arguments, "sync", False) or sandbox is not None
    flags["verbosity"] = -1 if getattr(arguments, "quiet", False) else getattr(arguments, "verbose", 0)
    if sandbox is not None:
        flags.setdefault("global_new", True)
    env_file = getattr(arguments, "env_file", None)
    cwd = current_folder()
    named = [Path(path) for path in (arguments.paths if paths is None else paths)]
    settings = load(
        named,
        flags,
        environ=environ,
        cwd=cwd,
        config=Path(arguments.config) if arguments.config else None,
        env_file=Path(env_file) if env_file else None,
        server=sandbox,
    )
    return _with_links(settings, [cwd / path for path in named])


def _with_links(settings: Settings, named: Sequence[Path]) -> Settings:
    """Put a link in the place of the file that it leads to if that one is ignored: a watch of their folder does so too."""
    ignore = Ignore(settings.ignore)
    links = {path.resolve(): path.parent.resolve() / path.name for path in named if path.is_symlink()}
    hidden = {
        real
        for real in links.keys() & set(settings.roots)
        if not real.is_dir() and real.is_relative_to(settings.base) and ignore.file(real.relative_to(settings.base))
    }
    roots = sorted(links[root] if root in hidden else root for root in settings.roots)
    return replace(settings, roots=tuple(roots)) if hidden else settings


def current_folder() -> Path:
    """Return the current folder. Raises SettingsError if it was deleted."""
    try:
        return Path.cwd()
    except OSError as error:
        raise SettingsError("the current folder does not exist any more: change to another folder (cd)") from error


def server_named(settings: Settings) -> Server:
    """Return the event that names the server of a command that runs once, before anything is sent there."""
    from owui_watch.reporting.command_events import Server  # noqa: PLC0415 - a watch does not need it

    default = settings.url_source.layer is Layer.DEFAULT
    return Server(masked(settings.url), None if default else str(settings.url_source))
