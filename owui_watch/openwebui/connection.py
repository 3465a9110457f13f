"""Bounded HTTP requests: whatever a server sends, and however slowly, becomes a response or Unavailable."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.lowlevel
import httpx

from owui_watch.openwebui.json_stream import MAX_BYTES, Unreadable, parse, parse_start
from owui_watch.openwebui.responses import Delivery, Received, Unavailable, shortened
from owui_watch.openwebui.tls_and_proxies import LOCATION, create_client

CONNECT_SECONDS = 5.0
"""Seconds to connect. A live server answers the handshake at once, however busy it is."""
SILENCE_SECONDS = 30.0
"""Seconds without a byte after which a look ends."""
RESPONSE_SECONDS = 120.0
"""Seconds for a whole look or list, and for the body of any other response."""
UPDATE_SECONDS = 3600.0
"""Seconds until the response to an update begins. pip may take long, and the server sets no limit for it."""
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
        self._key = ""
        self._sending = 0
        self._headers = {"accept-encoding": "identity" if loopback else "gzip"}  # on loopback gzip costs more time
        self._client, self._proxy_hint = create_client(
            url, loopback=loopback, ca_file=ca_file, cookies=_NoCookies(), transport=transport
        )

    def use_key(self, key: str | None) -> None:
        """Send ``key`` (an API key or a JWT) from now on.

        A URL with ``user:password@`` is behind a proxy that wants the Authorization header for itself: then the key
        goes as the cookie ``token``, which every release takes (0.3.35 to 0.12.4).
        """
        self._key = key or ""
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
                    return await _received(response, sink, self._key)
                finally:
                    await response.aclose()
        except TimeoutError:
            return Unavailable(f"no complete response within {limit:g} s", delivery=Delivery.UNKNOWN)
        except httpx.TimeoutException as error:
            return _timed_out(error, read)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError, zlib.error) as error:
            return unreachable(error, self._proxy_hint, self._key)
        finally:
            self._sending -= sends

    def _all_headers(self, form: Mapping[str, Any] | None, more: Mapping[str, str] | None) -> dict[str, str]:
        headers = {**self._headers, **(more or {})}
        return headers if form is None else {**headers, "content-type": "application/json"}


class _NoCookies(CookieJar):
    """Keeps no cookie of the server: none can replace the key's, and none ties us to one instance of several."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Ignore the cookies of a response."""


def unreachable(error: Exception, proxy_hint: str | None = None, key: str = "") -> Unavailable:
    """Return the response for an error of the network, in words and with a hint. The text does not show ``key``."""
    shown = " ".join(shortened(_without(key, str(error)), 300).split())
    text = shown.lower()
    if "wrong_version_number" in text or "wrong version number" in text:
        return Unavailable(
            "TLS failed: the server there does not speak TLS",
            hint="does its address begin with http:// instead of https://?",
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


async def _received(response: httpx.Response, sink: Sink | None, key: str) -> Received:
    """Read a response. An echoed ``key`` is hidden here, before a text can be cut within it."""
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    location, retry_after = response.extensions[LOCATION], response.headers.get("retry-after", "")

    def received(body: Any) -> Received:
        shown = body if response.status_code == 200 else _without(key, body)
        return Received(response.status_code, content_type, shown, _without(key, location), retry_after)

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


def _without(key: str, value: Any) -> Any:
    """Return a text, or JSON with texts in it, with ``***`` for each ``key``."""
    match value:
        case str():
            return value.replace(key, "***") if key else value
        case list():
            return [_without(key, each) for each in value]
        case dict():
            return {_without(key, name): _without(key, each) for name, each in value.items()}
        case _:
            return value


def _encoded(form: Mapping[str, Any] | None) -> bytes | None:
    if form is None:
        return None
    return json.dumps(form, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _timed_out(error: httpx.TimeoutException, read: float | None) -> Unavailable:
    if isinstance(error, httpx.ConnectTimeout):
        return Unavailable(f"no connection within {CONNECT_SECONDS:g} s")
    seconds = SILENCE_SECONDS if read is None else read
    return Unavailable(f"no answer within {seconds:g} s", delivery=Delivery.UNKNOWN)
