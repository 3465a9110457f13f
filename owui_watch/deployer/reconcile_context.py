"""The parts of the program that a reconcile works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from owui_watch.deployer.plan import Policy
from owui_watch.deployer.prefetch import Prefetch
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.plugins.model import Plugin, PluginKey
from owui_watch.reporting.events import Event
from owui_watch.state.journal import Journal


@dataclass(frozen=True, slots=True)
class ReconcileContext:
    """What every reconcile works with.

    ``files_of`` returns the files of a plugin in the tree. ``original_of`` returns the file of which a new plugin seems
    to be a copy. Its second argument decides whether a plugin is known: deployed before, or on the server.
    """

    server: OpenWebUI
    journal: Journal
    prefetch: Prefetch
    policy: Policy
    report: Callable[[Event], None]
    files_of: Callable[[PluginKey], Sequence[Path]]
    original_of: Callable[[Plugin, Callable[[PluginKey], bool]], Path | None] = lambda _plugin, _is_known: None
