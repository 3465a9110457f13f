"""How a reconcile can end, and what is said of a deploy: its event, and the warnings that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from owui_watch.deployer.plan import Progress
from owui_watch.deployer.refusals import no_right
from owui_watch.openwebui.releases import Release, is_older
from owui_watch.openwebui.remote import AnyCopy
from owui_watch.openwebui.responses import Denied, Unavailable, Unusable
from owui_watch.plugins.bundle.source_map import own_text
from owui_watch.plugins.frontmatter import field_line
from owui_watch.plugins.model import Diagnostic, Kind, Plugin, Severity
from owui_watch.plugins.source import source_line
from owui_watch.reporting.events import Created, Unchanged, Updated, Warned


@dataclass(frozen=True, slots=True)
class InSync:
    """The server holds the plugin."""

    progress: Progress
    release: Release


@dataclass(frozen=True, slots=True)
class Rejected:
    """The plugin can't be deployed as it is."""

    progress: Progress
    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True)
class ServerAway:
    """The server gave no usable response; the plugin stays dirty."""

    why: Unavailable | Denied


@dataclass(frozen=True, slots=True)
class Postponed:
    """The server may still be working on what was sent: try again in ``seconds``."""

    progress: Progress
    seconds: float


@dataclass(frozen=True, slots=True)
class Troubled:
    """For a reason that passes, this plugin alone could not be deployed now: back off and try again."""

    progress: Progress
    error: str


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    """The plugin isn't on the server, and nobody has allowed it to be created."""


@dataclass(frozen=True, slots=True)
class LooksLikeCopy:
    """The new ``plugin`` is not created: it looks like a copy of the file at ``original``."""

    plugin: Plugin
    original: Path


Result = InSync | Rejected | ServerAway | Postponed | Troubled | NotAdmitted | LooksLikeCopy


class EndError(Exception):
    """A reconcile ends here with ``result``."""

    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.result = result


def not_shown(progress: Progress, response: object) -> EndError:
    """Return the end for a response that doesn't show what was asked: it may do so later, or the key lacks a right."""
    if isinstance(response, Unavailable | Denied):
        return EndError(ServerAway(response))
    if isinstance(response, Unusable):
        return EndError(Troubled(progress, response.error))
    return EndError(Rejected(progress, no_right()))


def deployed(progress: Progress, plugin: Plugin, ms: int, editor: str) -> Created | Updated | Unchanged:
    """Return the event for a plugin that the server holds, ``ms`` milliseconds after its last write.

    ``editor`` is the address of the plugin's editor.
    """
    previous = progress.first.version if progress.first else None
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
