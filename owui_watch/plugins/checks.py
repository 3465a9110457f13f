"""Can this source text work as a plugin, and what is wrong with it? One parse per content.

``check`` asks every rule. Each rule finds its diagnostics in the syntax tree and says what to do. The rules about the
header are in ``frontmatter``.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from owui_watch.plugins.content_cache import remembered
from owui_watch.plugins.frontmatter import has_header, header_diagnostics, misplaced_header
from owui_watch.plugins.kinds import Kinds, find_kinds, guess_kind
from owui_watch.plugins.model import Diagnostic, Kind, Severity
from owui_watch.plugins.source import REWRITTEN, column_of, lines_of, source_line
from owui_watch.plugins.syntax import always_run, bindings, bound_by, dotted, nested_too_deeply, origins, parse

MOST_DIAGNOSTICS = 50
"""Diagnostics of one file that are reported."""
_REMEMBERED = 20_000
"""Results that are kept, of about 0.2 kB: a first deploy reads thousands of files, and each again when its turn comes."""
_EXITS = frozenset({"exit", "quit", "sys.exit", "os._exit", "builtins.exit", "builtins.quit"})
_EXIT_ERRORS = frozenset({"SystemExit", "builtins.SystemExit"})
_MAY_EXIT = ("exit", "quit", "SystemExit")
_MAY_BE_REWRITTEN = re.compile(rf"from[ \t]+(?:{'|'.join(REWRITTEN)})")
_LEADING_NAME = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Checked:
    """What the text of a file says about itself.

    ``kind`` is None if the file is no plugin. ``possible`` is the kind that it would be if something else made it a
    plugin, its record on the server for example. ``kinds`` is None for a file that Python can't parse.
    """

    kind: Kind | None
    possible: Kind | None
    kinds: Kinds | None
    diagnostics: tuple[Diagnostic, ...]


@remembered(_REMEMBERED)
def check(text: str) -> Checked:
    """Parse ``text`` and look at what its top level binds, or return what was found in the same text before."""
    tree = parse(text)
    if isinstance(tree, Diagnostic):
        return _unchecked(text, tree)
    try:
        return _shared(_checked(text, tree))
    except RecursionError:  # Python 3.12 and newer compile what is nested more deeply than our rules can follow
        return _unchecked(text, nested_too_deeply())


@lru_cache(maxsize=64)
def _shared(checked: Checked) -> Checked:
    """Return one object for all equal results: thousands of plugins have only a few different ones."""
    return checked


def _unchecked(text: str, diagnostic: Diagnostic) -> Checked:
    guessed = guess_kind(text)
    return Checked(guessed, guessed, None, (diagnostic,))


def _checked(text: str, tree: ast.Module) -> Checked:
    kinds = find_kinds(text, tree)
    possible = kinds.certain or kinds.possible
    own = kinds.certain
    if own is None and possible is not None and (has_header(text) or misplaced_header(text, tree) is not None):
        own = possible
    if possible is None:
        return Checked(None, None, kinds, ())
    diagnostics = tuple(islice(_diagnostics(text, tree, kinds, possible), MOST_DIAGNOSTICS))
    return Checked(kinds.loaded(own) if own else None, kinds.loaded(possible), kinds, diagnostics)


def _diagnostics(text: str, tree: ast.Module, kinds: Kinds, own: Kind) -> Iterator[Diagnostic]:
    yield from exits(text, tree.body)
    yield from rewritten_imports(text, tree)
    yield from other_kind(text, tree, kinds, own)
    yield from missing_method(text, tree, kinds, own)
    yield from header_diagnostics(text, tree)


def exits(text: str, body: Sequence[ast.stmt]) -> Iterator[Diagnostic]:
    """Find what ends the interpreter whenever the module is loaded. ``body`` are the statements of ``text``.

    Open WebUI up to 0.6.5 ends with it, 0.6.43 to 0.10.2 hang, 0.11 and newer answer 500.
    """
    return _exits(text, body, ChainMap()) if any(word in text for word in _MAY_EXIT) else iter(())


def _exits(text: str, body: Sequence[ast.stmt], outer: ChainMap[str, str]) -> Iterator[Diagnostic]:
    """Find the exits in ``body``, a module's or a class's. ``outer`` are the names known around it."""
    known = outer.new_child(origins(body))
    for node in always_run(body):
        if isinstance(node, ast.ClassDef):
            yield from _exits(text, node.body, known)
        elif _is_exit(node, known):
            error = "ends the Python process when it is loaded, and with it an older Open WebUI"
            hint = 'remove it, or put it under `if __name__ == "__main__":`'
            yield _diagnostic_at(node, text, error, hint, "exit", Severity.ERROR)


def _is_exit(node: ast.stmt, known: Mapping[str, str]) -> bool:
    match node:
        case (
            ast.Expr(value=ast.Call(func=called))
            | ast.Assign(value=ast.Call(func=called))
            | ast.AnnAssign(value=ast.Call(func=called))
        ):
            return dotted(called, known) in _EXITS
        case ast.Raise(exc=ast.Call(func=raised)) | ast.Raise(exc=ast.expr() as raised):
            return dotted(raised, known) in _EXIT_ERRORS
        case _:
            return False


def other_kind(text: str, tree: ast.Module, kinds: Kinds, own: Kind) -> Iterator[Diagnostic]:
    """Find the name that the server takes for the plugin instead of the class of kind ``own``."""
    loaded = kinds.loaded(own)
    if loaded is own:
        return
    node = [node for name, node in bindings(tree.body) if name == loaded.class_name][-1]
    hint = "give it another name"
    if isinstance(node, ast.Import | ast.ImportFrom):
        imported = next(alias.name for alias in node.names if bound_by(alias) == loaded.class_name)
        origin = f"from {'.' * node.level}{node.module or ''} " if isinstance(node, ast.ImportFrom) else ""
        hint = f"import it under another name (`{origin}import {imported} as …`)"
    error = f"Open WebUI takes this {loaded.class_name} for the plugin, and not the file's own class {own.class_name}"
    yield _diagnostic_at(node, text, error, hint, "other-kind")


def missing_method(text: str, tree: ast.Module, kinds: Kinds, kind: Kind) -> Iterator[Diagnostic]:
    """Find a class that lacks the method that the server calls."""
    if not kinds.lacks_method(kind):
        return
    names = " or ".join(f"{kind.class_name}.{name}" for name in kind.called)
    argument = "event" if kind is Kind.EVENT else "body"
    hint = f"deployed anyway; add `def {kind.called[0]}(self, {argument})`"
    node = [node for name, node in bindings(tree.body) if name == kind.class_name][-1]
    yield _diagnostic_at(
        node, text, f"Open WebUI calls {names}, which this file does not define", hint, "missing-method"
    )


def rewritten_imports(text: str, tree: ast.Module) -> Iterator[Diagnostic]:
    """Find what the server's text replacement breaks (``from config`` → ``from open_webui.config``)."""
    places = [match.start() for match in _MAY_BE_REWRITTEN.finditer(text)]
    if not places:
        return
    lines = lines_of(text)
    numbers = _line_numbers(text, places)
    for node in _statements_at(tree, numbers):
        match node:
            case ast.ImportFrom(module=str(module), level=0):
                top = module.partition(".")[0]
                if top.startswith(REWRITTEN) and top not in REWRITTEN:
                    yield _rewritten(
                        node, text, module, f"write `import {module}` and use {module}.{node.names[0].name}"
                    )
            case _:
                for source in _sources(node):
                    name = _name_after_from(source, lines[source.lineno - 1])
                    if name.startswith(REWRITTEN):
                        hint = f"rename {name}, or put what follows `from` in parentheses"
                        yield _rewritten(source, text, name, hint)


