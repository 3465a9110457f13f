"""One bounded request: whatever a server sends, however slowly, and whatever the environment says about proxies."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import get_args

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.connection import (
    RESPONSE_SECONDS,
    SILENCE_SECONDS,
    UPDATE_SECONDS,
    Connection,
    unreachable,
)
from owui_watch.openwebui.listing import Listing
from owui_watch.openwebui.remote import Remote
from owui_watch.openwebui.responses import Delivery, Refused, Response, Unavailable, Unusable
from owui_watch.plugins.model import PluginKey, Space
from owui_watch.settings import SettingsError
from tests.unit.openwebui.raw_server import Answer, all_of, answering, endless, head

X = PluginKey(Space.FUNCTIONS, "x")
ROW = json.dumps(
    {"id": "x", "type": "pipe", "name": "X", "content": "c" * 40_000, "is_active": True, "is_global": False}
).encode()


async def look_at(answer: Answer, *, loopback: bool = True) -> Remote | Response:
    async with answering(answer, loopback=loopback) as server:
        return await server.look(X)


@pytest.mark.anyio
class TestBody:
    @pytest.mark.parametrize("charset", ["hex", "utf-16", "punycode", "no-such", "rot13"])
    async def test_body_is_utf8_whatever_the_charset(self, charset: str) -> None:
        found = await look_at(all_of(head(200, f"application/json; charset={charset}"), ROW))
        assert isinstance(found, Remote)

    async def test_deep_json_is_unusable(self) -> None:
        found = await look_at(all_of(head(), b"[" * 200_000))
        assert found == Unusable("its response can't be used: JSON nested more than 100 levels deep")

    async def test_endless_body_is_unusable(self) -> None:
        found = await look_at(endless(head(), b'"' + b"x" * 65_535))
        assert found == Unusable("its response can't be used: more than 8 MB")

    async def test_endless_error_text_is_cut(self) -> None:
        found = await look_at(endless(head(400) + b'{"detail":"Boom ', b"x" * 65_536))
        assert isinstance(found, Refused)
        assert found.reason.startswith("Boom xxx")
        assert len(found.reason) < 4_100

    async def test_endless_list_makes_the_server_unavailable(self) -> None:
        answer = endless(head() + b"[1", b",1" * 30_000)
        async with answering(answer) as server:
            found = await server.list_digests(Space.FUNCTIONS)
        assert found == Unavailable("its list of functions has more than 100,000 entries", delivery=Delivery.UNKNOWN)

    @pytest.mark.parametrize("part", [b"x" * 65_536, b" " * 65_536, b"1, " * 20_000])
    async def test_endless_body_of_which_only_the_status_matters(self, part: bytes) -> None:
        sent = 0

        async def answer() -> AsyncIterator[bytes]:
            nonlocal sent
            yield head()
            while True:
                sent += len(part)
                yield part

        async with answering(answer) as server:
            await server.reload_tools()
        assert sent < 64 * 2**20

    async def test_list_that_is_cut_off(self) -> None:
        async with answering(all_of(head(), b"[" + ROW + b",")) as server:
            found = await server.list_digests(Space.FUNCTIONS)
        assert found == Unavailable("its list of functions is cut off, or is no list", delivery=Delivery.UNKNOWN)


class TestRedirect:
    @pytest.mark.anyio
    @pytest.mark.parametrize(
        "location",
        ["http://[::1", "javascript:1", "http://x:99999999/", "\x1b[31mhttp://x", "\u00e9", "https://[::1]:x/"],
    )
    async def test_that_is_malformed_is_named(self, location: str) -> None:
        found = await look_at(all_of(head(302, "text/html", f"location: {location}", "content-length: 0")))
        assert isinstance(found, Unavailable)
        assert found.error == "answers with a redirect, which is never followed with a key"
        assert (found.hint or "").endswith(f" redirects to {location}")
        assert found.delivery is Delivery.NOT_PROCESSED


@pytest.mark.anyio
class TestCompression:
    async def test_gzip_is_asked_for_and_read(self) -> None:
        found = await look_at(
            all_of(head(200, "application/json", "content-encoding: gzip"), gzip.compress(ROW)), loopback=False
        )
        assert isinstance(found, Remote)
        assert len(found.content) == 40_000

    async def test_gzip_bomb_needs_no_memory(self) -> None:
        bomb = gzip.compress(b"[" + b" " * (24 * 2**20) + b"]")
        answer = all_of(head(200, "application/json", "content-encoding: gzip"), bomb)
        async with answering(answer, loopback=False) as server:
            tracemalloc.start()
            try:
                look = await server.look(X)
                listing = await server.list_digests(Space.FUNCTIONS)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        assert look == Unusable("its response can't be used: more than 8 MB")
        assert listing == Listing({}, skipped=1)
        assert peak < 20 * 2**20

    @pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "x" * 5_000])
    async def test_other_encodings_are_refused(self, encoding: str) -> None:
        found = await look_at(all_of(head(200, "application/json", f"content-encoding: {encoding}"), ROW))
        assert isinstance(found, Unavailable)
        assert "which was not asked for" in found.error
        assert len(found.error) < 200

    @pytest.mark.parametrize("data", [b"no gzip", gzip.compress(ROW)[:-40], b"", zlib.compress(ROW)])
    async def test_broken_gzip_makes_the_server_unavailable(self, data: bytes) -> None:
        found = await look_at(all_of(head(200, "application/json", "content-encoding: gzip"), data))
        assert isinstance(found, Unavailable)
        assert found.delivery is Delivery.UNKNOWN


@pytest.mark.anyio
class TestTime:
    """In virtual time: a transport that answers as slowly as it is told."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, object]]:
        return "trio", {"clock": MockClock(autojump_threshold=0)}

    @staticmethod
    def server(stream: Callable[[], AsyncIterator[bytes]], delay: float = 0.0) -> OpenWebUI:
        class Stream(httpx.AsyncByteStream):
            def __aiter__(self) -> AsyncIterator[bytes]:
                return stream()

        async def handle(request: httpx.Request) -> httpx.Response:
            # A transport obeys the timeouts of a request itself: httpcore does, this one has to.
            with anyio.move_on_after(request.extensions["timeout"]["read"] or float("inf")):
                await anyio.sleep(delay)
                return httpx.Response(200, headers={"content-type": "application/json"}, stream=Stream())
            raise httpx.ReadTimeout("", request=request)

        url = "http://localhost:1"
        return OpenWebUI(url, "k", shown_url=url, loopback=True, transport=httpx.MockTransport(handle))

    @staticmethod
    async def drip() -> AsyncIterator[bytes]:
        yield b"["
        while True:
            await anyio.sleep(1)
            yield b" "

    async def test_dripping_look_ends(self) -> None:
        began = anyio.current_time()
        found = await self.server(self.drip).look(X)
        assert found == Unavailable("no complete response within 120 s", delivery=Delivery.UNKNOWN)
        assert anyio.current_time() - began == RESPONSE_SECONDS

    async def test_dripping_list_ends(self) -> None:
        began = anyio.current_time()
        found = await self.server(self.drip).list_digests(Space.TOOLS)
        assert found == Unavailable("no complete response within 120 s", delivery=Delivery.UNKNOWN)
        assert anyio.current_time() - began == RESPONSE_SECONDS

    async def test_silent_look_ends(self) -> None:
        began = anyio.current_time()
        found = await self.server(self.drip, delay=10_000).look(X)
        assert found == Unavailable("no answer within 30 s", delivery=Delivery.UNKNOWN)
        assert anyio.current_time() - began == SILENCE_SECONDS

    async def test_update_may_take_as_long_as_pip(self) -> None:
        async def stream() -> AsyncIterator[bytes]:
            yield ROW

        found = await self.server(stream, delay=1_800).update(X, {"id": "x", "content": ""})
        assert isinstance(found, Remote)

    async def test_dripping_update_ends_after_its_response_began(self) -> None:
        began = anyio.current_time()
        found = await self.server(self.drip, delay=500).update(X, {"id": "x", "content": ""})
        assert found == Unavailable("no complete response within 120 s", delivery=Delivery.UNKNOWN)
        assert anyio.current_time() - began == 500 + RESPONSE_SECONDS

    async def test_silent_update_ends(self) -> None:
        found = await self.server(self.drip, delay=1e9).update(X, {"id": "x", "content": ""})
        assert found == Unavailable(f"no complete response within {UPDATE_SECONDS:g} s", delivery=Delivery.UNKNOWN)

    async def test_look_waits_while_an_update_runs(self) -> None:
        async def stream() -> AsyncIterator[bytes]:
            yield ROW

        server = self.server(stream, delay=100)
        found: list[object] = []

        async def look() -> None:
            await anyio.sleep(1)
            found.append(await server.look(X))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            found.append(await server.update(X, {"id": "x", "content": ""}))
        assert [type(each) for each in found] == [Remote, Remote]


