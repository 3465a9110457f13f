"""The folders of a run: the watched roots, the project's base, the state folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from owui_watch.files import folder_of
from owui_watch.settings.masking import LOOKS_LIKE_KEY, SettingsError, looks_like_key, shown_name


def find_roots(paths: Sequence[Path], cwd: Path) -> tuple[Path, ...]:
    """Return the real paths that PATHs name, sorted, none inside another. Raises SettingsError."""
    if not paths:
        paths = [cwd / "plugins"] if (cwd / "plugins").is_dir() else [cwd]
    # Resolved: events name real paths, and the system watches a link itself, not its target.
    roots = {_checked(cwd / path) for path in paths}
    return tuple(sorted(root for root in roots if roots.isdisjoint(root.parents)))


def find_base(roots: Sequence[Path], config: Path | None, cwd: Path) -> Path:
    """Return the project's folder: that of the settings file, else the current one, if it holds all ``roots``.

    The root of a file system (the current folder of a service or a container) is no project: the folders right below
    it, ``srv`` or ``home``, are the system's.
    """
    candidates = [config.parent] if config else []
    candidates += [cwd] if cwd != Path(cwd.anchor) else []
    for base in (folder.resolve() for folder in candidates):
        if all(root.is_relative_to(base) for root in roots):
            return base
    return folder_of(roots[0])


def default_state_dir() -> Path | None:
    """Return the user's own folder for state (XDG_STATE_HOME on Linux); None if the user has no home folder."""
    from platformdirs import user_state_path  # noqa: PLC0415 - not needed when a folder is named

    path = user_state_path("owui-watch", appauthor=False)
    return (
        path if path.is_absolute() else None
    )  # platformdirs keeps a "~" that nothing replaces, and relative variables


def check_state_dir(state_dir: Path, roots: Sequence[Path]) -> None:
    """Raise SettingsError if ``state_dir`` is inside a watched folder: a clone could bring a memory of its own."""
    real = Path(os.path.realpath(state_dir))  # resolve() raises RuntimeError for a link to itself up to Python 3.12
    for root in roots:
        if real.is_relative_to(folder_of(root)):
            raise SettingsError(
                f"the state folder {state_dir} is inside the watched {root}: name a folder outside with --state-dir"
            )


def _checked(root: Path) -> Path:
    """Return the real path of ``root``. Raises SettingsError if owui-watch can't or shouldn't watch it."""
    name = shown_name(str(root))
    try:
        mode = root.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if looks_like_key(root.name):
            raise SettingsError(f"PATH ***: {LOOKS_LIKE_KEY}") from None
        raise SettingsError(f"{name}: there is no such file or folder") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{name}: can't be read: {getattr(error, 'strerror', error)}") from None
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise SettingsError(f"{name}: is neither a folder nor a file")
    real = root.resolve()
    advice = "which owui-watch doesn't watch: name the folder that holds your plugins"
    if real == Path(real.anchor):
        raise SettingsError(f"{name}: is a whole file system, {advice}")
    if real == Path(os.path.realpath(os.path.expanduser("~"))):  # noqa: PTH111 - Path.home() raises if there is none
        raise SettingsError(f"{name}: is your whole home folder, {advice}")
    return real
