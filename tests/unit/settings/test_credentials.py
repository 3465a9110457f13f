from __future__ import annotations

import copy
import logging
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.settings import Layer, Secret, SettingsError, Source, is_loopback, masked, shown
from owui_watch.settings.credentials import choose_key, clean_key
from owui_watch.settings.urls import normalised_url

CANARY = "sk-canary0123456789abcdef"
FROM_ENVIRONMENT = Source(Layer.ENVIRONMENT, "OPENWEBUI_API_KEY")


def in_file(path: str, layer: Layer = Layer.CONFIG, name: str = "url") -> Source:
    return Source(layer, name, Path(path))


KEY = Secret(CANARY)
ELSEWHERE = "https://ai.example.com"
_PIECES = st.sampled_from(
    [
        *("localhost", "127.0.0.1", "[::1]", "evil.com", "user", "3000", "0x7f.1", "%2e", "%", "@", ":", ".", "/"),
        *("//", "\\", "?", "#", "[", "]", "\t", " ", "。", "．", "ｌ", "\u00ad", "\u2044", "\u212a", "ſ"),
    ]
)
_TRICKS = st.lists(_PIECES, min_size=1, max_size=8).map("".join) | st.text(max_size=30)


class TestSecret:
    def test_never_shows_itself(self, caplog: pytest.LogCaptureFixture) -> None:
        secret = Secret(CANARY)
        logging.getLogger("test").warning("%s %r", secret, [secret])
        looks = (
            repr(secret),
            str(secret),
            f"{secret}",
            f"{[secret]}",
            f"{secret!a}",
            repr(copy.deepcopy(secret)),
            caplog.text,
        )
        assert not any("canary" in look for look in looks)
        assert repr(secret) == str(secret) == "***"
        assert secret.reveal() == CANARY
        assert not hasattr(secret, "__dict__")

    def test_is_compared_by_its_value(self) -> None:
        assert Secret("a") == Secret("a")
        assert Secret("a") != Secret("b")
        assert Secret("a") != "a"
        assert len({Secret("a"), Secret("a")}) == 1


class TestKey:
    @pytest.mark.parametrize(
        ("pasted", "key"),
        [
            (CANARY, CANARY),
            (f"  {CANARY}\r\n", CANARY),
            (f'"{CANARY}"', CANARY),
            (f"' {CANARY} '", CANARY),
            (f"Bearer {CANARY}", CANARY),
            (f'"bearer  {CANARY}"', CANARY),
            ("eyJhbGciOiJIUzI1NiJ9.eyJpZCI6IjEifQ.a-b_c", "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6IjEifQ.a-b_c"),
        ],
    )
    def test_is_read_as_people_paste_it(self, pasted: str, key: str) -> None:
        assert clean_key(pasted) == Secret(key)

    @pytest.mark.parametrize(
        "text",
        [
            *("", "  ", '""', "Bearer", "<your key>", "sk-...", "sk-xxxxxxxxxx", "your-api-key", "your_api_key_here"),
            *("changeme", "sk-your-key", "YOUR_KEY", "${OPENWEBUI_API_KEY}", "TODO", "none", "paste-your-key-here"),
        ],
    )
    def test_placeholder_is_none(self, text: str) -> None:
        assert clean_key(text) is None

    @pytest.mark.parametrize(
        "text", [f"{CANARY} {CANARY}", f"{CANARY}é", f"{CANARY}\n{CANARY}", f"“{CANARY}”", f'"{CANARY}']
    )
    def test_odd_text_is_refused_unseen(self, text: str) -> None:
        with pytest.raises(ValueError, match="holds a blank or a character that no API key has") as caught:
            clean_key(text)
        assert "canary" not in repr(caught.value)


