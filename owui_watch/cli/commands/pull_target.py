"""From a server's plugin to a file that is that plugin: where it goes, and the bytes that read the same."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from owui_watch.openwebui.remote import Remote
from owui_watch.plugins.content import digest
from owui_watch.plugins.ids import normalise
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import Diagnostic, NotPlugin, Plugin
from owui_watch.plugins.parsing import read_plugin

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever ending they have."""
LONGEST = 200
"""Bytes of a name that every file system takes, an ending and a backup's number included."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a plugin goes: ``relative`` is below the folder that is written to; ``raw`` are the file's bytes."""

    relative: PurePath
    raw: bytes


@dataclass(frozen=True, slots=True)
class Ground:
    """The folder that is written to: what it passes over, which paths are taken, and ids that the settings assign."""

    ignore: Ignore
    taken: Callable[[PurePath], bool]
    assigned: Callable[[PurePath], str | None]


def find_place(remote: Remote, ground: Ground) -> Place | Diagnostic:
    """Find where ``remote`` can be written so that the file has its id and content; a Diagnostic says why nowhere.

    Nothing that a server says becomes a path unchecked.
    """
    name = remote.key.id
    if not name.isidentifier() or normalise(name) != name:
        return Diagnostic(
            f"its id “{name}” can't be a file's: owui-watch takes lower-case identifiers only",
            hint="in Open WebUI, save a copy of it under another id",
        )
    fit = [each for each in _candidates(remote) if _is_writable(each) and not ground.ignore.file(each)]
    free = [each for each in fit if not ground.taken(each)]
    places = [place_at(remote, relative, ground.assigned(relative)) for relative in free]
    if (place := next((each for each in places if isinstance(each, Place)), None)) is not None:
        return place
    if fit and not free:
        return Diagnostic(
            f"another file stands at {fit[0].as_posix()}", hint="rename it, or pull into another folder (--to)"
        )
    return (
        places[0]
        if places
        else Diagnostic("no file can have its name", hint="pull it into a folder with other `ignore`s")
    )


def place_at(remote: Remote, relative: PurePath, assigned: str | None) -> Place | Diagnostic:
    """Read the file before it is written to ``relative``: it must be this plugin, and hold what the server holds."""
    raw = _encoded(remote.content or "")
    if raw is None:
        return Diagnostic("its content holds characters that no file can hold", hint="mend it in Open WebUI's editor")
    reading = read_plugin(raw, Path(relative), relative, assigned)
    if isinstance(reading, NotPlugin):
        return Diagnostic(
            f"what the server holds is no plugin: {reading.reason}", hint="mend it in Open WebUI's editor"
        )
    if reading.key != remote.key:
        return _other_id(remote, relative)
    if isinstance(reading, Plugin) and digest(reading.content) != digest(remote.content or ""):
        return Diagnostic("a file of it would read differently: it begins with a byte-order mark, or names an encoding")
    return Place(relative, raw)  # one with errors too: it is what its author wants to mend


def _candidates(remote: Remote) -> Iterator[PurePath]:
    """Return a file of its own name; one in a folder of that name; one that no system keeps for itself."""
    folder, name = PurePath(f"{remote.kind}s"), remote.key.id
    yield folder / f"{name}.py"
    yield folder / name / f"{remote.kind}.py"
    yield folder / f"{name}_{remote.kind}.py"


def _is_writable(relative: PurePath) -> bool:
    stems = [part.removesuffix(".py") for part in relative.parts]
    return not any(_RESERVED.fullmatch(stem) or len(stem.encode()) > LONGEST for stem in stems)


def _encoded(content: str) -> bytes | None:
    """Return the bytes that Python, and owui-watch, read as ``content``; a coding line in it counts."""
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
        f"a file of it would have another id than {remote.key.id}: by its header, or since no file name makes this id",
        hint=f'write under [ids] in owui-watch.toml: "{relative.as_posix()}" = "{remote.key.id}"',
    )
