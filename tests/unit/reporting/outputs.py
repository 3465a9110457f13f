"""Outputs for tests: no thread, no terminal."""

from __future__ import annotations

from owui_watch.reporting.output import Lost, Output


class Recorded(Output):
    """Keeps all text. ``width``: that of a terminal, None for a pipe."""

    def __init__(self, width: int | None = None) -> None:
        super().__init__(None)
        self._columns = width
        self._texts: list[str] = []
        self._reported: Lost | None = None

    def write(self, text: str) -> int:
        self._texts.append(text)
        return len(text)

    def width(self) -> int | None:
        return self._columns

    def isatty(self) -> bool:
        return self._columns is not None

    def lose(self, lines: int, reason: str) -> None:
        """Have the next line find that lines were lost."""
        self._reported = Lost(lines, reason)

    def take_lost(self) -> Lost | None:
        lost, self._reported = self._reported, None
        return lost

    def text(self) -> str:
        """Return all that was written."""
        return "".join(self._texts)
