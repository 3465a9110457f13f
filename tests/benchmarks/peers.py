"""What authors run today, on the same server: a file watcher of any kind around a deploy script."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uv import find_uv_bin

from owui_watch.plugins.model import Kind
from tests.benchmarks.installed import interpreter
from tests.benchmarks.plugins import telling
from tests.benchmarks.rows import Row, percentile
from tests.benchmarks.running import clean
from tests.benchmarks.saves import Bench, bare_requests, in_place, nonce, ran_at, turn_about

_REST = threading.Event()
_SCRIPT = """\
import json, sys, urllib.request
url, key, path = sys.argv[1:]
form = {"id": "telling", "name": "Telling", "meta": {}, "content": open(path).read()}
headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
request = urllib.request.Request(f"{url}/api/v1/functions/id/telling/update", json.dumps(form).encode(), headers)
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).read()
"""
"""The least that a deploy script does: it is faster than one that reads a header, or asks what is there."""


def rows(bench: Bench, count: int) -> Iterator[Row]:
    """Measure those peers that are here, on a plugin of 2 kB written in place."""
    script = bench.folder / "deploy.py"
    script.write_text(_SCRIPT, encoding="utf-8")
    path = bench.plugins / "telling.py"
    deploy = [interpreter(), str(script), bench.server.url, bench.server.key, str(path)]
    for name, command in _commands(shlex.join(deploy), path):
        floor, middle = (percentile(times, 0.5) for times in _measure(bench, command, path, count))
        what = f"a peer: {name} around a deploy script, p50"
        yield Row(what, f"({middle:.0f} ms)", f"{floor:.1f} ms", middle / floor, "–", None)


def _commands(deploy: str, path: Path) -> Iterator[tuple[str, str]]:
    folder = shlex.quote(str(path.parent))
    watchfiles = Path(interpreter()).with_name("watchfiles.exe" if sys.platform == "win32" else "watchfiles")
    subprocess.run([find_uv_bin(), "pip", "install", "-q", "--python", interpreter(), "watchfiles"], check=True)
    yield "watchfiles' CLI", f"{shlex.quote(str(watchfiles))} {shlex.quote(deploy)} {folder}"
    if shutil.which("inotifywait"):
        yield "an inotifywait loop", f"inotifywait -qm -e close_write {folder} | while read line; do {deploy}; done"
    if shutil.which("entr"):
        yield "entr", f"ls {folder}/*.py | entr -np {deploy}"


def _measure(bench: Bench, command: str, path: Path, count: int) -> list[list[float]]:
    """Measure bare requests and the peer's deploys, turn about."""
    path.write_text(telling(2_000, "first", bench.log), encoding="utf-8")
    bench.server.create(Kind.FILTER, "telling", telling(2_000, "first", bench.log), title="Telling")

    def measure() -> float:
        _REST.wait(0.3)  # a save while the script still runs is lost on some of them
        in_place(path, telling(2_000, number := nonce(), bench.log))
        began = time.monotonic_ns()
        return (ran_at(bench.log, number) - began) / 1e6

    with _running(command, bench.folder), bare_requests(bench, 2_000, in_place) as floor:
        _until_it_watches(path, bench.log)
        return turn_about(bench, [floor, measure], count)


def _until_it_watches(path: Path, log: Path) -> None:
    """Save until a save is seen, and the last one too: none of these peers says when it is ready."""
    for _ in range(40):
        in_place(path, telling(2_000, number := nonce(), log))
        with contextlib.suppress(AssertionError):
            ran_at(log, number, looks=1_000)
            return
    raise AssertionError("it never deploys")


@contextmanager
def _running(command: str, folder: Path) -> Iterator[None]:
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=clean(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
