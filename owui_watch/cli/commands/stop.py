"""``owui-watch stop [PATH…]``: ask the watch that runs on these files to finish and end. No process is signalled."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

from owui_watch.cli.errors import CommandError
from owui_watch.cli.settings_from_flags import settings_from
from owui_watch.cli.terminal import Terminal
from owui_watch.settings import Settings
from owui_watch.state import RunningWatch, SentRequest, StateFolder, StopRequest, running_watches, starting_watches

PATIENCE = 20.0
"""Seconds beyond the setting ``drain`` that a watch has to end: its sandbox ends with it."""
_PAUSE = 0.1


def run(arguments: argparse.Namespace, terminal: Terminal, *, pause: Callable[[float], object] = time.sleep) -> int:
    """Stop every watch on the PATHs, and return when they have ended. Raises SettingsError and CommandError.

    ``pause`` is called with the seconds between two looks at whether they have.
    """
    settings = settings_from(arguments, os.environ)
    found = _running(settings)
    if not found:
        terminal.print("no owui-watch runs here")
        return 0
    asked = []
    for folder, watch in found:
        terminal.print(f"stopping the owui-watch {_who(watch)}")
        try:
            asked.append(SentRequest(folder, StopRequest()))
        except OSError as error:
            raise CommandError(
                f"the request to stop can't be written to {folder.path} ({error.strerror}): press Ctrl-C in the watch's terminal"
            ) from error
    deadline = time.monotonic() + settings.drain + PATIENCE
    while (left := _running(settings)) and time.monotonic() < deadline:
        pause(_PAUSE)
    for request in asked:
        request.withdraw()
    if left:
        raise CommandError(f"the owui-watch {_who(left[0][1])} does not answer: end it yourself, with Ctrl-C")
    terminal.print("stopped")
    return 0


def _running(settings: Settings) -> list[tuple[StateFolder, RunningWatch | None]]:
    """Return the runs on the PATHs. A run that watches by now takes requests as the watch that it is."""
    watches = running_watches(settings)
    known = {watch.pid for _, watch in watches if watch is not None}
    starting = starting_watches(settings.require_state_dir(), settings.roots)
    return [*watches, *((folder, watch) for folder, watch in starting if watch.pid not in known)]


def _who(watch: RunningWatch | None) -> str:
    return f"({watch}) on {watch.url}" if watch else "that runs here"
