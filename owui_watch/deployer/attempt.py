"""One attempt to deploy, repair or disable a plugin: reconcile it, then write down and report the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import anyio

from owui_watch.deployer.dependencies import Dependencies
from owui_watch.deployer.plan import Progress
from owui_watch.deployer.queue import Dirty
from owui_watch.deployer.reconcile import Reconciler
from owui_watch.deployer.results import (
    InSync,
    Rejected,
    Result,
    ServerAway,
    Troubled,
    deployed,
    version_warnings,
    warning,
)
from owui_watch.deployer.retries import Retries
from owui_watch.openwebui.payloads import header_naming
from owui_watch.openwebui.remote import ListedPlugin, Remote
from owui_watch.openwebui.responses import Denied, Unavailable
from owui_watch.plugins.model import Diagnostic, ParsedFile, Plugin, PluginKey
from owui_watch.plugins.source import digest
from owui_watch.reporting.events import Disabled, Rejection, Sending, Warned
from owui_watch.state.record import Naming


class Files(Protocol):
    """Where the deployer finds the newest content: the tree."""

    def newest(self, key: PluginKey) -> ParsedFile | None:
        """Read the plugin's file as it is now; None if it is gone or not the only one of its id."""


class Attempts:
    """Attempts of one run. ``note`` is called with the end of each reconcile after which the server holds the plugin."""

    def __init__(
        self, files: Files, dependencies: Dependencies, retries: Retries, note: Callable[[Progress], None]
    ) -> None:
        self._files = files
        self._dependencies = dependencies
        self._journal = dependencies.journal
        self._report = dependencies.report
        self._retries = retries
        self._note = note
        self._to_disable: set[PluginKey] = set()
        self._warned: dict[PluginKey, tuple[Diagnostic, ...]] = {}

    def disable_if_gone(self, key: PluginKey) -> None:
        """Let the next attempt switch off the server's copy of ``key`` if it has no file then."""
        self._to_disable.add(key)

    async def deploy(self, dirty: Dirty) -> Result | None:
        """Deploy one plugin and report the result. None if there was nothing to do."""
        key = dirty.key
        plugin = self._files.newest(key)
        if plugin is None and key in self._to_disable:
            result = await self._disable(key)
            if isinstance(result, ServerAway | Troubled):
                return result
        self._to_disable.discard(key)
        if not isinstance(plugin, Plugin):
            # The watch reports what is wrong with the file; only an interrupted request is repaired.
            return await self._repair(key) if self._journal.intent(key) is not None else None
        self._journal.manage(key)
        if dirty.follow_up:
            look = (await self._dependencies.prefetch.take(key)).response
            if isinstance(look, Unavailable | Denied):
                return ServerAway(look)
            if not self._is_older_content(plugin, look):
                return None
        return await self._reconcile(plugin, dirty)

    async def _reconcile(self, plugin: Plugin, dirty: Dirty) -> Result:
        """Bring the server up to date with the file of ``plugin``."""
        may_create = dirty.admitted and not dirty.follow_up
        self._report(Sending(path=plugin.path, plugin=plugin.id, kind=plugin.kind, files=tuple(plugin.files.items())))
        reconciler = Reconciler(self._dependencies, plugin.key, plugin, may_create=may_create, insist=dirty.insist)
        result = await reconciler.run()
        if isinstance(result, Troubled) and self._retries.is_patience_over(plugin.key):
            result = Rejected(result.progress, Diagnostic(result.error, hint="save it again to try once more"))
        match result:
            case InSync(progress=progress, release=release):
                self._commit(plugin, progress)
                self._note(progress)
                self._warn(plugin, (*plugin.warnings, *version_warnings(plugin, progress.first, release.version)))
                ms = round((anyio.current_time() - dirty.saved_at) * 1000)
                self._report(deployed(progress, plugin, ms, self._dependencies.server.editor(plugin.key)))
            case Rejected(progress=progress, diagnostic=diagnostic):
                if not progress.damaged:
                    self._journal.abandon(plugin.key)
                self._warn(plugin, plugin.warnings)
                live = progress.remote.live_name if progress.remote and not progress.damaged else None
                self._report(Rejection.of(plugin, [diagnostic], live, stage="server"))
        return result

    async def _repair(self, key: PluginKey) -> Result:
        """Finish what was begun for a plugin whose file can't be sent now."""
        result = await Reconciler(self._dependencies, key, None).run()
        if not isinstance(result, Rejected):
            return result
        progress = result.progress
        if progress.damaged:
            if progress.remote is not None:
                diagnostic = result.diagnostic
                self._report(Warned(diagnostic.error, diagnostic.hint, key.id, progress.remote.kind))
        elif progress.sent and progress.intent is not None:
            self._journal.commit(key, progress.intent.sent)
        else:
            self._journal.abandon(key)
        return result

    async def _disable(self, key: PluginKey) -> Result | None:
        """Switch a function off whose file was deleted."""
        reconciler = Reconciler(self._dependencies, key, None)
        result = await reconciler.disable()
        remote = reconciler.progress.remote
        if result is True and remote is not None:
            self._report(Disabled(key.id, remote.kind, self._dependencies.server.editor(key)))
        if isinstance(result, Rejected):
            self._report(Warned(result.diagnostic.error, result.diagnostic.hint, key.id))
        return None if isinstance(result, bool) else result

    def _is_older_content(self, plugin: Plugin, look: object) -> bool:
        """Return whether the server holds content of ours that is not the newest; foreign content stays."""
        held = look.digest if isinstance(look, Remote | ListedPlugin) else None
        wanted = digest(plugin.content)
        return held in self._journal.ours(plugin.key) and not self._journal.is_deployed(plugin.key, held, wanted)

    def _commit(self, plugin: Plugin, progress: Progress) -> None:
        """Remember what the server holds now, and the base for the next merge of name and description."""
        remote, naming = progress.remote, progress.record.naming
        if remote is not None and (progress.sent or progress.created):
            header = header_naming(plugin)
            naming = Naming(header.name or remote.name, header.description or remote.description)
        updated_at = remote.updated_at if remote is not None else None
        self._journal.commit(plugin.key, digest(plugin.content), naming=naming, updated_at=updated_at)

    def _warn(self, plugin: Plugin, diagnostics: tuple[Diagnostic, ...]) -> None:
        """Report the warnings about this content, unless the last save had the same ones."""
        if self._warned.get(plugin.key) != diagnostics:
            self._warned[plugin.key] = diagnostics
            for diagnostic in diagnostics:
                self._report(warning(plugin, diagnostic))
