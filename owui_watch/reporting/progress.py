"""The progress of a run: one line of a terminal, below all others, that is overwritten in place."""

from __future__ import annotations

from owui_watch.reporting.output import Output


class ProgressLine:
    """The last line of a terminal during a run.

    Plain text and carriage returns, which every terminal knows. A bar drawn with rich took 5 ms for each line above it:
    as long as a deploy.
    """

    def __init__(self, output: Output, *, wanted: bool) -> None:
        self._output = output
        self._wanted = wanted
        self._shown = ""

    def show(self, text: str) -> None:
        """Show ``text`` instead of what was shown before, cut to the width of the terminal. Does nothing unless ``wanted``."""
        text = text[: (self._output.width() or len(text) + 1) - 1]
        if self._wanted and text != self._shown:
            self.clear()
            self._output.write(text)
            self._shown = text

    def end(self) -> None:
        """Show nothing any more."""
        self.clear()
        self._wanted = False

    def clear(self) -> None:
        """Leave the line empty, for text that is written next."""
        if self._shown:
            self._output.write(f"\r{' ' * len(self._shown)}\r")
            self._shown = ""
