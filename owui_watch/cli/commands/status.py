"""``owui-watch status [PATH…]``: compare each plugin's file with the server's copy. Changes nothing."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import anyio

from owui_watch.cli.local_and_remote import NO_ADMIN, LocalAndRemote, read_digests
from owui_watch.cli.sandbox_flag import on_running_sandbox
from owui_watch.cli.settings_from_flags import server_named, settings_from
from owui_watch.cli.terminal import Terminal
from owui_watch.deployer.comparison import PluginStatus, status_of
from owui_watch.deployer.remote_duplicates import TwinIndex, twin_found
from owui_watch.openwebui.remote import AnyCopy, ListedPlugin
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import BrokenPlugin, Plugin
from owui_watch.reporting.events import Warned
from owui_watch.reporting.log import Reporter
from owui_watch.settings import Settings
from owui_watch.state.journal import Journal

_STYLES = {
    PluginStatus.IN_SYNC: "green",
    PluginStatus.DIFFERS: "yellow",
    PluginStatus.FOREIGN: "magenta",
    PluginStatus.NOT_ON_SERVER: "cyan",
    PluginStatus.ONLY_ON_SERVER: "dim",
    PluginStatus.DISABLED: "yellow",
    PluginStatus.RENAMED: "yellow",
    PluginStatus.BROKEN: "red",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One plugin, as ``--json`` shows it.

    ``state`` is the first of ``states``; None if the key's user may not look, or an entry of the list is unusable.
    ``twin`` is the id that it seems to have on the server; ``error`` and ``hint`` say what is wrong and what to do.
    """

    plugin: str | None
    kind: str | None
    path: str | None
    version: str | None
    server_version: str | None
    state: str | None
    states: tuple[str, ...]
    sharing: str | None
    twin: str | None = None
    error: str | None = None
    hint: str | None = None
    line: int | None = None


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Show the state of all plugins; return 1 if a file is broken. Raises SettingsError and CommandError."""
    server, _ = on_running_sandbox(arguments)
    settings = settings_from(arguments, os.environ, sandbox=server)
    reporter = terminal.reporter(settings, json=arguments.json)
    session = Session(settings, os.environ, reporter.hide)
    if server is None and not arguments.json:
        reporter.report(server_named(settings))
    if not arguments.json:
        session.on_problem = lambda error, hint: reporter.report(Warned(error, hint))
    seen = anyio.run(_seen, settings, session)
    rows = list(_rows(seen, seen.journal, reporter))
    if arguments.json:
        terminal.output.write(reporter.hidden(json.dumps([asdict(row) for row in rows], indent=2)) + "\n")
    else:
        _draw(rows, reporter, terminal, complete=seen.complete)
    return 1 if any(isinstance(reading, BrokenPlugin) for reading in seen.parsed) else 0


async def _seen(settings: Settings, session: Session) -> LocalAndRemote[ListedPlugin]:
    try:
        return await read_digests(settings, session)
    finally:
        await session.server.close()


def _rows(seen: LocalAndRemote[ListedPlugin], journal: Journal, reporter: Reporter) -> Iterator[Row]:
    """Return a row for each file, in the order of ids, then one for each plugin that has no file."""
    twins = TwinIndex(seen.remotes)
    for reading in sorted(seen.parsed, key=lambda each: (each.key.id if each.key else "", str(each.path))):
        remote = seen.remotes.get(reading.key) if reading.key else None
        hidden = reading.kind is not None and reading.kind.space in seen.uncertain
        if remote is not None or not (hidden or reading.key is None):
            states = status_of(reading, remote, journal)
        else:
            states = (PluginStatus.BROKEN,) if isinstance(reading, BrokenPlugin) else ()
        is_new = isinstance(reading, Plugin) and remote is None
        twin = twins.find(reading, seen.tree.paths_of) if isinstance(reading, Plugin) and is_new else None
        yield _row(reading, remote, states, twin, reporter)
    ours = {reading.key for reading in seen.parsed}
    for key in sorted(seen.remotes.keys() - ours):
        remote = seen.remotes[key]
        state = PluginStatus.ONLY_ON_SERVER.value
        yield Row(key.id, remote.kind.value, None, None, remote.version, state, (state,), remote.sharing)


def _row(
    reading: Plugin | BrokenPlugin,
    remote: ListedPlugin | None,
    states: Sequence[PluginStatus],
    other: AnyCopy | None,
    reporter: Reporter,
) -> Row:
    twin = error = hint = line = None
    if isinstance(reading, BrokenPlugin):
        first = reading.diagnostics[0]
        error, hint, line = first.error, first.hint, first.line
    elif other is not None:
        diagnostic = twin_found(reading, other)
        twin, error, hint = other.key.id, diagnostic.error, diagnostic.hint
    return Row(
        plugin=reading.key.id if reading.key else None,
        kind=reading.kind.value if reading.kind else None,
        path=reporter.path(reading.path),
        version=reading.header.get("version") or None,
        server_version=remote.version if remote else None,
        state=states[0].value if states else None,
        states=tuple(state.value for state in states),
        sharing=remote.sharing if remote else None,
        twin=twin,
        error=error,
        hint=hint,
        line=line,
    )


def _state_cell(states: Sequence[str]) -> tuple[str, str]:
    if not states:
        return "unknown", "red"
    return ", ".join(state.replace("_", " ") for state in states), _STYLES[PluginStatus(states[0])]


def _draw(rows: Sequence[Row], reporter: Reporter, terminal: Terminal, *, complete: bool) -> None:
    from owui_watch.reporting.tables import Drawing  # noqa: PLC0415 - JSON needs no rich

    drawing = Drawing(terminal.output, colours=terminal.colours, clean=reporter.hidden)
    cells = [
        (
            (row.plugin or row.path or "", ""),
            (row.kind or "", ""),
            (row.version or "", ""),
            (row.server_version or "", ""),
            _state_cell(row.states),
            (row.sharing or "", ""),
        )
        for row in rows
    ]
    drawing.table(("plugin", "kind", "file", "server", "state", "sharing"), cells)
    for row in rows:
        if row.error:
            drawing.line("")
            place = f"{row.path}:{row.line}" if row.line else row.path
            drawing.line(f"{place}: {row.error.splitlines()[0]}", "" if row.twin else "red")
            if row.hint:
                drawing.line(f"  {row.hint}")
    if not complete:
        reporter.report(Warned(NO_ADMIN))
