"""Several real Open WebUI instances on one database, and a round-robin proxy in front of them."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from owui_watch.openwebui.releases import version_number
from owui_watch.plugins.model import Kind
from owui_watch.sandbox import Sandbox, sandbox
from tests.live.harness import until
from tests.live.server import Server

CREDENTIALS = {
    "email": "admin@sandbox.example",
    "password": secrets.token_urlsafe(18),
    "secret": secrets.token_urlsafe(32),
}
"""All instances have one administrator and sign sessions with one key, as replicas do."""
HOP_HEADERS = {"connection", "content-length", "transfer-encoding", "server", "date", "host"}


class Instance:
    """One Open WebUI of several. ``url`` stays the same when the instance is killed and started again."""

    def __init__(self, release: str, folder: Path, environ: Mapping[str, str]) -> None:
        self.release = release
        self._folder = folder
        self._environ = environ
        self._stack = ExitStack()
        self.running: Sandbox | None = None
        folder.mkdir()
        (folder / "credentials.json").write_text(json.dumps(CREDENTIALS), encoding="utf-8")

    def start(self, *, api_key: bool = False) -> Server:
        """Start the instance; the administrator's API key is made by one instance only, as it replaces the last."""
        self.running = self._stack.enter_context(
            sandbox(self.release, data=self._folder, extra_env=self._environ, api_key=api_key)
        )
        server = Server(self.running)
        self._stack.callback(server.close)
        return server

    def kill(self) -> None:
        """Kill the server's process group at once."""
        assert self.running is not None
        with suppress(ProcessLookupError):
            os.killpg(self.running.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop the instance and free what belongs to it."""
        self._stack.close()
        self._stack = ExitStack()


class Replicas:
    """Instances behind a balancer. ``url`` is the balancer's, ``key`` the administrator's API key."""

    def __init__(self, instances: Sequence[Instance], servers: list[Server], url: str, balancer: Balancer) -> None:
        self.instances = list(instances)
        self.servers = servers
        self.url = url
        self.key = servers[0].key
        self.balancer = balancer

    def restart(self, number: int) -> None:
        """Stop one instance and start it again on its old port, as the newest release: the database is migrated."""
        self.instances[number].stop()
        self.instances[number].release = max((each.release for each in self.instances), key=version_number)
        self.servers[number] = self.instances[number].start()

    def restart_all(self) -> None:
        """Restart one instance after the other."""
        for number in range(len(self.instances)):
            self.restart(number)

    def kill_process(self, pid: int) -> int:
        """Kill the instance with this process id; return its number."""
        number = [server.pid for server in self.servers].index(pid)
        self.instances[number].kill()
        return number

    def reconnect(self) -> None:
        """Use every connection that an instance has to the database and to Redis: those that these ended fail once."""
        until(lambda: all(server.is_healthy() for server in self.servers for _ in range(5)), "databases are connected")

    def list_tools(self) -> None:
        """List the tools on each instance, as opening a chat does: up to 0.8.0 an instance then loads them anew."""
        for server in self.servers:
            server.list_tools()

    def marks(self, kind: Kind, name: str) -> list[str]:
        """Return the mark of the code that each instance runs, asked directly: what a tool's method returns in a chat,
        or the default of a function's valve ``mark``."""
        if kind is Kind.TOOL:
            return [server.use_tool(name) for server in self.servers]
        return [str(server.spec(kind, name)["properties"]["mark"]["default"]) for server in self.servers]

    def active(self, name: str) -> list[bool]:
        """Return whether a function is active, asked from each instance directly."""
        return [server.plugin(Kind.FILTER, name)["is_active"] for server in self.servers]


class Balancer:
    """Passes each request to the next instance. ``repeat`` names requests that it sends to two instances, as a proxy
    does that repeats POSTs after a time-out (nginx: ``non_idempotent``)."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = list(urls)
        self.repeat: Callable[[str, str], bool] = lambda _method, _path: False
        self._turn = itertools.count()
        self._lock = threading.Lock()

    def start_with(self, number: int) -> None:
        """Pass the next request to the instance with this number."""
        with self._lock:
            self._turn = itertools.count(number)

    def pass_on(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Return the response of the next instance that accepts the connection; 502 if none does."""
        answer: tuple[int, list[tuple[str, str]], bytes] = (502, [("content-type", "text/html")], b"no instance")
        passed = 0
        for url in self._from_next():
            upstream = urlsplit(url)
            connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=120)
            try:
                connection.connect()
            except OSError:
                continue
            try:
                connection.request(method, path, body, dict(headers))
                response = connection.getresponse()
                answer = response.status, response.getheaders(), response.read()
            except (OSError, http.client.HTTPException):
                return 502, [("content-type", "text/html")], b"the instance went away"
            finally:
                connection.close()
            passed += 1
            if passed == 2 or not self.repeat(method, path):
                return answer
        return answer

    def _from_next(self) -> list[str]:
        with self._lock:
            first = next(self._turn) % len(self.urls)
        return [*self.urls[first:], *self.urls[:first]]


@contextmanager
def balanced(balancer: Balancer) -> Iterator[str]:
    """Run the balancer; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_HEADERS}
            status, answered, content = balancer.pass_on(self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in answered:
                if name.lower() not in HOP_HEADERS:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _pass  # noqa: N815 - the base class calls them so

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def replicas(
    releases: Sequence[str],
    folder: Path,
    environ: Mapping[str, str] | None = None,
    own_environ: Sequence[Mapping[str, str]] = (),
) -> Iterator[Replicas]:
    """Start one instance for each of ``releases`` on one database: SQLite in ``folder``, or what ``environ`` names.

    The first instance migrates the database before the others start. ``own_environ`` is added to single instances.
    """
    shared = {"DATABASE_URL": f"sqlite:///{folder / 'webui.db'}", **(environ or {})}
    with ExitStack() as stack:
        instances = []
        servers = []
        for number, release in enumerate(releases):
            own = own_environ[number] if number < len(own_environ) else {}
            instance = Instance(release, folder / f"instance{number}", {**shared, **own})
            stack.callback(instance.stop)
            servers.append(instance.start(api_key=number == 0))
            instances.append(instance)
        balancer = Balancer([server.url for server in servers])
        url = stack.enter_context(balanced(balancer))
        yield Replicas(instances, servers, url, balancer)
