"""A throwaway, real Open WebUI on loopback, which ends with owui-watch however that ends.

Throwaway, not isolation: the server and its plugins run with the rights of whoever started them. Where to look next:
``packages`` (the shared packages), ``environ`` (what the server is told), ``data`` (what a run
owns) and ``guard`` (why no orphan is left).
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from owui_watch.sandbox import guard as guard_program
from owui_watch.sandbox.data import Credentials, Data, data_folder, open_private
from owui_watch.sandbox.environ import server_environ
from owui_watch.sandbox.packages import DEFAULT_VERSION, Installed, SandboxError, cache_folder, install, make_venv

__all__ = ["DEFAULT_VERSION", "Sandbox", "SandboxError", "sandbox"]

_BOOT_SECONDS = 180.0  # 10 to 18 on two cores, once its files are in memory
_END_SECONDS = guard_program.GRACE_SECONDS + 5
_PORT_TRIES = 4
_LINES_SHOWN = 15
_PORT_TAKEN = re.compile(rb"address already in use|only one usage of each socket address", re.IGNORECASE)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
# Its own `serve` without the script in bin/, whose first line names the folder it was installed in. -P: no module of
# the current folder gets in between.
_SERVE = ("-P", "-c", "from open_webui import app; app()", "serve", "--host", "127.0.0.1", "--port")


@dataclass(frozen=True)
class Sandbox:
    """A running Open WebUI and how to get in.

    ``token`` is the JWT of a session, or an API key where one was asked for and the release gives it. ``log`` lasts as
    long as the sandbox does.
    ``pid`` is the server's, which leads its own process group.
    """

    url: str
    version: str
    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    log: Path
    pid: int


def _silent(_line: str) -> None:
    """Show no progress."""


@contextmanager
def sandbox(
    version: str | None = None,
    *,
    data: Path | None = None,
    cache: Path | None = None,
    tell: Callable[[str], None] = _silent,
    extra_env: Mapping[str, str] | None = None,
    api_key: bool = False,
) -> Iterator[Sandbox]:
    """Start Open WebUI VERSION (``None``: ``DEFAULT_VERSION``), and end it when the context is left.

    ``data`` is a folder that keeps everything for the next time, plugins and password too; without it nothing is kept.
    ``cache`` takes the place of the user's cache folder. ``tell`` gets lines of progress. ``extra_env`` is added to the
    server's environment, which holds nothing else but an allowed part of ours.

    ``api_key`` makes one for the administrator; Open WebUI knows one a user, so one made before ends with it.

    Raises SandboxError, whose text is for the user.
    """
    cache = (cache or cache_folder()).absolute()
    with ExitStack() as stack:
        try:
            running = _open(stack, version, data, cache=cache, tell=tell, extra_env=extra_env or {})
        except OSError as error:
            raise SandboxError(f"the sandbox could not be set up: {error}") from error
        if api_key:
            running = _with_api_key(running)
        yield running


def _open(
    stack: ExitStack,
    version: str | None,
    wanted: Path | None,
    *,
    cache: Path,
    tell: Callable[[str], None],
    extra_env: Mapping[str, str],
) -> Sandbox:
    """Do what ``sandbox`` says, and leave on the stack how to undo it."""
    installed = install(version, cache, tell)
    try:
        data = stack.enter_context(data_folder(wanted, tell))
    except TimeoutError as error:
        raise SandboxError(f"another sandbox uses {wanted}: end it, or name another folder") from error
    try:
        return _serve(stack, installed, data, tell, extra_env)
    except _StartError as failure:
        log = data.log
        if not data.kept:
            log = cache / "sandbox" / "failed-start.log"
            with open_private(log) as file:
                file.write(data.log.read_bytes())
        raise SandboxError(f"{failure}\n{_tail(log)}\nAll it said: {log}") from failure


class _StartError(Exception):
    """Why the server can't be used; its log says more."""


def _serve(
    stack: ExitStack, installed: Installed, data: Data, tell: Callable[[str], None], extra_env: Mapping[str, str]
) -> Sandbox:
    """Start the server on a free port and sign in."""
    python = make_venv(installed, data.folder / "venv")
    who = data.credentials
    environ = server_environ(
        data.folder, python, email=who.email, password=who.password, secret=who.secret, extra=extra_env
    )
    for place in ("DATA_DIR", "STATIC_DIR"):
        Path(environ[place]).mkdir(exist_ok=True)
    tell(f"starting Open WebUI {installed.version} …")
    for _ in range(_PORT_TRIES):
        port = _free_port()
        server = _Server([str(python), *_SERVE, str(port)], environ, data)
        stack.callback(server.end)
        server.start()
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            if not _await_boot(server, client, data.log, tell):
                continue
            try:
                token, version = _sign_in(client, who, data), client.get("/api/version").json()["version"]
            except (httpx.HTTPError, ValueError, KeyError) as error:
                raise _StartError(f"Open WebUI runs but can't be signed in to ({error!r}). Its last lines:") from error
            return Sandbox(url, version, who.email, who.password, token, data.log, server.pid)
    raise _StartError("no free port was left for Open WebUI: others were quicker, again and again")


