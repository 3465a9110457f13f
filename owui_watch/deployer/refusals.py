"""Why a plugin is rejected: which line, what went wrong, and what to do. One function for each reason."""

from __future__ import annotations

import re
from os.path import exists

from owui_watch.openwebui.releases import Release
from owui_watch.openwebui.remote import AnyCopy
from owui_watch.openwebui.responses import Forbidden, Refused, Unavailable
from owui_watch.plugins.bundle.source_map import at_home
from owui_watch.plugins.frontmatter import field_line
from owui_watch.plugins.model import Diagnostic, Kind, Plugin
from owui_watch.plugins.source import REWRITTEN, lines_of, source_line

# Left to re's own cache: most runs meet none of them.
_LINE = r"\s*\((?:<string>|<unknown>), line (\d{1,9})\)"
_PIP = r"(?s)Command '\[.*'pip', 'install', (.*)\]' returned non-zero exit status \d+"
_NO_MODULE = r"No module named '([\w.]+)'"
_NO_NAME = r"cannot import name '(\w+)' from (?:partially initialized module )?'([\w.]+)'"
_SERVER_PATH = r"\s*\((?:/|[A-Za-z]:\\|unknown location)[^()\n]{0,1000}\)"
"""A path of the server's machine that Python adds to an import error."""
_VALVES = r"Current Valves are incompatible with this code: (\w+)"
_PYDANTIC = r"\d+ validation errors? for (\w*Valves)\n(\w+)\n"
NOT_STORED = "it gives no reason; its database may be read-only or full, or its plugins switched off (ENABLE_PLUGINS)"


def explain(refused: Refused, plugin: Plugin, release: Release) -> Diagnostic:
    """Turn the server's own words into a Diagnostic that names the plugin's line and what to do."""
    return at_home(plugin, _explained(refused, plugin, release))


def _explained(refused: Refused, plugin: Plugin, release: Release) -> Diagnostic:
    reason = refused.reason
    if refused.hidden:
        return Diagnostic(
            f"Open WebUI refused the plugin and gives no reason ({reason})",
            hint="its code failed while the server loaded it, or the server's database failed: see the server's log",
        )
    if plugin.kind is Kind.EVENT and not release.events:
        return Diagnostic(
            f"Open WebUI {release.version} has no Event functions", hint="they need Open WebUI 0.10 or newer"
        )
    if not reason:
        return Diagnostic(
            "its code raised an exception without a message while the server loaded it", hint="a bare assert?"
        )
    return _by_pattern(reason, plugin, release) or Diagnostic(reason)


def no_right() -> Diagnostic:
    """Say that the key's user lacks a right."""
    return Diagnostic(
        "the API key's user is not allowed to deploy this plugin",
        hint="use an administrator's key; for tools, a user with the permission for workspace tools is enough",
    )


def foreign_copy(release: Release) -> Diagnostic:
    """Say that someone else changed the server's copy, which the settings protect."""
    where = " (its history has it)" if release.history else ""
    return Diagnostic(
        f"the server's copy was changed by someone else{where}, and on_foreign is refuse",
        hint="copy the change into the file, or set on_foreign to backup",
    )


def not_switched(remote: AnyCopy, *, is_global: bool) -> Diagnostic:
    """Say which flag could not be flipped, that for all models or that for on and off, and what to click."""
    if is_global:
        return Diagnostic(
            f"{remote.name} could not be switched on for all models",
            hint="make it global in Open WebUI: Admin Panel → Functions",
        )
    now, wanted = ("on", "off") if remote.active else ("off", "on")
    return Diagnostic(
        f"{remote.name} is {now} on the server and could not be switched {wanted}",
        hint=f"switch it {wanted} in Open WebUI: Admin Panel → Functions",
    )


def not_put_back(remote: AnyCopy, response: Refused | Forbidden | Unavailable) -> Diagnostic:
    """Say that a refused tool may be live, and what to click."""
    match response:
        case Refused(reason=why) | Unavailable(error=why):
            pass
        case _:
            why = "the key's user may not"
    return Diagnostic(
        f"the server may still run the refused code of {remote.name}; putting the old one back failed: {why}",
        hint="open the tool in Open WebUI (Workspace → Tools) and save it, or restart the server",
    )


def not_backed_up(trouble: str | None) -> Diagnostic:
    """Say that someone else's change could not be saved, so that nothing was overwritten."""
    return Diagnostic(
        f"the server's copy was changed by someone else and could not be saved: {trouble}",
        hint="free the folder, then save the plugin again",
    )


def brings_down() -> Diagnostic:
    """Say that the content is not sent any more: the server goes away over it."""
    return Diagnostic(
        "the server stops, or closes the connection, each time it receives this plugin",
        hint="does its code end the process (sys.exit, os._exit) or take all memory? Save it again to try once more",
    )


def not_taken(error: str) -> str:
    """Say that a request failed for a reason of the server's own."""
    return f"the server could not take the plugin: {error}"


