"""Which plugin a logged traceback belongs to, and which of its lines: found by the frames' functions and lines.

The log names files only for plugins of many files, and there as the bundle names them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from owui_watch.plugins.bundle.bundle import unbundle, without_package
from owui_watch.plugins.model import Plugin
from owui_watch.plugins.source import digest, source_line
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.runtime_events import Cause, Frame, Raised
from owui_watch.runtime.server_log.tracebacks import LoggedError, LoggedFrame
from owui_watch.settings import Settings
from owui_watch.state.ownership import read_journal

_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One of a plugin's files, and its text."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """A plugin's files by their names in tracebacks: None for the only file of a plugin.

    ``deployed``: the content is what owui-watch put on the server, None if it put nothing there.
    """

    plugin: str
    kind: str
    path: Path
    files: Mapping[str | None, SourceFile]
    version: str | None
    deployed: bool | None


def deployed_sources(settings: Settings, url: str) -> list[Source]:
    """Read every plugin file, and the journal for the server at ``url``."""
    journal = read_journal(settings, url)
    tree = Tree.of(settings, has_deployed=journal.has_deployed)
    sources = []
    for plugin in tree.scan():
        if isinstance(plugin, Plugin):
            put = journal.record(plugin.key).digest
            deployed = None if put is None else put == digest(plugin.content)
            sources.append(Source(plugin.id, plugin.kind, plugin.path, _files(plugin), plugin.version, deployed))
    return sources


def plugin_texts(settings: Settings, path: Path) -> dict[Path, str]:
    """Return the files that the plugin at ``path`` is made of, its own first, and their texts; empty for no plugin."""
    plugin = Tree.of(settings).refresh(path)
    return {each.path: each.text for each in _files(plugin).values()} if isinstance(plugin, Plugin) else {}


def _files(plugin: Plugin) -> dict[str | None, SourceFile]:
    apart = unbundle(plugin.content) if plugin.files else None
    if apart is None:
        return {None: SourceFile(plugin.path, plugin.content)}
    return {each.name: SourceFile(plugin.files[each.name], each.text) for each in apart.sections}


def raised_by(error: LoggedError, sources: Sequence[Source]) -> Raised | None:
    """Return the event for a logged error; None if no plugin has such functions at such lines."""
    fitting = [source for source in sources if _fits(error.frames, source)]
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
        frames[0].function,
        innermost.path,
        innermost.line,
        without_package(error.error),
        frames,
        tuple(Cause("context", without_package(each.error), _frames(each.frames, chosen)) for each in error.causes),
        source=innermost.source,
        version=chosen.version,
        note=_doubt(chosen, others),
    )


def _unplaced(error: LoggedError, source: Source) -> Raised:
    """Return the event for a plugin that the log names, if its files have other functions at these lines."""
    last = error.frames[-1]
    place = f"line {last.line}" if last.file is None else f"{last.file}, line {last.line}"
    note = f"the server runs other code than the file: {place} of the traceback does not match it"
    text = without_package(error.error)
    return Raised(
        source.plugin, source.kind, error.frames[0].function, source.path, None, text, version=None, note=note
    )


def _doubt(source: Source, others: Iterable[str]) -> str | None:
    others = list(others)
    if others:
        return f"it may also be {', '.join(others[:_MOST_NAMED])}: the log does not name the plugin"
    if source.deployed is None:
        return "owui-watch did not deploy this plugin: the server may run other code"
    return None if source.deployed else "the file has changed since it was deployed: the line may have moved"


def _frames(frames: Iterable[LoggedFrame], source: Source) -> tuple[Frame, ...]:
    return tuple(
        Frame(file.path, frame.line, frame.function, author=True, source=source_line(file.text, frame.line))
        for frame in frames
        if (file := source.files.get(frame.file)) is not None
    )


def _fits(frames: Sequence[LoggedFrame], source: Source) -> bool:
    """Return whether all frames can be of ``source``; of a plugin of many files those without a file are the loader's."""
    own = [frame for frame in frames if frame.file is not None or None in source.files]
    return bool(own) and all(_has(source.files.get(frame.file), frame) for frame in own)


def _has(file: SourceFile | None, frame: LoggedFrame) -> bool:
    functions = _functions(file.text) if file is not None else ()
    within = [(last - first, name) for name, first, last in functions if first <= frame.line <= last]
    if frame.function.startswith("<") and frame.function != "<module>":  # a lambda or a comprehension: anywhere
        return bool(within)
    return bool(within) and min(within)[1] == frame.function


@lru_cache(maxsize=512)
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
