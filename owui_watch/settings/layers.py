"""Where settings are written down: finding and reading the files, and what each of the layers says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from owui_watch.settings.checks import Check
from owui_watch.settings.credentials import Layer, SettingsError, Source, without_keys

KEY_VARIABLE = "OPENWEBUI_API_KEY"
PREFIX = "OWUI_WATCH_"
_KEY_LIKE = r"(?i)(.*_)?(api_?key|key|token|jwt|secret|password|bearer|authorization)"
_KEY_BELONGS = f"an API key belongs into {KEY_VARIABLE}, in the environment or in .env, and nowhere else"
_OUR_NAMES = r"(?i)openwebui_|owui_watch_|api_key"


@dataclass(frozen=True, slots=True)
class Option:
    """What a setting takes and means. ``variables`` name it in the environment, ``env_names`` in ``.env`` alone."""

    name: str
    check: Check
    doc: str
    variables: tuple[str, ...]
    env_names: tuple[str, ...] = ()
    from_files: bool = True


@dataclass(frozen=True, slots=True)
class Given:
    """What one layer says. Relative paths in it start at ``base``. A variable that is empty says nothing."""

    layer: Layer
    values: Mapping[str, object]
    base: Path
    file: Path | None = None

    def read(self, option: Option) -> tuple[Source, Any] | None:
        """Return the checked value of ``option`` and where it stands; None where this layer is silent."""
        name = next((name for name in self._spellings(option) if self._says(name)), None)
        if name is None:
            return None
        spelled = f"--{name.replace('_', '-')}" if self.layer is Layer.FLAG else name
        source, value = Source(self.layer, spelled, self.file), self.values[name]
        if self.file is not None and not option.from_files:
            flag = f"--{option.name.replace('_', '-')}"
            raise SettingsError(
                f"{source}: a file can't set this: use {flag} or {option.variables[0]} in the environment"
            )
        if isinstance(value, str) and self.layer is not Layer.CONFIG:
            value = option.check.parse(value)
        try:
            return source, option.check.accept(value, self.base)
        except ValueError as error:
            raise SettingsError(f"{source}: {error}") from None

    @property
    def has_variables(self) -> bool:
        """Return whether names here are those of environment variables."""
        return self.layer in {Layer.ENVIRONMENT, Layer.ENV_FILE}

    def _spellings(self, option: Option) -> tuple[str, ...]:
        if self.has_variables:
            return option.variables + (option.env_names if self.layer is Layer.ENV_FILE else ())
        return (option.name,)

    def _says(self, name: str) -> bool:
        return name in self.values and not (self.has_variables and not str(self.values[name]).strip())


def first(layers: Iterable[Given], option: Option) -> tuple[Source, Any] | None:
    """Return what the first layer that isn't silent says."""
    return next((found for layer in layers if (found := layer.read(option))), None)


def upwards(name: str, start: Path) -> Iterator[Path]:
    """Yield the path of ``name`` in ``start`` and in every folder above it."""
    return (folder / name for folder in (start, *start.parents))


def find(candidates: Iterable[Path]) -> tuple[Path | None, tuple[Path, ...]]:
    """Return the first file that is there, and all the places looked at."""
    looked_at = []
    for candidate in dict.fromkeys(candidates):
        looked_at.append(candidate)
        if _is_there(candidate):
            return candidate, tuple(looked_at)
    return None, tuple(looked_at)


def named_file(path: Path, cwd: Path, flag: str) -> Path:
    """Return the file that ``flag`` names. Raises SettingsError where it isn't there."""
    path = cwd / path
    if not _is_there(path):
        raise SettingsError(f"flag {flag}: there is no such file: {path}")
    return path


def env_layer(path: Path | None, options: Mapping[str, Option]) -> tuple[Given, ...]:
    """Read a ``.env``, if there is one. Raises SettingsError, which never quotes the file."""
    if path is None:
        return ()
    layer = Given(Layer.ENV_FILE, _env_values(path), path.parent, path)
    refuse_unknown_variables(layer, options)
    return (layer,)


def config_layer(path: Path | None, options: Mapping[str, Option]) -> tuple[Given, ...]:
    """Read an ``owui-watch.toml``, if there is one. Raises SettingsError, also for a key that it doesn't know."""
    if path is None:
        return ()
    import tomllib  # noqa: PLC0415 - only where there is such a file

    try:
        table = tomllib.loads(_text(path))
    except ValueError as error:
        place = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
        where, what = (f":{place[1]}:{place[2]}", str(error)[: place.start()]) if place else ("", str(error))
        raise SettingsError(f"{path}{where}: isn't TOML: {what}") from None
    for name, value in table.items():
        inner = list(value) if isinstance(value, dict) and name not in options else []
        if secret := next((key for key in (name, *inner) if re.fullmatch(_KEY_LIKE, key.replace("-", "_"))), None):
            raise SettingsError(f"{path}: {secret}: {_KEY_BELONGS}; take it out of this file")
        if name not in options:
            advice = _did_you_mean(name.replace("-", "_"), options)
            raise SettingsError(f"{path}: {name}: there is no such setting{advice}")
    return (Given(Layer.CONFIG, table, path.parent, path),)


def refuse_unknown_flags(flags: Iterable[str], known: Iterable[str]) -> None:
    """Raise SettingsError for a flag that isn't known; one that would hold a key is told where keys belong."""
    known = list(known)
    for flag in flags:
        if flag not in known and re.fullmatch(_KEY_LIKE, flag.strip("-").replace("-", "_")):
            raise SettingsError(f"flag {flag}: {_KEY_BELONGS}: a command line can be seen by others")
        if flag not in known:
            advice = _did_you_mean(flag.replace("_", "-"), known)
            raise SettingsError(f"flag {without_keys(flag)}: there is no such flag{advice}")


def refuse_unknown_variables(layer: Given, options: Mapping[str, Option]) -> None:
    """Raise SettingsError for an ``OWUI_WATCH_…`` that isn't known. All other names are no business of ours."""
    known = [name for option in options.values() for name in option.variables]
    for name in layer.values:
        if name.upper().startswith(PREFIX) and name not in known:
            twin = f"OPENWEBUI_{name.upper().removeprefix(PREFIX)}"
            twin_known = twin in {*known, KEY_VARIABLE}
            advice = f": did you mean {twin}?" if twin_known else _did_you_mean(name.upper(), known)
            raise SettingsError(f"{Source(layer.layer, name, layer.file)}: there is no such setting{advice}")


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

    known = list(known)
    close = get_close_matches(name, known, n=1)
    return f": did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"


def _env_values(path: Path) -> dict[str, str]:
    from dotenv.parser import parse_stream  # noqa: PLC0415 - only where there is a .env

    values = {}
    for binding in parse_stream(StringIO(_text(path))):
        # Other programs use this file too, and may understand more: only a broken line that means us is an error.
        if binding.error and re.search(_OUR_NAMES, binding.original.string):
            blank = len(binding.original.string) - len(binding.original.string.lstrip())
            line = binding.original.line + binding.original.string[:blank].count("\n")
            raise SettingsError(f"{path}:{line}: can't be read: write NAME=value, with both quotes or none")
        if binding.key and binding.value is not None:
            values[binding.key] = binding.value
    return values


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror or 'the system refuses'}") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
    # Raised out here, since the decoder's error holds the file's bytes and would hang on as the context.
    raise SettingsError(f"{path}:{line}: isn't UTF-8: save the file in that encoding")


def _is_there(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except OSError:
        return False
