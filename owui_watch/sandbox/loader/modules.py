"""Which plugin a piece of running code belongs to. Plugin code is compiled under the path of the author's file.

Every module of a plugin carries its ``Loaded`` in its globals, so any frame names its plugin and the version of it,
also in a thread that outlives a redeploy.
"""

from __future__ import annotations
import __future__

import json
import linecache
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from types import CodeType, FrameType
from typing import Any

MARK = "__owui_watch__"
_CLASSES = {"function": ("Pipe", "Filter", "Action", "Event"), "tool": ("Tools",)}
_VERSION = re.compile(r"^\s*version:\s*(\S{1,64})\s*$", re.MULTILINE | re.IGNORECASE)
_HEADER = re.compile(r'\s*"""(.*?)"""', re.DOTALL)
_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag
_generations = count(1)


@dataclass(eq=False, slots=True)
class Loaded:
    """One version of a plugin's code in this server. ``path`` is the file name that it was compiled under.

    ``generation`` counts what was loaded. ``kind`` is empty until its class is known.
    """

    space: str
    plugin: str
    path: str
    version: str | None
    lines: tuple[str, ...] = field(repr=False)
    generation: int
    kind: str = ""
    allowance: float = 0.0  # characters that may still be written now, see ``output``
    refilled: float = 0.0
    left_out: int = 0


class Registry:
    """The plugins of this server. ``paths_file`` is the JSON object {"function:ID": PATH} that owui-watch writes."""

    def __init__(self, paths_file: str) -> None:
        self._paths_file = paths_file
        self._live: dict[tuple[str, str], int] = {}

    def prepare(self, space: str, plugin: str, content: str, flags: int) -> tuple[Loaded, CodeType]:
        """Compile a plugin under its author's path, with the caller's ``from __future__`` FLAGS as ``exec`` would.

        Raises what ``compile`` raises.
        """
        path = self._path(space, plugin) or f"<{space} {plugin}>"
        header = _HEADER.match(content)
        version = _VERSION.search(header[1]) if header else None
        lines = tuple(content.splitlines(keepends=True))
        loaded = Loaded(space, plugin, path, version[1] if version else None, lines, next(_generations))
        code = compile(content, path, "exec", flags=flags & _FUTURES, dont_inherit=True)
        linecache.cache[path] = (len(content), None, list(lines), path)
        return loaded, code

    def publish(self, loaded: Loaded) -> None:
        """Take note that the server made an object of this code: it is the newest that can be live."""
        key = (loaded.space, loaded.plugin)
        self._live[key] = max(self._live.get(key, 0), loaded.generation)

    def is_outdated(self, loaded: Loaded) -> bool:
        """Return whether newer code of the same plugin is live."""
        return self._live.get((loaded.space, loaded.plugin), 0) > loaded.generation

    def _path(self, space: str, plugin: str) -> str | None:
        try:
            with open(self._paths_file, encoding="utf-8") as file:  # noqa: PTH123
                path = json.load(file).get(f"{space}:{plugin}")
        except (OSError, ValueError, AttributeError):
            return None
        return path if isinstance(path, str) else None


def class_of(namespace: dict[str, Any], space: str) -> type | None:
    """Return the class that the server will make an object of."""
    for name in _CLASSES[space]:
        if isinstance(found := namespace.get(name), type):
            return found
    return None


def identify(caller: FrameType, module_name: str) -> tuple[str, str]:
    """Return the space and the id of the plugin that the server is loading."""
    for space in ("function", "tool"):
        if isinstance(plugin := caller.f_locals.get(f"{space}_id"), str):
            return space, plugin
    space, _, rest = module_name.partition("_")
    return ("tool" if space == "tool" else "function"), re.sub(r"_[0-9a-f]{32}$", "", rest)


def owner(namespace: dict[str, Any]) -> Loaded | None:
    """Return the plugin whose code runs with these globals.

    A helper module of a plugin of several files is found through its ``__loader__``, a class that the plugin defines.
    """
    loaded = namespace.get(MARK)
    if loaded is None and (loader := namespace.get("__loader__")) is not None:
        run = getattr(loader if isinstance(loader, type) else type(loader), "exec_module", None)
        loaded = getattr(run, "__globals__", {}).get(MARK)
        if loaded is not None:
            namespace[MARK] = loaded
    return loaded if isinstance(loaded, Loaded) else None


def source_line(loaded: Loaded | None, path: str, line: int) -> str:
    """Return a line of a file as it was when it was loaded, without its end."""
    if loaded is not None and path == loaded.path:
        text = loaded.lines[line - 1] if 0 < line <= len(loaded.lines) else ""
    else:
        text = linecache.getline(path, line)
    return text.rstrip("\r\n")[:400]


def is_ours(frame: FrameType) -> bool:
    """Return whether a frame belongs to this loader."""
    return frame.f_globals.get("__package__") == __package__


def callers() -> Iterator[FrameType]:
    """Yield the frames that led to this loader, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not is_ours(frame):
            yield frame
        frame = frame.f_back
