"""One bounded HTTP request at a time: the set-up of the connection (TLS, proxies) and the limits of each response."""

from __future__ import annotations

import json
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from http.cookiejar import CookieJar
from importlib.util import find_spec
from os import environ
from pathlib import Path
from typing import Any, Protocol
from urllib.request import getproxies

import anyio
import anyio.lowlevel
import httpx

from owui_watch.openwebui.json_stream import MAX_BYTES, Unreadable, parse, parse_start
from owui_watch.openwebui.responses import Delivery, Received, Unavailable, shortened
from owui_watch.settings import SettingsError, masked

CONNECT_SECONDS = 5.0
"""Seconds to connect. A live server answers the handshake at once, however busy it is."""
SILENCE_SECONDS = 30.0
"""Seconds without a byte after which a look ends."""
RESPONSE_SECONDS = 120.0
"""Seconds for a whole look or list, and for the body of any other response."""
UPDATE_SECONDS = 3600.0
"""Seconds until the response to an update begins: pip may take long, and the server sets pip no limit."""
SILENT_PEER = (30, 10, 3)
"""Seconds of silence before TCP asks whether the peer is still there, seconds between two such questions, and how many
go unanswered before the connection counts as broken: a host that vanished during an update is noticed."""
MAX_PORT = 65_535
_PART = 65_536
"""Bytes that are decompressed at once."""


class Sink(Protocol):
    """Takes the body of a response with status 200 in parts, instead of having it collected."""

    @property
    def content_type(self) -> str:
        """Return what the content type of the response must contain."""

    def feed(self, data: bytes) -> bool:
        """Take the next part; return whether more is wanted."""


class Connection:
    """Sends requests to one server, and bounds each response in bytes and seconds.

    Raises SettingsError if ``ca_file``, or the environment's proxies or certificates, can't be used.
    """

    def __init__(
        self,
        url: str,
        *,
        loopback: bool,
        ca_file: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._sending = 0
        self._headers = {"accept-encoding": "identity" if loopback else "gzip"}  # on loopback gzip costs more time
        proxies = {} if loopback else _proxies()
        self._proxy_hint = _proxy_hint(proxies)
        verify, limits = _tls(url, ca_file), httpx.Limits(keepalive_expiry=300)
        if transport is None and not proxies:
            # With proxies, httpx must make the transports itself, and then without these socket options.
            transport = httpx.AsyncHTTPTransport(verify=verify, limits=limits, socket_options=_keepalive())
        try:
            self._client = httpx.AsyncClient(
                verify=verify, trust_env=bool(proxies), limits=limits, transport=transport, cookies=_NoCookies()
            )
        except (ValueError, httpx.InvalidURL) as error:
            raise SettingsError(f"NO_PROXY, or a proxy of the environment, can't be used: {error}") from error

    def use_key(self, key: str | None) -> None:
        """Send ``key`` (an API key or a JWT) from now on.

        A URL with ``user:password@`` is behind a proxy that wants the Authorization header for itself: then the key
        goes as the cookie ``token``, which every release takes (0.3.35 to 0.12.4).
        """
        if httpx.URL(self._url).userinfo:
            self._headers["cookie"] = f"token={key or ''}"
        elif key is not None:
            self._headers["authorization"] = f"Bearer {key}"

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def request(
        self,
        method: str,
        path: str,
        form: Mapping[str, Any] | None = None,
        *,
        sink: Sink | None = None,
        silence: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Received | Unavailable:
        """Send one request. Never raises for what the server or the network does.

        ``headers`` are sent beside those of every request.
        ``sink`` takes the body of a response with status 200 and the content type that it names; the ``body`` of what
        is returned is then None. ``silence`` are the seconds that may pass without a byte once the response has begun.
        """
        sends = method == "POST"
        self._sending += sends
        # While a server loads a plugin it may answer no look either: up to 0.9.6 pip blocks it.
        waits = self._sending > 0
        read = silence or (None if waits else SILENCE_SECONDS)
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS, read=read)
        limit = UPDATE_SECONDS if waits else RESPONSE_SECONDS
        try:
            with anyio.fail_after(limit) as scope:
                request = self._client.build_request(
                    method,
                    self._url + path,
                    content=_encoded(form),
                    headers=self._all_headers(form, headers),
                    timeout=timeout,
                )
                response = await self._client.send(request, stream=True)
                try:
                    if waits and silence is None:
                        limit = RESPONSE_SECONDS
                        scope.deadline = anyio.current_time() + limit
                    return await _received(response, sink)
                finally:
                    await response.aclose()
        except TimeoutError:
            return Unavailable(f"no complete response within {limit:g} s", delivery=Delivery.UNKNOWN)
        except httpx.TimeoutException as error:
            return _timed_out(error, read)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError, zlib.error) as error:
            return unreachable(error, self._proxy_hint)
        finally:
            self._sending -= sends

    def _all_headers(self, form: Mapping[str, Any] | None, more: Mapping[str, str] | None) -> dict[str, str]:
        headers = {**self._headers, **(more or {})}
        return headers if form is None else {**headers, "content-type": "application/json"}


