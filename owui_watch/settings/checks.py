"""The values that a setting may have. A check returns the value, or raises ValueError with a text for the user."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PureWindowsPath
from types import MappingProxyType

from owui_watch.files import read_regular
from owui_watch.settings.masking import shown
from owui_watch.settings.urls import normalised_url

_LARGEST_AUTHORITY = 4 * 2**20
"""Bytes. The authorities of all browsers together are 250 kB."""
_LONGEST_WORD = 100
"""Characters that are compared for a "did you mean": difflib's time grows with the square of them."""
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

    ``accept`` takes a value in the form that TOML gives it, and the folder that relative paths start at; it returns the
    setting or raises ValueError. ``parse`` brings the text of a flag or a variable into the form of TOML; text that it
    can't read it returns unchanged, for ``accept`` to refuse.
    """

    accept: Callable[[object, Path], object]
    parse: Callable[[str], object] = str


def server() -> Check:
    """Accept the address of a server."""

    def accept(value: object, _base: Path) -> str:
        if not isinstance(value, str):
            raise ValueError(f"must be a URL in quotes, not {shown(value)}")
        return normalised_url(value)

    return Check(accept)


def number(low: float, high: float = math.inf, *, unit: str = "", whole: bool = False) -> Check:
    """Accept a number from ``low`` to ``high``, both included, but never infinity."""
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
    """Accept true or false."""

    def accept(value: object, _base: Path) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {shown(value)}")
        return value

    return Check(accept, lambda text: _SWITCH_WORDS.get(text.strip().lower(), text))


def choice(among: type[StrEnum]) -> Check:
    """Accept one of a few words."""

    def accept(value: object, _base: Path) -> StrEnum:
        if isinstance(value, str) and value in list(among):
            return among(value)
        from difflib import get_close_matches  # noqa: PLC0415 - only needed for an error

        word = value[:_LONGEST_WORD].lower() if isinstance(value, str) else ""
        close = get_close_matches(word, list(among), n=1)
        advice = f": did you mean {close[0]!s}?" if close else ""
        raise ValueError(f"must be {' or '.join(among)}, not {shown(value)}{advice}")

    return Check(accept, lambda text: text.strip().lower())


def globs() -> Check:
    """Accept a list of globs; in text they are separated by commas."""

    def accept(value: object, _base: Path) -> tuple[str, ...]:
        items = value if isinstance(value, list | tuple) else (value,)
        texts = tuple(item for item in items if isinstance(item, str) and item.strip())
        if items is not value or len(texts) < len(items):
            raise ValueError(f'must be a list of globs, like ["drafts/**", "*_old.py"], not {shown(value)}')
        for text in texts:
            if not _is_glob(text):
                raise ValueError(f"{shown(text)} is not a glob: write it as in a .gitignore")
        return texts

    return Check(accept, lambda text: [part.strip() for part in text.split(",") if part.strip()])


def _is_glob(text: str) -> bool:
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - 20 ms of a start, and most settings ignore nothing

    try:
        GitIgnoreSpec.from_lines([text])
    except (ValueError, re.error):
        return False
    return True


def authority_file() -> Check:
    """Accept an existing PEM file of certificates. ``~`` is the home folder."""

    def accept(value: object, base: Path) -> Path:
        path = _path(value, base, "file")
        try:
            content = read_regular(path, _LARGEST_AUTHORITY)
        except FileNotFoundError:
            raise ValueError(f"there is no such file: {path}") from None
        except OSError as error:
            raise ValueError(f"can't be read: {path} ({error.strerror})") from None
        if isinstance(content, str):
            raise ValueError(f"can't be read: {path} ({content})")
        import ssl  # noqa: PLC0415 - only needed if there is such a file

        try:
            ssl.create_default_context(cadata=content.decode("ascii", errors="replace"))
        except (OSError, ValueError):
            raise ValueError(f"has no certificate in PEM form that can be read: {path}") from None
        return path

    return Check(accept)


def _path(value: object, base: Path, what: str) -> Path:
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise ValueError(f"must be the path of a {what}, not {shown(value)}")
    try:
        return base / Path(value).expanduser()
    except RuntimeError:  # there is no home folder
        return base / value


def folder() -> Check:
    """Accept the path of a folder, which need not exist. ``~`` is the home folder."""

    def accept(value: object, base: Path) -> Path:
        return _path(value, base, "folder")

    return Check(accept)


def assigned_ids() -> Check:
    """Accept a table from a file's path to its id."""

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
