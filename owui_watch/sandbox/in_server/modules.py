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
from collections.abc import Callable, Iterator
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
    """One version of a plugin's code in this server. ``path`` is the author's file.

    ``files`` are the author's files of a plugin of many, by their names in its content. That content itself is then no
    file of the author's: it was compiled under the name ``bundle``.
    ``generation`` counts what was loaded. ``kind`` is empty until its class is known.
    """

    space: str
    plugin: str
    path: str
    version: str | None
    lines: tuple[str, ...] = field(repr=False)
    generation: int
    files: dict[str, str] = field(default_factory=dict, repr=False)
    bundle: str | None = None
    kind: str = ""
    allowance: float = 0.0  # characters that may still be written now, see ``output``
    refilled: float = 0.0
    left_out: int = 0


class Registry:
    """The plugins of this server. ``paths_file`` names their files, see ``ServerChannel.locate``, which writes it."""

    def __init__(self, paths_file: str) -> None:
        self._paths_file = paths_file
        self._live: dict[tuple[str, str], int] = {}

    def prepare(self, space: str, plugin: str, content: str, flags: int) -> tuple[Loaded, CodeType]:
        """Compile a plugin under its author's path, with the caller's ``from __future__`` FLAGS as ``exec`` would.

        Raises what ``compile`` raises.
        """
        path, files = self._place(space, plugin)
        header = _HEADER.match(content)
        version = _VERSION.search(header[1]) if header else None
        lines = tuple(content.splitlines(keepends=True))
        loaded = Loaded(space, plugin, path, version[1] if version else None, lines, next(_generations), files)
        if files:
            loaded.bundle = f"<content of {plugin}>"
        name = loaded.bundle or path
        code = compile(content, name, "exec", flags=flags & _FUTURES, dont_inherit=True)
        linecache.cache[name] = (len(content), None, list(lines), name)
        return loaded, code

    def publish(self, loaded: Loaded) -> None:
        """Take note that the server made an object of this code: it is the newest that can be live."""
        key = (loaded.space, loaded.plugin)
        self._live[key] = max(self._live.get(key, 0), loaded.generation)

    def is_outdated(self, loaded: Loaded) -> bool:
        """Return whether newer code of the same plugin is live."""
        return self._live.get((loaded.space, loaded.plugin), 0) > loaded.generation

    def _place(self, space: str, plugin: str) -> tuple[str, dict[str, str]]:
        try:
            with open(self._paths_file, encoding="utf-8") as file:  # noqa: PTH123
                entry = json.load(file)[f"{space}:{plugin}"]
                return str(entry["path"]), {str(name): str(path) for name, path in entry["files"].items()}
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            return f"<{space} {plugin}>", {}


def author_compile(loaded: Loaded) -> Callable[..., Any]:
    """Return what stands for ``compile`` in a plugin of many files: modules get the paths of the author's files.

    The names in the content are relative, since the server elsewhere has no such files.
    """

    def compile_module(source: str, name: str, *args: Any, **options: Any) -> Any:
        path = loaded.files.get(name, name)
        linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
        return compile(source, path, *args, **options)

    return compile_module


def is_authors(loaded: Loaded | None, path: str) -> bool:
    """Return whether code of a plugin stands in a file of its author, not in a bundle or what ran made (``<string>``)."""
    return loaded is not None and (path == loaded.path or not path.startswith("<"))


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
    if loaded is not None and path == loaded.path and not loaded.files:
        text = loaded.lines[line - 1] if 0 < line <= len(loaded.lines) else ""
    else:
        text = linecache.getline(path, line)
    return text.rstrip("\r\n")[:400]


def is_ours(frame: FrameType) -> bool:
    """Return whether a frame belongs to this package."""
    return frame.f_globals.get("__package__") == __package__


def callers() -> Iterator[FrameType]:
    """Yield the frames that led to this package, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not is_ours(frame):
            yield frame
        frame = frame.f_back