def unreachable(error: Exception, proxy_hint: str | None = None) -> Unavailable:
    """Return the response for an error of the network, in words and with a hint."""
    shown = " ".join(shortened(str(error), 300).split())
    text = shown.lower()
    if "wrong_version_number" in text or "wrong version number" in text:
        return Unavailable(
            "TLS failed: the server there does not speak TLS", hint="is its address http:// and not https://?"
        )
    if "certificate" in text or "ssl" in text:
        return Unavailable(f"TLS failed: {shown}", hint="if a private authority signed it, name its file in ca_file")
    if isinstance(error, httpx.ProxyError):
        return Unavailable(f"the proxy refuses the connection: {shown}", hint=proxy_hint)
    if "name or service not known" in text or "nodename" in text or "getaddrinfo" in text or "resolution" in text:
        return Unavailable("its host name is not known", hint=proxy_hint)
    if isinstance(error, httpx.ConnectError):
        refused = "refused" in text or "all connection" in text
        return Unavailable("connection refused" if refused else shown or "no connection", hint=proxy_hint)
    why = f"the connection broke off: {shown}" if shown else "the connection broke off"
    return Unavailable(why, delivery=Delivery.UNKNOWN)


class _NoCookies(CookieJar):
    """Keeps no cookie of the server: none can replace the key's, and none ties us to one instance of several."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Ignore the cookies of a response."""


async def _received(response: httpx.Response, sink: Sink | None) -> Received:
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    location, retry_after = response.headers.get("location", ""), response.headers.get("retry-after", "")

    def received(body: Any) -> Received:
        return Received(response.status_code, content_type, body, location, retry_after)

    if sink is not None and response.status_code == 200 and sink.content_type in content_type:
        async with aclosing(_decompressed(response)) as parts:
            async for part in parts:
                if not sink.feed(part):
                    break
        return received(None)
    raw = bytearray()
    async with aclosing(_decompressed(response)) as parts:
        async for part in parts:
            raw += part
            if len(raw) > MAX_BYTES:
                is_error = response.status_code >= 400
                return received(parse_start(raw) if is_error else Unreadable(f"more than {MAX_BYTES >> 20} MB"))
    return received(parse(bytes(raw)) if "json" in content_type else Unreadable("no JSON"))


async def _decompressed(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Yield the body in parts of bounded size: httpx would decompress 64 kB to 64 MB at once.

    Raises ValueError for an encoding that was not asked for, zlib.error for a broken one.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", ""}:
        raise httpx.DecodingError(f"the response is compressed as {shortened(encoding, 50)}, which was not asked for")
    assert isinstance(response.stream, httpx.AsyncByteStream), "an asynchronous client has asynchronous streams"
    stream = aiter(response.stream)
    try:
        if encoding != "gzip":
            async for part in stream:
                yield part
        else:
            async for part in _unzipped(stream):
                yield part
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


async def _unzipped(stream: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    unzip = zlib.decompressobj(wbits=31)
    async for packed in stream:
        while packed and not unzip.eof:
            yield unzip.decompress(packed, _PART)
            packed = unzip.unconsumed_tail  # noqa: PLW2901 - the rest of this part
            await anyio.lowlevel.checkpoint()
    while not unzip.eof and (part := unzip.decompress(b"", _PART)):
        yield part
    if not unzip.eof:
        raise httpx.DecodingError("the compressed response is cut off")


def _encoded(form: Mapping[str, Any] | None) -> bytes | None:
    if form is None:
        return None
    return json.dumps(form, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _timed_out(error: httpx.TimeoutException, read: float | None) -> Unavailable:
    if isinstance(error, httpx.ConnectTimeout):
        return Unavailable(f"no connection within {CONNECT_SECONDS:g} s")
    seconds = SILENCE_SECONDS if read is None else read
    return Unavailable(f"no answer within {seconds:g} s", delivery=Delivery.UNKNOWN)


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
    return bool(url.host) and (url.port or 1) <= MAX_PORT


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
