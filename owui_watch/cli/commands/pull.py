"""``owui-watch pull [ID…]``: write functions and tools of a server, or of an export, into files."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path

import anyio

from owui_watch.cli.commands.pull_export import read_export
from owui_watch.cli.commands.pull_files import Pulled, Puller
from owui_watch.cli.errors import CommandError
from owui_watch.cli.local_and_remote import NO_ADMIN, LocalAndRemote, read_contents
from owui_watch.cli.sandbox_flag import on_running_sandbox
from owui_watch.cli.selected_plugins import plugin_files
from owui_watch.cli.settings_from_flags import NO_SERVER, current_folder, server_named, settings_from
from owui_watch.cli.terminal import Terminal
from owui_watch.openwebui.remote import Remote
from owui_watch.openwebui.session import Session
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.events import Warned
from owui_watch.reporting.tables import Drawing
from owui_watch.settings import Settings, SettingsError, without_keys
from owui_watch.state import own


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Pull; return 1 if something could not be written. Raises SettingsError and CommandError."""
    exports = [name for name in arguments.plugins if name.lower().endswith(".json")]
    ids = [name for name in arguments.plugins if name not in exports]
    with _folder(Path(arguments.to)):
        return _unpack(arguments, exports, ids, terminal) if exports else _pull(arguments, ids, terminal)


def _pull(arguments: argparse.Namespace, ids: Sequence[str], terminal: Terminal) -> int:
    server, _ = on_running_sandbox(arguments, paths=[arguments.to])
    settings = settings_from(arguments, os.environ, paths=[arguments.to], sandbox=server)
    reporter = terminal.reporter(settings, json=False)
    session = Session(settings, os.environ, reporter.hide)
    if server is None:
        reporter.report(server_named(settings))
    session.on_problem = lambda error, hint: reporter.report(Warned(error, hint))
    seen = anyio.run(_seen, settings, session)
    drawing = Drawing(terminal.output, colours=terminal.colours, clean=reporter.hidden)
    if not seen.complete:
        drawing.line(f"warning: {NO_ADMIN}", "yellow")
    remotes, unknown = _wanted([seen.remotes[key] for key in sorted(seen.remotes)], ids, "in the server's list")
    local = {each.path: each for each in seen.parsed}
    with own(settings, session.url) as owned:
        journal = owned.journal
        for warning in owned.warnings:
            drawing.line(f"warning: {warning}", "yellow")
        puller = Puller(settings, seen.tree, local, journal, cwd=current_folder(), force=arguments.force)
        pulled = [puller.pull(remote) for remote in remotes]
        journal.flush()
        trouble = journal.trouble()
    _draw(drawing, pulled, unknown, trouble)
    return _exit_code(pulled, unknown)


def _unpack(arguments: argparse.Namespace, exports: Sequence[str], ids: Sequence[str], terminal: Terminal) -> int:
    """Write the plugins of JSON exports into files. Talks to no server."""
    if arguments.force:
        raise SettingsError("--force: an export never overwrites a file; unpack it into another folder (--to)")
    settings = settings_from(arguments, os.environ, paths=[arguments.to], sandbox=NO_SERVER)
    tree = Tree.of(settings)
    local = {each.path: each for each in plugin_files(tree.scan(), ())}
    remotes: list[Remote] = []
    unusable: list[str] = []
    for name in exports:
        found, problems = read_export(Path(name))
        remotes += found
        unusable += problems
    wanted, unknown = _wanted(remotes, ids, "in the export")
    puller = Puller(settings, tree, local, None, cwd=current_folder(), force=False)
    pulled = [puller.pull(remote) for remote in wanted]
    drawing = Drawing(terminal.output, colours=terminal.colours, clean=terminal.secrets.hide)
    _draw(drawing, pulled, [*unknown, *unusable], None)
    return _exit_code(pulled, [*unknown, *unusable])


def _exit_code(pulled: Sequence[Pulled], unknown: Sequence[str]) -> int:
    return 1 if unknown or any(each.word == "not written" for each in pulled) else 0


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Create the folder to write into, and remove it again if nothing was written. Raises CommandError."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{folder} can't be written to: {error.strerror or error}: name another folder") from error
    try:
        yield
    finally:
        with suppress(OSError):  # a folder that holds something stays
            for each in made:
                each.rmdir()


async def _seen(settings: Settings, session: Session) -> LocalAndRemote[Remote]:
    try:
        return await read_contents(settings, session)
    finally:
        await session.server.close()


def _wanted(remotes: Sequence[Remote], ids: Sequence[str], where: str) -> tuple[list[Remote], list[str]]:
    """Return the plugins with these ids, or all if there are none, and a line for each id that is missing."""
    if not ids:
        return list(remotes), []
    there = {remote.key.id for remote in remotes}
    unknown = []
    for name in dict.fromkeys(ids):
        if name not in there:
            close = get_close_matches(name, there, n=1)
            advice = f": did you mean {close[0]}?" if close else ""
            unknown.append(f"{without_keys(name)} is not {where}{advice}")
    return [remote for remote in remotes if remote.key.id in ids], unknown


def _draw(drawing: Drawing, pulled: Sequence[Pulled], unknown: Sequence[str], trouble: str | None) -> None:
    for each in pulled:
        name = " ".join(filter(None, (each.remote.kind.value, each.remote.key.id, each.remote.version)))
        place = f"  {each.path}" if each.path else ""
        if each.word == "written":
            drawing.line(f"written      {name}{place}", "green")
            if each.backup:
                drawing.line(f"             the old file was copied to {each.backup}")
        elif each.diagnostic:
            drawing.line(f"not written  {name}{place}: {each.diagnostic.error}", "red")
            if each.diagnostic.hint:
                drawing.line(f"             {each.diagnostic.hint}")
        drawing.diff(each.diff)
    for line in unknown:
        drawing.line(f"not written  {line}", "red")
    if trouble:
        drawing.line(
            f"warning: {trouble}. This pull could not be recorded, so the next deploy copies the pulled plugins to the backups",
            "yellow",
        )
    counts = {word: sum(each.word == word for each in pulled) for word in ("written", "unchanged", "not written")}
    counts["not written"] += len(unknown)
    drawing.line(", ".join(f"{word} {count}" for word, count in counts.items()))
