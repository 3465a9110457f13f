"""What a user is told when uv can't install: the real uv, against servers, proxies and disks that fail as real ones do."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from owui_watch.sandbox import SandboxError
from owui_watch.sandbox.packages import install

NOWHERE = "127.0.0.1:9"
LOGIN = b"<html><body><form>Log in to this network</form></body></html>"
UNREACHABLE = "That server can't be reached. Is this computer online? Behind a proxy, set HTTPS_PROXY"
LOGIN_PAGE = "it may be a proxy's login page. Log in to the network with a browser, or set the index"
needs_matching_python = pytest.mark.skipif(
    sys.version_info[:2] not in {(3, 11), (3, 12)}, reason="uv would first have to find another Python"
)


class Answering(BaseHTTPRequestHandler):
    """Answers every request in the same way, CONNECT too."""

    status = 200
    kind = "text/html"
    body = LOGIN
    files: dict[str, bytes] = {}  # noqa: RUF012 - a subclass has its own

    def do_GET(self) -> None:
        body = self.files.get(self.path.rstrip("/"), self.body)
        self.send_response(self.status)
        self.send_header("content-type", self.kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_CONNECT = do_GET  # noqa: N815 - names of http.server

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Quiet(ThreadingHTTPServer):
    """A server of which uv may take leave whenever it likes."""

    def handle_error(self, *_: object) -> None:
        """Print nothing."""


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server and gives its ``host:port``."""
    with ExitStack() as stack:

        def start(context: ssl.SSLContext | None = None, **attributes: object) -> str:
            server = stack.enter_context(Quiet(("127.0.0.1", 0), type("Handler", (Answering,), attributes)))
            if context is not None:
                server.socket = context.wrap_socket(server.socket, server_side=True)
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"127.0.0.1:{server.server_port}"

        yield start


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this computer's own settings for networks and packages."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("UV_", "PIP_", "SSL_CERT")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))


def failure(cache: Path, **options: Any) -> str:
    """Return why Open WebUI can't be installed."""
    with pytest.raises(SandboxError) as caught:
        install("1.2.3", cache, lambda _: None, **options)
    return str(caught.value)


@needs_matching_python
class TestIndex:
    @pytest.mark.parametrize(
        ("attributes", "advice"),
        [
            ({}, "it may be a proxy's login page, or a mirror without it. Log in to the network"),
            ({"kind": "text/plain"}, LOGIN_PAGE),
            ({"status": 511}, LOGIN_PAGE),
            ({"status": 401}, "check its address and the name and password in it"),
            ({"status": 403}, "check its address and the name and password in it"),
            ({"status": 404}, "The package index has no Open WebUI at all"),
            ({"status": 503}, "The package index fails: try again later."),
        ],
    )
    def test_that_answers_without_packages(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, attributes: dict[str, object], advice: str
    ) -> None:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{serve(**attributes)}/simple")
        assert advice in failure(tmp_path / "cache")

    def test_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{NOWHERE}/simple")
        assert UNREACHABLE in failure(tmp_path / "cache")

    def test_whose_name_is_unknown(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("UV_DEFAULT_INDEX", "http://no-such-host.invalid/simple")
        assert UNREACHABLE in failure(tmp_path / "cache")

    def test_with_a_certificate_that_nobody_trusts(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"https://{serve(untrusted(tmp_path))}/simple")
        assert "TLS certificate is not trusted" in failure(tmp_path / "cache")
        assert "set SSL_CERT_FILE" in failure(tmp_path / "cache")

    def test_that_speaks_no_tls(self, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"https://{serve()}/simple")
        assert "does not speak HTTPS" in failure(tmp_path / "cache")

    def test_password_in_its_address_is_hidden(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://me:canary-password@{serve(status=503)}/simple")
        assert "canary" not in failure(tmp_path / "cache")


@needs_matching_python
class TestProxy:
    @pytest.mark.parametrize(
        ("status", "advice"),
        [
            (403, "The proxy refuses to connect to that server"),
            (407, "The proxy needs a user name and a password"),
            (511, "The proxy refuses to connect to that server"),
        ],
    )
    def test_that_answers_html(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, advice: str
    ) -> None:
        monkeypatch.setenv("UV_DEFAULT_INDEX", "https://index.example/simple")
        monkeypatch.setenv("HTTPS_PROXY", f"http://{serve(status=status)}")
        assert advice in failure(tmp_path / "cache")

    def test_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("UV_DEFAULT_INDEX", "https://index.example/simple")
        monkeypatch.setenv("HTTPS_PROXY", f"http://{NOWHERE}")
        assert UNREACHABLE in failure(tmp_path / "cache")


class TestPython:
    """A computer without a Python that Open WebUI runs on, where uv has to download one."""

    @pytest.fixture(autouse=True)
    def _no_python(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "pythons"))
        monkeypatch.setenv("UV_PYTHON_PREFERENCE", "only-managed")

    @pytest.mark.parametrize(
        ("attributes", "advice"), [(None, UNREACHABLE), ({}, LOGIN_PAGE), ({"status": 404}, "Or install Python 3.12")]
    )
    def test_that_cannot_be_downloaded(
        self,
        serve: Serve,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        attributes: dict[str, object] | None,
        advice: str,
    ) -> None:
        place = NOWHERE if attributes is None else serve(**attributes)
        monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", f"http://{place}/python")
        text = failure(tmp_path / "cache", pythons=())
        assert text.startswith(
            "Open WebUI needs Python 3.11 or 3.12. There is none here, and uv could not download one"
        )
        assert advice in text
        assert text.endswith("Or install Python 3.12 yourself (python.org, or your system's packages), then try again.")

    def test_that_must_not_be_downloaded(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
        assert "Or install Python 3.12 yourself" in failure(tmp_path / "cache", pythons=())


class TestDisk:
    @needs_matching_python
    def test_that_is_full_is_named_with_its_folder(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        files = {f"/simple/{name.replace('_', '-')}": link(name) for name in ("open_webui", "pip")}
        files |= {f"/{name}-1.2.3-py3-none-any.whl": wheel(tmp_path, name) for name in ("open_webui", "pip")}
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{serve(files=files)}/simple")
        with small_disk(tmp_path / "small") as small:
            text = failure(small / "cache")
            assert (
                f"The disk is full. Open WebUI takes 1 to 2 GB in {small / 'cache' / 'sandbox'}: free some space"
                in text
            )
            assert [
                path for path in (small / "cache" / "sandbox").iterdir() if path.is_dir()
            ] == []  # nothing half installed


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """Mount a disk of 256 kB."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def link(name: str) -> bytes:
    return f'<a href="/{name}-1.2.3-py3-none-any.whl">{name}-1.2.3-py3-none-any.whl</a>'.encode()


def wheel(folder: Path, name: str) -> bytes:
    """Make a package of 1 MB."""
    path = folder / f"{name}.whl"
    info = f"{name}-1.2.3.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/data.bin", os.urandom(1_000_000))
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2.3\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"{name}/data.bin,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path.read_bytes()


def untrusted(folder: Path) -> ssl.SSLContext:
    """Return the TLS settings of a server whose certificate it signed itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