class TestUrl:
    @pytest.mark.parametrize(
        ("written", "normal"),
        [
            ("http://localhost:3000", "http://localhost:3000"),
            (" http://localhost:3000/ ", "http://localhost:3000"),
            ('"http://localhost:3000"', "http://localhost:3000"),
            ("HTTP://LocalHost:3000//", "http://localhost:3000"),
            ("https://ai.example.com/chat/", "https://ai.example.com/chat"),
            ("https://ai.example.com/apis", "https://ai.example.com/apis"),
            ("https://user:pa%40ss@ai.example.com", "https://user:pa%40ss@ai.example.com"),
            ("https://ai.example.com:443", "https://ai.example.com"),
            ("http://ai.example.com:80/x", "http://ai.example.com/x"),
            ("http://ai.example.com:443", "http://ai.example.com:443"),
            ("http://ai.example.com:", "http://ai.example.com"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000"),
            ("https://Bücher.example", "https://xn--bcher-kva.example"),
            ("http://ｌｏｃａｌｈｏｓｔ:3000", "http://localhost:3000"),
            ("http://open_webui:8080", "http://open_webui:8080"),
        ],
    )
    def test_is_brought_into_one_form(self, written: str, normal: str) -> None:
        assert normalised_url(written) == normal
        assert normalised_url(normal) == normal

    @pytest.mark.parametrize(
        ("written", "problem"),
        [
            ("", "is empty: give the address of the server, like 'http://localhost:3000'"),
            ("localhost:3000", "not 'localhost:3000': did you mean 'http://localhost:3000'?"),
            ("127.0.0.1:3000/x", "did you mean 'http://127.0.0.1:3000/x'?"),
            ("ai.example.com", "not 'ai.example.com': did you mean 'https://ai.example.com'?"),
            ("ftp://ai.example.com", "must begin with http:// or https://, not 'ftp://ai.example.com'"),
            ("http:/localhost", "must begin with http:// or https://, not 'http:/localhost'"),
            ("http://", "must be a URL like 'http://localhost:3000' or 'https://host/prefix', not 'http://'"),
            ("http:///x", "must be a URL like"),
            ("http://localhost:port", "must be a URL like"),
            (f"http://localhost/{'a' * 70_000}", "is longer than 2000 characters: 'http://localhost/aaa"),
            ("http://localhost:0", "has a port that is not between 1 and 65535: 'http://localhost:0'"),
            ("http://localhost:65536", "has a port that is not between 1 and 65535"),
            ("http://a..b", "names a host that can't exist: 'http://a..b'"),
            ("http://-a", "names a host that can't exist"),
            ("http://[::g]", "must be a URL like"),
            ("http://[1::2::3]", "names a host that can't exist"),
            ("http://127.0.0.13000", "names a host that can't exist: 'http://127.0.0.13000'"),
            ("http://[::1%25eth0]", "must be a URL like"),
            ("http://[::1].evil.com", "must be a URL like"),
            ("http://local host", "holds a blank, a backslash or a control character: 'http://local host'"),
            ("http://localhost\\@evil.com", "holds a blank, a backslash or a control character"),
            ("http://local\nhost", "holds a blank, a backslash or a control character"),
            ("http://local\u200bhost", "holds a blank, a backslash or a control character"),
            (
                "http://localhost?@evil.com",
                "must be the server's address alone, without '?…' and '#…': 'http://localhost'",
            ),
            ("http://localhost/#x", "must be the server's address alone, without '?…' and '#…': 'http://localhost/'"),
            (
                "http://localhost:3000/api",
                "ends in /api: leave that out, owui-watch adds it: 'http://localhost:3000'",
            ),
            ("https://h/x/api/v1/", "ends in /api/v1: leave that out, owui-watch adds it: 'https://h/x'"),
            ("http://evil.com/@localhost", "must be a URL like"),
            ("http://u:p/w@localhost", "special characters in user:password must be percent-encoded"),
            ("http://localhost:3000@evil.com@localhost", "special characters in user:password must be percent-encoded"),
        ],
    )
    def test_bad_one_gets_its_own_message(self, written: str, problem: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
            normalised_url(written)
        assert problem in str(caught.value)

    @pytest.mark.parametrize(
        "written",
        [
            "ftp://user:canary@host",
            "user:canary@localhost:3000",
            "http://user:canary/x@host",
            "http://user:canary@ho st",
            "http://user:canary@host?x",
            "http://user:canary@host:0",
            "http://user:canary@host/api",
            f"http://localhost/?key={CANARY}",
            f"http://localhost/{CANARY}/api",
            CANARY,
            f"Bearer {CANARY}",
            "eyJhbGciOiJIUzI1canary.eyJpZCI6IjEifQ.abc",
        ],
    )
    def test_message_shows_no_secret(self, written: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - any text will do, but the canary's
            normalised_url(written)
        assert "canary" not in repr(caught.value)

    def test_key_in_its_place_is_recognised(self) -> None:
        with pytest.raises(
            ValueError, match=r"not '\*\*\*': that looks like an API key; put it into OPENWEBUI_API_KEY"
        ):
            normalised_url(CANARY)

    @pytest.mark.parametrize(
        ("url", "look"),
        [
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://user:password@host/x", "https://***@host/x"),
            ("https://user@host", "https://***@host"),
            ("user:pass@host", "***@host"),
            ("http://u:p/a@b@host", "http://***@host"),
        ],
    )
    def test_password_is_masked(self, url: str, look: str) -> None:
        assert masked(url) == look

    def test_shown_values_are_short_and_printable(self) -> None:
        assert shown("\x1b[31mred") == r"'\x1b[31mred'"
        assert len(shown("x y" * 100)) == 77
        assert shown(3) == "3"
        assert shown([CANARY]) == "['***']"
        assert shown("0123456789abcdef0123456789abcdef") == "'***'"


class TestLoopback:
    @pytest.mark.parametrize(
        "host",
        [
            *("localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9"),
            *("[::1]", "[0:0::1]", "user:pass@localhost"),
        ],
    )
    def test_is_localhost_and_literal_addresses(self, host: str) -> None:
        assert is_loopback(f"http://{host}:3000/x")

    @pytest.mark.parametrize(
        "host",
        [
            *("localhost@evil.com", "127.0.0.1@evil.com", "127.0.0.1.evil.com", "localhost.evil.com", "notlocalhost"),
            *("evil.com.", "128.0.0.1", "0.0.0.0", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "10.0.0.1"),
            *("localhost..", "127.0.0.1.", "[::2]", "[::ffff:127.0.0.1]", "[::1].evil.com", "127.0.0.1。evil.com"),
            *("localhost%2eevil.com", "lοcalhost", "evil.com/@localhost", "evil.com#@localhost", "evil.com?@localhost"),
            "evil.com\\@localhost",
            *(
                "localhost.",
                "chat.localhost",
                "a.b.localhost.",
                "localhost.localdomain",
                "[::ffff:7f00:1]",
                "127.0.0.256",
            ),
        ],
    )
    def test_is_nothing_else(self, host: str) -> None:
        assert not is_loopback(f"http://{host}")
        try:
            url = normalised_url(f"http://{host}")
        except ValueError:
            return
        assert not is_loopback(url)

    @given(_TRICKS)
    def test_agrees_with_the_http_library(self, trick: str) -> None:
        try:
            url = normalised_url(f"http://{trick}")
        except ValueError:
            return
        host = httpx.URL(url).host
        assert is_loopback(url) <= (host in {"localhost", "::1"} or host.startswith("127."))


class TestPairs:
    @given(_TRICKS)
    def test_environment_key_never_goes_to_a_files_host(self, trick: str) -> None:
        try:
            url = normalised_url(f"http://{trick}")
        except ValueError:
            return
        try:
            chosen = choose_key(url, in_file("/repo/owui-watch.toml"), [(Secret(CANARY), FROM_ENVIRONMENT)])
        except SettingsError as error:
            assert "canary" not in str(error)  # noqa: PT017 - both ends are checked
            return
        assert chosen is not None
        host = httpx.URL(url).host
        assert host in {"localhost", "::1"} or host.startswith("127.")

    @pytest.mark.parametrize(
        ("url", "url_source", "key_source"),
        [
            ("http://localhost:3000", in_file("/repo/owui-watch.toml"), FROM_ENVIRONMENT),
            ("http://localhost:3000", in_file("/repo/.env"), in_file("/other/.env", Layer.ENV_FILE)),
            ("http://localhost:3000", Source(Layer.DEFAULT, "url"), FROM_ENVIRONMENT),
            (ELSEWHERE, Source(Layer.FLAG, "--url"), FROM_ENVIRONMENT),
            (ELSEWHERE, Source(Layer.ENVIRONMENT, "OPENWEBUI_URL"), FROM_ENVIRONMENT),
            (ELSEWHERE, Source(Layer.ENVIRONMENT, "OPENWEBUI_URL"), in_file("/repo/.env", Layer.ENV_FILE)),
            (ELSEWHERE, in_file("/repo/owui-watch.toml"), in_file("/repo/.env", Layer.ENV_FILE)),
        ],
    )
    def test_allowed_pair_uses_the_key(self, url: str, url_source: Source, key_source: Source) -> None:
        assert choose_key(url, url_source, [(KEY, key_source)]) == (KEY, key_source)
        assert choose_key(url, url_source, []) is None

    def test_key_beside_the_url_wins(self) -> None:
        beside = (Secret("beside"), in_file("/repo/.env", Layer.ENV_FILE))
        assert choose_key(ELSEWHERE, in_file("/repo/owui-watch.toml"), [(KEY, FROM_ENVIRONMENT), beside]) == beside

    def test_environment_key_is_refused_for_a_files_server(self) -> None:
        with pytest.raises(SettingsError) as caught:
            choose_key("https://me:canary@ai.example.com", in_file("/repo/owui-watch.toml"), [(KEY, FROM_ENVIRONMENT)])
        repo = Path("/repo").resolve()
        assert str(caught.value) == (
            f"{Path('/repo/owui-watch.toml')}: url: names the server https://***@ai.example.com, but the API key comes "
            "from somewhere else (environment OPENWEBUI_API_KEY).\n"
            "A server that a file names gets only a key from the same folder: else any cloned repository could send your "
            "key elsewhere.\n"
            "If you trust this server, set OPENWEBUI_URL in the environment, or give it with --url, or keep its key in "
            f"{repo / '.env'}."
        )

    def test_key_of_another_folder_is_refused(self) -> None:
        with pytest.raises(SettingsError) as caught:
            choose_key(
                ELSEWHERE, in_file("/repo/owui-watch.toml"), [(KEY, in_file("/.env", Layer.ENV_FILE, "api_key"))]
            )
        assert f"or write OPENWEBUI_URL into {Path('/.env')}, beside the key, or keep" in str(caught.value)
