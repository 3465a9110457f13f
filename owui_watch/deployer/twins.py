"""Is a plugin on the server already, under another id? Open WebUI's own editor makes ids from titles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from owui_watch.files.regular import exists
from owui_watch.openwebui.responses import Remote
from owui_watch.plugins.model import Plugin, PluginKey


def find_twin(
    plugin: Plugin, others: Iterable[Remote], files_of: Callable[[PluginKey], Sequence[Path]]
) -> Remote | None:
    """Find ``plugin`` among ``others`` of its space: the same ``openwebui_id``, or the same kind and title.

    An id that the author wrote is taken at its word: such a plugin has no twin. Nor is one a twin that has a file of
    its own, as ``files_of`` tells of the tree: ``plugin`` is a copy of that file then.
    """
    if not plugin.inferred:
        return None
    title, community_id = plugin.header.get("title"), plugin.header.get("openwebui_id")
    for other in others:
        if other.key.space is not plugin.key.space or other.key == plugin.key:
            continue
        same_title = title and other.kind is plugin.kind and title in {other.title, other.name}
        same = same_title or (community_id and other.openwebui_id == community_id)
        # A file that was just renamed may still be known by its old name.
        if same and not any(map(exists, files_of(other.key))):
            return other
    return None
