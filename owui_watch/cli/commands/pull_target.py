"""Where a plugin of the server may be written, so that the file has its id and its content."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from owui_watch.openwebui.remote import Remote
from owui_watch.plugins.ids import normalise
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import Diagnostic, NotPlugin, Plugin
from owui_watch.plugins.reader import read_plugin
from owui_watch.plugins.source import digest

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
"""Names that Windows reserves for devices, with any suffix."""
LONGEST = 200
"""Bytes of a file name that every file system accepts, with room for a suffix and the number of a backup."""
_OTHER_ID = "in Open WebUI, save a copy under another id"


@dataclass(frozen=True, slots=True)
class Place:
    """A file for a plugin: ``relative`` to the folder to write into; ``raw`` is its content."""

    relative: PurePath
    raw: bytes


@dataclass(frozen=True, slots=True)
class Ground:
    """The folder to write into: what it ignores, which paths are taken, and the ids that the settings assign."""

    ignore: Ignore
    taken: Callable[[PurePath], bool]
    assigned: Callable[[PurePath], str | None]


def find_place(remote: Remote, ground: Ground) -> Place | Diagnostic:
    """Find a file for ``remote`` that has its id and content; a Diagnostic says why there is none.

    No text of the server becomes a path unchecked.
    """
    name = remote.key.id
    if not name.isidentifier() or normalise(name) != name:
        return Diagnostic(
            f"its id “{name}” can't be that of a file: owui-watch accepts lower-case identifiers only",
            hint=_OTHER_ID,
        )
    writable = [each for each in _candidates(remote) if is_writable(each)]
    if not writable:
        return Diagnostic(f"its id has more than {LONGEST} bytes, too many for a file's name", hint=_OTHER_ID)
    fit = [each for each in writable if not ground.ignore.passes_over(each)]
    free = [each for each in fit if not ground.taken(each)]
    places = [place_at(remote, relative, ground.assigned(relative)) for relative in free]
    if (place := next((each for each in places if isinstance(each, Place)), None)) is not None:
        return place
    if fit and not free:
        return Diagnostic(f"{fit[0].as_posix()} is another file", hint="rename it, or pull into another folder (--to)")
    return (
        places[0]
        if places
        else Diagnostic(
            "the setting `ignore` excludes every file name for it",
            hint="change `ignore`, or pull into another folder (--to)",
        )
    )


def place_at(remote: Remote, relative: PurePath, assigned: str | None) -> Place | Diagnostic:
    """Check the file before it is written to ``relative``: it must be this plugin and have the server's content."""
    raw = encoded(remote.content or "")
    if raw is None:
        return Diagnostic("its content has characters that no file can hold", hint="fix it in Open WebUI's editor")
    reading = read_plugin(raw, Path(relative), relative, assigned, is_known=lambda key: key == remote.key)
    if isinstance(reading, NotPlugin):
        return Diagnostic(
            f"the server's content is not a plugin: {reading.reason}", hint="fix it in Open WebUI's editor"
        )
    if reading.key != remote.key:
        return _other_id(remote, relative)
    if isinstance(reading, Plugin) and digest(reading.content) != digest(remote.content or ""):
        return Diagnostic("a file can't hold it unchanged: it begins with a byte-order mark, or names an encoding")
    return Place(relative, raw)  # also with errors: its author wants to fix it


def _candidates(remote: Remote) -> Iterator[PurePath]:
    """Yield a file named after the id, one in a folder of that name, one with a name that no system reserves."""
    folder, name = PurePath(f"{remote.kind}s"), remote.key.id
    yield folder / f"{name}.py"
    yield folder / name / f"{remote.kind}.py"
    yield folder / f"{name}_{remote.kind}.py"


def is_writable(relative: PurePath) -> bool:
    """Return whether every system can hold a file of this name."""
    stems = [part.removesuffix(".py") for part in relative.parts]
    return not any(_RESERVED.fullmatch(stem) or len(stem.encode()) > LONGEST for stem in stems)


def encoded(content: str) -> bytes | None:
    """Return the bytes that Python reads as ``content``, in the encoding that its coding line names."""
    try:
        raw = content.encode()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        return raw if encoding in {"utf-8", "utf-8-sig"} else content.encode(encoding)
    except SyntaxError:
        return content.encode()
    except (UnicodeError, LookupError):
        return None


def _other_id(remote: Remote, relative: PurePath) -> Diagnostic:
    return Diagnostic(
        f"a file with this content would have another id than {remote.key.id}",
        hint=f'add under [ids] in owui-watch.toml: "{relative.as_posix()}" = "{remote.key.id}"',
    )
