"""``owui-watch pull [ID…]``: write the server's functions and tools into files; never over a local change unasked."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import anyio

from owui_watch.cli.commands.pull_target import Ground, Place, find_place, place_at
from owui_watch.cli.errors import CommandError
from owui_watch.cli.run_settings import settings_from
from owui_watch.cli.sandboxed import on_running_sandbox
from owui_watch.cli.survey import NO_ADMIN, Survey, survey
from owui_watch.cli.terminal import Terminal
from owui_watch.deployer.comparison import difference
from owui_watch.files import make_folder
from owui_watch.files import replace as replace_file
from owui_watch.openwebui.remote import Remote
from owui_watch.openwebui.session import Session
from owui_watch.plugins.content import digest
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import Diagnostic, Plugin
from owui_watch.reporting.log import Reporter
from owui_watch.reporting.tables import Drawing
from owui_watch.settings import Settings, without_keys
from owui_watch.state import Journal, own


@dataclass(frozen=True, slots=True)
class Pulled:
    """What became of one plugin: ``written``, ``unchanged`` or ``not written`` (``fault`` says why).

    ``path`` is as it is shown, None where there is none; ``diff`` goes from the file to the server's copy. ``backup``
    is where a file that was overwritten is kept.
    """

    word: str
    remote: Remote
    path: str | None
    diagnostic: Diagnostic | None = None
    diff: tuple[str, ...] = ()
    backup: str | None = None


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Pull; return 1 if something could not be written. Raises SettingsError and CommandError."""
    with _folder(Path(arguments.to)):
        server, _ = on_running_sandbox(arguments, paths=[arguments.to])
        settings = settings_from(arguments, os.environ, paths=[arguments.to], sandbox=server)
        reporter = terminal.reporter(settings, json=False)
        session = Session(settings, os.environ, reporter.hide)
        seen = anyio.run(_seen, settings, session)
        drawing = Drawing(terminal.output, colours=terminal.colours, clean=reporter.hidden)
        if not seen.complete:
            drawing.line(f"warning: {NO_ADMIN}", "yellow")
        remotes, unknown = _wanted(seen, arguments.plugins)
        with own(settings, session.url) as owned:
            journal = owned.journal
            puller = _Puller(settings, seen, journal, reporter, force=arguments.force)
            pulled = [puller.pull(remote) for remote in remotes]
            journal.flush()
            trouble = journal.trouble()
        _draw(drawing, pulled, unknown, trouble)
    return 1 if unknown or any(each.word == "not written" for each in pulled) else 0


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make the folder that is written to, and take it away again where nothing came of it. Raises CommandError."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{folder} can't be written to: {error.strerror or error}: name another folder") from error
    try:
        yield
    finally:
        with suppress(OSError):  # raised for the first one that holds something
            for each in made:
                each.rmdir()


async def _seen(settings: Settings, session: Session) -> Survey:
    try:
        return await survey(settings, session)
    finally:
        await session.server.close()


def _wanted(seen: Survey, ids: Sequence[str]) -> tuple[list[Remote], list[str]]:
    """Choose what was asked for, or all; and say which ids the server does not have."""
    remotes = [seen.there[key] for key in sorted(seen.there)]
    if not ids:
        return remotes, []
    there = {remote.key.id for remote in remotes}
    unknown = []
    for name in dict.fromkeys(ids):
        if name not in there:
            close = get_close_matches(name, there, n=1)
            advice = f": did you mean {close[0]}?" if close else ""
            unknown.append(f"{without_keys(name)} is not on the server{advice}")
    return [remote for remote in remotes if remote.key.id in ids], unknown


