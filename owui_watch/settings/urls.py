"""The address of a server: checks its form, and whether it can only be this computer."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

from owui_watch.settings.masking import LOOKS_LIKE_KEY, looks_like_key, shown

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
_LONGEST_HOST = 253
"""Characters of a host name (RFC 1035)."""
_LONGEST_URL = 2000
"""Characters. The HTTP client refuses 65,536, and some proxies a tenth of that."""
_DEFAULT_PORT = {"http": 80, "https": 443}
_LOOPBACK = IPv4Network("127.0.0.0/8")


def is_loopback(url: str) -> bool:
    """Return whether ``url`` can only reach this computer: ``localhost``, 127.0.0.0/8 or ``::1``.

    ``chat.localhost`` is not: its address is what a DNS server says.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return False
    host = match["host"].lower().strip("[]")
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address in _LOOPBACK or address == IPv6Address("::1")


def normalised_url(text: str) -> str:
    """Return a server's address in one form: an ASCII host in lower case, no default port, no trailing slash.

    The result is built from the checked parts, so no later reader of the URL can find another host in it.
    Raises ValueError with a text that is safe to show.
    """
    text = unquoted(text)
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


def unquoted(text: str) -> str:
    """Return ``text`` without blanks and one pair of quotes around it."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].strip()
    return text


def _url_problem(text: str) -> str | None:
    if not text:
        return "is empty: give the address of the server, like 'http://localhost:3000'"
    if len(text) > _LONGEST_URL:
        return f"is longer than {_LONGEST_URL} characters: {shown(text)}"
    if "\\" in text or " " in text or not text.isprintable():
        return f"holds a blank, a backslash or a control character: {shown(text)}"
    scheme = _SCHEME.match(text)
    if scheme is None or scheme.group().lower() not in {"http://", "https://"}:
        return f"must begin with http:// or https://, not {shown(text)}{_with_scheme(text)}"
    if extra := re.search(r"[?#]", text):
        return f"must be the server's address alone, without '?…' and '#…': {shown(text[: extra.start()])}"
    if ending := _API_PATH.search(text):
        return f"ends in {ending[1]}: leave that out, owui-watch adds it: {shown(text[: ending.start()])}"
    return None


def _with_scheme(text: str) -> str:
    if looks_like_key(text):
        return f": {LOOKS_LIKE_KEY}"
    guess = f"http://{text}" if is_loopback(f"http://{text}") else f"https://{text}"
    return f": did you mean {shown(guess)}?" if _URL.fullmatch(guess) else ""


def _ascii_host(host: str) -> str:
    if len(host) > _LONGEST_HOST:
        raise ValueError(host)
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
