"""Source text to a syntax tree that Python can compile, in bounded time; what its top level binds and always runs.

Nothing is ever run or imported.
"""

from __future__ import annotations

import ast
import gc
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from owui_watch.concurrency import killable
from owui_watch.plugins.model import Diagnostic
from owui_watch.plugins.source import column_of, lines_of, source_line

_PYTHON = ".".join(map(str, sys.version_info[:3]))
_PUNCTUATION = b"()[]{},;:.=+-*/%<>&|^~@!\n"
MOST_PUNCTUATION = 150_000
"""Characters of ``_PUNCTUATION``. Parsing and compiling takes up to 6 µs for each (``a;`` repeated). Code of 500 kB
holds 60,000 to 90,000, minified JavaScript of that size 135,000."""
MOST_BLOCKS = 5_000
"""Functions, classes, lambdas, loops and comprehensions. Compiling equal ones takes time that grows with their square:
1 s for this many, 170 s for 64,000 (CPython 3.11 to 3.13 compare each with all others of the same hash)."""
_BLOCK_WORDS = ("def", "class", "lambda", "for")
_BLOCK = re.compile(rf"\b(?:{'|'.join(_BLOCK_WORDS)})\b(?!=)")
MOST_KEYWORDS = 10_000
"""Keyword arguments of one call. CPython compares each with each: 28 s for 60,000, 0.8 s for this many."""
MOST_LONG_NUMBERS = 5_000
"""Numbers that may have equal hashes, so that comparing them grows with the square of their number too."""
_LONG_NUMBER = re.compile(r"\b\d\w{15,}")
_MAY_BE_LONG_NUMBER = re.compile(r"\d\w{15}")
"""Found wherever a long number is, and elsewhere, in a third of the time."""
MOST_F_STRING = 2 * 10**9
"""Characters times braces, summed over f-strings. CPython 3.11 searches the whole f-string for each of its fields:
42 s for 640 kB of ``{a}``, 0.7 s for this much. CPython 3.12 and newer don't."""
MOST_NAMES_IN_BLOCKS = 10_000_000
"""Names of a function times the blocks inside it. CPython copies the names of a function for each block in it: 40 ns
each, 0.4 s for this many, 14 s for 70,000 names and 4,900 blocks (3.11)."""
MOST_HARMLESS = 8_000
"""Characters of a function that can't hold so many names and blocks: a block has four characters, a name two."""
_BINDING_SIGNS = ("=", ",", "as", "import", "global", *_BLOCK_WORDS)
"""One of these stands in the text for each name that a function binds."""
_F_STRING = re.compile(
    r"""(?:[fF][rR]?|[rR][fF])(?:"{3}(?:[^"\\]|\\.|"(?!""))*|'{3}(?:[^'\\]|\\.|'(?!''))*|"(?:[^"\\\n]|\\.)*|'(?:[^'\\\n]|\\.)*)""",
    re.DOTALL,
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_BLOCKS = (*_FUNCTIONS, ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


_kept: ContextVar[dict[str, ast.Module | Diagnostic] | None] = ContextVar("_kept", default=None)


@contextmanager
def parsed_once() -> Iterator[None]:
    """In the block, don't parse a text again that was the last one parsed, and collect no garbage.

    The tree of a large file has a million objects and no cycles. The collector would look at all of them again and again,
    for up to two fifths of the time, and free none.
    """
    kept: dict[str, ast.Module | Diagnostic] = {}
    token, collects = _kept.set(kept), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        _kept.reset(token)
        kept.clear()  # before a collection can look at the tree
        if collects:
            gc.enable()


def parse(text: str) -> ast.Module | Diagnostic:
    """Parse and compile ``text``, or say why Python can't, or why that would take too long."""
    kept = _kept.get()
    if kept is None:
        return _parse(text)
    if text not in kept:
        kept.clear()
        kept[text] = _parse(text)
    return kept[text]


def _parse(text: str) -> ast.Module | Diagnostic:
    if (excess := _excess_of_text(text)) is not None:
        return _too_complex(excess)
    try:
        with warnings.catch_warnings(), killable():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
            if (excess := _excess_of_tree(text, tree)) is not None:
                return _too_complex(excess)
            compile(tree, "<plugin>", "exec", dont_inherit=True)  # finds `return` outside a function and its like
    except SyntaxError as error:
        return _syntax_diagnostic(text, error)
    except (RecursionError, MemoryError):
        return nested_too_deeply()
    except (ValueError, OverflowError) as error:
        return Diagnostic(f"Python {_PYTHON} cannot compile it: {error}", hint="simplify the file", rule="syntax")
    return tree


def nested_too_deeply() -> Diagnostic:
    """Say that a file is nested more deeply than Python, or our rules, can follow."""
    error = f"Python {_PYTHON} cannot compile it: it is nested too deeply"
    return Diagnostic(error, hint="simplify the file", rule="syntax")


def _excess_of_text(text: str) -> str | None:
    """Say what ``text`` has so much of that parsing could take more than about a second; None if it is ordinary."""
    if sum(map(text.count, _BLOCK_WORDS)) > MOST_BLOCKS and (count := _count(_BLOCK, text)) > MOST_BLOCKS:
        return f"{count:,} functions, classes and loops; at most {MOST_BLOCKS:,} are checked"
    if len(text) > MOST_PUNCTUATION and (count := _count_punctuation(text)) > MOST_PUNCTUATION:
        return f"{count:,} operators, brackets and lines; at most {MOST_PUNCTUATION:,} are checked"
    if len(text) > MOST_LONG_NUMBERS * 17 and _count(_MAY_BE_LONG_NUMBER, text) > MOST_LONG_NUMBERS:
        count = _count(_LONG_NUMBER, text)
        if count > MOST_LONG_NUMBERS:
            return f"{count:,} numbers of more than 15 digits; at most {MOST_LONG_NUMBERS:,} are checked"
    if sys.version_info < (3, 12) and len(text) * text.count("{") > MOST_F_STRING:
        strings = (match[0] for match in _F_STRING.finditer(text))
        if sum(len(string) * string.count("{") for string in strings) > MOST_F_STRING:
            return "an f-string with too many fields"
    return None


def _excess_of_tree(text: str, tree: ast.Module) -> str | None:
    """Say what a parsed text has so much of that compiling could take more than about a second."""
    if text.count("=") > MOST_KEYWORDS and text.count(",") >= MOST_KEYWORDS:
        for node in ast.walk(tree):
            names = node.kwd_attrs if isinstance(node, ast.MatchClass) else getattr(node, "keywords", ())
            if len(names) > MOST_KEYWORDS:
                return f"one call with {len(names):,} keyword arguments; at most {MOST_KEYWORDS:,} are checked"
    most_blocks = sum(map(text.count, _BLOCK_WORDS))
    if _most_names_in_blocks(text) > MOST_NAMES_IN_BLOCKS:
        lines = lines_of(text)
        for scope in _outermost_functions(tree):
            own = lines[scope.lineno - 1 : scope.end_lineno]
            # Counting words in its lines is a hundred times as fast as walking its tree.
            if sum(map(len, own)) < MOST_HARMLESS or _most_names_in_blocks("\n".join(own)) <= MOST_NAMES_IN_BLOCKS:
                continue
            names_in_blocks = _names(scope) * sum(isinstance(node, _BLOCKS) for node in ast.walk(scope))
            if names_in_blocks > MOST_NAMES_IN_BLOCKS:
                return "one function with too many names and functions in it"
        if "global" in text:
            declared = sum(len(node.names) for node in ast.walk(tree) if isinstance(node, ast.Global))
            if declared * most_blocks > MOST_NAMES_IN_BLOCKS:
                return f"{declared:,} names in `global` statements"
    return None


def _most_names_in_blocks(text: str) -> int:
    """Return an upper bound for the names that ``text`` binds, times the blocks in it."""
    return sum(map(text.count, _BLOCK_WORDS)) * sum(map(text.count, _BINDING_SIGNS))


def _outermost_functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda]:
    """Yield the functions of a module and its classes, but not the functions inside them."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, _FUNCTIONS):
            yield node
        else:
            pending.extend(ast.iter_child_nodes(node))


def _names(scope: ast.AST) -> int:
    """Return how many names ``scope`` and the blocks in it bind, at most."""
    bound = 0
    for node in ast.walk(scope):
        match node:
            case ast.Name(ctx=ast.Store()) | ast.arg() | ast.alias() | ast.MatchAs() | ast.ExceptHandler():
                bound += 1
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                bound += 1
    return bound


def _count_punctuation(text: str) -> int:
    raw = text.encode("utf-8", "surrogatepass")
    return len(raw) - len(raw.translate(None, _PUNCTUATION))


def _count(pattern: re.Pattern[str], text: str) -> int:
    return sum(1 for _ in pattern.finditer(text))


def _too_complex(excess: str) -> Diagnostic:
    hint = "split it into modules, and keep data in files of their own"
    return Diagnostic(f"too complex to check: {excess}", hint=hint, rule="too-complex")


def _syntax_diagnostic(text: str, error: SyntaxError) -> Diagnostic:
    source, column = source_line(text, error.lineno), error.offset or None
    if column and source is not None and error.text is None:
        # The compiler, unlike the parser, has no text at hand and counts bytes.
        column = column_of(source, column - 1)
    return Diagnostic(error.msg, error.lineno or None, column, source, f"checked with Python {_PYTHON}", rule="syntax")


def bindings(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the names that module-level statements bind, in order, those inside ``if``, ``try`` and ``with`` included."""
    return ((name, node) for node in _statements(body) for name, _ in _bound(node))


def origins(body: Sequence[ast.stmt]) -> dict[str, str]:
    """Return for each name that ``body`` binds the dotted name that it is imported from; empty if it is no import."""
    return {name: origin for node in _statements(body) for name, origin in _bound(node)}


def always_run(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run whenever ``body`` does, and whose errors nothing catches."""
    for node in body:
        yield node
        match node:
            case ast.With() if not suppresses_errors(node):
                yield from always_run(node.body)
            case ast.Try():
                if not node.handlers:
                    yield from always_run(node.body)
                yield from always_run(node.finalbody)
            case ast.If():
                holds = holds_on_server(node.test)
                if holds is not None:
                    yield from always_run(node.body if holds else node.orelse)


def dotted(expression: ast.expr, origins: Mapping[str, str]) -> str:
    """Return what ``exit`` or ``s.exit`` means: ``sys.exit`` if the name was imported from there."""
    match expression:
        case ast.Name(id=name):
            return origins.get(name, name)
        case ast.Attribute(value=ast.Name(id=name), attr=attribute):
            return f"{origins.get(name, name)}.{attribute}"
        case _:
            return ""


def dotted_path(expression: ast.expr) -> str:
    """Return ``a.b.c`` as it is written; empty for any other expression."""
    parts: list[str] = []
    while isinstance(expression, ast.Attribute):
        parts.append(expression.attr)
        expression = expression.value
    return ".".join([expression.id, *reversed(parts)]) if isinstance(expression, ast.Name) else ""


def bound_by(alias: ast.alias) -> str:
    """Return the name that an import binds."""
    return alias.asname or alias.name.partition(".")[0]


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of the top level that can run on the server, those inside ``if``, ``try`` and ``with`` too."""
    pending = list(reversed(body))
    while pending:
        node = pending.pop()
        if not isinstance(node, ast.Expr):
            yield node
            pending.extend(reversed(_blocks(node)))


def _bound(node: ast.stmt) -> Iterator[tuple[str, str]]:
    """Yield each name that ``node`` binds and the dotted name that it is imported from, empty if it is no import."""
    match node:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            yield node.name, ""
        case ast.Import():
            for alias in node.names:
                name = bound_by(alias)
                yield name, alias.name if alias.asname else name
        case ast.ImportFrom():
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                yield bound_by(alias), f"{module}.{alias.name}"
        case ast.Assign(targets=[ast.Name(id=name)]):
            yield name, ""
        case ast.Assign():
            for part in (part for target in node.targets for part in ast.walk(target)):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    yield part.id, ""
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            yield name, ""


def _blocks(node: ast.stmt) -> list[ast.stmt]:
    """Return the statements inside ``node`` that belong to the module's top level and can run on the server."""
    match node:
        case ast.If():
            holds = holds_on_server(node.test)
            return [*(node.body if holds is not False else ()), *(node.orelse if holds is not True else ())]
        case ast.Try() | ast.TryStar():
            handlers = [statement for handler in node.handlers for statement in handler.body]
            return [*node.body, *handlers, *node.orelse, *node.finalbody]
        case ast.With():
            return node.body
        case _:
            return []


def holds_on_server(test: ast.expr) -> bool | None:
    """Return the value of ``TYPE_CHECKING``, ``True`` or ``__name__ == "__main__"`` there; None for all other tests."""
    match test:
        case ast.Constant(value=value):
            return bool(value)
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return False
        case ast.Compare(left=ast.Name(id="__name__"), ops=[op], comparators=[ast.Constant(value="__main__")]):
            return {ast.Eq: False, ast.NotEq: True}.get(type(op))
        case ast.Compare(left=ast.Constant(value="__main__"), ops=[op], comparators=[ast.Name(id="__name__")]):
            return {ast.Eq: False, ast.NotEq: True}.get(type(op))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            holds = holds_on_server(operand)
            return None if holds is None else not holds
        case ast.BoolOp(op=ast.And(), values=values):
            return False if any(holds_on_server(value) is False for value in values) else None
        case _:
            return None


def suppresses_errors(node: ast.With) -> bool:
    """Return whether an error may end with the block, as in ``contextlib.suppress``."""
    calls = (item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call))
    return any(dotted(call.func, {}).endswith("suppress") for call in calls)
