"""``owui-watch deploy --dry-run``: what a deploy would do. Sends nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import anyio

from owui_watch.cli.local_and_remote import NO_ADMIN, LocalAndRemote, read_contents
from owui_watch.cli.selected_plugins import answered, chosen
from owui_watch.cli.terminal import Terminal
from owui_watch.deployer.comparison import difference
from owui_watch.deployer.refusals import foreign_copy, no_right
from owui_watch.deployer.remote_duplicates import TwinIndex, twin_found
from owui_watch.openwebui.remote import Remote
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import BrokenPlugin, Plugin, Space
from owui_watch.plugins.source import digest
from owui_watch.reporting.command_events import Finished, Planned
from owui_watch.reporting.events import Event, Rejection, Warned
from owui_watch.settings import OnForeign, Settings
from owui_watch.state.journal import Journal

if TYPE_CHECKING:
    from owui_watch.reporting.log import Reporter


async def dry_run(
    settings: Settings, session: Session, only: Sequence[str] | None, reporter: Reporter, terminal: Terminal | None
) -> int:
    """Report the plan; return 1 if a plugin would be rejected. Raises CommandError and SettingsError.

    ``terminal`` gets the differences as text; None: they are in the JSON lines alone.
    """
    began = anyio.current_time()
    session.on_problem = lambda error, hint: reporter.report(Warned(error, hint))
    try:
        seen = await read_contents(settings, session)
    finally:
        await session.server.close()
    if not seen.complete:
        reporter.report(Warned(NO_ADMIN))
    wanted = chosen(answered(seen.parsed, settings), only)
    events = [event for reading in wanted for event in _foreseen(reading, seen, seen.journal, settings, reporter)]
    for event in events:
        reporter.report(event)
        if terminal is not None and isinstance(event, Planned):
            _draw(event, terminal)
    planned = sum(isinstance(event, Planned) for event in events)
    rejected = len({event.path for event in events if isinstance(event, Rejection)})
    ms = round((anyio.current_time() - began) * 1000)
    reporter.report(Finished(planned, len(wanted) - planned - rejected, rejected, ms, dry_run=True))
    return 1 if rejected else 0


def _foreseen(
    reading: Plugin | BrokenPlugin,
    seen: LocalAndRemote[Remote],
    journal: Journal,
    settings: Settings,
    reporter: Reporter,
) -> Iterator[Event]:
    remote = seen.remotes.get(reading.key) if reading.key else None
    if isinstance(reading, BrokenPlugin):
        live = remote.live_name if remote else None
        yield Rejection.of(reading, reading.diagnostics, live)
    elif remote is None:
        yield _creation(reading, seen)
    elif digest(remote.content or "") != digest(reading.content):
        held = digest(remote.content or "")
        if settings.on_foreign is OnForeign.REFUSE and held not in journal.ours(remote.key):
            yield Rejection.of(reading, [foreign_copy(seen.release)], remote.live_name)
        else:
            yield _update(reading, remote, reporter)


def _creation(plugin: Plugin, seen: LocalAndRemote[Remote]) -> Event:
    if not seen.complete and plugin.key.space is Space.FUNCTIONS:
        return Rejection.of(plugin, [no_right()], None)
    if (twin := TwinIndex(seen.remotes).find(plugin, seen.tree.paths_of)) is not None:
        return Rejection.of(plugin, [twin_found(plugin, twin)], None)
    return Planned(plugin.id, plugin.kind, plugin.path, "create", plugin.version, None, None)


def _update(plugin: Plugin, remote: Remote, reporter: Reporter) -> Planned:
    names = f"server/{remote.key.space}/{remote.key.id}", reporter.path(plugin.path)
    diff = "\n".join(difference(remote.content or "", plugin.content, *names))
    return Planned(plugin.id, plugin.kind, plugin.path, "update", plugin.version, remote.version, diff)


def _draw(planned: Planned, terminal: Terminal) -> None:
    from owui_watch.reporting.tables import Drawing  # noqa: PLC0415 - JSON lines need no rich

    drawing = Drawing(terminal.output, colours=terminal.colours, clean=terminal.secrets.hide)
    drawing.diff((planned.diff or "").splitlines())
