"""Flags, then environment, then ``.env``, then ``owui-watch.toml``, then defaults: one frozen ``Settings``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

from owui_watch.files.regular import folder_of
from owui_watch.settings.checks import (
    Check,
    assigned_ids,
    choice,
    existing_file,
    folder,
    folders,
    globs,
    number,
    server,
    switch,
)
from owui_watch.settings.credentials import (
    Layer,
    Secret,
    SettingsError,
    Source,
    choose_key,
    clean_key,
    is_loopback,
    masked,
    without_keys,
)
from owui_watch.settings.layers import (
    KEY_VARIABLE,
    PREFIX,
    Given,
    Option,
    config_layer,
    env_layer,
    find,
    first,
    named_file,
    refuse_unknown_flags,
    refuse_unknown_variables,
    upwards,
)
from owui_watch.settings.project import check_state_dir, default_state_dir, find_base, find_roots

__all__ = [
    "CONFIG_NAME",
    "OPTIONS",
    "Layer",
    "LogFormat",
    "OnDelete",
    "OnForeign",
    "Option",
    "Secret",
    "Settings",
    "SettingsError",
    "Source",
    "is_loopback",
    "load",
    "masked",
    "refuse_unknown_flags",
    "reread_key",
    "without_keys",
]

CONFIG_NAME = "owui-watch.toml"
_KEY_NAMES = (KEY_VARIABLE, "api_key")
_FLAGS_ALONE = ("sync", "verbosity")


class LogFormat(StrEnum):
    """How a line looks: for people, or one JSON object."""

    CONSOLE = "console"
    JSON = "json"


class OnForeign(StrEnum):
    """What to do with content on the server that owui-watch did not put there."""

    BACKUP = "backup"
    REFUSE = "refuse"
    OVERWRITE = "overwrite"


class OnDelete(StrEnum):
    """What to do with the server's copy of a function whose file was deleted."""

    KEEP = "keep"
    DISABLE = "disable"