def blocked(why: Unavailable) -> Diagnostic:
    """Say that a proxy or firewall refuses the request for good."""
    return Diagnostic(f"a proxy or firewall in front of Open WebUI refuses the request: {why.error.partition(': ')[2]}")


def keeps_changing() -> Diagnostic:
    """Say that the server's copy changes again and again."""
    return Diagnostic(
        "something else keeps changing this plugin on the server",
        hint="stop other programs that deploy it, then save it again",
    )


def _by_pattern(reason: str, plugin: Plugin, release: Release) -> Diagnostic | None:
    if match := re.search(_LINE, reason):
        return _diagnostic(plugin, re.sub(_LINE, "", reason), int(match[1]))
    if match := re.search(_PIP, reason):
        wanted = match[1].replace("'", "").replace(", ", " ")
        line = field_line(plugin.content, "requirements")
        return _diagnostic(
            plugin, f"pip could not install {wanted} on the server", line, "see pip's output in the server's log"
        )
    if match := re.search(_NO_MODULE, reason):
        return _no_module(reason, match[1], plugin, release)
    if match := re.search(_NO_NAME, reason):
        return _no_name(re.sub(_SERVER_PATH, "", reason), match[1], match[2], plugin, release)
    if match := re.search(_VALVES, reason):
        hint = f"change the valve {match[1]} in Open WebUI, or make the new code accept the old value"
        return _diagnostic(plugin, reason, _line_of(plugin.content, rf"\s+{match[1]}\s*:"), hint)
    if match := re.search(_PYDANTIC, reason):
        line = _line_of(plugin.content, rf"\s+{match[2]}\s*:")
        hint = f"give {match[1]}.{match[2]} a default"
        return _diagnostic(plugin, reason.partition("\n    For further")[0], line, hint)
    return None


def _no_module(reason: str, module: str, plugin: Plugin, release: Release) -> Diagnostic:
    top, _, rest = module.partition(".")
    line = _line_of_import(plugin.content, module)
    if top == "open_webui":
        rewritten = _line_of(plugin.content, rf"\s*from {re.escape(rest)}\b")
        hint = f"Open WebUI {release.version} has no such module"
        if rewritten and rest.partition(".")[0] not in REWRITTEN:
            hint = f"Open WebUI turns `from {rest}` into `from {module}`; `import {rest}` stays as it is"
        return _diagnostic(plugin, reason, line or rewritten, hint)
    places = ((name, plugin.path.with_name(name)) for name in (f"{top}.py", top))
    beside = next((name for name, path in places if exists(path)), None)  # noqa: PTH110 - no name is too long for it
    if beside is not None:
        hint = f"{beside} lies beside it: write `from . import {top}`, and owui-watch sends it along"
    elif (unread := _unread_requirement(plugin, top)) is not None:
        hint = unread
    else:
        hint = f"add `requirements: {top}` to the header, or install it where Open WebUI runs"
    return _diagnostic(plugin, reason, line or _line_of_import(plugin.content, top), hint)


def _unread_requirement(plugin: Plugin, top: str) -> str | None:
    """Return a hint if the file names the package ``top`` in a `requirements:` that the server does not read."""
    line = _line_of(plugin.content, rf"[ \t#]*[Rr]equirements[ \t]*:.{{0,1000}}\b{re.escape(top)}\b")
    if line is None or line == field_line(plugin.content, "requirements"):
        return None
    warning = next((each for each in plugin.warnings if each.rule == "header"), None)
    remedy = (
        warning.hint if warning else "put it into the header, in small letters and without a blank before the colon"
    )
    return f"Open WebUI does not read the `requirements:` in line {line}: {remedy}"


def _no_name(reason: str, name: str, module: str, plugin: Plugin, release: Release) -> Diagnostic:
    top = module.partition(".")[0]
    rest = module.removeprefix("open_webui.")
    line = _line_of(plugin.content, rf"\s*from\s+(?:{re.escape(module)}|{re.escape(rest)})\s+import\b")
    if top == "open_webui":
        hint = f"{module} of Open WebUI {release.version} has no {name}: other releases may have it elsewhere"
    elif "partially initialized" in reason or "circular import" in reason:
        hint = f"{module} and the module that imports it import each other"
    else:
        hint = f"the {top} that is installed where Open WebUI runs has no {name}: ask for a version in `requirements:`"
    return _diagnostic(plugin, reason, line, hint)


def _line_of_import(content: str, module: str) -> int | None:
    return _line_of(content, rf"\s*(import|from)\s+{re.escape(module)}\b")


def _diagnostic(plugin: Plugin, error: str, line: int | None, hint: str | None = None) -> Diagnostic:
    return Diagnostic(error, line, source=source_line(plugin.content, line), hint=hint)


def _line_of(content: str, pattern: str) -> int | None:
    starts = re.compile(pattern)
    return next((number for number, line in enumerate(lines_of(content), 1) if starts.match(line)), None)