def _line_numbers(text: str, places: Sequence[int]) -> list[int]:
    """Return the lines (from 1) of ascending ``places`` in ``text``."""
    numbers, line, before = [], 1, 0
    for place in places:
        line += len(lines_of(text[before:place])) - 1
        numbers.append(line)
        before = place
    return numbers


def _statements_at(tree: ast.Module, numbers: Sequence[int]) -> Iterator[ast.stmt]:
    """Yield the statements that have one of the lines ``numbers``, which ascend, the outer ones first."""
    pending: list[ast.AST] = [tree]
    while pending:
        for child in ast.iter_child_nodes(pending.pop()):
            if isinstance(child, ast.stmt | ast.excepthandler):
                first = bisect_left(numbers, child.lineno)
                if first < len(numbers) and numbers[first] <= (child.end_lineno or child.lineno):
                    pending.append(child)
                    if isinstance(child, ast.stmt):
                        yield child
            elif isinstance(child, ast.match_case):
                pending.append(child)


def _sources(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield what follows ``from`` in ``raise … from`` and ``yield from``, inner statements left out."""
    if isinstance(statement, ast.Raise) and statement.cause is not None:
        yield statement.cause
    inner = (ast.stmt, ast.excepthandler, ast.match_case)
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, inner):
            yield from (node.value for node in ast.walk(child) if isinstance(node, ast.YieldFrom))


def _name_after_from(source: ast.expr, line: str) -> str:
    """Return the name that ``source`` begins with if it follows ``from`` as in an import."""
    column = column_of(line, source.col_offset) - 1
    name = _LEADING_NAME.match(line, column)
    return name[0] if name and line.endswith("from ", 0, column) else ""


def _rewritten(node: ast.stmt | ast.expr, text: str, module: str, hint: str) -> Diagnostic:
    error = f"Open WebUI will turn `from {module}` into `from open_webui.{module}`, which fails"
    return _diagnostic_at(node, text, error, hint, "rewritten-import")


def _diagnostic_at(
    node: ast.stmt | ast.expr, text: str, error: str, hint: str, rule: str, severity: Severity = Severity.WARNING
) -> Diagnostic:
    source = source_line(text, node.lineno) or ""
    return Diagnostic(error, node.lineno, column_of(source, node.col_offset), source, hint, severity, rule)
