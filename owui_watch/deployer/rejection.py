"""What is said of a plugin file that can't be deployed as it is."""

from __future__ import annotations

from owui_watch.plugins.model import BrokenPlugin, Diagnostic, Plugin
from owui_watch.reporting.events import Rejection


def rejection(
    of: Plugin | BrokenPlugin, diagnostic: Diagnostic, live: str | None, *, stage: str = "check"
) -> Rejection:
    """Say what is wrong with a file, and what stays ``live`` in spite of it. ``stage``: as in a Rejection."""
    return Rejection(
        plugin=of.key.id if of.key else None,
        kind=of.kind,
        path=of.path,
        stage=stage,
        line=diagnostic.line,
        error=diagnostic.error,
        hint=diagnostic.hint,
        column=diagnostic.column,
        source=diagnostic.source,
        live=live,
    )
