"""A path that the user named is answered for: it is a plugin, or the command says why not and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from owui_watch.plugins.model import BrokenPlugin, Diagnostic, NotPlugin, ParsedFile, Plugin

NOT_A_PLUGIN = "not-a-plugin"
"""Rule of the diagnostic."""
_NAME_A_PLUGIN = "name the file of a plugin, or a folder"


def plugin_files(files: Iterable[ParsedFile], named: Sequence[Path]) -> tuple[Plugin | BrokenPlugin, ...]:
    """Return the plugins among ``files``. A file that the user ``named`` and that is none counts as a broken one."""
    return tuple(
        _answer(each) if isinstance(each, NotPlugin) else each
        for each in files
        if not isinstance(each, NotPlugin) or each.path in named
    )


def _answer(file: NotPlugin) -> BrokenPlugin:
    reason, hint = file.reason, file.hint or _NAME_A_PLUGIN
    if file.path.suffix.lower() == ".json":
        reason, hint = "it is a JSON file", f"unpack an export of Open WebUI with `owui-watch pull {file.path.name}`"
    elif file.path.suffix != ".py":
        reason, hint = "its name does not end in .py", _NAME_A_PLUGIN
    return BrokenPlugin(file.path, (Diagnostic(f"not a plugin: {reason}", hint=hint, rule=NOT_A_PLUGIN),))
