"""All plugins, in files and on the server, side by side. Changes neither."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from owui_watch.cli.errors import CommandError, unreachable
from owui_watch.cli.selected_plugins import plugin_files
from owui_watch.openwebui.listing import Contents, Listing
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

    ``uncertain``: the spaces in which a plugin may be on the server without being in ``remotes``. ``journal`` is what
    owui-watch remembers of that server.
    """

    tree: Tree
    journal: Journal
    parsed: tuple[Plugin | BrokenPlugin, ...]
    remotes: Mapping[PluginKey, Copy]
    complete: bool
    uncertain: frozenset[Space]
    release: Release


async def read_digests(settings: Settings, session: Session) -> LocalAndRemote[ListedPlugin]:
    """Read files, and digests of what the server holds. Raises CommandError as ``read_contents`` does."""

    async def read(space: Space) -> tuple[Mapping[PluginKey, ListedPlugin], int] | Response:
        found = await session.server.list_digests(space)
        return (found.plugins, found.skipped) if isinstance(found, Listing) else found

    return await _read_both(settings, session, read)


async def read_contents(settings: Settings, session: Session) -> LocalAndRemote[Remote]:
    """Read files, and what the server holds. Raises CommandError if it can't be reached or refuses the key."""

    async def read(space: Space) -> tuple[Mapping[PluginKey, Remote], int] | Response:
        found = await session.server.list_contents(space)
        return (found.plugins, found.skipped) if isinstance(found, Contents) else found

    return await _read_both(settings, session, read)


async def _read_both(
    settings: Settings,
    session: Session,
    read: Callable[[Space], Awaitable[tuple[Mapping[PluginKey, Copy], int] | Response]],
) -> LocalAndRemote[Copy]:
    journal = read_journal(settings, session.url)
    tree = Tree.of(settings, has_deployed=journal.has_deployed)
    parsed = plugin_files(tree.scan(), settings.roots)
    if (trouble := await session.probe()) is not None:
        raise _unreachable(session, trouble)
    remotes: dict[PluginKey, Copy] = {}
    complete, uncertain = True, set()
    for space in Space:
        found = await read(space)
        if isinstance(found, Unavailable | Denied):
            raise _unreachable(session, found)
        if isinstance(found, tuple):
            plugins, skipped = found
            remotes |= plugins
        else:
            complete, skipped = False, 1
        if skipped:
            uncertain.add(space)
    assert session.server.release is not None, "a probe that went well names the release"
    return LocalAndRemote(tree, journal, parsed, remotes, complete, frozenset(uncertain), session.server.release)


def _unreachable(session: Session, why: Unavailable | Denied) -> CommandError:
    error, hint = session.explain_denied(why) if isinstance(why, Denied) else (why.error, why.hint)
    return unreachable(session.url, error, hint)
