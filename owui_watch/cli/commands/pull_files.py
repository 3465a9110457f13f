"""Writes plugins of a server, or of an export, into the files of one folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from owui_watch import files
from owui_watch.cli.commands.pull_modules import Write, writes_new, writes_over
from owui_watch.cli.commands.pull_target import Ground, Place, find_place, place_at
from owui_watch.deployer.comparison import difference
from owui_watch.openwebui.remote import Remote
from owui_watch.plugins.bundle.bundle import Unbundled, unbundle
from owui_watch.plugins.frontmatter import parse_header
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import BrokenPlugin, Diagnostic, Plugin
from owui_watch.plugins.source import digest
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.console import shown_path
from owui_watch.settings import Settings
from owui_watch.state import Journal, Naming


@dataclass(frozen=True, slots=True)
class Pulled:
    """What became of one plugin: ``written``, ``unchanged`` or ``not written`` (``diagnostic`` says why).

    ``path`` is as it is shown, None if there is none; ``diff`` goes from the file to the server's copy. ``backup`` is
    the copy of a file that was overwritten.
    """

    word: str
    remote: Remote
    path: str | None
    diagnostic: Diagnostic | None = None
    diff: tuple[str, ...] = ()
    backup: str | None = None


class Puller:
    """Writes plugins into the one folder that ``settings`` name.

    ``local`` is what the files of ``tree`` hold now. ``journal`` is that of the server that the plugins come from; None
    for an export, which says nothing about any server.
    """

    def __init__(
        self,
        settings: Settings,
        tree: Tree,
        local: Mapping[Path, Plugin | BrokenPlugin],
        journal: Journal | None,
        *,
        cwd: Path,
        force: bool,
    ) -> None:
        self._root = settings.roots[0]
        self._libraries = settings.libraries
        self._tree = tree
        self._local = local
        self._journal = journal
        self._cwd = cwd
        self._force = force
        self._written: dict[Path, tuple[Remote, bytes | None]] = {}
        self._ground = Ground(
            Ignore(settings.ignore),
            lambda relative: os.path.lexists(self._root / relative),
            lambda relative: self._tree.assigned(self._root / relative),
        )

    def pull(self, remote: Remote) -> Pulled:
        """Write ``remote`` into the file that holds it now, else into a new one."""
        paths = self._tree.paths_of(remote.key)
        if len(paths) > 1:
            named = " and ".join(map(self._shown, paths))
            error = f"{named} have the same id, {remote.key.id}"
            return Pulled("not written", remote, None, Diagnostic(error, hint="give one of them an id of its own"))
        apart = unbundle(remote.content)
        if apart is not None and apart.key == remote.key:
            return self._pull_modules(remote, apart, paths[0] if paths else None)
        if paths:
            return self._pull_over(remote, paths[0])
        place = find_place(remote, self._ground)
        if isinstance(place, Diagnostic):
            return Pulled("not written", remote, None, place)
        return self._write(remote, self._root / place.relative, place)

    def _pull_over(self, remote: Remote, path: Path) -> Pulled:
        """Replace a file, if it is as it was deployed or if its changes may be overwritten (``--force``)."""
        local = self._local[path]
        held = digest(local.content) if isinstance(local, Plugin) else None
        if held == digest(remote.content):
            self._commit(remote, held)
            return Pulled("unchanged", remote, self._shown(path))
        place = place_at(remote, self._tree.relative(path), self._tree.assigned(path))
        if isinstance(place, Diagnostic):
            return Pulled("not written", remote, self._shown(path), place)
        raw = _read(path)
        if isinstance(raw, Diagnostic):
            return Pulled("not written", remote, self._shown(path), raw)
        source = f"server/{remote.key.space}/{remote.key.id}" if self._journal else f"export/{remote.key.id}"
        diff = difference(raw.decode("utf-8", "replace"), remote.content, self._shown(path), source)
        if self._journal is None:
            hint = "rename the file, or unpack into another folder (--to)"
            return Pulled("not written", remote, self._shown(path), Diagnostic("the file differs", hint=hint), diff)
        if not self._force and (held is None or held != self._journal.record(remote.key).digest):
            hint = "deploy it, or overwrite it with --force; a copy is kept"
            changed = Diagnostic("it has changes that are not on the server", hint=hint)
            return Pulled("not written", remote, self._shown(path), changed, diff)
        backup = self._journal.back_up_file(remote.key, raw)
        if backup is None:
            error = f"no copy of the file could be kept: {self._journal.trouble()}"
            return Pulled(
                "not written",
                remote,
                self._shown(path),
                Diagnostic(error, hint="free space there, or make the folder writable"),
            )
        pulled = self._write(remote, path, place)
        return replace(pulled, diff=diff, backup=self._shown(backup)) if pulled.word == "written" else pulled

    def _pull_modules(self, remote: Remote, apart: Unbundled, path: Path | None) -> Pulled:
        """Write each module of the server's copy that differs into its own file."""
        local = self._local[path] if path is not None else None
        held = digest(local.content) if isinstance(local, Plugin) else None
        content = digest(remote.content)
        if path is None:
            assigned = self._tree.assigned(self._root / apart.sections[0].name)
            found = writes_new(remote, apart, self._root, assigned)
        else:
            found = writes_over(apart, path, local.files if isinstance(local, Plugin) else {})
        shown = self._shown(path) if path is not None else None
        if isinstance(found, Diagnostic):
            return Pulled("not written", remote, shown, found)
        found = [write for write in found if not self._is_newer(write)]
        named = ", ".join(self._shown(write.path) for write in found)
        if (shared := next((write for write in found if write.path in self._written), None)) is not None:
            other, _ = self._written[shared.path]
            error = f"the server's {other.key.id}, just written, has other content of this module"
            hint = "keep the one that you want, and deploy both plugins"
            return Pulled("not written", remote, self._shown(shared.path), Diagnostic(error, hint=hint))
        if not found:
            self._commit(remote, content)
            return Pulled("unchanged", remote, shown)
        diff = tuple(line for write in found if write.before is not None for line in self._difference(remote, write))
        is_ours = self._journal is not None and held is not None and held == self._journal.record(remote.key).digest
        if path is not None and not self._force and not is_ours:
            hint = "deploy it, or overwrite them with --force; a copy is kept"
            error = "the files have changes that are not on the server"
            return Pulled("not written", remote, named, Diagnostic(error, hint=hint), diff)
        return self._write_modules(remote, found, named, diff)

    def _is_newer(self, write: Write) -> bool:
        """Return whether a plugin that shares this module has just brought an edit of what ``write`` holds."""
        _, before = self._written.get(write.path, (None, None))
        return before == write.raw

    def _write_modules(self, remote: Remote, found: list[Write], named: str, diff: tuple[str, ...]) -> Pulled:
        backup = None
        for write in found:
            if write.before is not None and self._journal is not None:
                backup = self._journal.back_up_file(remote.key, write.before)
                if backup is None:
                    error = f"no copy of {write.name} could be kept: {self._journal.trouble()}"
                    return Pulled(
                        "not written",
                        remote,
                        named,
                        Diagnostic(error, hint="free space there, or make the folder writable"),
                    )
            failure = self._replace(write.path, write.raw)
            if failure is not None:
                return Pulled("not written", remote, self._shown(write.path), failure)
            self._written[write.path] = (remote, write.before)
        self._commit(remote, digest(remote.content))
        return Pulled("written", remote, named, diff=diff, backup=self._shown(backup) if backup else None)

    def _difference(self, remote: Remote, write: Write) -> tuple[str, ...]:
        old, new = ((raw or b"").decode("utf-8", "replace") for raw in (write.before, write.raw))
        return difference(old, new, self._shown(write.path), f"server/{remote.key.space}/{remote.key.id}/{write.name}")

    def _write(self, remote: Remote, path: Path, place: Place) -> Pulled:
        failure = self._replace(path, place.raw)
        if failure is not None:
            return Pulled("not written", remote, self._shown(path), failure)
        self._commit(remote, digest(remote.content))
        return Pulled("written", remote, self._shown(path))

    def _replace(self, path: Path, raw: bytes) -> Diagnostic | None:
        """Write one file, below the folder to write into or a library of the project; say why if that fails."""
        target = Path(os.path.realpath(path))
        roots = [Path(os.path.realpath(root)) for root in (self._root, *self._libraries)]
        root = next((each for each in roots if target.is_relative_to(each)), None)
        if root is None:
            return Diagnostic(
                "a symlink leads out of the folder", hint="pull into the folder that the link leads to (--to)"
            )
        relative = target.relative_to(root)
        try:
            files.make_folder(root, relative.parent)
            files.replace(root, relative, raw, keep_mode=True)
        except OSError as error:
            return Diagnostic(f"can't be written: {error.strerror or error}")
        return None

    def _commit(self, remote: Remote, content: str) -> None:
        if self._journal is not None:
            header = parse_header(remote.content)
            naming = Naming(header.get("title") or remote.name, header.get("description") or remote.description)
            self._journal.commit(remote.key, content, naming=naming, updated_at=remote.updated_at)

    def _shown(self, path: Path) -> str:
        return shown_path(path, self._cwd)


def _read(path: Path) -> bytes | Diagnostic:
    try:
        raw = files.read_regular(path)
    except OSError as error:
        raw = error.strerror or str(error)
    return Diagnostic(f"can't be read: {raw}") if isinstance(raw, str) else raw
