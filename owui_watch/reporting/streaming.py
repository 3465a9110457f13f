"""Shows a pipe's answer on a terminal as it arrives, indented below its head, between the lines of other events."""

from __future__ import annotations

import dataclasses
import re

from owui_watch.reporting.events import Event
from owui_watch.reporting.layout import below, cells
from owui_watch.reporting.log import Reporter
from owui_watch.reporting.output import Output
from owui_watch.reporting.redaction import printable
from owui_watch.reporting.runtime_events import Answer

_WORD = re.compile(r" *[^ ]+")


class StreamedAnswer:
    """Writes parts of an answer to ``output``, which is also the reporter's."""

    def __init__(self, output: Output, reporter: Reporter) -> None:
        self._output = output
        self._reporter = reporter
        self._held_back = ""
        self._column = 0
        self._blanks = ""

    def part(self, text: str) -> None:
        """Write a part of the answer. Hold back an end that may be the beginning of a secret."""
        text = self._reporter.hidden(self._held_back + text)
        kept = self._reporter.unfinished(text)
        self._held_back = text[len(text) - kept :]
        self._write(text[: len(text) - kept])

    def report(self, event: Event) -> None:
        """Report an event on lines of its own. The text of an answer is left out: it was already written in parts."""
        self._write(self._held_back)
        self._held_back = ""
        if self._column:
            self._output.write("\n")
            self._column, self._blanks = 0, ""
        self._reporter.report(dataclasses.replace(event, text="") if isinstance(event, Answer) else event)

    def _write(self, text: str) -> None:
        for number, line in enumerate(text.replace("\r\n", "\n").split("\n")):
            if number:
                self._output.write("\n")
                self._column, self._blanks = 0, ""
            self._write_words(self._blanks + printable(line))

    def _write_words(self, line: str) -> None:
        """Write a part of a line; begin a new one at a blank if the next word does not fit the terminal."""
        width = self._output.width()
        indent = below(0, width)
        words = _WORD.findall(line)
        self._blanks = line[len("".join(words)) :]  # they belong to the word that comes next
        for word in words:
            text = word
            if width is not None and self._column > indent and word[0] == " " and self._column + cells(word) > width:
                self._output.write("\n")
                self._column, text = 0, word.lstrip(" ")
            if text and not self._column:
                text = " " * indent + text
            self._output.write(text)
            self._column += cells(text)
