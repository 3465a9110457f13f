"""From the flags of a command to its settings."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from owui_watch.settings import OPTIONS, SandboxServer, Secret, Settings, SettingsError, load

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
    return load(
        [Path(path) for path in (arguments.paths if paths is None else paths)],
        flags,
        environ=environ,
        cwd=current_folder(),
        config=Path(arguments.config) if arguments.config else None,
        env_file=Path(env_file) if env_file else None,
        server=sandbox,
    )


def current_folder() -> Path:
    """Return the current folder. Raises SettingsError if it was deleted."""
    try:
        return Path.cwd()
    except OSError as error:
        raise SettingsError("the current folder does not exist any more: change to another folder (cd)") from error
