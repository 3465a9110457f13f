"""Two files that hold one plugin: they have the same id, or one looks like a copy of the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import nsmallest
from pathlib import Path, PurePath

from owui_watch.plugins.index import Entries
from owui_watch.plugins.model import Diagnostic, ParsedFile, Plugin, PluginKey
from owui_watch.plugins.paths import WatchedPaths
from owui_watch.plugins.source import lines_of

MOST_COMPARED = 20
"""Files of the same kind and title that a new plugin is compared with."""
_ALIKE = 0.9
"""Share of the lines of a file that a copy of it has."""
_FOLDERS_OF_COPIES = frozenset(
    {"build", "dist", "out", "archive", "archives", "backup", "backups", "old", "copy", "copies", "export", "exports"}
    | {"worktree", "worktrees"}
)


def clash(plugin: Plugin, other: ParsedFile, paths: WatchedPaths) -> Diagnostic:
    """Return the error of ``plugin`` whose id another file has too."""
    place = paths.relative(other.path)
    hint = "give one of them an id of its own: a line `id: other_name` in its header"
    if isinstance(other, Plugin) and bool(plugin.files) != bool(other.files):
        built = paths.below_root((other if plugin.files else plugin).path).as_posix()
        hint = (
            f"if {built} is built from the other file and its modules, ignore the built file "
            f'(`ignore = ["{built}"]`): owui-watch makes one file of them itself. Otherwise {hint}'
        )
    elif isinstance(other, Plugin) and are_alike(plugin.content, other.content):
        pattern = likelier_copy(*map(paths.below_root, (plugin.path, other.path)))
        hint = f'the two files are alike: ignore one of them (`ignore = ["{pattern}"]`), or {hint}'
    return Diagnostic(f"{place.as_posix()} has the same id, {plugin.id}", hint=hint, rule="id-clash")


def original_of(
    plugin: Plugin,
    entries: Entries,
    read: Callable[[Path], ParsedFile | None],
    is_known: Callable[[PluginKey], bool],
) -> Path | None:
    """Return the file that ``plugin`` looks like a copy of; None if it may be created.

    A copy has an inferred id, is not known (managed, or on the server), and has the kind, the title and nine tenths of
    the lines of another file in its folder. Of two new files the one with the longer name is the copy.
    """
    title = plugin.header.get("title")
    if not plugin.inferred or not title or is_known(plugin.key):
        return None
    twins = {
        other: entry.inferred and not is_known(entry.key)
        for other, entry in entries.titled(plugin.path.parent, title)
        if entry.kind is plugin.kind and entry.key != plugin.key
    }
    likeliest = nsmallest(MOST_COMPARED, twins, key=lambda path: (twins[path], len(path.stem), path.stem))
    for other in likeliest:
        comes_first = (len(other.stem), other.stem) < (len(plugin.path.stem), plugin.path.stem)
        original = None if twins[other] and not comes_first else read(other)
        if isinstance(original, Plugin) and are_alike(plugin.content, original.content):
            return other
    return None


def are_alike(text: str, other: str) -> bool:
    """Return whether ``text`` has nine tenths of the lines of ``other``, blank ones and white space at ends left out."""
    lines, wanted = _lines(text), _lines(other)
    return sum((lines & wanted).values()) >= _ALIKE * sum(wanted.values())


def copy_reason(original: str) -> str:
    """Say of a file why it is not created: it looks like a copy of the file at ``original``."""
    return f"looks like a copy of {original}: give it a title or an `id:` of its own"


def _lines(text: str) -> Counter[str]:
    return Counter(filter(None, map(str.rstrip, lines_of(text))))


def likelier_copy(one: PurePath, other: PurePath) -> str:
    """Return a glob for the likelier copy of two files: the one in a folder that is named so, else the deeper one."""
    copied = [path for path in (one, other) if any(part.lower() in _FOLDERS_OF_COPIES for part in path.parts[:-1])]
    path = copied[0] if len(copied) == 1 else max(one, other, key=lambda path: (len(path.parts), path))
    around = (other if path is one else one).parts[:-1]
    folders = path.parts[:-1]
    named = [end for end, part in enumerate(folders, 1) if part.lower() in _FOLDERS_OF_COPIES]
    differing = [end for end, part in enumerate(folders, 1) if part not in around]
    ends = named or differing
    return f"{'/'.join(folders[: ends[0]])}/" if ends else path.as_posix()
