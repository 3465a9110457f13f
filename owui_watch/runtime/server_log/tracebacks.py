"""Tracebacks of plugins in a server's log: loguru's text, ``LOG_FORMAT=json``, and what ``docker logs`` puts before it.

Formats seen on Open WebUI 0.6.43, 0.9.6, 0.11.4 and 0.12.4. Any input is taken: what is no traceback reports nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from owui_watch.plugins.bundle.bundle import plugin_of_module

_BEGINS = "Traceback (most recent call last):"
_FRAME = re.compile(r'^[\s|>+-]*File "(?P<file>[^"]*)", line (?P<line>\d{1,7})(?:, in (?P<function>.{1,200}))?')
_DEEPER = re.compile(r"^[\s|>+]")  # a source line, carets, or the frame that loguru marks
_CHAINED = ("The above exception was the direct cause", "During handling of the above exception")
_NAMED = re.compile(r"\b(?:function|tool)_(\w+?)(?:_[0-9a-f]{32})?(?::|\b)")
_WORD = re.compile(r"[A-Za-z_]\w*")
_STRING = "<string>"
_BUNDLED = re.compile(r"(?![/\\]|[A-Za-z]:)\S.*\.py")
"""A path that doesn't begin at a root: the server's own code always has such a path, a bundle's modules never have."""
_LONGEST = 8_000
_MOST_LINES = 2_000


@dataclass(frozen=True, slots=True)
class LoggedFrame:
    """A frame of a plugin's code. ``line`` counts from 1.

    ``file`` is the name of a module of a plugin of many files; None for code without a file: the server runs plugins so.
    """

    line: int
    function: str
    file: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedError:
    """A traceback with at least one frame of a plugin, outermost first.

    ``words`` are the names in the line before it, which may hold the plugin's id. ``causes`` are the errors before it
    in the chain.
    """

    error: str
    frames: tuple[LoggedFrame, ...]
    words: frozenset[str]
    causes: tuple[LoggedError, ...] = ()


@dataclass(slots=True)
class _Block:
    """A traceback that is being read. ``margin``: characters that stand before each of its lines."""

    margin: int
    words: frozenset[str]
    frames: list[LoggedFrame] = field(default_factory=list)
    seen: int = 0
    lines: int = 0


class LogParser:
    """Finds tracebacks in lines that come one by one. An error is held back until it is known to be the last of a chain."""

    def __init__(self) -> None:
        self._before = ""
        self._block: _Block | None = None
        self._chain: list[LoggedError] = []
        self._chained = False

    def feed(self, line: str) -> Iterator[LoggedError]:
        """Take a line without its end; yield the errors that are complete."""
        line = line[:_LONGEST]
        if line.startswith("{") and (nested := _traceback_of(line)) is not None:
            yield from self.flush()
            yield from _parse_whole(*nested)
        elif self._block is not None:
            self._continue(self._block, line)
        elif (margin := line.find(_BEGINS)) >= 0:
            if self._chain and not self._chained:
                yield from self.flush()
            self._block = _Block(margin, self._chain[-1].words if self._chain else _words(self._before))
            self._chained = False
        elif self._chain and any(text in line for text in _CHAINED):
            self._chained = True
        elif self._chain and line[-200:].strip(" |+-") and not self._chained and not _is_margin(line):
            yield from self.flush()
        # asyncio's message has a second line, "future: <Task …>", which names no plugin.
        self._before = f"{self._before} {line}" if line.startswith("future:") else line

    def flush(self) -> Iterator[LoggedError]:
        """Yield the error that was held back, if there is one."""
        if self._block is not None or self._chained:
            return
        chain, self._chain = self._chain, []
        errors = [error for error in chain if error.frames]
        if errors:
            last = chain[-1] if chain[-1].frames else errors[-1]
            causes = tuple(error for error in chain if error is not last)
            yield LoggedError(chain[-1].error, last.frames, last.words, causes)

    def _continue(self, block: _Block, line: str) -> None:
        text = line[block.margin :] if len(line) > block.margin else ""
        block.lines += 1
        if (frame := _FRAME.match(text)) is not None:
            is_first = block.seen == 0
            block.seen += 1
            function = (frame["function"] or "").strip()
            if frame["file"] == _STRING and not (is_first and function == "<module>"):  # the latter is `python -c`
                block.frames.append(LoggedFrame(int(frame["line"]), function))
            elif _BUNDLED.fullmatch(frame["file"]):
                block.frames.append(LoggedFrame(int(frame["line"]), function, frame["file"]))
        elif (text and not _DEEPER.match(text)) or block.lines > _MOST_LINES:
            self._chain.append(LoggedError(text.strip(), tuple(block.frames), block.words))
            self._block = None


def _traceback_of(line: str) -> tuple[str, str] | None:
    """Return the line before a traceback and the traceback, from a line of JSON; None if it holds none."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    error = entry.get("error") if isinstance(entry, dict) else None
    stacktrace = error.get("stacktrace") if isinstance(error, dict) else None
    if not isinstance(stacktrace, str):
        return None
    return f"{entry.get('caller')} {entry.get('msg')}", stacktrace


def _parse_whole(before: str, stacktrace: str) -> Iterator[LoggedError]:
    parser = LogParser()
    for line in (before, *stacktrace.splitlines()[-_MOST_LINES:]):
        yield from parser.feed(line)
    yield from parser.flush()


def _is_margin(line: str) -> bool:
    """Return whether a line holds nothing but what ``docker compose logs`` puts before each."""
    return line.rstrip().endswith("|") or not line.strip()


def _words(line: str) -> frozenset[str]:
    words = frozenset(_WORD.findall(line))
    bundled = frozenset(plugin.id for word in words if (plugin := plugin_of_module(word)) is not None)
    return frozenset(_NAMED.findall(line)) | words | bundled
