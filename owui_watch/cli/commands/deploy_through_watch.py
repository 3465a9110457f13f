"""``owui-watch deploy`` beside a running watch: the watch owns the files, so it is asked to deploy them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio

from owui_watch.cli.selected_plugins import answered, chosen
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import BrokenPlugin, Plugin
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.command_events import HandedOver
from owui_watch.reporting.console import MOST_NAMED, named
from owui_watch.reporting.events import Rejection, Warned
from owui_watch.reporting.log import Reporter
from owui_watch.settings import Settings
from owui_watch.state import AlreadyRunningError, DeployRequest, Only, SentRequest, read_journal

REPLY_WITHIN = 5.0
"""Seconds that the running watch has to accept a request."""
_NOT_COVERED = "stop that watch and deploy again, or start it on a folder that contains them all"


async def deploy_through_watch(
    only: Sequence[str], settings: Settings, session: Session, reporter: Reporter, running: AlreadyRunningError
) -> int:
    """Ask the running watch to deploy, and return the exit code. Raises ``running`` if the watch does not accept.

    Broken plugins are reported here and never handed over. Plugins outside of the watch's folders are named.
    """
    tree = Tree.of(settings, has_deployed=read_journal(settings, session.url).has_deployed)
    wanted = chosen(answered(tree.scan(), settings), only or None)
    await session.server.close()
    broken = [each for each in wanted if isinstance(each, BrokenPlugin)]
    for each in broken:
        reporter.report(Rejection.of(each, each.diagnostics, None))
    plugins = [each for each in wanted if isinstance(each, Plugin)]
    if not plugins:
        return 1 if broken else 0
    watched = await _accepted(DeployRequest(Only(tuple(sorted({each.key for each in plugins})))), running)
    outside = _outside(plugins, watched)
    if len(outside) < len(plugins):
        inside = tuple(each.key.id for each in plugins if each.key.id not in outside)
        is_all = not only and all(any(root.is_relative_to(each) for each in settings.roots) for root in watched)
        reporter.report(HandedOver(() if is_all else inside))
    if outside:
        names = named(outside[:MOST_NAMED], len(outside))
        places = ", ".join(map(reporter.path, watched))
        reporter.report(Warned(f"not deployed: {names}: the running watch covers only {places}", _NOT_COVERED))
    return 1 if outside or broken else 0


async def _accepted(request: DeployRequest, running: AlreadyRunningError) -> tuple[Path, ...]:
    """Return the roots of the watch that takes ``request``. Raises ``running`` if none does in time."""
    try:
        sent = SentRequest(running.folder, request)
    except OSError:
        raise running from None
    with anyio.move_on_after(REPLY_WITHIN):
        while (roots := sent.reply()) is None:  # noqa: ASYNC110 - another process replies
            await anyio.sleep(0.1)
        return roots
    sent.withdraw()
    raise running


def _outside(plugins: Sequence[Plugin], roots: Sequence[Path]) -> list[str]:
    """Return the ids of the plugins outside of the watched ``roots``."""
    return [each.key.id for each in plugins if not any(each.path.is_relative_to(root) for root in roots)]
