"""May a plugin that is not on the server be created? Only if it is admitted and duplicates no other plugin."""

from __future__ import annotations

from owui_watch.deployer.plan import Progress
from owui_watch.deployer.reconcile_context import ReconcileContext
from owui_watch.deployer.remote_duplicates import TwinIndex, twin_found
from owui_watch.deployer.results import EndError, LooksLikeCopy, NotAdmitted, Rejected, not_shown
from owui_watch.plugins.model import Plugin, PluginKey


async def check_create(progress: Progress, plugin: Plugin, context: ReconcileContext, *, may_create: bool) -> None:
    """Raise EndError if ``plugin`` may not be created.

    A plugin with an inferred id is not created if its file looks like a copy of another file, or if the server has the
    same plugin under another id.
    """
    if not may_create:
        raise EndError(NotAdmitted())
    if not plugin.inferred:
        return
    journal = context.journal
    others = await context.prefetch.twins(plugin.key)
    if not isinstance(others, TwinIndex):
        raise not_shown(progress, others)

    def is_known(key: PluginKey) -> bool:
        return key in others or journal.record(key).digest is not None or journal.intent(key) is not None

    if (original := context.original_of(plugin, is_known)) is not None:
        raise EndError(LooksLikeCopy(plugin, original))
    if (other := others.find(plugin, context.files_of)) is not None:
        raise EndError(Rejected(progress, twin_found(plugin, other)))
