"""An answer on a terminal as it comes, set in under its head line and between the lines that others write."""

from __future__ import annotations

import dataclasses
from typing import TextIO

from owui_watch.plugins.source import printable
from owui_watch.reporting.events import Answer, Event
from owui_watch.reporting.log import INDENT, Reporter


class Spoken:
    """Writes parts of an answer to ``stream``, which is also the report's."""

    def __init__(self, stream: TextIO, reporter: Reporter) -> None:
        self._stream = stream
        self._reporter = reporter
        self._unshown = ""
        self._fresh = True

    def part(self, text: str) -> None:
        """Write what came, but for an end that may be the beginning of a secret."""
        text = self._reporter.hidden(self._unshown + text)
        kept = self._reporter.unfinished(text)
        self._unshown = text[len(text) - kept :]
        self._write(text[: len(text) - kept])

    def report(self, event: Event) -> None:
        """Write a line of its own; an answer's text has been read already."""
        self._write(self._unshown)
        self._unshown = ""
        if not self._fresh:
            self._stream.write("\n")
            self._fresh = True
        self._reporter.report(dataclasses.replace(event, text="") if isinstance(event, Answer) else event)

    def _write(self, text: str) -> None:
        for number, line in enumerate(text.replace("\r\n", "\n").split("\n")):
            if number:
                self._stream.write("\n")
                self._fresh = True
            if line:
                self._stream.write((INDENT if self._fresh else "") + printable(line))
                self._fresh = False
        self._stream.flush()
