"""Tables, coloured diffs and rendered pages, drawn with rich. Imported only by what draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from io import StringIO

from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from owui_watch.reporting.output import Output
from owui_watch.reporting.redaction import printable

WIDE = 1000
"""Columns of an output that is no terminal: a table in a file or a pipe is never folded."""
OTHER_COLUMNS = 40
"""Columns that a table needs at least beside its first one."""
_DIFF_STYLES = (("+++", "bold"), ("---", "bold"), ("@@", "cyan"), ("+", "green"), ("-", "red"), ("\\", "dim"))


class Drawing:
    """Draws on ``output``. ``clean`` removes from every text what must not be shown."""

    def __init__(self, output: Output, *, colours: bool, clean: Callable[[str], str]) -> None:
        self._output = output
        self._clean = clean
        self._console = Console(
            file=StringIO(),
            force_terminal=colours,
            color_system="standard" if colours else None,
            width=output.width() or WIDE,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def line(self, text: str, style: str = "") -> None:
        """Write one line, which is not folded."""
        with self._console.capture() as capture:
            self._console.print(Text(self._clean(printable(text)), style), soft_wrap=True)
        self._output.write(capture.get())

    def diff(self, lines: Iterable[str]) -> None:
        """Write a unified diff."""
        for line in lines:
            self.line(line, next((style for start, style in _DIFF_STYLES if line.startswith(start)), ""))

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[tuple[str, str]]]) -> None:
        """Write a table; each cell is a text and its style. The first column holds ids, which are never folded."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        for number, head in enumerate(heads):
            table.add_column(head, no_wrap=number == 0)
        longest = 0
        for row in rows:
            cells = [Text(self._clean(printable(text)), style) for text, style in row]
            longest = max(longest, cells[0].cell_len)
            table.add_row(*cells)
        self._console.width = max(self._console.width, longest + OTHER_COLUMNS)
        with self._console.capture() as capture:
            self._console.print(table)
        # Rich fills cells up to the column's width, the last one too.
        self._output.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))

    def page(self, markdown: str) -> None:
        """Write a page of Markdown."""
        with self._console.capture() as capture:
            self._console.print(Markdown(markdown, hyperlinks=False))
        self._output.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))
