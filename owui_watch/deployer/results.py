"""What a finished reconcile says: the event of a deploy, of a rejection, and the warnings that go with them."""

from __future__ import annotations

from owui_watch.deployer.plan import Progress
from owui_watch.openwebui.releases import is_older
from owui_watch.openwebui.remote import AnyCopy
from owui_watch.plugins.frontmatter import field_line
from owui_watch.plugins.model import Diagnostic, Kind, Plugin, Severity
from owui_watch.plugins.places import own_text
from owui_watch.plugins.source import source_line
from owui_watch.reporting.events import Created, Unchanged, Updated, Warned


def deployed(progress: Progress, plugin: Plugin, ms: int, editor: str) -> Created | Updated | Unchanged:
    """Return the event for a plugin that the server holds, ``ms`` milliseconds after its last write.

    ``editor`` is the address of the plugin's editor.
    """
    previous = progress.first.version if progress.first else None
    facts = (plugin.id, plugin.kind, plugin.path, plugin.version, previous, ms)
    if progress.created:
        attach = _attach(plugin.kind, progress.remote)
        return Created(*facts, open=editor, attach=attach, through=plugin.through)
    return (Updated if progress.sent else Unchanged)(*facts, through=plugin.through)


def warning(plugin: Plugin, diagnostic: Diagnostic) -> Warned:
    """Return the event for a warning about a plugin file."""
    return Warned(diagnostic.error, diagnostic.hint, plugin.id, plugin.kind, plugin.path, diagnostic.line)


def version_warnings(plugin: Plugin, live: AnyCopy | None, server_version: str) -> list[Diagnostic]:
    """Warn of a required Open WebUI newer than the server, and of a version lower than the live one."""
    warnings = []
    required = plugin.header.get("required_open_webui_version", "")
    if is_older(server_version, required):
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
