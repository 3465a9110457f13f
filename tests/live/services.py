"""PostgreSQL, Redis and nginx from Debian's packages, on loopback ports and in temporary folders of their own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from uv import find_uv_bin

LOOKS = 200
PAUSE = threading.Event()


def binaries() -> dict[str, str]:
    """Return the path of each program; a program that is not installed is missing."""
    found: dict[str, str] = {}
    for name in ("nginx", "redis-server"):
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if path is not None:
            found[name] = path
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            found["postgres"] = str(folder)
            break
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(fact: Callable[[], bool], what: str) -> None:
    for _ in range(LOOKS):
        if fact():
            return
        PAUSE.wait(0.05)
    raise AssertionError(f"not within {LOOKS * 0.05:g} s: {what}")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Service:
    """A process on a loopback port that can be killed, stopped and started again."""

    def __init__(self, command: Sequence[str], port: int, log: Path, user: str | None = None) -> None:
        self._command = list(command)
        self.port = port
        self._log = log
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self._user, cwd="/tmp"
            )
        wait_until(lambda: listens(self.port), f"{self._command[0]} listens")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal and wait for the end; a service that has ended stays ended."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.send_signal(number)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Postgres(Service):
    """A PostgreSQL server with one empty database."""

    def __init__(self, programs: Path, folder: Path) -> None:
        # PostgreSQL refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        data, port = folder / "data", free_port()
        data.mkdir(parents=True)
        if user is not None:
            owner = pwd.getpwnam(user)
            for each in (folder, data):
                os.chown(each, owner.pw_uid, owner.pw_gid)
            for each in folder.parents:
                if each != Path("/") and not each.stat().st_mode & 0o005:
                    each.chmod(each.stat().st_mode | 0o055)
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "owui", "--auth=trust", "--no-sync", "-E", "UTF8"],
            check=True,
            capture_output=True,
            user=user,
            cwd="/tmp",
        )
        command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
        command += ["-c", f"unix_socket_directories={data}", "-c", "fsync=off"]
        super().__init__(command, port, folder / "postgres.log", user)
        self._psql = programs / "psql"
        self.url = f"postgresql://owui@127.0.0.1:{port}/postgres"

    def execute(self, statement: str) -> None:
        """Run one SQL statement."""
        subprocess.run([self._psql, "-q", self.url, "-c", statement], check=True, capture_output=True)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Refuse writes, as a standby does in the moment of a failover."""
        end_sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        self.execute("ALTER SYSTEM SET default_transaction_read_only = on; ")
        self.execute("SELECT pg_reload_conf()")
        self.execute(end_sessions)
        try:
            yield
        finally:
            subprocess.run(
                [
                    *(self._psql, "-q", self.url, "-c", "SET default_transaction_read_only = off"),
                    *("-c", "ALTER SYSTEM SET default_transaction_read_only = off", "-c", "SELECT pg_reload_conf()"),
                ],
                check=True,
                capture_output=True,
            )
            self.execute(end_sessions)


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Run PostgreSQL until the context is left."""
    folder.mkdir()
    server = Postgres(Path(binaries()["postgres"]), folder)
    server.start()
    try:
        yield server
    finally:
        server.stop(signal.SIGINT)


@contextmanager
def redis(folder: Path) -> Iterator[Service]:
    """Run Redis until the context is left."""
    folder.mkdir()
    port = free_port()
    # A Redis that comes back empty leaves Open WebUI 0.9.6 without models until its list of models changes.
    kept = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", str(folder)]
    command = [binaries()["redis-server"], "--port", str(port), "--bind", "127.0.0.1", *kept]
    server = Service(command, port, folder / "redis.log")
    server.start()
    try:
        yield server
    finally:
        server.stop()


NGINX = """\
daemon off;
worker_processes 1;
error_log {folder}/error.log warn;
pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 20m;
    upstream instances {{
{servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://instances;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout {patience}s;
            proxy_next_upstream error timeout{repeat};
        }}
    }}
}}
"""


@contextmanager
def nginx(folder: Path, urls: Sequence[str], *, repeat_posts: bool = False, patience: int = 120) -> Iterator[str]:
    """Balance requests over ``urls`` in turn; yield the balancer's URL.

    ``patience``: seconds without a response after which nginx gives up, or with ``repeat_posts`` asks the next one.
    """
    folder.mkdir()
    port = free_port()
    servers = "\n".join(f"        server {url.removeprefix('http://')} max_fails=0;" for url in urls)
    repeat = " non_idempotent" if repeat_posts else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, servers=servers, port=port, repeat=repeat, patience=patience))
    command = [binaries()["nginx"], "-p", str(folder), "-c", str(configuration), "-e", str(folder / "start.log")]
    server = Service(command, port, folder / "nginx.log")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


def postgres_driver(folder: Path) -> Path:
    """Install the driver that the slim Open WebUI lacks; return the folder to put on PYTHONPATH."""
    target = folder / "driver"
    command = [
        find_uv_bin(),
        "pip",
        "install",
        "-q",
        "--python",
        sys.executable,
        "--target",
        str(target),
        "psycopg2-binary",
    ]
    subprocess.run(command, check=True)
    return target
