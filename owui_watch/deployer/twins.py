"""Is a plugin on the server already, under another id? Open WebUI's own editor makes ids from titles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from owui_watch.files.regular import exists
from owui_watch.openwebui.remote import Remote
from owui_watch.plugins.model import Diagnostic, Plugin, PluginKey


def find_twin(
    plugin: Plugin, others: Iterable[Remote], files_of: Callable[[PluginKey], Sequence[Path]]
) -> Remote | None:
    """Find ``plugin`` among ``others`` of its space: the same ``openwebui_id``, or the same kind and title.

    An id that the author wrote is taken at its word: such a plugin has no twin. A plugin with a file of its own, as
    ``files_of`` lists them, is no twin either: ``plugin`` is a copy of that file then.
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


def twin_found(plugin: Plugin, other: Remote) -> Diagnostic:
    """Say that the plugin seems to be on the server under another id, and which line decides."""
    return Diagnostic(
        f"it seems to be on the server already, as {other.key.id} (“{other.name}”)",
        hint=f"add `id: {other.key.id}` to its header to update that one, or `id: {plugin.id}` to make a second one",
        rule="twin",
    )
