"""Where a project begins and ends: what is watched, how far up its folders count, and which one keeps the memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from owui_watch.files.regular import folder_of
from owui_watch.settings.credentials import LOOKS_LIKE_KEY, SettingsError, looks_like_key

STATE_FOLDER = ".owui-watch"


def find_roots(paths: Sequence[Path], cwd: Path) -> tuple[Path, ...]:
    """Return what PATHs name, in an order that is not the one they were named in. Raises SettingsError."""
    if not paths:
        paths = [cwd / "plugins"] if (cwd / "plugins").is_dir() else [cwd]
    # Resolved: events name real paths, and the system watches a link itself, not what it leads to.
    roots = {_checked(cwd / path) for path in paths}
    return tuple(sorted(root for root in roots if roots.isdisjoint(root.parents)))


def find_base(roots: Sequence[Path], config: Path | None, cwd: Path) -> Path:
    """Return the folder of the settings file, else the current one: the first that holds all ``roots``.

    A whole file system as the current folder (a service's, a container's) is nobody's project: the names right below
    it, ``srv`` or ``home``, are the system's.
    """
    candidates = [config.parent] if config else []
    candidates += [cwd] if cwd != Path(cwd.anchor) else []
    for base in (folder.resolve() for folder in candidates):
        if all(root.is_relative_to(base) for root in roots):
            return base
    return folder_of(roots[0])


def find_home(roots: Sequence[Path], base: Path, config: Path | None) -> Path:
    """Return the folder whose ``.owui-watch/`` keeps the memory and the lock.

    One that has it already, so that neither another spelling of PATH nor a new settings file further up loses the
    memory: the nearest from a root upwards. Else that of the settings file, else the watched one.
    """
    folders = [folder_of(root) for root in roots]
    kept = (folder for start in folders for folder in _up_to(base, start) if (folder / STATE_FOLDER).is_dir())
    if (home := next(kept, None)) is not None:
        return home
    if config is not None:
        return config.parent.resolve()
    return Path(os.path.commonpath(folders)) if all(each.is_relative_to(base) for each in folders) else folders[0]


def _up_to(base: Path, start: Path) -> Iterator[Path]:
    """Yield ``start`` and the folders above it as far as ``base``; ``start`` alone where that lies elsewhere."""
    yield start
    yield from (folder for folder in start.parents if folder.is_relative_to(base))


def _checked(root: Path) -> Path:
    try:
        mode = root.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if looks_like_key(root.name):
            raise SettingsError(f"PATH ***: {LOOKS_LIKE_KEY}") from None
        raise SettingsError(f"{root}: there is no such file or folder") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{root}: can't be looked at: {getattr(error, 'strerror', error)}") from None
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise SettingsError(f"{root}: is neither a folder nor a file")
    real = root.resolve()
    advice = "which owui-watch doesn't watch: name the folder that holds your plugins"
    if real == Path(real.anchor):
        raise SettingsError(f"{root}: is a whole file system, {advice}")
    if real == Path(os.path.expanduser("~")).resolve():  # noqa: PTH111 - Path.home() raises where there is none
        raise SettingsError(f"{root}: is your whole home folder, {advice}")
    return real
