"""From the flags of a command to its settings."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from owui_watch.settings import OPTIONS, Settings, SettingsError, load


def settings_from(
    arguments: argparse.Namespace,
    environ: Mapping[str, str],
    *,
    paths: Sequence[str] | None = None,
    in_sandbox: bool = False,
) -> Settings:
    """Return the settings of a run. ``paths``: by default the PATHs of the command line. Raises SettingsError."""
    given = {name: getattr(arguments, name) for name in OPTIONS if hasattr(arguments, name)}
    flags: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    flags["sync"] = getattr(arguments, "sync", False) or in_sandbox
    flags["verbosity"] = -1 if getattr(arguments, "quiet", False) else getattr(arguments, "verbose", 0)
    if in_sandbox:
        flags.setdefault("global_new", True)
    env_file = getattr(arguments, "env_file", None)
    return load(
        [Path(path) for path in (arguments.paths if paths is None else paths)],
        flags,
        environ=environ,
        cwd=current_folder(),
        config=Path(arguments.config) if arguments.config else None,
        env_file=Path(env_file) if env_file else None,
    )


def with_server(url: str, key: str) -> Mapping[str, str]:
    """Return the environment with a server and its key in it; they beat those of any file."""
    return {**os.environ, "OPENWEBUI_URL": url, "OPENWEBUI_API_KEY": key}


def current_folder() -> Path:
    """Return the current folder. Raises SettingsError if it was deleted."""
    try:
        return Path.cwd()
    except OSError as error:
        raise SettingsError("the current folder does not exist any more: change to another folder (cd)") from error
