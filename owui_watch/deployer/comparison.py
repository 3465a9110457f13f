"""The tree against the server: what differs, how each plugin is doing, and the lines of a difference."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.listing import Listing
from owui_watch.openwebui.remote import AnyCopy, ListedPlugin
from owui_watch.openwebui.responses import Response
from owui_watch.plugins.bundle.bundle import unbundle
from owui_watch.plugins.model import BrokenPlugin, Plugin, PluginKey, Space
from owui_watch.plugins.source import digest, rewritten
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.redaction import printable
from owui_watch.state.journal import Journal
from owui_watch.state.record import Naming


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between the tree and the server.

    ``remotes`` is all that the server holds. ``changed`` are plugins whose file differs from the server's copy,
    ``absent`` those that the server lacks. ``unseen`` were not compared: the server would not list their space.
    """

    remotes: dict[PluginKey, ListedPlugin]
    changed: tuple[PluginKey, ...]
    absent: tuple[PluginKey, ...]
    unseen: tuple[PluginKey, ...]


async def compare(
    server: OpenWebUI, tree: Tree, is_deployed: Callable[[PluginKey, str | None, str], bool]
) -> tuple[Comparison, list[Response]]:
    """Compare all that can be compared; also return the responses for the spaces that the server would not list.

    ``is_deployed`` returns whether two digests, the server's and the file's, are of the same plugin.
    """
    remotes: dict[PluginKey, ListedPlugin] = {}
    refusals = []
    listed = set()
    for space in Space:
        found = await server.list_digests(space)
        if isinstance(found, Listing):
            remotes |= found.plugins
            listed.add(space)
        else:
            refusals.append(found)
    ours = tree.digests()
    changed = tuple(
        sorted(key for key in ours if key in remotes and not is_deployed(key, remotes[key].digest, ours[key]))
    )
    absent = tuple(sorted(key for key in ours if key not in remotes and key.space in listed))
    unseen = tuple(sorted(key for key in ours if key.space not in listed))
    return Comparison(remotes, changed, absent, unseen), refusals


class PluginStatus(StrEnum):
    """What ``status`` reports about a plugin; the names are part of the interface.

    ``disabled``: switched off on the server. ``foreign``: it differs, and owui-watch did not put the server's copy
    there. ``renamed``: its name or description was changed in Open WebUI. ``broken``: the file can't be deployed.
    """

    IN_SYNC = "in_sync"
    DIFFERS = "differs"
    NOT_ON_SERVER = "not_on_server"
    ONLY_ON_SERVER = "only_on_server"
    DISABLED = "disabled"
    FOREIGN = "foreign"
    RENAMED = "renamed"
    BROKEN = "broken"


def status_of(
    parsed: Plugin | BrokenPlugin | None, remote: AnyCopy | None, journal: Journal
) -> tuple[PluginStatus, ...]:
    """Compare one file with the server's copy. ``broken`` comes first, then the status of the content."""
    if remote is None:
        return (*_broken(parsed), PluginStatus.NOT_ON_SERVER)
    if parsed is None:
        return (PluginStatus.ONLY_ON_SERVER,)
    disabled = (PluginStatus.DISABLED,) if remote.active is False else ()
    renamed = (PluginStatus.RENAMED,) if _is_renamed(remote, journal.record(remote.key).naming) else ()
    if isinstance(parsed, Plugin) and journal.is_deployed(remote.key, remote.digest, digest(parsed.content)):
        return (*(disabled or (PluginStatus.IN_SYNC,)), *renamed)
    ours = remote.digest in journal.ours(remote.key)
    content = PluginStatus.DIFFERS if ours else PluginStatus.FOREIGN
    return (*_broken(parsed), content, *disabled, *renamed)


def _broken(parsed: Plugin | BrokenPlugin | None) -> tuple[PluginStatus, ...]:
    return (PluginStatus.BROKEN,) if isinstance(parsed, BrokenPlugin) else ()


def _is_renamed(remote: AnyCopy, deployed: Naming | None) -> bool:
    """Return whether name or description differ from those of the last deploy. Without one nothing is known."""
    return deployed is not None and deployed != Naming(remote.name, remote.description)


_AFTER_LINE_END = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")
_NO_END = "\\ No newline at end of file"


def difference(old: str, new: str, old_name: str, new_name: str) -> tuple[str, ...]:
    """Return the unified diff from ``old`` to ``new``; empty if the server would hold the same for both.

    Carriage returns are shown as ``␍``, so that a change of line endings alone can be seen. If both are bundles, the
    diff has a part for each file that differs, under the name of that file.
    """
    old_files, new_files = unbundle(old), unbundle(new)
    if old_files is None or new_files is None:
        return _difference(old, new, old_name, new_name)
    before, after = ({each.name: each.text for each in files.sections} for files in (old_files, new_files))
    return tuple(
        line
        for name in dict.fromkeys((*after, *before))
        for line in _difference(before.get(name, ""), after.get(name, ""), f"{old_name}/{name}", f"{new_name}/{name}")
    )


def _difference(old: str, new: str, old_name: str, new_name: str) -> tuple[str, ...]:
    from difflib import unified_diff  # noqa: PLC0415 - a watch shows no difference

    found = unified_diff(_lines(rewritten(old)), _lines(rewritten(new)), old_name, new_name)
    return tuple(shown for line in found for shown in _shown(line))


def _lines(text: str) -> list[str]:
    return [line for line in _AFTER_LINE_END.split(text) if line]


def _shown(line: str) -> list[str]:
    bare = printable(line.removesuffix("\n").replace("\r", "␍"))
    headline = line.startswith(("--- ", "+++ ", "@@ "))
    return [bare] if headline or line.endswith(("\n", "\r")) else [bare, _NO_END]
