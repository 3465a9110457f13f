"""What differs between the tree and the server, found with one request a space."""

from __future__ import annotations

from dataclasses import dataclass

from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.responses import Remote, Response
from owui_watch.plugins.content import digest
from owui_watch.plugins.model import PluginKey, Space
from owui_watch.plugins.tree import Tree


@dataclass(frozen=True, slots=True)
class Comparison:
    """``there`` is all that the server holds; of ours, ``changed`` differ from it and ``absent`` aren't there.

    Nothing is known of ``unseen``, which are in a space that the server would not list.
    """

    there: dict[PluginKey, Remote]
    changed: tuple[PluginKey, ...]
    absent: tuple[PluginKey, ...]
    unseen: tuple[PluginKey, ...]


async def compare(server: OpenWebUI, tree: Tree) -> tuple[Comparison, list[Response]]:
    """Compare what can be compared; the answers are of spaces that the server would not list."""
    there: dict[PluginKey, Remote] = {}
    refusals = []
    listed = set()
    for space in Space:
        found = await server.list_plugins(space)
        if isinstance(found, dict):
            there |= found
            listed.add(space)
        else:
            refusals.append(found)
    ours = tree.digests()
    changed = tuple(sorted(key for key in ours if key in there and digest(there[key].content or "") != ours[key]))
    absent = tuple(sorted(key for key in ours if key not in there and key.space in listed))
    unseen = tuple(sorted(key for key in ours if key.space not in listed))
    return Comparison(there, changed, absent, unseen), refusals
