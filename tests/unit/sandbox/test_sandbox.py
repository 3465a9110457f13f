"""The sandbox: what reaches the server, what stays of it, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from owui_watch.files import exclusive
from owui_watch.sandbox import DEFAULT_VERSION, Sandbox, SandboxError, orphan_guard, packages, sandbox
from owui_watch.sandbox.environ import server_environ, uv_environ
from owui_watch.sandbox.packages import cache_folder
from owui_watch.sandbox.run_folder import LastRun, data_folder, last_run
from tests.conftest import POISON

PY = f"py{'.'.join(map(str, sys.version_info[:3]))}"
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals and modes of POSIX")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="/proc and PR_SET_PDEATHSIG")
needs_matching_python = pytest.mark.skipif(
    sys.version_info[:2] not in {(3, 11), (3, 12)}, reason="a stub is laid out for the running Python"
)


def until(fact: Callable[[], object], seconds: float = 60) -> None:
    """Wait until FACT holds."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if fact():
            return
        pause.wait(0.05)
    pytest.fail(f"not within {seconds} s")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if not Path("/proc/self/stat").exists():
        return True
    try:  # one that only waits to be reaped is dead
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def api(running: Sandbox) -> httpx.Client:
    headers = {"Authorization": f"Bearer {running.token}"}
    return httpx.Client(base_url=running.url, headers=headers, trust_env=False, timeout=60)


def function(name: str, content: str) -> dict[str, object]:
    return {"id": name, "name": name, "content": content, "meta": {"description": ""}}


PROBE = '''"""
title: Probe
requirements: {requirements}
"""
import httpx
import owui_probe
from pydantic import BaseModel

class Filter:
    class Valves(BaseModel):
        probe: str = owui_probe.ANSWER

    def __init__(self):
        self.valves = self.Valves()
'''


CHILD = """
import json, subprocess, sys
from pathlib import Path
from owui_watch.sandbox import sandbox
with sandbox(sys.argv[1], data=Path(sys.argv[2])) as it:
    # It must not inherit what holds the server: close_fds=False is the worst case.
    bystander = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], close_fds=False)
    print(json.dumps([it.url, it.pid, it.password, it.token, bystander.pid]), flush=True)
    sys.stdin.read()
"""


