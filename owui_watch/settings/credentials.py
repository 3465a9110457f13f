"""Which server, with which key: reading them, hiding them, and keeping them together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from pathlib import Path

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:(?P<userinfo>[\w.~!$&'()*+,;=:%-]*)@)?"
    r"(?P<host>\[[0-9a-f:.]+\]|[^/:@\[\]?#%]+)"
    r"(?::(?P<port>\d{0,5}))?"
    r"(?P<path>/[^?#@]*)?",
    re.ASCII | re.IGNORECASE,
)
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*\.?")
_API_PATH = re.compile(r"(/api|/api/v1|/openai|/ollama)/*$")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_DEFAULT_PORT = {"http": 80, "https": 443}
_LOOPBACK = IPv4Network("127.0.0.0/8")

_PLACEHOLDER = re.compile(
    r"""<.*> | \{.*\} | \$.* | (sk-)?(x{3,}|\.{2,}|\*{2,}|0+) | change[-_]?me | replace[-_]?me | todo | none | null
    | (sk-)?(your|paste|put|insert|add)[-_].*""",
    re.IGNORECASE | re.VERBOSE,
)
_LOOKS_SECRET = r"(?ia)\b(sk-|eyJ|bearer\s+)[\w.~+/=-]{8,}|^(?=.*\d)[\w+=-]{32,}$"
LOOKS_LIKE_KEY = "that looks like an API key, which belongs into OPENWEBUI_API_KEY"


class SettingsError(Exception):
    """The settings or the command line are wrong (exit code 2). Its text is the whole message; it holds no secret."""


class Secret:
    """A string that never shows itself: not in ``repr``, ``str``, a log line or a traceback."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the string itself, to be sent and to be forgotten."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


class Layer(StrEnum):
    """Where a setting can come from; an earlier one beats a later one."""

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
        return f"{self.file}: {self.name}" if self.file else f"{self.layer} {self.name}"

    @property
    def folder(self) -> Path | None:
        """Folder that really holds the file: a link to a file elsewhere doesn't bring it here."""
        return self.file.resolve().parent if self.file else None


def masked(url: str) -> str:
    """Return ``url`` for showing: ``user:password@`` becomes ``***@``. Hides too much rather than too little."""
    scheme = _SCHEME.match(url)
    start = scheme.group() if scheme else ""
    _, at, rest = url[len(start) :].rpartition("@")
    return f"{start}***@{rest}" if at else url


def shown(value: object) -> str:
    """Return a refused value for an error's text: short, printable, and ``***`` where it might be a key."""
    text = repr(masked(without_keys(value.strip()))) if isinstance(value, str) else repr(value)
    text = without_keys(text)
    return text if len(text) <= 80 else f"{text[:76]}…"


def looks_like_key(text: str) -> bool:
    """Return whether ``text`` might be a key, or hold one: then it is not to be shown."""
    return re.search(_LOOKS_SECRET, text) is not None


def without_keys(text: str) -> str:
    """Return ``text`` with ``***`` for all in it that might be a key."""
    return re.sub(_LOOKS_SECRET, "***", text)


def is_loopback(url: str) -> bool:
    """Return whether ``url`` can only reach this computer: ``localhost``, ``*.localhost``, 127.0.0.0/8 or ``::1``."""
    match = _URL.fullmatch(url)
    if match is None:
        return False
    host = match["host"].lower().strip("[]")
    try:
        address = ip_address(host)
    except ValueError:
        return f".{host.removesuffix('.')}".endswith(".localhost")
    return address in _LOOPBACK or address == IPv6Address("::1")