class _Server:
    """The server and the guard that holds it. The guard's standard input is the line that our death cuts."""

    def __init__(self, command: list[str], environ: dict[str, str], data: Data) -> None:
        self._command = command
        self._environ = environ
        self._data = data
        self._guard: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def start(self) -> None:
        """Start both; ``pid`` is then the server's."""
        fate = "keep" if self._data.kept else "remove"
        guard = [sys.executable, "-I", guard_program.__file__, fate, str(self._data.folder), *self._command]
        with open_private(self._data.log) as log:
            # A session of its own: Ctrl-C on the terminal is for owui-watch alone, which may still have work to finish.
            if sys.platform == "win32":
                flags = subprocess.CREATE_NEW_PROCESS_GROUP
                self._guard = subprocess.Popen(
                    guard,
                    env=self._environ,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    creationflags=flags,
                )
            else:
                self._guard = subprocess.Popen(
                    guard,
                    env=self._environ,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=[self._data.lock],  # held until the server is gone, even when we are gone before
                )
        assert self._guard.stdout is not None  # asked for above
        try:
            self.pid = int(self._guard.stdout.readline())
        except ValueError:
            raise _StartError("Open WebUI could not be started") from None

    def ended(self, within: float) -> int | None:
        """Wait up to WITHIN seconds for the server to end by itself; its exit code, or None if it goes on."""
        assert self._guard is not None
        try:
            return self._guard.wait(within)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        """End the server, and wait until it is gone."""
        guard = self._guard
        if guard is None:
            return
        for pipe in (guard.stdin, guard.stdout):
            if pipe is not None:
                pipe.close()
        with suppress(subprocess.TimeoutExpired):
            guard.wait(_END_SECONDS)
        if guard.poll() is None or guard.returncode < 0:  # stuck or killed: it can't have done its duty
            guard.kill()
            guard.wait()
            if self.pid:
                guard_program.signal_group(self.pid, force=True)


def _free_port() -> int:
    """Find a loopback port that is free now; someone may take it before the server does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_boot(server: _Server, client: httpx.Client, log: Path, tell: Callable[[str], None]) -> bool:
    """Wait until the server answers; False where another program took its port first."""
    began = time.monotonic()
    said = 0
    while (waited := time.monotonic() - began) < _BOOT_SECONDS:
        if (code := server.ended(within=0.1)) is not None:
            if _PORT_TAKEN.search(log.read_bytes()):
                return False
            raise _StartError(f"Open WebUI ended while it started (exit code {code}). Its last lines:")
        with suppress(httpx.TransportError):
            if client.get("/health").status_code == 200:
                tell(f"Open WebUI is ready after {waited:.0f} s")
                return True
        if waited // 10 > said:
            said = int(waited // 10)
            tell(f"still starting after {waited:.0f} s …")
    raise _StartError(f"Open WebUI did not answer within {_BOOT_SECONDS:.0f} s. Its last lines:")


def _with_api_key(running: Sandbox) -> Sandbox:
    """Have an API key in the token's place; 0.6.37 to 0.8.8 refuse one where the default permissions lack it."""
    headers = {"Authorization": f"Bearer {running.token}"}
    made = httpx.post(f"{running.url}/api/v1/auths/api_key", headers=headers, trust_env=False, timeout=30)
    return replace(running, token=str(made.json()["api_key"])) if made.status_code == 200 else running


def _sign_in(client: httpx.Client, who: Credentials, data: Data) -> str:
    """Get the JWT of a session of the administrator's."""
    login = {"email": who.email, "password": who.password}
    answer = client.post("/api/v1/auths/signin", json=login)
    if answer.status_code == 400:
        # A release that doesn't know WEBUI_ADMIN_EMAIL has no user yet: the first to sign up is the admin.
        answer = client.post("/api/v1/auths/signup", json={"name": "Sandbox", **login})
    session = answer.json().get("token") if answer.status_code == 200 else None
    if not session:
        what = f"Open WebUI refused its own administrator (HTTP {answer.status_code})"
        if data.kept:
            what += f"; if its password was changed, remove {data.folder} or write the new one to its credentials.json"
        raise _StartError(f"{what}. Its last lines:")
    return str(session)


def _tail(log: Path) -> str:
    """Give the last lines of a log, indented, without colours and control characters."""
    text = _ESCAPES.sub("", log.read_text(encoding="utf-8", errors="replace"))
    return "\n".join(f"    {line.rstrip()}" for line in text.rstrip().splitlines()[-_LINES_SHOWN:])
