"""Where the files of a plugin of many files are written: one file for each module of the server's copy."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from owui_watch.cli.commands.pull_target import encoded, is_writable
from owui_watch.openwebui.remote import Remote
from owui_watch.plugins.bundle.bundle import Unbundled
from owui_watch.plugins.frontmatter import parse_header
from owui_watch.plugins.ids import plugin_id
from owui_watch.plugins.model import Diagnostic

_PART = re.compile(r"[^\W.][\w .()+-]*")
"""One part of a path. The server's text is untrusted: no hidden files, no ``..``, no separators of any system."""


@dataclass(frozen=True, slots=True)
class Write:
    """A file to write. ``before`` is what it holds now; None if it is not there."""

    name: str
    path: Path
    raw: bytes
    before: bytes | None


def writes_over(apart: Unbundled, plugin: Path, files: Mapping[str, Path]) -> list[Write] | Diagnostic:
    """Return the files that differ from the server's copy, for a plugin whose own file is ``plugin``.

    ``files`` are its files by their names, as far as they are known.
    """
    entry = apart.sections[0].name
    if not plugin.as_posix().endswith(f"/{entry}"):
        hint = "rename one of them, or pull into another folder (--to)"
        return Diagnostic(f"on the server its own file is {entry}, here it is {plugin.name}", hint=hint)
    base = plugin.parents[entry.count("/")]
    return _writes(apart, {section.name: files.get(section.name, base / section.name) for section in apart.sections})


def writes_new(remote: Remote, apart: Unbundled, root: Path, assigned: str | None) -> list[Write] | Diagnostic:
    """Return all files, for a plugin that has none below ``root`` yet."""
    entry = apart.sections[0]
    is_whole_tree = entry.name.startswith(f"{root.name}/")
    own = root.parent if is_whole_tree else root / f"{remote.kind}s"
    places = {
        section.name: (root if section.name.partition("/")[0] in apart.libraries else own) / section.name
        for section in apart.sections
    }
    relative = places[entry.name].relative_to(root)
    found = plugin_id(relative, parse_header(entry.text), assigned)
    if isinstance(found, Diagnostic) or found.id != remote.key.id:
        hint = f'add under [ids] in owui-watch.toml: "{relative.as_posix()}" = "{remote.key.id}"'
        return Diagnostic(f"a file {relative.as_posix()} would have another id than {remote.key.id}", hint=hint)
    writes = _writes(apart, places)
    if isinstance(writes, list) and (taken := next((each for each in writes if each.before is not None), None)):
        return Diagnostic(f"{taken.name} is another file", hint="rename it, or pull into another folder (--to)")
    return writes


def _writes(apart: Unbundled, places: Mapping[str, Path]) -> list[Write] | Diagnostic:
    writes = []
    for section in apart.sections:
        parts = PurePosixPath(section.name).parts
        if not all(map(_PART.fullmatch, parts)) or not is_writable(PurePosixPath(section.name)):
            return Diagnostic(f"“{section.name}” can't be the name of a file", hint="fix it in Open WebUI's editor")
        raw = encoded(section.text)
        if raw is None:
            return Diagnostic(f"{section.name} has characters that no file can hold", hint="fix it in Open WebUI")
        before = _read(places[section.name])
        if isinstance(before, Diagnostic):
            return before
        if before != raw:
            writes.append(Write(section.name, places[section.name], raw, before))
    return writes


def _read(path: Path) -> bytes | Diagnostic | None:
    if not os.path.lexists(path):
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        return Diagnostic(f"{path.name} can't be read: {error.strerror or error}")