@pytest.mark.anyio
class TestHeaders:
    @pytest.mark.parametrize(
        "more",
        [
            "location: http://[broken",
            "location: \xff\xfe",
            "location: https://" + "x" * 5_000,
            "set-cookie: token=stolen; path=/",
            "set-cookie: \xff=\xfe; expires=" + "0" * 5_000,
            "retry-after: " + "9" * 5_000,
            "content-length: 5, 7",
            "transfer-encoding: chunked, x",
        ],
        ids=lambda more: more[:24],
    )
    @pytest.mark.parametrize("status", [200, 302, 503])
    async def test_odd_header_raises_nothing(self, more: str, status: int) -> None:
        found = await look_at(all_of(head(status, "application/json", more), ROW))
        assert isinstance(found, Remote | Unavailable)

    async def test_no_cookie_of_the_server_is_kept(self) -> None:
        cookies: list[str | None] = []

        def handle(request: httpx.Request) -> httpx.Response:
            cookies.append(request.headers.get("cookie"))
            return httpx.Response(200, json=None, headers={"set-cookie": "token=stolen; path=/"})

        url = "http://me:secret@localhost:1"
        server = OpenWebUI(url, "sk-key", shown_url="", loopback=True, transport=httpx.MockTransport(handle))
        for _ in range(2):
            await server.look(X)
        assert cookies == ["token=sk-key"] * 2

    @pytest.mark.parametrize(("loopback", "encoding"), [(True, "identity"), (False, "gzip")])
    async def test_compression_only_over_a_network(self, loopback: bool, encoding: str) -> None:
        asked: list[str] = []

        def handle(request: httpx.Request) -> httpx.Response:
            asked.append(request.headers["accept-encoding"])
            return httpx.Response(404, json={"detail": "Not Found"})

        url = "http://open-webui.example"
        server = OpenWebUI(url, "sk-key", shown_url=url, loopback=loopback, transport=httpx.MockTransport(handle))
        await server.look(X)
        assert asked == [encoding]