def normalised_url(text: str) -> str:
    """Check and tidy a server's address: ASCII host in lower case, no default port, no trailing slash.

    It is put together anew from the parts that were checked, so nobody who reads it later can see another host in it.
    Raises ValueError, ready to be shown.
    """
    text = _unquoted(text)
    if problem := _url_problem(text):
        raise ValueError(problem)
    match = _URL.fullmatch(text)
    if match is None:
        advice = "; special characters in user:password must be percent-encoded" if "@" in text else ""
        example = "'http://localhost:3000' or 'https://host/prefix'"
        raise ValueError(f"must be a URL like {example}, not {shown(text)}{advice}")
    scheme = match["scheme"].lower()
    try:
        host = _ascii_host(match["host"])
    except ValueError:
        raise ValueError(f"names a host that can't exist: {shown(text)}") from None
    port = int(match["port"] or _DEFAULT_PORT[scheme])
    if not 0 < port < 65536:
        raise ValueError(f"has a port that is not between 1 and 65535: {shown(text)}")
    user = f"{match['userinfo']}@" if match["userinfo"] else ""
    end = "" if port == _DEFAULT_PORT[scheme] else f":{port}"
    return f"{scheme}://{user}{host}{end}{(match['path'] or '').rstrip('/')}"


def clean_key(text: str) -> Secret | None:
    """Take a key as people paste it: with quotes, blanks, ``Bearer``. None where it is empty or a placeholder.

    Raises ValueError, without a piece of it, where it can't be a key.
    """
    text = re.sub(r"^bearer(\s+|$)", "", _unquoted(text), flags=re.IGNORECASE)
    if not text or _PLACEHOLDER.fullmatch(text):
        return None
    if any(not "!" <= character <= "~" or character in "\"'" for character in text):
        raise ValueError("holds a blank or a character that no API key has: copy the key again, alone, in one line")
    return Secret(text)


def choose_key(url: str, url_source: Source, keys: Iterable[tuple[Secret, Source]]) -> tuple[Secret, Source] | None:
    """Choose the first of ``keys`` that may be sent to ``url``; None where there are none at all.

    Those behind it are not looked at. Raises SettingsError where there are some and none may: a file that names a
    server gets only a key that lies beside it, so that a cloned repository can't have someone's key sent elsewhere.
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
    beside = f"write OPENWEBUI_URL into {source.file}, beside the key" if source.file else "give it with --url"
    raise SettingsError(
        f"{url_source}: names the server {masked(url)}, but the API key comes from somewhere else ({source}).\n"
        "A server that a file names gets only a key from the same folder: else any cloned repository could send "
        "your key elsewhere.\n"
        f"If you trust this server, set OPENWEBUI_URL in the environment, or {beside}, or keep its key in {home}."
    )


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].strip()
    return text


def _url_problem(text: str) -> str | None:
    if not text:
        return "is empty: give the address of the server, like 'http://localhost:3000'"
    if "\\" in text or " " in text or not text.isprintable():
        return f"holds a blank, a backslash or a control character: {shown(text)}"
    scheme = _SCHEME.match(text)
    if scheme is None or scheme.group().lower() not in {"http://", "https://"}:
        return f"must begin with http:// or https://, not {shown(text)}{_with_scheme(text)}"
    if extra := re.search(r"[?#]", text):
        return f"must be the server's address alone, without '?…' and '#…': {shown(text[: extra.start()])}"
    if ending := _API_PATH.search(text):
        return f"ends in {ending[1]}: leave that out, it is added where it is needed: {shown(text[: ending.start()])}"
    return None


def _with_scheme(text: str) -> str:
    if looks_like_key(text):
        return f": {LOOKS_LIKE_KEY}"
    guess = f"http://{text}" if is_loopback(f"http://{text}") else f"https://{text}"
    return f": did you mean {shown(guess)}?" if _URL.fullmatch(guess) else ""


def _ascii_host(host: str) -> str:
    if host.startswith("["):
        return f"[{IPv6Address(host[1:-1]).compressed}]"
    if re.fullmatch(r"\d+(\.\d+){3}", host):
        return str(IPv4Address(host))
    if not host.isascii():
        import idna  # noqa: PLC0415 - a large table, rarely needed

        host = idna.encode(host, uts46=True).decode("ascii")
    if not _HOST_NAME.fullmatch(host.lower()):
        raise ValueError(host)
    return host.lower()
