"""The plugins that a command line selects by its PATHs and ``--only``; for each PATH that is none, why not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from owui_watch.plugins.model import BrokenPlugin, Diagnostic, Mention, NotPlugin, ParsedFile, Plugin
from owui_watch.settings import Settings, SettingsError

NOT_A_PLUGIN = "not-a-plugin"
"""Rule of the diagnostic."""
_NAME_A_PLUGIN = "name the file of a plugin, or a folder"
_ABOUT_PLUGINS = "a plugin is a .py file with a class named Pipe, Filter, Action, Event or Tools"


def plugin_files(files: Iterable[ParsedFile], named: Sequence[Path]) -> tuple[Plugin | BrokenPlugin, ...]:
    """Return the plugins among ``files``. A file that the user ``named`` and that is none counts as a broken one."""
    return tuple(
        _answer(each) if isinstance(each, NotPlugin) else each
        for each in files
        if not isinstance(each, NotPlugin) or each.path in named
    )


def answered(files: Iterable[ParsedFile], settings: Settings) -> tuple[Plugin | BrokenPlugin, ...]:
    """Return ``plugin_files``. A folder that the user named and that holds none counts as a broken plugin."""
    plugins = plugin_files(files, settings.roots)
    named = settings.roots if settings.named else ()
    empty = [root for root in named if root.is_dir() and not any(each.path.is_relative_to(root) for each in plugins)]
    return (*plugins, *map(_empty_folder, empty))


def chosen(
    plugins: Sequence[Plugin | BrokenPlugin],
    only: Sequence[str] | None,
    flag: str = "--only",
    hint: str = "in these PATHs; write PATHs before --only",
) -> tuple[Plugin | BrokenPlugin, ...]:
    """Return the plugins with the ids ``only``; None: all. Raises SettingsError for an unknown id.

    ``flag`` is what the ids were given with; ``hint`` ends the message if no id is similar.
    """
    if only is None:
        return tuple(plugins)
    ids = {each.key.id for each in plugins if each.key}
    for wanted in only:
        if wanted not in ids:
            close = get_close_matches(wanted, ids, n=1)
            advice = f": did you mean {close[0]}?" if close else f" {hint}"
            raise SettingsError(f"{flag} {wanted}: there is no plugin with this id{advice}")
    return tuple(each for each in plugins if each.key and each.key.id in only)


def passed_over(files: Iterable[ParsedFile], named: Sequence[Path]) -> tuple[NotPlugin, ...]:
    """Return the files that are no plugins and that their authors probably take for some; not those in ``named``."""
    return tuple(
        each
        for each in files
        if isinstance(each, NotPlugin) and each.mention is Mention.ALWAYS and each.path not in named
    )


def _empty_folder(root: Path) -> BrokenPlugin:
    answer = Diagnostic("no plugin in this folder", hint=_ABOUT_PLUGINS, rule=NOT_A_PLUGIN)
    return BrokenPlugin(root, (answer,))


def _answer(file: NotPlugin) -> BrokenPlugin:
    answer = Diagnostic(f"not a plugin: {file.reason}", hint=file.hint or _NAME_A_PLUGIN, rule=NOT_A_PLUGIN)
    return BrokenPlugin(file.path, (answer,))
