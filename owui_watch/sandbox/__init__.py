"""A throwaway, real Open WebUI on loopback, which ends with owui-watch however that ends.

In: a version, or a folder that keeps the data. Out: a ``Sandbox``: the server's URL, account and log, and the ``channel`` on
which its plugins' errors and output arrive. Throwaway, not isolated: the server and its plugins run with the rights of the user.

Read in this order: ``packages`` (the installed Open WebUI, shared by all runs), ``uv`` and ``pip_settings`` (how it gets
installed), ``environ`` (what the server's processes see of the environment), ``run_folder`` (database, log, password), ``server``
(its process), ``orphan_guard`` (ends the server if owui-watch dies), ``in_server`` (code that runs in the server
and sends what plugins raise and write), ``server_channel`` (receives it), ``debugger``.
"""

from __future__ import annotations

import errno
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import httpx

from owui_watch.openwebui.releases import is_older
from owui_watch.sandbox.debugger import Debug, Debugger, find_debugger
from owui_watch.sandbox.environ import server_environ
from owui_watch.sandbox.in_server import start_program
from owui_watch.sandbox.packages import DEFAULT_VERSION, Installed, cache_folder, install, make_venv
from owui_watch.sandbox.run_folder import Credentials, Data, LastRun, data_folder, last_run, open_private
from owui_watch.sandbox.server import Server, StartError, ports
from owui_watch.sandbox.server_channel import ServerChannel, open_channel
from owui_watch.sandbox.uv import SandboxError
from owui_watch.settings import SandboxServer, Secret

__all__ = ["DEFAULT_VERSION", "Debug", "Sandbox", "SandboxError", "ServerChannel", "sandbox"]

_BOOT_SECONDS = 180.0  # 10 to 18 on two cores, once its files are in memory
_LINES_SHOWN = 15
_PORT_TAKEN = re.compile(rb"address already in use|only one usage of each socket address", re.IGNORECASE)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
# Open WebUI's own `serve`, with ``in_server`` in it. -P: no module of the current folder shadows an installed one.
_SERVE = ("-P", "-c", start_program(), "serve", "--host", "127.0.0.1", "--port")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running Open WebUI and how to get in.

    ``token`` is the JWT of a session, or an API key where one was asked for and the release gives it. ``log`` lasts as
    long as the sandbox does.
    ``pid`` is the server's, which leads its own process group. ``ended`` says how the server ended, where it did so by
    itself, and where all that it said can be read; None while it runs. ``channel`` receives what its plugins raise and
    write. ``signing_key`` is what the server signs sessions with. ``interrupt`` ends a plugin's call that keeps the server
    from answering, if there is one. ``debugger`` is the port that a debugger attaches to, None if there is none.
    """

    url: str
    version: str
    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    log: Path
    pid: int
    ended: Callable[[], str | None] = field(repr=False)
    channel: ServerChannel = field(repr=False)
    signing_key: str = field(repr=False)
    interrupt: Callable[[], None] = field(repr=False)
    debugger: int | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return everything that a plugin can read in its server and that no output may show."""
        return self.password, self.token, self.channel.token, self.signing_key

    @property
    def server(self) -> SandboxServer:
        """Return the URL and the key, for the settings."""
        return SandboxServer(self.url, Secret(self.token))


def _silent(_line: str) -> None:
    """Show no progress."""


@contextmanager
def sandbox(
    version: str | None = None,
    *,
    data: Path | None = None,
    cache: Path | None = None,
    report: Callable[[str], None] = _silent,
    extra_env: Mapping[str, str] | None = None,
    api_key: bool = False,
    debug: Debug | None = None,
) -> Iterator[Sandbox]:
    """Start Open WebUI VERSION (``None``: ``DEFAULT_VERSION``), and end it when the context is left.

    ``data`` is a folder that keeps everything for the next time, plugins and password too; without one, everything is
    deleted at the end. ``cache`` takes the place of the user's cache folder. ``report`` gets lines of progress.
    ``extra_env`` is added to the server's environment, which otherwise holds only an allowed part of ours.

    ``debug`` lets a debugger attach. ``api_key`` makes a key for the administrator. Open WebUI keeps one key a user, so an
    older one ends with it.

    Raises SandboxError, whose text is for the user.
    """
    cache = (cache or cache_folder()).absolute()
    with ExitStack() as stack:
        try:
            debugger = find_debugger(debug) if debug is not None else None
            running = _open(stack, version, data, _Run(cache, report, extra_env or {}, debugger))
        except OSError as error:
            raise SandboxError(_set_up_failed(error)) from error
        if api_key:
            running = _with_api_key(running)
        yield running


@dataclass(frozen=True, slots=True)
class _Run:
    """The arguments of one start of a sandbox."""

    cache: Path
    report: Callable[[str], None]
    extra_env: Mapping[str, str]
    debugger: Debugger | None

    @property
    def patience(self) -> float:
        """Return the seconds that the server may take to answer."""
        return math.inf if self.debugger is not None and self.debugger.wait else _BOOT_SECONDS


def _open(stack: ExitStack, version: str | None, wanted: Path | None, run: _Run) -> Sandbox:
    """Start a sandbox as ``sandbox`` describes; push what ends it onto ``stack``."""
    version = (version or DEFAULT_VERSION).removeprefix("v")
    if wanted is not None:
        _refuse_newer_data(wanted, version)
    installed = install(version, run.cache, run.report)
    data = stack.enter_context(data_folder(wanted, run.report))
    try:
        return _serve(stack, installed, data, run)
    except StartError as failure:
        raise SandboxError(_with_log(str(failure), data, run.cache / "sandbox" / "failed-start.log")) from failure


