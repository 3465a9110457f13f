"""Can this source text work as a plugin? Found by parsing; nothing is ever run or imported."""

from __future__ import annotations

import ast
import io
import platform
import re
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from owui_watch.plugin import Fault, Kind, Severity

_PYTHON = platform.python_version()
_LOOKS_LIKE = re.compile(r"^class\s+(Pipe|Filter|Action|Event|Tools)\b", re.MULTILINE)
_REWRITTEN = ("utils", "apps", "main", "config")
_MAY_BE_REWRITTEN = re.compile(r"from (utils|apps|main|config)\w")
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Examined:
    """What the text of a file says about itself.

    ``kind`` is None for no plugin; ``pipeline`` is true where it binds ``Pipeline`` (a Pipelines server's plugin).
    """

    kind: Kind | None
    pipeline: bool
    docstring: str | None
    faults: tuple[Fault, ...]


def decode(raw: bytes) -> str | Fault:
    """Turn a file's bytes into text as Python would: byte-order mark, coding line, else UTF-8. Line endings stay."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        text = raw.decode(encoding)
        text.encode()
    except (SyntaxError, UnicodeError, LookupError) as error:
        place = _undecodable_place(raw, error)
        return Fault(
            f"not readable as text: {error}",
            *place,
            hint="save it as UTF-8, or name its encoding in a coding line",
        )
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        return Fault("holds NUL bytes, which Python cannot compile", line=line, hint="save it as plain UTF-8 text")
    return text.removeprefix("\ufeff")


def _undecodable_place(raw: bytes, error: Exception) -> tuple[int | None, int | None]:
    if not isinstance(error, UnicodeDecodeError):
        return None, None
    before = raw[: error.start]
    return before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1


def examine(text: str) -> Examined:
    """Compile ``text`` without running it and look at what its top level binds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
            compile(tree, "<plugin>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return Examined(guess_kind(text), False, None, (_syntax_fault(text, error),))
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        fault = Fault(
            f"Python {_PYTHON} cannot compile it: {error or 'it is nested too deeply'}",
            hint="simplify the file",
        )
        return Examined(guess_kind(text), False, None, (fault,))
    bound = dict(_bindings(tree.body))
    kind = next((kind for kind in Kind if kind.class_name in bound and _counts(kind, bound)), None)
    faults = (*_exits(text, tree.body), *_rewritten_imports(text, tree))
    return Examined(kind, "Pipeline" in bound, ast.get_docstring(tree, clean=False), faults)


def guess_kind(text: str) -> Kind | None:
    """Kind of a file that does not parse, by the look of its lines; None where nothing looks like a plugin."""
    found = set(_LOOKS_LIKE.findall(text))
    return next((kind for kind in Kind if kind.class_name in found), None)


def source_line(text: str, number: int | None) -> str | None:
    """Give line ``number`` (from 1) of ``text`` as Python counts lines; None where there is no such line."""
    lines = _LINE_END.split(text)
    return lines[number - 1] if number and number <= len(lines) else None


def _syntax_fault(text: str, error: SyntaxError) -> Fault:
    return Fault(
        error.msg,
        line=error.lineno,
        column=error.offset,
        source=source_line(text, error.lineno),
        hint=f"checked with Python {_PYTHON}",
    )


def _counts(kind: Kind, bound: dict[str, ast.AST]) -> bool:
    """``Event`` is too common a name: it counts only as a class with an ``event`` method."""
    if kind is not Kind.EVENT:
        return True
    node = bound[kind.class_name]
    return isinstance(node, ast.ClassDef) and any(
        isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name == "event" for item in node.body
    )


def _bindings(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Names that module-level statements bind, in order, those inside ``if``, ``try`` and ``with`` included."""
    for node in body:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name, node
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    yield alias.asname or alias.name.partition(".")[0], node
            case ast.Assign():
                for target in node.targets:
                    yield from ((name.id, node) for name in ast.walk(target) if isinstance(name, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
                yield name, node
            case ast.If(test=test):
                if not _never_on_server(test):
                    yield from _bindings(node.body)
                yield from _bindings(node.orelse)
            case ast.Try() | ast.TryStar():
                handlers = [statement for handler in node.handlers for statement in handler.body]
                yield from _bindings([*node.body, *handlers, *node.orelse, *node.finalbody])
            case ast.With() | ast.AsyncWith():
                yield from _bindings(node.body)
            case _:
                pass


def _never_on_server(test: ast.expr) -> bool:
    """Recognise ``if TYPE_CHECKING:`` and ``if __name__ == "__main__":``."""
    names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(test) if isinstance(node, ast.Attribute)}
    return bool(names & {"TYPE_CHECKING", "__name__"})


def _exits(text: str, body: Sequence[ast.stmt]) -> Iterator[Fault]:
    """Find what ends the interpreter whenever the module is loaded.

    Open WebUI up to 0.6.5 ends with it, 0.6.43 to 0.10.2 hang, 0.11 and newer answer 500.
    """
    own = {name for name, node in _bindings(body) if not isinstance(node, ast.ImportFrom)}
    for node in _always_run(body):
        if _is_exit(node, own):
            yield Fault(
                "ends the interpreter as soon as it is loaded, and with it an older Open WebUI",
                line=node.lineno,
                column=node.col_offset + 1,
                source=source_line(text, node.lineno),
                hint='remove it, or put it under `if __name__ == "__main__":`',
            )


def _always_run(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.With):
            yield from _always_run(node.body)
        elif isinstance(node, ast.Try):
            if not node.handlers:
                yield from _always_run(node.body)
            yield from _always_run(node.finalbody)


def _is_exit(node: ast.stmt, own: set[str]) -> bool:
    match node:
        case ast.Expr(value=ast.Call(func=ast.Name(id="exit" | "quit" as name))):
            return name not in own
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="sys"), attr="exit"))):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="_exit"))):
            return True
        case ast.Raise(exc=ast.Name(id="SystemExit") | ast.Call(func=ast.Name(id="SystemExit"))):
            return True
        case _:
            return False


def _rewritten_imports(text: str, tree: ast.Module) -> Iterator[Fault]:
    """Find imports that the server's text replacement breaks (``from config`` → ``from open_webui.config``)."""
    if not _MAY_BE_REWRITTEN.search(text):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level or not node.module:
            continue
        top = node.module.partition(".")[0]
        if top.startswith(_REWRITTEN) and top not in _REWRITTEN:
            yield Fault(
                f"Open WebUI will turn `from {node.module}` into `from open_webui.{node.module}`, which fails",
                line=node.lineno,
                column=node.col_offset + 1,
                source=source_line(text, node.lineno),
                hint=f"write `import {node.module}` and use {node.module}.{node.names[0].name}",
                severity=Severity.WARNING,
            )
