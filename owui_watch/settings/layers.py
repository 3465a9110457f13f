"""One layer of settings: what the flags, the environment or a file say, and names that nobody knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owui_watch.settings.checks import Check
from owui_watch.settings.credentials import Layer, Source
from owui_watch.settings.files import read_config, read_env
from owui_watch.settings.masking import SettingsError, shown_name

KEY_VARIABLE = "OPENWEBUI_API_KEY"
PREFIX = "OWUI_WATCH_"
_KEY_LIKE = re.compile(r"(?i)([^\n]*_)?(api_?key|key|token|jwt|secret|password|bearer|authorization)")
_LONGEST_NAME = 200
"""Characters that are compared for a "did you mean": difflib's time grows with the square of them."""
_KEY_BELONGS = f"an API key belongs in {KEY_VARIABLE}, in the environment or in .env, and nowhere else"


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: how its value is checked, and what it means.

    ``variables`` are its names in the environment, ``env_names`` further ones in ``.env``. Without ``from_files`` only
    a flag or the environment can give it.
    """

    name: str
    check: Check
    doc: str
    variables: tuple[str, ...]
    env_names: tuple[str, ...] = ()
    from_files: bool = True


@dataclass(frozen=True, slots=True)
class Given:
    """The values of one layer. Relative paths start at ``base``. An empty variable counts as not set."""

    layer: Layer
    values: Mapping[str, object]
    base: Path
    file: Path | None = None

    def read(self, option: Option) -> tuple[Source, Any] | None:
        """Return the source and the checked value of ``option``; None if it is not given. Raises SettingsError."""
        name = next((name for name in self._spellings(option) if self._has(name)), None)
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
        """Return whether the names are those of environment variables."""
        return self.layer in {Layer.ENVIRONMENT, Layer.ENV_FILE}

    def _spellings(self, option: Option) -> tuple[str, ...]:
        if self.has_variables:
            return option.variables + (option.env_names if self.layer is Layer.ENV_FILE else ())
        return (option.name,)

    def _has(self, name: str) -> bool:
        return name in self.values and not (self.has_variables and not str(self.values[name]).strip())


def first(layers: Iterable[Given], option: Option) -> tuple[Source, Any] | None:
    """Return the source and the value of ``option`` in the first layer that gives it."""
    return next((found for layer in layers if (found := layer.read(option))), None)


def environment_layer(environ: Mapping[str, str], cwd: Path, options: Mapping[str, Option]) -> Given:
    """Return the environment as a layer. Raises SettingsError for an unknown variable of ours."""
    layer = Given(Layer.ENVIRONMENT, environ, cwd)
    _refuse_unknown_variables(layer, options)
    return layer


def env_layer(path: Path | None, options: Mapping[str, Option]) -> tuple[Given, ...]:
    """Return a ``.env``, if there is one, as a layer. Raises SettingsError."""
    if path is None:
        return ()
    layer = Given(Layer.ENV_FILE, read_env(path), path.parent, path)
    _refuse_unknown_variables(layer, options)
    return (layer,)


def config_layer(path: Path | None, options: Mapping[str, Option]) -> tuple[Given, ...]:
    """Return an ``owui-watch.toml``, if there is one, as a layer. Raises SettingsError, also for an unknown name."""
    if path is None:
        return ()
    table = read_config(path)
    for name, value in table.items():
        inner = list(value) if isinstance(value, dict) and name not in options else []
        if secret := next((key for key in (name, *inner) if _KEY_LIKE.fullmatch(key.replace("-", "_"))), None):
            raise SettingsError(f"{path}: {shown_name(secret)}: {_KEY_BELONGS}; remove it from this file")
        if name not in options:
            advice = _did_you_mean(name.replace("-", "_"), options)
            raise SettingsError(f"{path}: {shown_name(name)}: there is no such setting{advice}")
    return (Given(Layer.CONFIG, table, path.parent, path),)


def refuse_unknown_flags(flags: Iterable[str], known: Iterable[str]) -> None:
    """Raise SettingsError for an unknown flag; for one that would hold a key, with the place where keys belong."""
    known = list(known)
    for flag in flags:
        if flag not in known and _KEY_LIKE.fullmatch(flag.strip("-").replace("-", "_")):
            raise SettingsError(f"flag {shown_name(flag)}: {_KEY_BELONGS}: others can see a command line")
        if flag not in known:
            advice = _did_you_mean(flag.replace("_", "-"), known)
            raise SettingsError(f"flag {shown_name(flag)}: there is no such flag{advice}")


def _refuse_unknown_variables(layer: Given, options: Mapping[str, Option]) -> None:
    """Raise SettingsError for an unknown ``OWUI_WATCH_…``. All other names belong to other programs."""
    known = [name for option in options.values() for name in option.variables]
    for name in layer.values:
        if name.upper().startswith(PREFIX) and name not in known:
            twin = f"OPENWEBUI_{name.upper().removeprefix(PREFIX)}"
            twin_known = twin in {*known, KEY_VARIABLE}
            advice = f": did you mean {twin}?" if twin_known else _did_you_mean(name.upper(), known)
            raise SettingsError(f"{Source(layer.layer, name, layer.file)}: there is no such setting{advice}")


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only needed for an error

    known = list(known)
    close = get_close_matches(name[:_LONGEST_NAME], known, n=1)
    return f": did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
