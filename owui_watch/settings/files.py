"""Find and read the files that hold settings: ``.env`` and ``owui-watch.toml``.

Both may come with a cloned repository: they are read as regular files, with a cap, and no error quotes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from owui_watch.files import exists, is_folder, read_regular
from owui_watch.settings.masking import SettingsError, shown_name

CONFIG_NAME = "owui-watch.toml"
_LARGEST_ENV, _LARGEST_CONFIG = 64 * 1024, 128 * 1024
"""Bytes. The parsers of both take seconds for larger files that were made to be slow."""
_MOST_DOTS = 500
"""In a line of TOML: the time for a dotted key grows with the square of its parts (tomllib of Python 3.11)."""
_OUR_NAMES = re.compile(r"(?i)openwebui_|owui_watch_|api_key")


def upwards(name: str, start: Path) -> Iterator[Path]:
    """Yield the path of ``name`` in ``start`` and in every folder above it."""
    return (folder / name for folder in (start, *start.parents))


def find(candidates: Iterable[Path]) -> tuple[Path | None, tuple[Path, ...]]:
    """Return the first file that exists, and all the places searched."""
    searched = []
    for candidate in dict.fromkeys(candidates):
        searched.append(candidate)
        if _is_file(candidate):
            return candidate, tuple(searched)
    return None, tuple(searched)


def named_file(path: Path, cwd: Path, flag: str) -> Path:
    """Return the file that ``flag`` names. Raises SettingsError if it does not exist."""
    path = cwd / path
    if not _is_file(path):
        raise SettingsError(f"flag {flag}: there is no such file: {path}")
    return path


def read_env(path: Path) -> Mapping[str, str]:
    """Return the variables in a ``.env``. Raises SettingsError, which never quotes the file.

    Other programs read this file too, and may accept more: a broken line is an error only if it has a name of ours.
    """
    from dotenv.parser import parse_stream  # noqa: PLC0415 - only needed if there is a .env

    values = {}
    for binding in parse_stream(StringIO(_read_text(path, _LARGEST_ENV))):
        if binding.error and _OUR_NAMES.search(binding.original.string):
            blank = len(binding.original.string) - len(binding.original.string.lstrip())
            line = binding.original.line + binding.original.string[:blank].count("\n")
            raise SettingsError(f"{path}:{line}: can't be read: write NAME=value, with both quotes or none")
        if binding.key and binding.value is not None:
            values[binding.key] = binding.value
    return values


def read_config(path: Path) -> Mapping[str, Any]:
    """Return what is in an ``owui-watch.toml``. Raises SettingsError, with the line and the column."""
    import tomllib  # noqa: PLC0415 - only needed if there is such a file

    text = _read_text(path, _LARGEST_CONFIG)
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_DOTS:
            raise SettingsError(f"{path}:{number}: has more than {_MOST_DOTS} dots: write lists over several lines")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SettingsError(f"{path}: isn't TOML that owui-watch reads: it is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
        where, what = (f":{place[1]}:{place[2]}", str(error)[: place.start()]) if place else ("", str(error))
        raise SettingsError(f"{path}{where}: isn't TOML: {shown_name(what)}") from None
    except ValueError:
        raise SettingsError(f"{path}: isn't TOML that owui-watch reads: a number has too many digits") from None


def _is_file(path: Path) -> bool:
    """Return whether there is anything but a folder: what is no regular file gets a message when it is read."""
    return exists(path) and not is_folder(path)


def _read_text(path: Path, most: int) -> str:
    try:
        raw = read_regular(path, most)
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror or 'the system refuses'}") from None
    if isinstance(raw, str):
        raise SettingsError(f"{path}: can't be read: {raw}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
    # Raised outside of the handler: the decoder's error holds the file's bytes and would remain as the context.
    raise SettingsError(f"{path}:{line}: isn't UTF-8: save the file in that encoding")