def setting(
    check: Check,
    doc: str,
    *,
    variables: tuple[str, ...] | None = None,
    env_names: tuple[str, ...] = (),
    from_files: bool = True,
    **more: Any,
) -> Any:
    """Declare a dataclass field that is a setting.

    ``variables`` are its names in the environment (by default ``OWUI_WATCH_<NAME>``), ``env_names`` further ones in
    ``.env``. Without ``from_files`` a ``.env`` or an ``owui-watch.toml`` can't give it.
    """
    names = {"variables": variables, "env_names": env_names}
    return field(metadata={"check": check, "doc": doc, "from_files": from_files, **names}, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a run was told. A new setting is one line here, and one in ``config.example.toml``.

    ``roots`` are absolute folders and files, none inside another.
    ``base`` is the folder that the project ends at: what is looked for in folders above a root is looked for up to it.
    ``searched`` are the places where ``.env`` was looked for, ``env_file`` is the one that was there.
    ``verbosity``: -1 says less, 0 the usual, 1 and 2 more.
    """

    roots: tuple[Path, ...]
    base: Path
    config_file: Path | None = None
    env_file: Path | None = None
    searched: tuple[Path, ...] = ()
    url_source: Source = Source(Layer.DEFAULT, "url")
    key: Secret | None = None
    key_source: Source | None = None
    sync: bool = False
    verbosity: int = 0

    url: str = setting(
        server(),
        "address of Open WebUI, with its path prefix if any",
        default="http://localhost:3000",
        variables=("OPENWEBUI_URL", "OPENWEBUI_BASE_URL"),
        env_names=("url",),
        repr=False,  # it may hold user:password
    )
    debounce: float = setting(
        number(0.01, 10, unit="seconds"), "seconds that a saved file must stay quiet", default=0.1
    )
    ignore: tuple[str, ...] = setting(globs(), "globs of files and folders to pass over", default=())
    enable_new: bool = setting(switch(), "enable a new function", default=True)
    global_new: bool = setting(switch(), "make a new filter or action global", default=False)
    max_new: int = setting(number(0, whole=True), "create at most so many new plugins at once; hold more", default=5)
    on_foreign: OnForeign = setting(
        choice(OnForeign), "backup, refuse or overwrite what others put there", default=OnForeign.BACKUP
    )
    on_delete: OnDelete = setting(
        choice(OnDelete), "keep or disable a function whose file was deleted", default=OnDelete.KEEP
    )
    poll: float | None = setting(
        number(0.1, 3600, unit="seconds"), "look every so many seconds, where there are no events", default=None
    )
    drain: float = setting(number(0, 3600, unit="seconds"), "seconds to finish what is saved after Ctrl-C", default=5.0)
    libraries: tuple[Path, ...] = setting(
        folders(), "folders of modules that plugins may import", default=(), variables=()
    )
    state_dir: Path | None = setting(folder(), "folder for state and backups", default=None, from_files=False)
    ca_file: Path | None = setting(existing_file(), "PEM file of a private authority to trust as well", default=None)
    log_format: LogFormat = setting(choice(LogFormat), "console or json", default=LogFormat.CONSOLE)
    ids: Mapping[str, str] = setting(
        assigned_ids(), "ids of single files", default_factory=lambda: MappingProxyType({}), variables=(), hash=False
    )

    def require_state_dir(self) -> Path:
        """Return the folder for state and backups. Raises SettingsError if there is none, or if it is watched."""
        state_dir = self.state_dir or default_state_dir()
        if state_dir is None:
            raise SettingsError(
                "no folder for the state: you have no home folder (HOME is not set). "
                "Name a folder with --state-dir or OWUI_WATCH_STATE_DIR"
            )
        check_state_dir(state_dir, self.roots)
        return state_dir

    def require_key(self) -> Secret:
        """Return the key. Raises SettingsError, with all the places looked at, where there is none."""
        if self.key is not None:
            return self.key
        lacks = {path: _lack(path) if path == self.env_file else "not there" for path in self.searched}
        places = (f"  {path} ({lack})" for path, lack in lacks.items())
        raise SettingsError(
            f"no API key for {masked(self.url)}: set {KEY_VARIABLE} in the environment or in .env "
            "(an API key or a JWT; Open WebUI shows both under Settings > Account).\n"
            + "\n".join(("Looked at:", f"  {KEY_VARIABLE} in the environment", *places))
        )


def _lack(env: Path) -> str:
    """Say why ``env`` gives no key. Raises SettingsError where it can't be read any more."""
    for layer in env_layer(env, OPTIONS):
        for name in _KEY_NAMES:
            if str(layer.values.get(name, "")).lstrip().startswith("$"):
                return f"its {name} is a variable's name, and variables are not expanded here: write the key itself"
    return "has none"


def _options() -> Iterator[Option]:
    for each in dataclasses.fields(Settings):
        if "check" in each.metadata:
            variables = each.metadata["variables"]
            variables = (f"{PREFIX}{each.name.upper()}",) if variables is None else variables
            yield Option(
                each.name,
                each.metadata["check"],
                each.metadata["doc"],
                variables,
                each.metadata["env_names"],
                from_files=each.metadata["from_files"],
            )


OPTIONS: Mapping[str, Option] = MappingProxyType({option.name: option for option in _options()})
"""Every setting by its name, which is also its name in TOML and, with ``-`` for ``_``, its flag."""


def load(
    paths: Sequence[Path],
    flags: Mapping[str, object],
    *,
    environ: Mapping[str, str],
    cwd: Path,
    config: Path | None = None,
    env_file: Path | None = None,
) -> Settings:
    """Put together what a run was told.

    ``paths`` are the PATHs of the command line; ``flags`` holds those that were given, by their settings' names, and
    ``sync`` and ``verbosity``; ``config`` and ``env_file`` are what ``--config`` and ``--env-file`` name.
    That there is no key is no error here: see ``Settings.require_key``. Raises SettingsError.
    """
    cwd = cwd.absolute()
    roots = find_roots(paths, cwd)
    watched = folder_of(roots[0])
    if env_file is None:
        env, searched = find(chain(upwards(".env", watched), upwards(".env", cwd)))
    else:
        env = named_file(env_file, cwd, "--env-file")
        searched = (env,)
    toml = named_file(config, cwd, "--config") if config else find(upwards(CONFIG_NAME, watched))[0]
    variables = (_environment(environ, cwd), *env_layer(env, OPTIONS))
    layers = (Given(Layer.FLAG, flags, cwd), *variables, *config_layer(toml, OPTIONS))
    base = find_base(roots, toml, cwd)
    settings = Settings(
        roots=roots,
        base=base,
        config_file=toml,
        env_file=env,
        searched=searched,
        **_collected(layers, flags),
    )
    return _with_key(settings, variables)


def reread_key(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Look for the key again as ``load`` did: in the environment, then in the first ``.env`` that is there now.

    Raises SettingsError, also where ``.env`` has come to name another server: its key isn't for this one.
    """
    env, _ = find(settings.searched)
    from_file = env_layer(env, OPTIONS)
    if settings.url_source.layer is Layer.ENV_FILE and (told := first(from_file, OPTIONS["url"])):
        source, url = told
        if url != settings.url:
            raise SettingsError(f"{source}: names another server now, {masked(url)}: start owui-watch again")
    variables = (_environment(environ, Path()), *from_file)
    return _with_key(dataclasses.replace(settings, env_file=env), variables)


def _collected(layers: Sequence[Given], flags: Mapping[str, object]) -> dict[str, Any]:
    found = {name: told for name, option in OPTIONS.items() if (told := first(layers, option))}
    values: dict[str, Any] = {name: value for name, (_, value) in found.items()}
    values |= {name: flags[name] for name in _FLAGS_ALONE if name in flags}
    return values | ({"url_source": found["url"][0]} if "url" in found else {})


def _environment(environ: Mapping[str, str], cwd: Path) -> Given:
    layer = Given(Layer.ENVIRONMENT, environ, cwd)
    refuse_unknown_variables(layer, OPTIONS)
    return layer


def _with_key(settings: Settings, layers: Sequence[Given]) -> Settings:
    key, source = choose_key(settings.url, settings.url_source, _keys(layers)) or (None, None)
    return dataclasses.replace(settings, key=key, key_source=source)


def _keys(layers: Sequence[Given]) -> Iterator[tuple[Secret, Source]]:
    """Yield the keys as far as they are asked for. Raises SettingsError for one that can't be a key."""
    for layer in layers:
        for name in (KEY_VARIABLE,) if layer.layer is Layer.ENVIRONMENT else _KEY_NAMES:
            source = Source(layer.layer, name, layer.file)
            try:
                key = clean_key(str(layer.values.get(name, "")))
            except ValueError as error:
                raise SettingsError(f"{source}: {error}") from None
            if key is not None:
                yield key, source
