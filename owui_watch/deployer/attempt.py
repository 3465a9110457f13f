"""One attempt to deploy, repair or disable a plugin: reconcile it, then write down and report the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import anyio

from owui_watch.deployer.plan import Progress
from owui_watch.deployer.queue import Dirty
from owui_watch.deployer.reconcile import Reconciler
from owui_watch.deployer.reconcile_context import ReconcileContext
from owui_watch.deployer.refusals import not_taken
from owui_watch.deployer.results import InSync, Rejected, Result, ServerAway, Troubled
from owui_watch.deployer.retries import Retries
from owui_watch.openwebui.payloads import header_naming
from owui_watch.openwebui.releases import is_older
from owui_watch.openwebui.remote import AnyCopy, ListedPlugin, Remote
from owui_watch.openwebui.responses import Denied, Unavailable
from owui_watch.plugins.bundle.source_map import own_text
from owui_watch.plugins.frontmatter import field_line
from owui_watch.plugins.model import Diagnostic, Kind, ParsedFile, Plugin, PluginKey, Severity
from owui_watch.plugins.source import digest, source_line
from owui_watch.reporting.events import Created, Disabled, Rejection, Sending, Unchanged, Updated, Warned
from owui_watch.state.record import Naming


class Files(Protocol):
    """Where the deployer finds the newest content: the tree."""

    def newest(self, key: PluginKey) -> ParsedFile | None:
        """Read the plugin's file as it is now; None if it is gone or not the only one of its id."""


class Attempts:
    """Attempts of one run. ``note`` gets the progress of each reconcile that left the plugin on the server."""

    def __init__(
        self, files: Files, context: ReconcileContext, retries: Retries, note: Callable[[Progress], None]
    ) -> None:
        self._files = files
        self._context = context
        self._journal = context.journal
        self._report = context.report
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
            # The daemon has reported why the file can't be sent. Only a request without a response is followed up.
            return await self._repair(key) if self._journal.intent(key) is not None else None
        self._journal.manage(key)
        if dirty.follow_up:
            look = (await self._context.prefetch.take(key)).response
            if isinstance(look, Unavailable | Denied):
                return ServerAway(look)
            if not self._is_older_content(plugin, look):
                return None
        return await self._reconcile(plugin, dirty)

    async def _reconcile(self, plugin: Plugin, dirty: Dirty) -> Result:
        """Bring the server up to date with the file of ``plugin``."""
        may_create = dirty.admitted and not dirty.follow_up
        self._report(Sending(path=plugin.path, plugin=plugin.id, kind=plugin.kind, files=tuple(plugin.files.items())))
        reconciler = Reconciler(self._context, plugin.key, plugin, may_create=may_create, insist=dirty.insist)
        result = await reconciler.run()
        match result:
            case ServerAway(why=Unavailable() as why) if reconciler.progress.refusal is None:
                if self._retries.note_loss(plugin.key, why):
                    result = Troubled(reconciler.progress, why.error)
        if isinstance(result, Troubled) and self._retries.is_patience_over(plugin.key):
            result = Rejected(
                result.progress, Diagnostic(not_taken(result.error), hint="save it again to try once more")
            )
        match result:
            case InSync(progress=progress, release=release):
                self._commit(plugin, progress)
                self._note(progress)
                self._warn(plugin, (*plugin.warnings, *version_warnings(plugin, progress.first, release.version)))
                ms = round((anyio.current_time() - dirty.saved_at) * 1000)
                self._report(deployed(progress, plugin, ms, self._context.server.editor(plugin.key)))
            case Rejected(progress=progress, diagnostic=diagnostic):
                if not progress.damaged:
                    self._journal.abandon(plugin.key)
                self._warn(plugin, plugin.warnings)
                live = progress.remote.live_name if progress.remote and not progress.damaged else None
                self._report(Rejection.of(plugin, [diagnostic], live, stage="server"))
        return result

    async def _repair(self, key: PluginKey) -> Result:
        """Finish what was begun for a plugin whose file can't be sent now."""
        result = await Reconciler(self._context, key, None).run()
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
        reconciler = Reconciler(self._context, key, None)
        result = await reconciler.disable()
        remote = reconciler.progress.remote
        if result is True and remote is not None:
            self._report(Disabled(key.id, remote.kind, self._context.server.editor(key)))
        if isinstance(result, Rejected):
            self._report(Warned(result.diagnostic.error, result.diagnostic.hint, key.id))
        return None if isinstance(result, bool) else result

    def _is_older_content(self, plugin: Plugin, look: object) -> bool:
        """Return whether the server holds older content of ours. Foreign content is not replaced."""
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
        if self._warned.get(plugin.key, ()) != diagnostics:
            self._warned[plugin.key] = diagnostics
            for diagnostic in diagnostics:
                self._report(warning(plugin, diagnostic))


def deployed(progress: Progress, plugin: Plugin, ms: int, editor: str) -> Created | Updated | Unchanged:
    """Return the event for a plugin that the server holds, ``ms`` milliseconds after its last write.

    ``editor`` is the address of the plugin's editor.
    """
    # A create that a proxy sent twice is refused the second time, and the look that follows shows our own copy.
    previous = progress.first.version if progress.first and not progress.created else None
    facts = (plugin.id, plugin.kind, plugin.path, plugin.version, previous, ms)
    if progress.created:
        attach = _attach(plugin.kind, progress.remote)
        return Created(*facts, open=editor, attach=attach, through=plugin.through)
    before, now = (copy.active if copy else None for copy in (progress.first, progress.remote))
    switched_on = progress.record.disabled and before is False and now  # it was off since its file was deleted
    if progress.sent or switched_on:
        return Updated(*facts, through=plugin.through, disabled=now is False)
    return Unchanged(*facts, through=plugin.through)


def warning(plugin: Plugin, diagnostic: Diagnostic) -> Warned:
    """Return the event for a warning about a plugin file."""
    return Warned(diagnostic.error, diagnostic.hint, plugin.id, plugin.kind, plugin.path, diagnostic.line)


def version_warnings(plugin: Plugin, live: AnyCopy | None, server_version: str) -> list[Diagnostic]:
    """Warn of a required Open WebUI newer than the server, and of a version lower than the live one."""
    warnings = []
    required = plugin.header.get("required_open_webui_version", "")
    if required and is_older(server_version, required):
        warnings.append(
            _header_warning(
                plugin,
                "required_open_webui_version",
                f"it requires Open WebUI {required}, but the server runs {server_version}",
                "deployed anyway: the server ignores this line",
            )
        )
    if live is not None and live.version and plugin.version and is_older(plugin.version, live.version):
        warnings.append(
            _header_warning(
                plugin,
                "version",
                f"its version {plugin.version} is lower than the live one, {live.version}",
                "deployed anyway: is this the file you meant?",
            )
        )
    return warnings


def _header_warning(plugin: Plugin, field: str, error: str, hint: str) -> Diagnostic:
    text = own_text(plugin)
    line = field_line(text, field)
    source = source_line(text, line)
    return Diagnostic(error, line, source=source, hint=hint, severity=Severity.WARNING, rule=f"header-{field}")


def _attach(kind: Kind, remote: AnyCopy | None) -> str | None:
    if remote is None or remote.is_global or kind not in {Kind.FILTER, Kind.ACTION}:
        return None
    return f"not global: switch it on for a model (Workspace → Models → {kind.capitalize()}s), or set global_new"
