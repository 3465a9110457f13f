"""A pipe's answer on a terminal as it arrives, set in below its head line and between the lines of other events."""

from __future__ import annotations

import dataclasses

from owui_watch.reporting.events import Answer, Event
from owui_watch.reporting.layout import below
from owui_watch.reporting.log import Reporter
from owui_watch.reporting.output import Output
from owui_watch.reporting.redaction import printable


class StreamedAnswer:
    """Writes parts of an answer to ``output``, which is also the reporter's."""

    def __init__(self, output: Output, reporter: Reporter) -> None:
        self._output = output
        self._reporter = reporter
        self._held_back = ""
        self._at_line_start = True

    def part(self, text: str) -> None:
        """Write a part of the answer, without an end that may be the beginning of a secret."""
        text = self._reporter.hidden(self._held_back + text)
        kept = self._reporter.unfinished(text)
        self._held_back = text[len(text) - kept :]
        self._write(text[: len(text) - kept])

    def report(self, event: Event) -> None:
        """Report an event on lines of its own. Of an answer's text nothing is repeated: it was written in parts."""
        self._write(self._held_back)
        self._held_back = ""
        if not self._at_line_start:
            self._output.write("\n")
            self._at_line_start = True
        self._reporter.report(dataclasses.replace(event, text="") if isinstance(event, Answer) else event)

    def _write(self, text: str) -> None:
        indent = " " * below(0, self._output.width())
        for number, line in enumerate(text.replace("\r\n", "\n").split("\n")):
            if number:
                self._output.write("\n")
                self._at_line_start = True
            if line:
                self._output.write((indent if self._at_line_start else "") + printable(line))
                self._at_line_start = False
