"""Where a command writes to, and what must not appear there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from owui_watch.cli.settings_from_flags import current_folder
from owui_watch.reporting.output import Output
from owui_watch.reporting.redaction import Secrets, printable
from owui_watch.settings import LogFormat, Settings

if TYPE_CHECKING:
    from owui_watch.reporting.log import Reporter

_LEVELS = {-1: 30, 0: 20}
"""Lowest level that is shown for a verbosity, as in ``logging``; every other verbosity shows all."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """Standard output of a command. ``secrets`` never appear in it."""

    output: Output
    secrets: Secrets

    def print(self, line: str = "") -> None:
        """Write one line, printable and without secrets."""
        self.output.write(printable(self.secrets.hide(line)) + "\n")

    @property
    def interactive(self) -> bool:
        """Whether somebody watches: parts of the output may change in place."""
        return self.output.isatty() and os.environ.get("TERM") != "dumb"

    @property
    def colours(self) -> bool:
        """Whether to write colours. NO_COLOR and FORCE_COLOR decide if they are set and not empty (no-color.org)."""
        if os.environ.get("NO_COLOR"):
            return False
        return bool(os.environ.get("FORCE_COLOR")) or self.interactive

    def reporter(self, settings: Settings, *, json: bool | None = None) -> Reporter:
        """Start the reports of a run, with its key hidden. Raises SettingsError if there is no key."""
        import logging  # noqa: PLC0415

        from owui_watch.reporting.log import RequestLog, start_reporting  # noqa: PLC0415

        json = settings.log_format is LogFormat.JSON if json is None else json
        self.secrets.add(settings.require_key().reveal())
        reporter = start_reporting(
            self.output,
            json=json,
            colours=not json and self.colours,
            threshold=_LEVELS.get(settings.verbosity, 10),
            cwd=current_folder(),
            secrets=self.secrets,
        )
        if settings.verbosity > 1:
            requests = logging.getLogger("httpx")
            requests.setLevel(logging.INFO)
            requests.addHandler(RequestLog(reporter.report))
            requests.propagate = False
        return reporter
