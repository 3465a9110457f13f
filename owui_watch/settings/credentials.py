"""Which key goes to which server: a key and a URL from different places never meet by accident."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from owui_watch.settings.masking import Secret, SettingsError, masked, shown_name
from owui_watch.settings.urls import is_loopback, unquoted

_PLACEHOLDER = re.compile(
    r"""<.*> | \{.*\} | \$.* | (sk-)?(x{3,}|\.{2,}|\*{2,}|0+) | change[-_]?me | replace[-_]?me | todo | none | null
    | (sk-)?(your|paste|put|insert|add)[-_].*""",
    re.IGNORECASE | re.VERBOSE,
)


class Layer(StrEnum):
    """Where a setting can come from."""

    SANDBOX = "sandbox"
    FLAG = "flag"
    ENVIRONMENT = "environment"
    ENV_FILE = ".env"
    CONFIG = "owui-watch.toml"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a setting came from. ``name`` is how it is spelled there; ``file`` is None outside of files."""

    layer: Layer
    name: str
    file: Path | None = None

    def __str__(self) -> str:
        name = shown_name(self.name)
        return f"{shown_name(str(self.file))}: {name}" if self.file else f"{self.layer} {name}"

    @property
    def folder(self) -> Path | None:
        """The folder that holds the file once links are resolved; None outside of files."""
        return self.file.resolve().parent if self.file else None


@dataclass(frozen=True, slots=True)
class SandboxServer:
    """A server that owui-watch started itself, with its key: a sandbox. Beats every other URL and key."""

    url: str
    key: Secret


def clean_key(text: str) -> Secret | None:
    """Return a key without what people paste with it: quotes, blanks, ``Bearer``. None if empty or a placeholder.

    Raises ValueError, without any part of ``text``, if it can't be a key.
    """
    text = re.sub(r"^bearer(\s+|$)", "", unquoted(text), flags=re.IGNORECASE)
    if not text or _PLACEHOLDER.fullmatch(text):
        return None
    if any(not "!" <= character <= "~" or character in "\"'" for character in text):
        raise ValueError("holds a blank or a character that no API key has: copy the key again, alone, in one line")
    return Secret(text)


def choose_key(url: str, url_source: Source, keys: Iterable[tuple[Secret, Source]]) -> tuple[Secret, Source] | None:
    """Return the first of ``keys`` that may be sent to ``url``; None if there are none at all. Later ones are not read.

    A file that names a server gets only a key from the same folder, so that a cloned repository can't have the user's
    key sent elsewhere. Raises SettingsError if there are keys and none may be sent.
    """
    folder = None if is_loopback(url) else url_source.folder
    refused = []
    for key, source in keys:
        if folder is None or source.folder == folder:
            return key, source
        refused.append(source)
    if folder is None or not refused:
        return None
    source = refused[0]
    home = url_source.file if url_source.layer is Layer.ENV_FILE else folder / ".env"
    beside = f"write OPENWEBUI_URL into {_shown(source.file)}, beside the key" if source.file else "give it with --url"
    raise SettingsError(
        f"{url_source}: names the server {masked(url)}, but the API key comes from somewhere else ({source}).\n"
        "A server that a file names gets only a key from the same folder: else any cloned repository could send "
        "your key elsewhere.\n"
        f"If you trust this server, set OPENWEBUI_URL in the environment, or {beside}, or keep its key in {_shown(home)}."
    )


def refuse_mixed_pair(url: str, url_source: Source, key_source: Source, environment_url: str | None) -> None:
    """Raise SettingsError if one of URL and key was named on the command line and the other belongs elsewhere.

    Called if the user named a ``.env`` or a settings file. ``environment_url`` is the URL in the environment.
    """
    from_environment = Layer.ENVIRONMENT
    if key_source.layer is from_environment and url_source.file and environment_url not in {None, url}:
        raise SettingsError(
            f"{url_source}: names the server {masked(url)} without a key, and the key in the environment belongs to "
            f"{masked(environment_url or '')} (OPENWEBUI_URL).\nWrite OPENWEBUI_API_KEY beside the URL in "
            f"{_shown(url_source.file)}, or unset OPENWEBUI_URL if the key is for this server."
        )
    if url_source.layer is from_environment and key_source.file:
        raise SettingsError(
            f"{key_source}: is a key without a server, and the {url_source} names {masked(url)}.\n"
            f"Write OPENWEBUI_URL beside the key in {_shown(key_source.file)}, or give it with --url."
        )


def refuse_foreign_authority(url: str, url_source: Source, ca_source: Source) -> None:
    """Raise SettingsError if a file names a certificate authority for a server that it does not name.

    A cloned repository could else have its own authority trusted for the user's server.
    """
    if ca_source.file is None or not url.startswith("https:") or ca_source.folder == url_source.folder:
        return
    raise SettingsError(
        f"{ca_source}: is trusted only for a server that a file in the same folder names, "
        f"but {masked(url)} comes from elsewhere ({url_source}).\n"
        "If you trust this authority, name it with --ca-file or OWUI_WATCH_CA_FILE in the environment."
    )


def _shown(path: Path | None) -> str:
    return shown_name(str(path))