BYTES = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda status, lines, body: b"HTTP/1.1 %d X\r\n%s\r\n\r\n%s" % (status, b"\r\n".join(lines), body),
        st.integers(0, 999),
        st.lists(
            st.sampled_from(
                [
                    b"content-type: application/json",
                    b"content-type: text/event-stream",
                    b"content-encoding: gzip",
                    b"content-length: 5",
                    b"transfer-encoding: chunked",
                    b"connection: close",
                    b"location: //",
                    b"x",
                    b": x",
                ]
            )
            | st.binary(max_size=20),
            max_size=5,
        ),
        st.binary(max_size=100)
        | st.just(ROW)
        | st.just(b"null")
        | st.just(b'[{"id": []}]')
        | st.just(b"5\r\n[null\r\n"),
    ),
)


class TestAnyBytes:
    @given(BYTES)
    def test_of_a_server_are_a_known_response(self, raw: bytes) -> None:
        async def main() -> None:
            async with answering(all_of(raw)) as server:
                assert isinstance(await server.look(X), (Remote, *get_args(Response)))
                assert isinstance(await server.list_digests(Space.FUNCTIONS), (Listing, *get_args(Response)))
                assert isinstance(await server.connect(), get_args(Response))
                await server.update(X, {"id": "x", "content": ""})
                await server.unfit_valves(X)
                await server.chat.ask("x", "hi", lambda _: None)

        anyio.run(main)


