"""The plugin files of a tree, and whether each one is what owui-watch put on the server."""

from __future__ import annotations

from owui_watch.plugins.model import Plugin
from owui_watch.plugins.source import digest
from owui_watch.plugins.tree import Tree
from owui_watch.runtime.log_mapping import Source
from owui_watch.settings import Settings
from owui_watch.state.ownership import read_journal


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
