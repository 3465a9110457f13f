"""What a setting may hold. A check reads a value, or says what is wrong with it in words that can be shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PureWindowsPath
from types import MappingProxyType

from owui_watch.settings.credentials import normalised_url, shown

_SWITCH_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@dataclass(frozen=True, slots=True)
class Check:
    """How one setting is read.

    ``accept`` takes a value as TOML gives it, and the folder that relative paths in it start at; it gives the setting
    or raises ValueError. ``parse`` brings text (a flag's, a variable's) into the form TOML would give it in; what it
    can't read it leaves as it is, for ``accept`` to refuse.
    """

    accept: Callable[[object, Path], object]
    parse: Callable[[str], object] = str


def server() -> Check:
    """Take the address of a server."""

    def accept(value: object, _base: Path) -> str:
        if not isinstance(value, str):
            raise ValueError(f"must be a URL in quotes, not {shown(value)}")
        return normalised_url(value)

    return Check(accept)


def number(low: float, high: float = math.inf, *, unit: str = "", whole: bool = False) -> Check:
    """Take a number from ``low`` to ``high``, both included; an infinite one never."""
    limits = f"from {low:g} to {high:g}" if high < math.inf else f"of {low:g} or more"
    wanted = f"must be a {'whole ' if whole else ''}number {f'of {unit} ' if unit else ''}{limits}"

    def accept(value: object, _base: Path) -> float:
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or not isinstance(value, int | float) or not low <= value <= high or value == math.inf:
            raise ValueError(f"{wanted}, not {shown(value)}")
        return value if whole else float(value)

    def parse(text: str) -> object:
        for read in (int, float):
            try:
                return read(text)
            except ValueError:
                continue
        return text

    return Check(accept, parse)


def switch() -> Check:
    """Take true or false."""

    def accept(value: object, _base: Path) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {shown(value)}")
        return value

    return Check(accept, lambda text: _SWITCH_WORDS.get(text.strip().lower(), text))


def choice(among: type[StrEnum]) -> Check:
    """Take one of a few words."""

    def accept(value: object, _base: Path) -> StrEnum:
        if isinstance(value, str) and value in list(among):
            return among(value)
        from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

        close = get_close_matches(str(value).lower(), list(among), n=1)
        advice = f": did you mean {close[0]!s}?" if close else ""
        raise ValueError(f"must be {' or '.join(among)}, not {shown(value)}{advice}")

    return Check(accept, lambda text: text.strip().lower())


def globs() -> Check:
    """Take a list of globs; in text they are separated by commas."""

    def accept(value: object, _base: Path) -> tuple[str, ...]:
        items = value if isinstance(value, list | tuple) else (value,)
        texts = tuple(item for item in items if isinstance(item, str) and item.strip())
        if items is not value or len(texts) < len(items):
            raise ValueError(f'must be a list of globs, like ["drafts/**", "*_old.py"], not {shown(value)}')
        return texts

    return Check(accept, lambda text: [part.strip() for part in text.split(",") if part.strip()])


def existing_file() -> Check:
    """Take a PEM file of certificates that is there. ``~`` is the home folder."""

    def accept(value: object, base: Path) -> Path:
        if not isinstance(value, str | Path) or not str(value).strip():
            raise ValueError(f"must be the path of a file, not {shown(value)}")
        path = base / _expanded(Path(value))
        if not path.is_file():
            raise ValueError(f"there is no such file: {path}")
        import ssl  # noqa: PLC0415 - only where there is such a file

        try:
            ssl.create_default_context(cafile=path)
        except OSError as error:
            raise ValueError(f"holds no certificate in PEM form that can be read: {path} ({error.strerror})") from None
        return path

    return Check(accept)


def folder() -> Check:
    """Take the path of a folder, which need not exist. ``~`` is the home folder."""

    def accept(value: object, base: Path) -> Path:
        if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
            raise ValueError(f"must be the path of a folder, not {shown(value)}")
        return base / _expanded(Path(value))

    return Check(accept)


def folders() -> Check:
    """Take a list of folders below the one that relative paths start at, links resolved."""

    def accept(value: object, base: Path) -> tuple[Path, ...]:
        items = value if isinstance(value, list | tuple) else ()
        if items is not value or not all(isinstance(item, str) and item.strip() for item in items):
            raise ValueError(f'must be a list of folders, like ["shared"], not {shown(value)}')
        return tuple(dict.fromkeys(_folder_below(item, base) for item in items))

    return Check(accept)


def _folder_below(item: str, base: Path) -> Path:
    try:
        real, base = (base / item).resolve(), base.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links (RuntimeError up to Python 3.12), a null character
        raise ValueError(f"there is no such folder: {shown(item)}") from None
    if not real.is_relative_to(base) or real == base:
        raise ValueError(f"{shown(item)} must be a folder below {base}, also once links are resolved")
    if not real.is_dir():
        raise ValueError(f"there is no such folder: {shown(item)}")
    return real


def assigned_ids() -> Check:
    """Take a table from a file's path to its id."""

    def accept(value: object, _base: Path) -> MappingProxyType[str, str]:
        if not isinstance(value, dict):
            raise ValueError(f'must be a table, [ids], with lines like "filters/foo.py" = "my_id", not {shown(value)}')
        return MappingProxyType({_relative(path): _id(path, assigned) for path, assigned in value.items()})

    return Check(accept)


def _relative(path: str) -> str:
    pure = PureWindowsPath(path)  # takes / and \ alike, and knows an absolute path of either world
    if pure.anchor or ".." in pure.parts or pure.suffix != ".py":
        wanted = "the path of a .py file in quotes, or its end"
        raise ValueError(f"{shown(path)} must be {wanted}")
    return pure.as_posix()


def _id(path: str, assigned: object) -> str:
    if not isinstance(assigned, str) or not assigned.strip():
        raise ValueError(f"the id of {shown(path)} must be a text in quotes, not {shown(assigned)}")
    return assigned


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        return path
