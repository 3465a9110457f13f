"""How one server is reached: certificates, the environment's proxies, and a check for peers that vanished."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar
from importlib.util import find_spec
from os import environ
from pathlib import Path
from urllib.request import getproxies

import httpx

from owui_watch.settings import SettingsError, masked

SILENT_PEER = (30, 10, 3)
"""TCP keepalive: seconds of silence before the first probe, seconds between probes, and the number of unanswered probes
after which the connection is broken. It detects a host that vanished during an update."""
LOCATION = "owui_watch_location"
"""The extension of a response that holds the address of a redirect."""
_MAX_PORT = 65_535


def create_client(
    url: str, *, loopback: bool, ca_file: Path | None, cookies: CookieJar, transport: httpx.AsyncBaseTransport | None
) -> tuple[httpx.AsyncClient, str | None]:
    """Return a client, and a hint to show if a connection through a proxy fails.

    Proxies are not used for loopback. Raises SettingsError if ``ca_file``, or the environment's proxies or
    certificates, can't be used.
    """
    proxies = {} if loopback else _proxies()
    verify, limits = _tls(url, ca_file), httpx.Limits(keepalive_expiry=300)
    if transport is None and not proxies:
        # With proxies, httpx must make the transports itself, and then without these socket options.
        transport = httpx.AsyncHTTPTransport(verify=verify, limits=limits, socket_options=_keepalive())
    try:
        client = httpx.AsyncClient(
            verify=verify,
            trust_env=bool(proxies),
            limits=limits,
            transport=transport,
            cookies=cookies,
            event_hooks={"response": [_take_location]},
        )
    except (ValueError, httpx.InvalidURL) as error:
        raise SettingsError(f"NO_PROXY, or a proxy of the environment, can't be used: {error}") from error
    return client, _proxy_hint({name: proxies[name] for name in (url.partition(":")[0], "all") if name in proxies})


async def _take_location(response: httpx.Response) -> None:
    """Move the address of a redirect out of the header: httpx prepares a request to it, and raises if it is malformed."""
    response.extensions[LOCATION] = response.headers.pop("location", "")


def _proxies() -> dict[str, str]:
    """Return the environment's proxies by scheme, as httpx will use them. Raises SettingsError for an unusable one."""
    try:
        named = getproxies()
    except ValueError as error:
        raise SettingsError(f"the proxy settings of the environment can't be read: {error}") from error
    proxies = {scheme: named[scheme] for scheme in ("http", "https", "all") if named.get(scheme)}
    for scheme, url in proxies.items():
        name, shown = f"{scheme.upper()}_PROXY", masked(url)
        if url.lower().startswith("socks") and find_spec("socksio") is None:
            raise SettingsError(
                f"{name} is {shown}, and a SOCKS proxy needs the package socksio: install it beside owui-watch "
                "(pip install socksio), or unset the variable"
            )
        if not _is_address(url):
            raise SettingsError(
                f"{name} is {shown}, which is no proxy's address: correct it (http://HOST:PORT), or unset the variable"
            )
    return proxies


def _is_address(proxy: str) -> bool:
    try:
        url = httpx.Proxy(proxy if "://" in proxy else f"http://{proxy}").url
    except (ValueError, httpx.InvalidURL):
        return False
    return bool(url.host) and (url.port or 1) <= _MAX_PORT


def _proxy_hint(proxies: Mapping[str, str]) -> str | None:
    if not proxies:
        return None
    names = " and ".join(f"{scheme.upper()}_PROXY ({masked(url)})" for scheme, url in proxies.items())
    return f"requests go through {names}; NO_PROXY names hosts that are reached directly"


def _tls(url: str, ca_file: Path | None) -> ssl.SSLContext | bool:
    """Load certificates only for https: they take time and memory at start. Raises SettingsError."""
    if not url.startswith("https://"):
        return False
    try:
        context = httpx.create_ssl_context()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        name = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if environ.get(name)), None)
        if name is None:
            raise SettingsError(f"the certificates of this machine can't be loaded: {_reason(error)}") from error
        raise SettingsError(
            f"{name} is {environ[name]}, which can't be used ({_reason(error)}): correct it, or unset the variable"
        ) from error
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"ca_file is {ca_file}, which can't be used ({_reason(error)}): name a PEM file of certificates"
            ) from error
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "it holds no certificates in PEM form"
    return getattr(error, "strerror", None) or str(error)


def _keepalive() -> list[tuple[int, int, int]]:
    """Return the socket options for ``SILENT_PEER``, as far as the platform has them."""
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))  # the second is macOS's name
    numbers = (idle, getattr(socket, "TCP_KEEPINTVL", None), getattr(socket, "TCP_KEEPCNT", None))
    options = [(socket.IPPROTO_TCP, n, value) for n, value in zip(numbers, SILENT_PEER, strict=True) if n is not None]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *options]