class TestEnvironment:
    URL = "https://open-webui.example"

    @pytest.fixture(autouse=True)
    def no_proxies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)

    @pytest.mark.parametrize(
        ("name", "value", "error"),
        [
            (
                "ALL_PROXY",
                "socks5://me:secret@localhost:1080",
                "ALL_PROXY is socks5://***@localhost:1080, and a SOCKS proxy needs the package socksio: install it "
                "beside owui-watch (pip install socksio), or unset the variable",
            ),
            *(
                (
                    "HTTP_PROXY",
                    value,
                    f"HTTP_PROXY is {value}, which is no proxy's address: correct it (http://HOST:PORT), or unset the "
                    "variable",
                )
                for value in ("ftp://proxy:1", "http://[::1", "http://proxy:port", "http://proxy:99999999")
            ),
            (
                "SSL_CERT_FILE",
                "/no/such/file.pem",
                "SSL_CERT_FILE is /no/such/file.pem, which can't be used (No such file or directory): correct it, or "
                "unset the variable",
            ),
            (
                "SSL_CERT_FILE",
                __file__,
                f"SSL_CERT_FILE is {__file__}, which can't be used (it holds no certificates in PEM form): correct "
                "it, or unset the variable",
            ),
        ],
    )
    def test_unusable_variable_is_named(
        self, name: str, value: str, error: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(SettingsError) as raised:
            Connection(self.URL, loopback=False)
        assert str(raised.value) == error

    @pytest.mark.parametrize("value", ["[::1", "http://[x", "*.[", "\x00"])
    def test_odd_no_proxy_is_no_traceback(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
        monkeypatch.setattr("os.environ", {**os.environ, "NO_PROXY": value})
        with contextlib.suppress(SettingsError):
            Connection(self.URL, loopback=False)

    @pytest.mark.parametrize("name", ["ALL_PROXY", "HTTP_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
    def test_loopback_ignores_the_environment(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, "socks5://nowhere")
        Connection("http://127.0.0.1:3000", loopback=True)

    def test_requests_variables_are_not_ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file.pem")
        Connection(self.URL, loopback=False)

    @pytest.mark.parametrize("content", [None, "no certificates"])
    def test_unusable_ca_file_is_named(self, content: str | None, tmp_path: Path) -> None:
        path = tmp_path / "ca.pem"
        if content is not None:
            path.write_text(content)
        with pytest.raises(SettingsError, match=f"^ca_file is {path}, which can't be used"):
            Connection(self.URL, loopback=False, ca_file=path)


@pytest.mark.anyio
class TestUnreachable:
    async def test_refused_connection_makes_the_server_unavailable(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        server = OpenWebUI(url, None, shown_url=url, loopback=True)
        assert await server.look(X) == Unavailable("connection refused")
        await server.close()

    async def test_proxy_that_is_away_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, "http://me:secret@127.0.0.1:9")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        server = OpenWebUI("http://open-webui.example", None, shown_url="", loopback=False)
        hint = "requests go through HTTP_PROXY (http://***@127.0.0.1:9); NO_PROXY names hosts that are reached directly"
        assert await server.look(X) == Unavailable("connection refused", hint=hint)
        await server.close()

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (
                httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER] wrong version number"),
                Unavailable(
                    "TLS failed: the server there does not speak TLS",
                    hint="does its address begin with http:// instead of https://?",
                ),
            ),
            (
                httpx.ConnectError("certificate verify failed: self-signed certificate"),
                Unavailable(
                    "TLS failed: certificate verify failed: self-signed certificate",
                    hint="if a private authority signed it, name its file in ca_file",
                ),
            ),
            (httpx.ConnectError("[Errno -2] Name or service not known"), Unavailable("its host name is not known")),
            (httpx.ConnectError("All connection attempts failed"), Unavailable("connection refused")),
            (httpx.ConnectError("[Errno 113] No route to host"), Unavailable("[Errno 113] No route to host")),
            (
                httpx.ProxyError("407 Proxy Authentication Required"),
                Unavailable("the proxy refuses the connection: 407 Proxy Authentication Required"),
            ),
            (httpx.ReadError(""), Unavailable("the connection broke off", delivery=Delivery.UNKNOWN)),
            (
                httpx.RemoteProtocolError("Server disconnected\nwithout sending a response."),
                Unavailable(
                    "the connection broke off: Server disconnected without sending a response.",
                    delivery=Delivery.UNKNOWN,
                ),
            ),
        ],
    )
    async def test_error_in_words(self, error: Exception, expected: Unavailable) -> None:
        assert unreachable(error) == expected

    async def test_long_error_is_cut(self) -> None:
        assert len(unreachable(httpx.ReadError("x" * 10**6)).error) < 400
