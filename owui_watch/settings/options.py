"""Every setting: its name, its default, and the values it may have."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from owui_watch.settings.checks import (
    Check,
    assigned_ids,
    authority_file,
    choice,
    folder,
    globs,
    number,
    server,
    switch,
)
from owui_watch.settings.credentials import Layer, Source
from owui_watch.settings.folders import check_state_dir, default_state_dir
from owui_watch.settings.layers import KEY_VARIABLE, PREFIX, Option
from owui_watch.settings.libraries import libraries
from owui_watch.settings.masking import Secret, SettingsError, masked, shown_name

T = TypeVar("T")


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
    default: T,
    variables: tuple[str, ...] | None = None,
    env_names: tuple[str, ...] = (),
    from_files: bool = True,
    repr: bool = True,  # noqa: A002 - as in dataclasses.field
    hash: bool | None = None,  # noqa: A002
) -> T:
    """Declare a dataclass field that is a setting.

    ``variables`` are its names in the environment (by default ``OWUI_WATCH_<NAME>``), ``env_names`` further ones in
    ``.env``. Without ``from_files`` a ``.env`` or an ``owui-watch.toml`` can't give it.
    """
    names = {"variables": variables, "env_names": env_names}
    metadata = {"check": check, "doc": doc, "from_files": from_files, **names}
    if isinstance(default, MappingProxyType):  # not hashable before Python 3.12: dataclasses refuse it as a default
        return field(default_factory=lambda: default, repr=repr, hash=hash, metadata=metadata)
    return field(default=default, repr=repr, hash=hash, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one run. A new setting is one line here, and one in ``config.example.toml``.

    ``roots`` are the real paths of the watched folders and files, none inside another; ``named`` is false if the user
    named no PATH. ``base`` is the project's folder:
    searches in the folders above a root end there. ``searched`` are the places where ``.env`` was searched for,
    ``env_file`` is the one that was found, or named with ``--env-file`` (``env_file_named``).
    ``verbosity``: -1 is quiet, 0 the default, 1 and 2 report more.
    """

    roots: tuple[Path, ...]
    base: Path
    named: bool = True
    config_file: Path | None = None
    env_file: Path | None = None
    env_file_named: bool = False
    searched: tuple[Path, ...] = ()
    url_source: Source = Source(Layer.DEFAULT, "url")
    key: Secret | None = None
    key_source: Source | None = None
    unusable_key: str = "has none"
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
    ignore: tuple[str, ...] = setting(globs(), "globs of files and folders to ignore", default=())
    enable_new: bool = setting(switch(), "enable a new function", default=True)
    global_new: bool = setting(switch(), "make a new filter or action global", default=False)
    max_new: int = setting(number(0, whole=True), "create at most N new plugins that are saved together", default=5)
    on_foreign: OnForeign = setting(
        choice(OnForeign), "backup, refuse or overwrite changes made in Open WebUI", default=OnForeign.BACKUP
    )
    on_delete: OnDelete = setting(
        choice(OnDelete), "keep or disable a function whose file was deleted", default=OnDelete.KEEP
    )
    poll: float | None = setting(
        number(0.1, 3600, unit="seconds"), "look for changes every SECONDS, if no file events come", default=None
    )
    drain: float = setting(number(0, 3600, unit="seconds"), "seconds to finish what is saved after Ctrl-C", default=5.0)
    libraries: tuple[Path, ...] = setting(
        libraries(), "folders of modules that plugins may import", default=(), variables=()
    )
    state_dir: Path | None = setting(folder(), "folder for state and backups", default=None, from_files=False)
    ca_file: Path | None = setting(authority_file(), "PEM file of a private authority to trust as well", default=None)
    log_format: LogFormat = setting(choice(LogFormat), "console or json", default=LogFormat.CONSOLE)
    ids: Mapping[str, str] = setting(
        assigned_ids(), "ids of single files", default=MappingProxyType({}), variables=(), hash=False
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
        """Return the key. Raises SettingsError, with all the places that were searched, if there is none."""
        if self.key is not None:
            return self.key
        found = {path: self.unusable_key if path == self.env_file else "not there" for path in self.searched}
        places = (f"  {shown_name(str(path))} ({what})" for path, what in found.items())
        raise SettingsError(
            f"no API key for {masked(self.url)}: set {KEY_VARIABLE} in the environment or in .env "
            "(an API key or a JWT; Open WebUI shows both under Settings > Account).\n"
            + "\n".join(("Searched:", f"  {KEY_VARIABLE} in the environment", *places))
        )


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