class _Puller:
    """Writes plugins into the one folder that ``settings`` name."""

    def __init__(self, settings: Settings, seen: Survey, journal: Journal, reporter: Reporter, *, force: bool) -> None:
        self._root = settings.roots[0]
        self._tree = seen.tree
        self._journal = journal
        self._reporter = reporter
        self._force = force
        self._ground = Ground(
            Ignore(settings.ignore),
            lambda relative: os.path.lexists(self._root / relative),
            lambda relative: self._tree.assigned(self._root / relative),
        )
        self._local = {reading.path: reading for reading in seen.readings}

    def pull(self, remote: Remote) -> Pulled:
        """Write ``remote`` to where it stands already, else to a place of its own."""
        paths = self._tree.paths_of(remote.key)
        if len(paths) > 1:
            named = " and ".join(self._reporter.path(path) for path in paths)
            diagnostic = Diagnostic(
                f"{named} have the same id, {remote.key.id}", hint="give one of them an id of its own"
            )
            return Pulled("not written", remote, None, diagnostic)
        if paths:
            return self._pull_over(remote, paths[0])
        place = find_place(remote, self._ground)
        if isinstance(place, Diagnostic):
            return Pulled("not written", remote, None, place)
        return self._written(remote, self._root / place.relative, place)

    def _pull_over(self, remote: Remote, path: Path) -> Pulled:
        """Take the server's copy over a file, which must be as it was deployed, or its change may go (``--force``)."""
        local = self._local[path]
        held = digest(local.content) if isinstance(local, Plugin) else None
        if held == digest(remote.content or ""):
            self._journal.commit(remote.key, held)
            return Pulled("unchanged", remote, self._reporter.path(path))
        place = place_at(remote, self._tree.relative(path), self._tree.assigned(path))
        if isinstance(place, Diagnostic):
            return Pulled("not written", remote, self._reporter.path(path), place)
        raw = path.read_bytes()
        text = raw.decode("utf-8", "replace")
        names = self._reporter.path(path), f"server/{remote.key.space}/{remote.key.id}"
        diff = difference(text, remote.content or "", *names)
        if not self._force and (held is None or held != self._journal.record(remote.key).digest):
            diagnostic = Diagnostic(
                "it has changes that are not on the server", hint="deploy it, or pull --force to lose them"
            )
            return Pulled("not written", remote, self._reporter.path(path), diagnostic, diff)
        backup = self._journal.back_up(remote.key, raw)
        if backup is None:
            diagnostic = Diagnostic(
                f"no copy of the file could be kept: {self._journal.trouble()}", hint="free the folder"
            )
            return Pulled("not written", remote, self._reporter.path(path), diagnostic)
        pulled = self._written(remote, path, place)
        return replace(pulled, diff=diff, backup=self._reporter.path(backup)) if pulled.word == "written" else pulled

    def _written(self, remote: Remote, path: Path, place: Place) -> Pulled:
        shown = self._reporter.path(path)
        root, target = Path(os.path.realpath(self._root)), Path(os.path.realpath(path))
        if not target.is_relative_to(root):
            diagnostic = Diagnostic(
                "a symlink leads it out of the folder", hint="pull into the folder that it leads to (--to)"
            )
            return Pulled("not written", remote, shown, diagnostic)
        try:
            make_folder(root, target.relative_to(root).parent)
            replace_file(root, target.relative_to(root), place.raw, keep_mode=True)
        except OSError as error:
            return Pulled("not written", remote, shown, Diagnostic(f"can't be written: {error.strerror or error}"))
        self._journal.commit(remote.key, digest(remote.content or ""))
        return Pulled("written", remote, shown)


def _draw(drawing: Drawing, pulled: Sequence[Pulled], unknown: Sequence[str], trouble: str | None) -> None:
    for each in pulled:
        name = " ".join(filter(None, (each.remote.kind.value, each.remote.key.id, each.remote.version)))
        place = f"  {each.path}" if each.path else ""
        if each.word == "written":
            drawing.line(f"written      {name}{place}", "green")
            if each.backup:
                drawing.line(f"             the file as it was is in {each.backup}")
        elif each.diagnostic:
            drawing.line(f"not written  {name}{place}: {each.diagnostic.error}", "red")
            if each.diagnostic.hint:
                drawing.line(f"             {each.diagnostic.hint}")
        drawing.diff(each.diff)
    for line in unknown:
        drawing.line(f"not written  {line}", "red")
    if trouble:
        drawing.line(f"warning: {trouble}: the next deploy will take what was pulled for someone else's", "yellow")
    counts = {word: sum(each.word == word for each in pulled) for word in ("written", "unchanged", "not written")}
    counts["not written"] += len(unknown)
    drawing.line(", ".join(f"{word} {count}" for word, count in counts.items()))
