"""The way in: which command, the one error boundary, exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from owui_watch.cli.arguments import parse
from owui_watch.cli.commands.common import CommandError
from owui_watch.settings import SettingsError, without_keys


def main(argv: Sequence[str] | None = None) -> int:
    """Run owui-watch; give the exit code.

    0: all is well. 1: a plugin could not be deployed or checked, or is pending at the end. 2: the command line or the
    settings are wrong or, for a command that runs once, the server can't be reached or refuses the key. 130:
    interrupted twice, or before there was anything to finish.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        # Only the command's own room is loaded: `check` must not wait for an HTTP client.
        return int(import_module(f"owui_watch.cli.commands.{arguments.command}").run(arguments))
    except (SettingsError, CommandError) as error:
        print(f"owui-watch: {without_keys(str(error))}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _unread()
    except BaseExceptionGroup as group:  # the same, out of a task
        if group.split(BrokenPipeError)[1] is not None:
            raise
        return _unread()


def _unread() -> int:
    """Whoever read our lines is gone; Python must not try to flush to them once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
