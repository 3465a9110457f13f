"""Which plugin's line a logged traceback is about. The log names no file: the functions and lines of the frames do."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from owui_watch.plugins.model import Plugin
from owui_watch.plugins.source import digest
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.runtime_events import Cause, Frame, Raised
from owui_watch.runtime.server_log.tracebacks import LoggedError, LoggedFrame
from owui_watch.settings import Settings
from owui_watch.state.ownership import read_journal

_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Source:
    """A plugin's file. ``deployed``: the content is what owui-watch put on the server, None if it put nothing there."""

    plugin: str
    kind: str
    path: Path
    content: str
    version: str | None
    deployed: bool | None


def deployed_sources(settings: Settings, url: str) -> list[Source]:
    """Read every plugin file, and the journal for the server at ``url``."""
    journal = read_journal(settings, url)
    tree = Tree.of(settings)
    sources = []
    for plugin in tree.scan():
        if isinstance(plugin, Plugin):
            put = journal.record(plugin.key).digest
            deployed = None if put is None else put == digest(plugin.content)
            sources.append(Source(plugin.id, plugin.kind, plugin.path, plugin.content, plugin.version, deployed))
    return sources


def raised_by(error: LoggedError, sources: Sequence[Source]) -> Raised | None:
    """Return the event for a logged error; None if no plugin has such functions at such lines."""
    fitting = [source for source in sources if _fits(error.frames, source.content)]
    named = [source for source in fitting or sources if source.plugin in error.words]
    if not fitting:
        return _unplaced(error, named[0]) if len(named) == 1 else None
    chosen = (named or fitting)[0]
    others = [source.plugin for source in (named or fitting)[1:]]
    frames = _frames(error.frames, chosen)
    innermost = frames[-1]
    return Raised(
        chosen.plugin,
        chosen.kind,
        error.frames[0].function,
        chosen.path,
        innermost.line,
        error.error,
        frames,
        tuple(Cause("context", cause.error, _frames(cause.frames, chosen)) for cause in error.causes),
        source=innermost.source,
        version=chosen.version,
        note=_doubt(chosen, others),
    )


def _unplaced(error: LoggedError, source: Source) -> Raised:
    """Return the event for a plugin that the log names, if its file has other functions at these lines."""
    note = f"the server runs other code than the file has: line {error.frames[-1].line} of the traceback does not fit"
    return Raised(
        source.plugin, source.kind, error.frames[0].function, source.path, None, error.error, version=None, note=note
    )


def _doubt(source: Source, others: Iterable[str]) -> str | None:
    others = list(others)
    if others:
        return f"it may also be {', '.join(others[:_MOST_NAMED])}: the log does not name the plugin"
    if source.deployed is None:
        return "owui-watch did not deploy this plugin: the server may run other code"
    return None if source.deployed else "the file has changed since it was deployed: the line may have moved"


def _frames(frames: Iterable[LoggedFrame], source: Source) -> tuple[Frame, ...]:
    lines = source.content.splitlines()
    return tuple(
        Frame(
            source.path,
            frame.line,
            frame.function,
            author=True,
            source=lines[frame.line - 1] if frame.line <= len(lines) else None,
        )
        for frame in frames
    )


def _fits(frames: Sequence[LoggedFrame], content: str) -> bool:
    functions = _functions(content)
    return all(_has(functions, frame) for frame in frames)


def _has(functions: Sequence[tuple[str, int, int]], frame: LoggedFrame) -> bool:
    within = [(last - first, name) for name, first, last in functions if first <= frame.line <= last]
    if frame.function.startswith("<") and frame.function != "<module>":  # a lambda or a comprehension: anywhere
        return bool(within)
    return bool(within) and min(within)[1] == frame.function


@lru_cache(maxsize=64)
def _functions(content: str) -> tuple[tuple[str, int, int], ...]:
    """Return name, first and last line of every function, of every class body, and of the module itself."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found = [
        (node.name, node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    return (*found, ("<module>", 1, content.count("\n") + 1))
