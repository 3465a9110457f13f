r"""Any text as a Python literal that a person can read, and back.

Lines stand as they are, between triple quotes on lines of their own. Where a raw literal can't hold the text, backslashes
are doubled, triple quotes become ``''\'`` and a lone carriage return ``\r``. Text with Windows line endings is written
with ``.replace("\n", "\r\n")`` behind it.
"""

from __future__ import annotations

import ast

from owui_watch.plugins.source import REWRITTEN, rewritten

_QUOTES = ("'''", '"""')
_CRLF = '.replace("\\n", "\\r\\n")'


def block_literal(text: str) -> str:
    """Return an expression over several lines whose value is ``text``.

    The server's text replacement (``from utils`` → ``from open_webui.utils``, Open WebUI 0.3.35 to 0.12.4) finds nothing
    in it to replace.
    """
    if "\r\n" in text and "\r" not in text.replace("\r\n", "") and "\n" not in text.replace("\r\n", ""):
        return block_literal(text.replace("\r\n", "\n")) + _CRLF
    quotes = next((each for each in _QUOTES if each not in text), _QUOTES[0])
    if _fits_raw(text, quotes):
        return f"r{quotes}\n{text}{quotes}[1:]"
    return f"{quotes}\n{_escaped(text, quotes)}{quotes}[1:]"


def line_literal(text: str) -> str:
    """Return an expression on one line whose value is ``text``, with nothing in it for the server to replace."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{_hidden_from_the_server(inner)}"'


def literal_value(node: ast.expr) -> str | None:
    """Return the text that ``node``, an expression as written by this module or by hand, stands for; None for others."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Subscript(value=inner, slice=ast.Slice(lower=ast.Constant(value=1), upper=None, step=None)):
            value = literal_value(inner)
            return None if value is None else value[1:]
        case ast.Call(
            func=ast.Attribute(value=inner, attr="replace"),
            args=[ast.Constant(value="\n"), ast.Constant(value="\r\n")],
            keywords=[],
        ):
            value = literal_value(inner)
            return None if value is None else value.replace("\n", "\r\n")
        case _:
            return None


def _fits_raw(text: str, quotes: str) -> bool:
    """Check whether a raw literal can hold ``text``: its end is the first triple quote, and nothing needs an escape."""
    backslashes = len(text) - len(text.rstrip("\\"))
    closed = (text + quotes).find(quotes) == len(text) and backslashes % 2 == 0
    return closed and "\r" not in text and rewritten(text) == text


def _escaped(text: str, quotes: str) -> str:
    quote = quotes[0]
    inner = text.replace("\\", "\\\\").replace(quotes, f"{quote * 2}\\{quote}").replace("\r", "\\r")
    before = inner.removesuffix(quote)
    if before != inner and (len(before) - len(before.rstrip("\\"))) % 2 == 0:
        inner = f"{before}\\{quote}"
    return _hidden_from_the_server(inner)


def _hidden_from_the_server(inner: str) -> str:
    r"""Write the space of each ``from utils`` as ``\x20``: the server would replace it inside a literal as well."""
    for module in REWRITTEN:
        inner = inner.replace(f"from {module}", f"from\\x20{module}")
    return inner
