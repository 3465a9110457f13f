"""What to say about versions: the plugin's against the server's, and against the copy that is live."""

from __future__ import annotations

from owui_watch.openwebui.releases import is_older
from owui_watch.openwebui.responses import Remote
from owui_watch.plugins.frontmatter import field_line
from owui_watch.plugins.model import Diagnostic, Plugin, Severity
from owui_watch.plugins.source import source_line


def advice(plugin: Plugin, live: Remote | None, server_version: str) -> list[Diagnostic]:
    """Warn of a required Open WebUI newer than the server, and of a version lower than the live one."""
    diagnostics = []
    required = plugin.header.get("required_open_webui_version", "")
    if is_older(server_version, required):
        diagnostics.append(
            _warning(
                plugin,
                "required_open_webui_version",
                f"it asks for Open WebUI {required}, and the server is {server_version}",
                "deployed all the same; the server does not look at this line",
            )
        )
    if live is not None and live.version and plugin.version and is_older(plugin.version, live.version):
        diagnostics.append(
            _warning(
                plugin,
                "version",
                f"its version {plugin.version} is lower than the live one, {live.version}",
                "deployed all the same; is this the file you meant?",
            )
        )
    return diagnostics


def _warning(plugin: Plugin, field: str, error: str, hint: str) -> Diagnostic:
    line = field_line(plugin.content, field)
    return Diagnostic(error, line, source=source_line(plugin.content, line), hint=hint, severity=Severity.WARNING)
