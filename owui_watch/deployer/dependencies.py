"""What every reconcile works with: the settings about other people's plugins, and the parts of the program it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from owui_watch.deployer.prefetch import Prefetch
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.plugins.model import Kind, Plugin, PluginKey
from owui_watch.reporting.events import Event
from owui_watch.settings import OnForeign
from owui_watch.state.journal import Journal


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say about plugins that are new, or that someone else changed."""

    enable_new: bool
    global_new: bool
    on_foreign: OnForeign

    def flags(self, kind: Kind) -> tuple[bool | None, bool | None]:
        """Return the flags ``active`` and ``is_global`` that a new plugin gets: None for a tool, which has none."""
        if kind is Kind.TOOL:
            return None, None
        return self.enable_new, self.global_new and kind in {Kind.FILTER, Kind.ACTION}


@dataclass(frozen=True, slots=True)
class Context:
    """What every reconcile works with.

    ``files_of`` returns the files of a plugin in the tree. ``original_of`` returns the file that a new plugin looks like
    a copy of, given which plugins are known: deployed before, or on the server.
    """

    server: OpenWebUI
    journal: Journal
    prefetch: Prefetch
    policy: Policy
    report: Callable[[Event], None]
    files_of: Callable[[PluginKey], Sequence[Path]]
    original_of: Callable[[Plugin, Callable[[PluginKey], bool]], Path | None] = lambda _plugin, _is_known: None