class TestRealServer:
    def test_token_is_an_admins(self, openwebui: Sandbox, request: pytest.FixtureRequest) -> None:
        with api(openwebui) as client:
            assert client.get("/api/v1/functions/export").status_code == 200
        assert openwebui.version == request.config.getoption("--openwebui")
        assert openwebui.token.startswith("sk-")
        assert openwebui.password not in repr(openwebui)
        assert openwebui.token not in repr(openwebui)

    @linux_only
    def test_gets_only_allowed_variables(self, openwebui: Sandbox) -> None:
        environ = Path(f"/proc/{openwebui.pid}/environ").read_text()
        assert "WEBUI_SECRET_KEY=" in environ
        assert [name for name in POISON if f"{name}=" in environ] == []

    def test_installs_requirements_into_the_runs_own_environment(self, openwebui: Sandbox, tmp_path: Path) -> None:
        wheel = tmp_path / "owui_probe-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("owui_probe.py", "ANSWER = 'from the wheel'\n")
            archive.writestr(
                "owui_probe-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: owui-probe\nVersion: 1.0\n"
            )
            archive.writestr(
                "owui_probe-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr("owui_probe-1.0.dist-info/RECORD", "")
        shelf = cache_folder() / "sandbox"
        before = sorted(shelf.glob("*/*"))

        with api(openwebui) as client:
            content = PROBE.format(requirements=f"owui-probe @ {wheel.as_uri()}, httpx")
            created = client.post("/api/v1/functions/create", json=function("probe", content))
            assert created.status_code == 200, created.text
            spec = client.get("/api/v1/functions/id/probe/valves/spec").json()
            client.delete("/api/v1/functions/id/probe/delete")

        assert spec["properties"]["probe"]["default"] == "from the wheel"
        assert [path.name for path in openwebui.log.parent.glob("venv/**/owui_probe.py")] == ["owui_probe.py"]
        assert sorted(shelf.glob("*/*")) == before
        satisfied = [
            line for line in openwebui.log.read_text("utf-8").splitlines() if "already satisfied: httpx " in line
        ]
        assert any(str(shelf) in line for line in satisfied)

    @pytest.mark.live
    @posix_only
    def test_ends_with_a_killed_owner_and_leaves_data(self, tmp_path: Path, request: pytest.FixtureRequest) -> None:
        version, data = request.config.getoption("--openwebui"), tmp_path / "data"
        command = [sys.executable, "-c", CHILD, version, str(data)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            try:
                assert child.stdout is not None
                url, pid, password, token, bystander = json.loads(child.stdout.readline())
                headers = {"Authorization": f"Bearer {token}"}
                body = function("keeper", "class Filter:\n    pass\n")
                answer = httpx.post(f"{url}/api/v1/functions/create", json=body, headers=headers, trust_env=False)
                assert answer.status_code == 200, answer.text
                assert alive(pid)
            finally:
                child.kill()
        until(lambda: not alive(pid))
        assert alive(bystander)
        os.kill(bystander, signal.SIGKILL)
        assert data.is_dir()
        assert (data / "credentials.json").stat().st_mode & 0o777 == 0o600
        assert (data / "server.log").stat().st_mode & 0o777 == 0o600

        with sandbox(version, data=data) as again:
            assert again.password == password
            with api(again) as client:
                assert client.get("/api/v1/functions/id/keeper").json()["content"] == body["content"]
            again_pid = again.pid
        assert not alive(again_pid)
        assert (data / "open-webui").is_dir()


class TestEnvironment:
    def test_is_an_allow_list(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        passed = {
            "https_proxy": "http://proxy:3128",
            "REQUESTS_CA_BUNDLE": "/ca.pem",
            "PIP_INDEX_URL": "https://mirror/simple",
            "LC_ALL": "C.UTF-8",
        }
        stopped = {
            **POISON,
            "PYTHONPATH": "/elsewhere",
            "PIP_TARGET": "/elsewhere",
            "WEBUI_AUTH": "false",
            "UV_TOKEN": "x",
        }
        for name, value in {**passed, **stopped, "no_proxy": "intranet"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("NO_PROXY", raising=False)

        python = tmp_path / "venv/bin/python"
        environ = server_environ(
            tmp_path, python, email="e", password="p", secret="s", extra={"DEFAULT_LOCALE": "de-DE"}
        )

        assert {name: environ[name] for name in passed} == passed
        assert [name for name in stopped if name in environ] == []
        assert environ["no_proxy"] == "intranet,127.0.0.1,localhost,::1"
        assert environ["NO_PROXY"] == "127.0.0.1,localhost,::1"
        assert environ["DEFAULT_LOCALE"] == "de-DE"
        assert environ["PATH"].startswith(str(python.parent))
        assert "OFFLINE_MODE" not in environ  # it skips plugins' requirements
        assert "UV_TOKEN" in uv_environ()
        assert [name for name in POISON if name in uv_environ()] == []

    @pytest.mark.parametrize(
        ("platform", "variable", "tail"),
        [
            ("linux", "XDG_CACHE_HOME", ["owui-watch"]),
            ("win32", "LOCALAPPDATA", ["owui-watch"]),
            ("darwin", "HOME", ["Library", "Caches", "owui-watch"]),
        ],
    )
    @posix_only
    def test_names_the_cache_of_the_platform(
        self, platform: str, variable: str, tail: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setenv(variable, str(tmp_path))
        assert cache_folder() == tmp_path.joinpath(*tail)


OLD_SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

ANSWERS = {
    "/health": (200, {"status": True}),
    "/api/version": (200, {"version": "1.2.3"}),
    "/api/v1/auths/signin": (400, {"detail": "no such user"}),
    "/api/v1/auths/signup": (200, {"token": "a-session"}),
    "/api/v1/auths/api_key": (403, {"detail": "API key creation is not allowed in the environment."}),
}

class Handler(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    do_GET = do_POST = answer

def app():
    HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""


def stub(cache: Path, source: str) -> Path:
    """Lay a stand-in for Open WebUI 1.2.3 into a cache folder."""
    package = cache / "sandbox" / f"1.2.3-{PY}" / "open_webui"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(textwrap.dedent(source))
    return cache


class TestRelease:
    @needs_matching_python
    def test_without_admin_variables_and_keys_is_set_up(self, tmp_path: Path) -> None:
        told: list[str] = []
        with sandbox("v1.2.3", cache=stub(tmp_path, OLD_SERVER), report=told.append) as running:
            assert (running.token, running.version) == ("a-session", "1.2.3")
            folder = running.log.parent
            assert folder.is_dir()
        assert not folder.exists()
        assert told[0].startswith("starting Open WebUI 1.2.3")
        assert "ready" in told[-1]


class TestPort:
    @needs_matching_python
    def test_that_was_taken_is_replaced(self, tmp_path: Path) -> None:
        taken_once = f"""
    import sys
    from pathlib import Path
    {textwrap.indent(OLD_SERVER, "    ").strip()}
    serve = app
    def app():
        ports = Path({str(tmp_path / "ports")!r})
        with ports.open("a") as file:
            print(sys.argv[-1], file=file)
        if len(ports.read_text().split()) == 1:
            sys.exit("[Errno 98] error while attempting to bind on address: address already in use")
        serve()
    """
        with sandbox("1.2.3", cache=stub(tmp_path, taken_once)) as running:
            ports = (tmp_path / "ports").read_text().split()
            assert len(set(ports)) == 2
            assert running.url == f"http://127.0.0.1:{ports[1]}"

    @needs_matching_python
    def test_of_a_kept_sandbox_stays_if_free(self, tmp_path: Path) -> None:
        cache, data = stub(tmp_path / "cache", OLD_SERVER), tmp_path / "data"
        told: list[str] = []
        with sandbox("1.2.3", cache=cache, data=data) as first:
            pass
        with sandbox("1.2.3", cache=cache, data=data, report=told.append) as again:
            assert again.url == first.url
        assert [line for line in told if "taken" in line] == []
        port = int(first.url.rpartition(":")[2])
        with (
            socket.create_server(("127.0.0.1", port)),
            sandbox("1.2.3", cache=cache, data=data, report=told.append) as elsewhere,
        ):
            assert elsewhere.url != first.url
        assert f"port {port}, which this sandbox used last time, is taken: the sandbox uses another one" in told
        with sandbox("1.2.3", cache=cache, data=data) as there:
            assert there.url == elsewhere.url

    @needs_matching_python
    def test_that_can_not_exist_is_ignored(self, tmp_path: Path) -> None:
        cache, data = stub(tmp_path / "cache", OLD_SERVER), tmp_path / "data"
        with data_folder(data, print) as folder:
            folder.remember(LastRun("1.2.3", 99999999))
        with sandbox("1.2.3", cache=cache, data=data):
            pass


class TestEnd:
    @needs_matching_python
    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
    def test_of_any_kind_stops_the_server(self, error: type[BaseException], tmp_path: Path) -> None:
        with pytest.raises(error), sandbox("1.2.3", cache=stub(tmp_path, OLD_SERVER)) as running:
            raise error
        assert not alive(running.pid)
        assert not running.log.parent.exists()

    @needs_matching_python
    def test_at_the_start_shows_the_log(self, tmp_path: Path) -> None:
        dies = "import sys\ndef app():\n    print('\\x1b[31mno such thing\\x1b[0m')\n    sys.exit(3)\n"
        with pytest.raises(SandboxError) as caught, sandbox("1.2.3", cache=stub(tmp_path, dies)):
            pass
        log = tmp_path / "sandbox/failed-start.log"
        assert str(caught.value).splitlines() == [
            "Open WebUI ended while it started (exit code 3). Its last lines:",
            "    no such thing",
            f"The whole log: {log}",
        ]
        assert "no such thing" in log.read_text()

    @needs_matching_python
    @posix_only
    @pytest.mark.parametrize("kept", [True, False])
    def test_later_is_reported_with_the_log(self, kept: bool, tmp_path: Path) -> None:
        says = OLD_SERVER.replace("    HTTPServer(", '    print("serving", flush=True)\n    HTTPServer(')
        data = tmp_path / "data" if kept else None
        with sandbox("1.2.3", cache=stub(tmp_path, says), data=data) as running:
            assert running.ended() is None
            os.kill(running.pid, signal.SIGKILL)
            until(running.ended)
            how = running.ended()
        log = tmp_path / "data/server.log" if kept else tmp_path / "sandbox/ended.log"
        assert how is not None
        first, *lines, last = how.splitlines()
        assert first == "the sandbox's Open WebUI ended by itself (exit code 137). Its last lines:"
        assert "    serving" in lines
        assert last == f"The whole log: {log}"
        assert "serving" in log.read_text()

    @needs_matching_python
    @linux_only
    def test_is_the_watchs_end(self, tmp_path: Path) -> None:
        """It would wait for ever: nobody starts that server again."""
        # The sandbox asks for the version last; whatever the watch asks then ends the server.
        exits = OLD_SERVER.replace("import json, sys", "import json, os, sys")
        exits = exits.replace("ANSWERS[self.path]", "ANSWERS.get(self.path) or os._exit(5)")
        exits = exits.replace(".encode())", ".encode())\n        self.path == '/api/version' and ANSWERS.clear()")
        stub(tmp_path / "cache/owui-watch", exits)
        (tmp_path / "plugins").mkdir()
        done = subprocess.run(
            [sys.executable, "-m", "owui_watch", "plugins", "--sandbox=1.2.3", "--log-format", "json", "--drain", "0"],
            cwd=tmp_path,
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = {line["event"]: line for line in map(json.loads, done.stdout.splitlines())}
        error = said["warning"]["error"]
        assert error.startswith("the sandbox's Open WebUI ended by itself (exit code 5). Its last lines:\n")
        assert error.endswith(f"The whole log: {tmp_path / 'cache/owui-watch/sandbox/ended.log'}")
        assert said["warning"]["hint"] == "start owui-watch again for a new one"
        assert said["stopped"]["pending"] == []
        assert done.returncode == 1


class TestServer:
    @needs_matching_python
    def test_that_answers_nonsense_is_refused(self, tmp_path: Path) -> None:
        odd = stub(tmp_path / "a", OLD_SERVER.replace('(400, {"detail": "no such user"})', "(500, {})"))
        refused = pytest.raises(SandboxError, match=r"refused its own administrator \(HTTP 500\)")
        with refused, sandbox("1.2.3", cache=odd):
            pass
        odd = stub(tmp_path / "b", OLD_SERVER.replace('{"version": "1.2.3"}', "{}"))
        with pytest.raises(SandboxError, match=r"could not sign in to it \(KeyError"), sandbox("1.2.3", cache=odd):
            pass

    @needs_matching_python
    @linux_only
    @pytest.mark.parametrize(("verbosity", "shown"), [("-vv", True), ("-v", False)])
    def test_has_its_log_shown_on_request_only(self, verbosity: str, shown: bool, tmp_path: Path) -> None:
        """Also what no stream of Python's sees: writes to a descriptor, and the output of a process that a plugin starts."""
        says = OLD_SERVER.replace("import json, sys", "import json, os, subprocess, sys")
        says = says.replace(
            "    def answer(self):",
            """
    def answer(self):
        os.write(1, b"by a descriptor\\n")
        subprocess.run([sys.executable, "-c", "print('by a process')"])""",
        )
        stub(tmp_path / "cache/owui-watch", says)
        (tmp_path / "plugins").mkdir()
        command = [sys.executable, "-m", "owui_watch", "plugins", "--sandbox=1.2.3", "--drain=0", verbosity]
        environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, encoding="utf-8") as watch:
            assert watch.stdout is not None
            said = ""
            while not all(text in said for text in (["by a descriptor", "by a process"] if shown else [" watching "])):
                line = watch.stdout.readline()
                assert line, said
                said += line
            watch.send_signal(signal.SIGINT)
            said += watch.stdout.read()
        assert ("server: by a descriptor\n" in said) == shown
        assert ("server: by a process\n" in said) == shown


class TestKeptFolder:
    @pytest.mark.parametrize("damaged", ["", "[]", '{"version": 1, "port": "x"}'])
    def test_damaged_record_of_the_last_run_is_ignored(self, damaged: str, tmp_path: Path) -> None:
        (tmp_path / "last-run.json").write_text(damaged)
        assert last_run(tmp_path) == LastRun()

    def test_with_newer_data_is_refused_before_an_installation(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        with data_folder(data, print) as folder:
            folder.remember(LastRun("1.2.3"))
        with pytest.raises(SandboxError) as caught, sandbox("1.2", cache=tmp_path / "none", data=data):
            pass
        assert str(caught.value) == (
            f"{data} holds data of Open WebUI 1.2.3, which the older 1.2 can't read: "
            "start --sandbox=1.2.3, or name another folder"
        )
        assert not (tmp_path / "none").exists()

    @needs_matching_python
    def test_in_use_is_refused(self, tmp_path: Path) -> None:
        cache, data = stub(tmp_path / "cache", OLD_SERVER), tmp_path / "data"
        with (
            sandbox("1.2.3", cache=cache, data=data),
            pytest.raises(SandboxError, match="another sandbox uses"),
            data_folder(data, lambda _line: None, patience=0),
        ):
            pass
        with sandbox("1.2.3", cache=cache, data=data):
            pass

    @needs_matching_python
    @pytest.mark.parametrize("name", ["webui.db", "notes.txt"])
    def test_of_something_else_is_refused(self, name: str, tmp_path: Path) -> None:
        cache, data = stub(tmp_path / "cache", OLD_SERVER), tmp_path / "data"
        data.mkdir()
        (data / name).write_text("precious")
        with pytest.raises(SandboxError, match="name a new or empty folder"), sandbox("1.2.3", cache=cache, data=data):
            pass
        assert list(data.iterdir()) == [data / name]


class TestVersion:
    @pytest.mark.parametrize("version", ["../escape", "latest", "--help", "1.2.3; x"])
    def test_that_is_none_installs_nothing(self, version: str, tmp_path: Path) -> None:
        with pytest.raises(SandboxError, match="is not a version"), sandbox(version, cache=tmp_path):
            pass
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.live
    def test_that_does_not_exist_is_reported(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("UV_OFFLINE", "1")
        with pytest.raises(SandboxError) as caught, sandbox("0.0.99", cache=tmp_path):
            pass
        text = str(caught.value)
        assert text.startswith("Open WebUI 0.0.99 could not be installed; uv says:\n")
        assert "open-webui==0.0.99" in text
        assert text.endswith("UV_OFFLINE is set: unset it, and try again.")
        assert [path.suffix for path in (tmp_path / "sandbox").iterdir()] == [".lock"]

    def test_unknown_to_an_offline_uv_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("UV_NO_INDEX", "1")
        monkeypatch.setenv("UV_OFFLINE", "true")
        with pytest.raises(SandboxError, match="UV_OFFLINE is set: unset it"), sandbox("0.0.99", cache=tmp_path):
            pass


class FakeUv:
    """Fills the target folder by ``act`` instead of uv."""

    def __init__(self, act: Callable[[Path], None]) -> None:
        self.calls: list[str] = []
        self._act = act

    def __call__(self, arguments: list[str], *_rest: object, **_named: object) -> None:
        self.calls.append(arguments[0])
        self._act(Path(arguments[arguments.index("--target") + 1]))


class TestInstallation:
    def test_without_uv_names_how_to_install_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "uv", None)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(SandboxError, match="run `pip install uv`"), sandbox(cache=tmp_path):
            pass

    @posix_only
    def test_without_a_python_that_fits_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("UV_OFFLINE", "1")
        monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(SandboxError) as caught:
            packages.install(None, tmp_path, lambda _line: None, pythons=())
        assert str(caught.value).startswith(
            "Open WebUI needs Python 3.11 or 3.12. There is none here, and uv could not"
        )
        assert "UV_OFFLINE is set: unset it, and try again.\nOr install Python 3.12 yourself" in str(caught.value)

    def test_into_an_unwritable_cache_is_reported(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(SandboxError, match="could not be set up"), sandbox(cache=tmp_path / "file"):
            pass

    @needs_matching_python
    def test_asked_for_twice_at_once_runs_once(self, tmp_path: Path) -> None:
        both = threading.Barrier(2)
        found: list[Path] = []
        uv = FakeUv(Path.mkdir)

        def install() -> None:
            both.wait(60)
            found.append(packages.install(None, tmp_path, lambda _line: None, uv=uv).packages)

        threads = [threading.Thread(target=install) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert uv.calls == ["pip"]
        assert found == [tmp_path / "sandbox" / f"{DEFAULT_VERSION}-{PY}"] * 2

    @needs_matching_python
    def test_that_is_interrupted_leaves_nothing(self, tmp_path: Path) -> None:
        def interrupted(target: Path) -> None:
            target.mkdir()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            packages.install("1.2.3", tmp_path, lambda _line: None, uv=FakeUv(interrupted))
        assert [path.name for path in (tmp_path / "sandbox").iterdir()] == [f"1.2.3-{PY}.lock"]

    def test_waits_for_another_one_within_bounds(self, tmp_path: Path) -> None:
        told: list[str] = []
        with (
            exclusive(tmp_path / "lock", busy=lambda: None),
            pytest.raises(TimeoutError),
            exclusive(tmp_path / "lock", busy=lambda: told.append("busy"), patience=0.2),
        ):
            pass
        assert told == ["busy"]


GRACE = "0.1"
# A server with a child of its own, such as pip; it prints that child's id to the log.
FAMILY = """
import signal, subprocess, sys
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
child.wait()
"""


@contextmanager
def guarded(folder: Path, fate: str, *command: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    folder.mkdir()
    guard = [sys.executable, "-I", orphan_guard.__file__, fate, GRACE, str(folder), sys.executable, "-c", *command]
    pipe = subprocess.PIPE
    with subprocess.Popen(guard, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


class TestOrphanGuard:
    @posix_only
    @pytest.mark.parametrize(("fate", "manner"), [("keep", "polite"), ("remove", "stubborn")])
    def test_ends_the_whole_group_with_its_owner(self, fate: str, manner: str, tmp_path: Path) -> None:
        with guarded(tmp_path / "data", fate, FAMILY, manner) as (guard, pid):
            assert guard.stdin is not None
            assert guard.stderr is not None
            child = int(guard.stderr.readline())
            assert os.getpgid(child) == pid
            guard.stdin.close()
            guard.wait(60)
        until(lambda: not alive(pid) and not alive(child))
        assert (tmp_path / "data").exists() == (fate == "keep")

    @posix_only
    def test_passes_the_exit_code_on(self, tmp_path: Path) -> None:
        with guarded(tmp_path / "data", "remove", "raise SystemExit(7)") as (guard, _pid):
            assert guard.wait(60) == 7
        assert (tmp_path / "data").is_dir()

    @pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(9, marks=linux_only)])
    @posix_only
    def test_takes_the_server_along_when_ended(self, number: int, tmp_path: Path) -> None:
        with guarded(tmp_path / "data", "keep", "import signal; signal.pause()") as (guard, pid):
            guard.send_signal(number)
            guard.wait(60)
            until(lambda: not alive(pid))
