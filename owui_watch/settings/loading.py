"""Put the settings of a run together.

An earlier layer beats a later one: flags, files that are named on the command line, the environment, a ``.env`` that
was found, an ``owui-watch.toml`` that was found, defaults. A sandbox's own URL and key beat them all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from owui_watch.files import folder_of
from owui_watch.settings.credentials import (
    Layer,
    SandboxServer,
    Source,
    choose_key,
    clean_key,
    refuse_foreign_authority,
    refuse_mixed_pair,
)
from owui_watch.settings.files import CONFIG_NAME, find, named_file, upwards
from owui_watch.settings.folders import find_base, find_roots
from owui_watch.settings.layers import KEY_VARIABLE, Given, config_layer, env_layer, environment_layer, first
from owui_watch.settings.masking import Secret, SettingsError, masked
from owui_watch.settings.options import OPTIONS, Settings

_KEY_NAMES = (KEY_VARIABLE, "api_key")
_FLAGS_ALONE = ("sync", "verbosity")


@dataclasses.dataclass(frozen=True, slots=True)
class _Files:
    """The files that settings are read from. ``searched`` are the paths at which a ``.env`` was looked for."""

    env: Path | None
    searched: tuple[Path, ...]
    config: Path | None


def load(
    paths: Sequence[Path],
    flags: Mapping[str, object],
    *,
    environ: Mapping[str, str],
    cwd: Path,
    config: Path | None = None,
    env_file: Path | None = None,
    server: SandboxServer | None = None,
) -> Settings:
    """Return the settings of a run.

    ``paths`` are the PATHs of the command line; ``flags`` are those that were given, by the names of their settings, and
    ``sync`` and ``verbosity``; ``config`` and ``env_file`` are the files that ``--config`` and ``--env-file`` name;
    ``server`` is a sandbox to use. A missing key is no error here: see ``Settings.require_key``. Raises SettingsError.
    """
    cwd = cwd.absolute()
    roots = find_roots(paths, cwd)
    files = _find_files(folder_of(roots[0]), cwd, config, env_file)
    environment = environment_layer(environ, cwd, OPTIONS)
    from_env, from_config = env_layer(files.env, OPTIONS), config_layer(files.config, OPTIONS)
    named = (*(from_env if env_file else ()), *(from_config if config else ()))
    found = (*(() if env_file else from_env), *(() if config else from_config))
    values = _first_values((Given(Layer.FLAG, flags, cwd), *named, environment, *found), server)
    chosen: dict[str, Any] = {name: value for name, (_, value) in values.items()}
    chosen |= {name: flags[name] for name in _FLAGS_ALONE if name in flags}
    if "url" in values:
        chosen["url_source"] = values["url"][0]
    settings = Settings(
        roots=roots,
        named=bool(paths),
        base=find_base(roots, files.config, cwd),
        config_file=files.config,
        env_file=files.env,
        env_file_named=env_file is not None,
        searched=files.searched,
        **chosen,
    )
    if server is not None:
        return dataclasses.replace(settings, key=server.key, key_source=Source(Layer.SANDBOX, "key"))
    if "ca_file" in values:
        refuse_foreign_authority(settings.url, settings.url_source, values["ca_file"][0])
    settings = _with_key(settings, environment, from_env)
    if named:
        _refuse_conflict(settings, flags, environment, from_env)
    return settings


def _find_files(watched: Path, cwd: Path, config: Path | None, env_file: Path | None) -> _Files:
    """Find the files upwards from the ``watched`` folder, ``.env`` from the current one too, unless they are named."""
    if env_file is None:
        env, searched = find(chain(upwards(".env", watched), upwards(".env", cwd)))
    else:
        env = named_file(env_file, cwd, "--env-file")
        searched = (env,)
    toml = named_file(config, cwd, "--config") if config else find(upwards(CONFIG_NAME, watched))[0]
    return _Files(env, searched, toml)


def _first_values(layers: Sequence[Given], server: SandboxServer | None) -> dict[str, tuple[Source, object]]:
    """Return each setting that a layer has, from the first of them; the URL is that of ``server``, if there is one."""
    options = [option for name, option in OPTIONS.items() if server is None or name != "url"]
    values = {option.name: given for option in options if (given := first(layers, option))}
    if server is not None:
        values["url"] = Source(Layer.SANDBOX, "url"), server.url
    return values


def reread_key(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Return ``settings`` with the key that the environment and the first ``.env`` that exists now give.

    Raises SettingsError, also if ``.env`` names another server now: its key isn't for this one.
    """
    if settings.url_source.layer is Layer.SANDBOX:
        return settings
    env, _ = find(settings.searched)
    from_env = env_layer(env, OPTIONS)
    if settings.url_source.layer is Layer.ENV_FILE and (given := first(from_env, OPTIONS["url"])):
        source, url = given
        if url != settings.url:
            raise SettingsError(f"{source}: names another server now, {masked(url)}: start owui-watch again")
    # A named file without its key, as while an editor saves it, makes no room for a key that belongs elsewhere.
    from_named_file = settings.env_file_named and settings.key_source is not None and settings.key_source.file
    environment = environment_layer({} if from_named_file else environ, Path(), OPTIONS)
    return _with_key(dataclasses.replace(settings, env_file=env), environment, from_env)


def _with_key(settings: Settings, environment: Given, from_env: Sequence[Given]) -> Settings:
    layers = (*from_env, environment) if settings.env_file_named else (environment, *from_env)
    key, source = choose_key(settings.url, settings.url_source, _keys(layers)) or (None, None)
    return dataclasses.replace(settings, key=key, key_source=source, unusable_key=_unusable_key(from_env))


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


def _unusable_key(from_env: Sequence[Given]) -> str:
    """Return why a ``.env`` without a key has none."""
    for layer in from_env:
        for name in _KEY_NAMES:
            if str(layer.values.get(name, "")).lstrip().startswith("$"):
                return f"its {name} begins with $: variables are not expanded here; write the key itself"
    return "has none"


def _refuse_conflict(
    settings: Settings, flags: Mapping[str, object], environment: Given, from_env: Sequence[Given]
) -> None:
    """Raise SettingsError if the command line names two servers, or the URL of one and the key of another."""
    in_env_file = first(from_env, OPTIONS["url"]) if settings.env_file_named else None
    if in_env_file is not None and "url" in flags and in_env_file[1] != settings.url:
        source, url = in_env_file
        raise SettingsError(
            f"flag --url names {masked(settings.url)}, and {source} (--env-file) names {masked(url)}: remove one of them"
        )
    if settings.key_source is not None:
        in_environment = first((environment,), OPTIONS["url"])
        environment_url: Any = in_environment[1] if in_environment else None
        refuse_mixed_pair(settings.url, settings.url_source, settings.key_source, environment_url)
