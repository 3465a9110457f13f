"""All plugins, in files and on the server, side by side. Changes neither."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from owui_watch.cli.errors import CommandError, unreachable
from owui_watch.cli.selected_plugins import plugin_files
from owui_watch.openwebui.listing import Listing
from owui_watch.openwebui.releases import Release
from owui_watch.openwebui.remote import ListedPlugin, Remote
from owui_watch.openwebui.responses import Denied, Response, Unavailable
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import BrokenPlugin, Plugin, PluginKey, Space
from owui_watch.plugins.tree import Tree
from owui_watch.settings import Settings
from owui_watch.state.journal import Journal
from owui_watch.state.ownership import read_journal

NO_ADMIN = "this key is not an administrator's: it can't see functions, and perhaps not all tools"


Copy = TypeVar("Copy", Remote, ListedPlugin)


@dataclass(frozen=True, slots=True)
class LocalAndRemote(Generic[Copy]):
    """All plugin files, and the plugins of the server that the key's user may see (``complete``: all of them).

    ``journal`` is what owui-watch remembers of that server.
    """

    tree: Tree
    journal: Journal
    parsed: tuple[Plugin | BrokenPlugin, ...]
    remotes: Mapping[PluginKey, Copy]
    complete: bool
    release: Release


async def read_digests(settings: Settings, session: Session) -> LocalAndRemote[ListedPlugin]:
    """Read files, and digests of what the server holds. Raises CommandError as ``read_contents`` does."""

    async def read(space: Space) -> Mapping[PluginKey, ListedPlugin] | Response:
        listing = await session.server.list_digests(space)
        return listing.plugins if isinstance(listing, Listing) else listing

    return await _read_both(settings, session, read)


async def read_contents(settings: Settings, session: Session) -> LocalAndRemote[Remote]:
    """Read files, and what the server holds. Raises CommandError if it can't be reached or refuses the key."""
    return await _read_both(settings, session, session.server.list_contents)


async def _read_both(
    settings: Settings,
    session: Session,
    read: Callable[[Space], Awaitable[Mapping[PluginKey, Copy] | Response]],
) -> LocalAndRemote[Copy]:
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
    return LocalAndRemote(tree, journal, parsed, remotes, complete, session.server.release)


def _unreachable(session: Session, why: Unavailable | Denied) -> CommandError:
    error, hint = session.explain_denied(why) if isinstance(why, Denied) else (why.error, why.hint)
    return unreachable(session.url, error, hint)
