"""Plugins to save: the smallest of each kind that a server takes, with a mark by which an answer tells its code."""

from __future__ import annotations

from owui_watch.plugins.model import Kind

EVERY_KIND = list(Kind)
_METHODS = {
    Kind.PIPE: 'def pipe(self, body):\n        return "{mark}"',
    Kind.FILTER: 'def inlet(self, body):\n        self.mark = "{mark}"\n        return body',
    Kind.ACTION: 'async def action(self, body):\n        self.mark = "{mark}"',
    Kind.EVENT: 'async def event(self, event):\n        self.mark = "{mark}"',
    Kind.TOOL: 'def answer(self) -> str:\n        """Answer."""\n        return "{mark}"',
}


def source(
    kind: Kind = Kind.PIPE,
    mark: str = "one",
    *,
    title: str | None = None,
    version: str | None = None,
    header: str = "",
    top: str = "",
    valve: str = "level: int = 1",
) -> str:
    """Write a plugin. ``header`` and ``top`` are lines added to the header and to the module's top level."""
    fields = [f"title: {title}"] if title else []
    fields += [f"version: {version}"] if version else []
    fields += header.splitlines()
    head = '"""\n' + "".join(f"{field}\n" for field in fields) + '"""\n' if fields else ""
    return f"""{head}from pydantic import BaseModel
{top}

class {kind.class_name}:
    class Valves(BaseModel):
        {valve}

    def __init__(self):
        self.valves = self.Valves()

    {_METHODS[kind].format(mark=mark)}
"""


def with_broken_specs(tool: str) -> str:
    """Return a tool whose code runs, but whose method has an argument of a type that does not exist."""
    broken = tool.replace("def answer(self) -> str:", "def answer(self, x: NoSuchType) -> str:")
    return f"from __future__ import annotations\n{broken}"
