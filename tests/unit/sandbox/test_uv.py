"""What a user can do about a failure of uv. The texts are uv's own (0.11)."""

from __future__ import annotations

from pathlib import Path

import pytest

from owui_watch.sandbox.pip_settings import uv_settings
from owui_watch.sandbox.uv import explain

FETCH = "error: Failed to fetch: https://index.example/simple/open-webui/\n  cause: "
SEND = (
    FETCH
    + "error sending request for url (https://index.example/simple/open-webui/)\n  cause: client error (Connect)\n"
)
TEXTS = {
    SEND + "  cause: invalid peer certificate: UnknownIssuer": "set SSL_CERT_FILE",
    SEND + "  cause: dns error\n  cause: failed to lookup address information: Name or service not known": "online?",
    SEND + "  cause: tcp connect error\n  cause: Connection refused (os error 111)": "set HTTPS_PROXY",
    FETCH
    + "HTTP status client error (407 Proxy Authentication Required) for url (x)": "HTTPS_PROXY=http://USER:PASSWORD@",
    FETCH + "HTTP status server error (503 Service Unavailable) for url (x)": "try again later",
    "hint: An index (https://index.example/simple) returned a 403 Forbidden error.": "name and password",
    SEND
    + "  cause: received corrupt message of type InvalidContentType": "or a proxy in its place, does not speak HTTPS",
    "  cause: invalid peer certificate: Expired": "this computer's clock",
    FETCH.replace("index.example", "ssl.tls.example") + "HTTP status server error (502 Bad Gateway)": "try again later",
    'error: Unsupported `Content-Type` "text/plain" for `x`. Expected JSON or HTML.': "login page",
    "  cause: failed to write to file `x`: No space left on device (os error 28)": "The disk is full",
    "error: failed to create directory `/cache`: Permission denied (os error 13)": "can't be written",
    "  cause: Failed to download `https://x/cpython-3.12.tar.gz`\n"
    + SEND
    + "  cause: tcp connect error": "HTTPS_PROXY",
}


class TestFailures:
    @pytest.mark.parametrize(("text", "advice"), TEXTS.items())
    def test_have_advice_of_their_own(self, text: str, advice: str) -> None:
        assert advice in (explain(text.splitlines(), Path("/cache")) or "")

    def test_that_are_unknown_have_none(self) -> None:
        text = "Because there is no version of open-webui==9.9 and you require open-webui==9.9, we can conclude that"
        assert explain([text], Path("/cache")) is None


class TestPipsSettings:
    def test_file_is_read(self, tmp_path: Path) -> None:
        file = tmp_path / "pip.conf"
        file.write_text(
            "[global]\nindex-url = https://mirror.example/simple\nextra-index-url = https://a.example\n  https://b.example\n"
            "proxy = http://proxy.example:3128\n[install]\ntrusted-host = mirror.example\n[list]\ncert = x\n"
        )
        found = uv_settings({"PIP_CONFIG_FILE": str(file), "HOME": str(tmp_path)})
        assert found["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
        assert found["UV_INDEX"] == "https://a.example https://b.example"
        assert found["UV_INSECURE_HOST"] == "mirror.example"
        assert found["HTTPS_PROXY"] == "http://proxy.example:3128"

    def test_variables_win_over_files(self, tmp_path: Path) -> None:
        file = tmp_path / "pip.conf"
        file.write_text("[global]\nindex-url = https://file.example\n")
        environ = {"PIP_CONFIG_FILE": str(file), "HOME": str(tmp_path), "PIP_INDEX_URL": "https://variable.example"}
        assert uv_settings(environ)["UV_DEFAULT_INDEX"] == "https://variable.example"

    def test_uvs_own_settings_win(self) -> None:
        environ = {"PIP_INDEX_URL": "https://pip.example", "UV_DEFAULT_INDEX": "https://uv.example", "HOME": "/none"}
        assert "UV_DEFAULT_INDEX" not in uv_settings(environ)

    def test_certificates_of_pip_are_uvs(self) -> None:
        assert uv_settings({"PIP_CERT": "/ca.pem", "HOME": "/none"})["SSL_CERT_FILE"] == "/ca.pem"

    def test_systems_certificates_otherwise(self, tmp_path: Path) -> None:
        assert uv_settings({"PIP_CONFIG_FILE": "/dev/null", "HOME": str(tmp_path)})["UV_NATIVE_TLS"] == "true"

    def test_damaged_file_is_passed_over(self, tmp_path: Path) -> None:
        file = tmp_path / "pip.conf"
        file.write_bytes(b"\xff[[[\nindex-url")
        assert "UV_DEFAULT_INDEX" not in uv_settings({"PIP_CONFIG_FILE": str(file), "HOME": str(tmp_path)})