def _set_up_failed(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"the sandbox could not be set up: the disk is full ({error.filename}); free some space and try again"
    return f"the sandbox could not be set up: {error}"


def _refuse_newer_data(folder: Path, version: str) -> None:
    """Raise SandboxError if a newer Open WebUI made the data: migrations only go forwards."""
    made_by = last_run(folder).version
    if made_by is not None and is_older(version, made_by):
        raise SandboxError(
            f"{folder} holds data of Open WebUI {made_by}, which the older {version} can't read: "
            f"start --sandbox={made_by}, or name another folder"
        )


def _with_log(failure: str, data: Data, lasting: Path) -> str:
    """Add the last lines of the server's log and its path. A log that would be deleted is copied to ``lasting``."""
    log = data.log
    try:
        if not data.kept:
            log = lasting
            with open_private(log) as file:
                file.write(data.log.read_bytes())
        return f"{failure} Its last lines:\n{_tail(log)}\nThe whole log: {log}"
    except OSError as error:
        return f"{failure} Its log could not be kept: {error.strerror}"


def _ended(server: Server, data: Data, cache: Path) -> str | None:
    """See ``Sandbox.ended``."""
    if (code := server.ended(within=0)) is None:
        return None
    return _with_log(f"the sandbox's Open WebUI ended by itself (exit code {code}).", data, cache / "sandbox/ended.log")


def _serve(stack: ExitStack, installed: Installed, data: Data, run: _Run) -> Sandbox:
    """Start the server, on the port that it had before if that is free, and sign in."""
    python = make_venv(installed, data.folder / "venv")
    who = data.credentials
    environ = server_environ(
        data.folder, python, email=who.email, password=who.password, secret=who.secret, extra=run.extra_env
    )
    for place in ("DATA_DIR", "STATIC_DIR"):
        Path(environ[place]).mkdir(exist_ok=True)
    channel = stack.enter_context(open_channel(data.folder))
    environ |= channel.environ()
    if run.debugger is not None:
        environ |= run.debugger.environ()
    before = last_run(data.folder)
    data.remember(LastRun(installed.version, before.port))
    run.report(f"starting Open WebUI {installed.version} …")
    if run.debugger is not None and run.debugger.wait:
        run.report(f"waiting for a debugger: attach to 127.0.0.1:{run.debugger.port} (`owui-watch help debugging`)")
    for port in ports(before.port, run.report):
        server = Server([str(python), *_SERVE, str(port)], environ, data)
        stack.callback(server.end)
        server.start()
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            if not _await_boot(server, client, data.log, run):
                continue
            try:
                token, version = _sign_in(client, who, data), client.get("/api/version").json()["version"]
            except (httpx.HTTPError, ValueError, KeyError) as error:
                raise StartError(f"Open WebUI runs but owui-watch could not sign in to it ({error!r}).") from error
            data.remember(LastRun(installed.version, port))
            ended = partial(_ended, server, data, run.cache)
            return Sandbox(
                url,
                version,
                who.email,
                who.password,
                token,
                data.log,
                server.pid,
                ended,
                channel,
                who.secret,
                server.interrupt,
                run.debugger.port if run.debugger else None,
            )
    raise StartError("no free port was left for Open WebUI: other programs took each one first; try again.")


def _await_boot(server: Server, client: httpx.Client, log: Path, run: _Run) -> bool:
    """Wait until the server answers; return False if another program took its port first."""
    began = time.monotonic()
    said = 0
    while (waited := time.monotonic() - began) < run.patience:
        if (code := server.ended(within=0.1)) is not None:
            if _PORT_TAKEN.search(log.read_bytes()):
                return False
            raise StartError(f"Open WebUI ended while it started (exit code {code}).")
        with suppress(httpx.TransportError):
            if client.get("/health").status_code == 200:
                run.report(f"Open WebUI is ready after {waited:.0f} s")
                return True
        if waited // 10 > said:
            said = int(waited // 10)
            run.report(f"still starting after {waited:.0f} s …")
    raise StartError(f"Open WebUI did not answer within {_BOOT_SECONDS:.0f} s.")


def _with_api_key(running: Sandbox) -> Sandbox:
    """Replace the token by an API key, if the server gives one: 0.6.37 to 0.8.8 may refuse by their default permissions."""
    headers = {"Authorization": f"Bearer {running.token}"}
    made = httpx.post(f"{running.url}/api/v1/auths/api_key", headers=headers, trust_env=False, timeout=30)
    return replace(running, token=str(made.json()["api_key"])) if made.status_code == 200 else running


def _sign_in(client: httpx.Client, who: Credentials, data: Data) -> str:
    """Sign in as the administrator; return the JWT of the session."""
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
        raise StartError(f"{what}.")
    return str(session)


def _tail(log: Path) -> str:
    """Return the last lines of a log, indented, without colours and control characters."""
    text = _ESCAPES.sub("", log.read_text(encoding="utf-8", errors="replace"))
    return "\n".join(f"    {line.rstrip()}" for line in text.rstrip().splitlines()[-_LINES_SHOWN:])
