"""The plugins of the tree and those of the server, side by side. Changes neither."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Generic, TypeVar

from owui_watch.cli.errors import CommandError, unreachable
from owui_watch.cli.named_paths import plugin_files
from owui_watch.openwebui.listing import Listing
from owui_watch.openwebui.releases import Release
from owui_watch.openwebui.remote import ListedPlugin, Remote
from owui_watch.openwebui.responses import Denied, Response, Unavailable
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import BrokenPlugin, Plugin, PluginKey, Space
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.command_events import Server
from owui_watch.settings import Layer, Settings, SettingsError, masked
from owui_watch.state.journal import Journal
from owui_watch.state.ownership import read_journal

NO_ADMIN = "this key is not an administrator's: it can't see functions, and perhaps not all tools"


Copy = TypeVar("Copy", Remote, ListedPlugin)


@dataclass(frozen=True, slots=True)
class FilesAndServer(Generic[Copy]):
    """All plugin files, and the plugins of the server that the key's user may see (``complete``: all of them).

    ``journal`` is what owui-watch remembers of that server.
    """

    tree: Tree
    journal: Journal
    parsed: tuple[Plugin | BrokenPlugin, ...]
    remotes: Mapping[PluginKey, Copy]
    complete: bool
    release: Release


async def read_digests(settings: Settings, session: Session) -> FilesAndServer[ListedPlugin]:
    """Read files, and digests of what the server holds. Raises CommandError as ``read_contents`` does."""

    async def read(space: Space) -> Mapping[PluginKey, ListedPlugin] | Response:
        listing = await session.server.list_digests(space)
        return listing.plugins if isinstance(listing, Listing) else listing

    return await _read_both(settings, session, read)


async def read_contents(settings: Settings, session: Session) -> FilesAndServer[Remote]:
    """Read files, and what the server holds. Raises CommandError if it can't be reached or refuses the key."""
    return await _read_both(settings, session, session.server.list_contents)


async def _read_both(
    settings: Settings,
    session: Session,
    read: Callable[[Space], Awaitable[Mapping[PluginKey, Copy] | Response]],
) -> FilesAndServer[Copy]:
    journal = read_journal(settings, session.url)
    tree = Tree.of(settings, has_deployed=journal.has_deployed)
    parsed = plugin_files(tree.scan(), settings.roots)
    if (trouble := await session.probe()) is not None:
        raise _unreachable(session, trouble)
    remotes: dict[PluginKey, Copy] = {}
    complete = True
    for space in Space:
        found = await read(space)
        if isinstance(found, Unavailable | Denied):
            raise _unreachable(session, found)
        if isinstance(found, Mapping):
            remotes |= found
        else:
            complete = False
    assert session.server.release is not None, "a probe that went well names the release"
    return FilesAndServer(tree, journal, parsed, remotes, complete, session.server.release)


def server_named(settings: Settings) -> Server:
    """Return the event that names the server of a command that runs once, before anything is sent there."""
    default = settings.url_source.layer is Layer.DEFAULT
    return Server(masked(settings.url), None if default else str(settings.url_source))


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


def _unreachable(session: Session, why: Unavailable | Denied) -> CommandError:
    error, hint = session.explain_denied(why) if isinstance(why, Denied) else (why.error, why.hint)
    return unreachable(session.url, error, hint)
