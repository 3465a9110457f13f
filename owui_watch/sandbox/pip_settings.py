"""pip's index, proxy and certificates, as uv's environment: uv reads none of pip's settings by itself."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_SECTIONS = ("global", "install")
_LARGEST = 256_000
# pip's name, and uv's with what stands between several values.
_NAMES = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
}
_OF_AN_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_NO_INDEX")


def uv_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return variables for uv that stand for pip's settings. What the user has set for uv itself is left alone."""
    pip = _pip_settings(environ)
    found: dict[str, str] = {}
    if not any(environ.get(name) for name in _OF_AN_INDEX):
        for theirs, (ours, separator) in _NAMES.items():
            if value := pip.get(theirs):
                found[ours] = separator.join(value.split())
        if "UV_INDEX" in found:
            found["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip takes the best version of all indexes
    certificates = (environ.get(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    if file := next(filter(None, (pip.get("cert"), *certificates)), None):
        found["SSL_CERT_FILE"] = environ.get("SSL_CERT_FILE") or file
    else:
        # The system's authorities; uv has a list of its own otherwise. The second name is that of uv before 0.11.
        found |= {"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true"}
    if (proxy := pip.get("proxy")) and not any(environ.get(name) for name in ("HTTPS_PROXY", "ALL_PROXY")):
        found |= {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy}
    return {name: value for name, value in found.items() if name not in environ or name == "SSL_CERT_FILE"}


def _pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for path in _files(environ):
        settings |= _read(path)
    variables = ("index-url", "extra-index-url", "find-links", "trusted-host", "cert", "proxy")
    for name in variables:
        if value := environ.get(f"PIP_{name.upper().replace('-', '_')}"):
            settings[name] = value
    return settings


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield pip's files in the order in which later ones win (pip 23 to 25)."""
    name = environ.get("PIP_CONFIG_FILE", "")
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or ".")
    if name == os.devnull:
        return
    if sys.platform == "win32":
        yield Path(environ.get("PROGRAMDATA") or "C:/ProgramData") / "pip/pip.ini"
        yield home / "pip/pip.ini"
        yield Path(environ.get("APPDATA") or home / "AppData/Roaming") / "pip/pip.ini"
    else:
        for folder in reversed(environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")):
            yield Path(folder) / "pip/pip.conf"
        yield Path("/etc/pip.conf")
        yield home / ".pip/pip.conf"
        if sys.platform == "darwin":
            yield home / "Library/Application Support/pip/pip.conf"
        yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf"
    yield Path(sys.prefix) / ("pip.ini" if sys.platform == "win32" else "pip.conf")
    if name:
        yield Path(name)


def _read(path: Path) -> dict[str, str]:
    """Return a file's settings; none if it can't be read, which pip itself reports."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            parser.read_string(file.read(_LARGEST))
    except (OSError, configparser.Error):
        return {}
    return {
        name.replace("_", "-"): value
        for section in _SECTIONS
        if parser.has_section(section)
        for name, value in parser.items(section)
        if value
    }
