"""What a sandbox's processes get to see of the environment: an allow-list, since a server obeys what it inherits.

An inherited ``DATABASE_URL`` would point the throwaway server at a real database, an ``OPENAI_API_KEY`` at a real bill.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from owui_watch.sandbox.pip_settings import uv_settings

# HOME stays the user's: pip's and uv's settings, caches and .netrc lie below it, and without them `requirements`
# can't be installed behind a company's mirror. What Open WebUI itself writes goes to the data folder.
_SYSTEM = """
    PATH HOME USER LOGNAME LANG LANGUAGE TZ TMPDIR TEMP TMP XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME
    SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT USERPROFILE APPDATA LOCALAPPDATA PROGRAMDATA
    PROCESSOR_ARCHITECTURE NUMBER_OF_PROCESSORS
"""
_NETWORK = """
    HTTP_PROXY HTTPS_PROXY ALL_PROXY SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NETRC
"""
_ALLOWED = frozenset((_SYSTEM + _NETWORK).split())
# These would send `requirements` somewhere else than into the run's own environment.
_MISLEADING = frozenset(
    {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "UV_SYSTEM_PYTHON", "UV_TARGET"}
)
_LOOPBACK = "127.0.0.1,localhost,::1"

_SETTINGS = {
    "WEBUI_ADMIN_NAME": "Sandbox",
    # API keys: the first name up to 0.6.36; from 0.6.37 the second, and up to 0.8.8 the third even for an admin.
    "ENABLE_API_KEY": "true",
    "ENABLE_API_KEYS": "true",
    "USER_PERMISSIONS_FEATURES_API_KEYS": "true",
    "ENABLE_OLLAMA_API": "false",
    "ENABLE_OPENAI_API": "false",
    # No model is loaded or downloaded. OFFLINE_MODE would say so too, but it also skips plugins' `requirements`.
    "HF_HUB_OFFLINE": "1",
    "RAG_EMBEDDING_ENGINE": "openai",
    "BYPASS_EMBEDDING_AND_RETRIEVAL": "true",
    "ENABLE_VERSION_UPDATE_CHECK": "false",
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "true",
    "SCARF_NO_ANALYTICS": "true",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    # Plain tracebacks: typer's framed ones fill the screen, and may show local variables.
    "_TYPER_STANDARD_TRACEBACK": "1",
    "TYPER_STANDARD_TRACEBACK": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONIOENCODING": "utf-8",  # the start banner has characters that a Windows code page lacks
}


def _allowed(inherited: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Pick the allowed part of an environment, with all variables of one tool; loopback never goes through a proxy."""
    kept = {
        name: value
        for name, value in inherited.items()
        if (name.upper() in _ALLOWED or name.startswith(("LC_", prefix))) and name not in _MISLEADING
    }
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, [inherited.get(name, ""), _LOOPBACK]))
    return kept


def uv_environ() -> dict[str, str]:
    """Return the environment of uv, with pip's index, proxy and certificates."""
    kept = _allowed(os.environ, "UV_")
    return kept | uv_settings(os.environ)


def server_environ(
    folder: Path, python: Path, *, email: str, password: str, secret: str, extra: Mapping[str, str]
) -> dict[str, str]:
    """Make the environment of the server whose run owns FOLDER and the venv of PYTHON; ``extra`` wins."""
    kept = _allowed(os.environ, "PIP_")
    return {
        **kept,
        **_SETTINGS,
        "PATH": os.pathsep.join(filter(None, [str(python.parent), kept.get("PATH")])),
        "VIRTUAL_ENV": str(python.parent.parent),
        "DATA_DIR": str(folder / "open-webui"),
        # Open WebUI overwrites these files at each start (0.6.5 to 0.12.4), by default among its packages: in the
        # shared installation, and by hard links in uv's own cache.
        "STATIC_DIR": str(folder / "static"),
        "HF_HOME": str(folder / "huggingface"),
        "WEBUI_SECRET_KEY": secret,
        "WEBUI_ADMIN_EMAIL": email,
        "WEBUI_ADMIN_PASSWORD": password,
        **extra,
    }
