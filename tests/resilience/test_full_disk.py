"""A disk without room for what owui-watch remembers: deploys go on, and a line says so once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.live.conftest import Project
from tests.live.harness import until
from tests.live.samples import source
from tests.resilience.tcp_proxy import TcpProxy


@pytest.fixture
def small(project: Project) -> Iterator[Path]:
    """The state folder, on a small disk of its own."""
    place = project.state
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", str(place)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def is_at_rest(project: Project) -> bool:
    lines = [line for line in project.remembered().splitlines() if '"functions/notes"' in line]
    return bool(lines) and '"digest"' in lines[-1] and '"intent"' not in lines[-1]


def fill(place: Path) -> None:
    """Write until nothing more fits, not even into the last block of a file."""
    with suppress(OSError), (place / "filler").open("wb", buffering=0) as file:
        for _ in range(1000):
            file.write(b"x" * 4096)
    for log in place.rglob("journal.jsonl"):
        with suppress(OSError), log.open("ab", buffering=0) as file:
            for _ in range(4096):
                file.write(b"\n")


def test_deploys_go_on_with_one_warning(small: Path, project: Project, proxy: TcpProxy) -> None:
    with project.watch() as run:
        project.save("notes.py", source(mark="one"))
        run.wait_for("created", plugin="notes")
        # A file that is being replaced would leave room behind.
        until(lambda: is_at_rest(project), "the journal on disk, with nothing under way")
        fill(small)
        for mark in ("two", "three", "four"):
            project.save("notes.py", source(mark=mark))
            run.wait_for("updated", plugin="notes")
        warning = run.wait_for("warning")
        assert "No space left on device" in warning["error"]
        assert "deploys go on" in warning["hint"]
        (small / "filler").unlink()
        project.save("notes.py", source(mark="five"))
        run.wait_for("updated", plugin="notes")
        until(lambda: is_at_rest(project), "the journal is written again")
        run.stop()
    assert len(run.of("warning")) == 1
    assert proxy.taken("functions/notes") == [source(mark=mark) for mark in ("one", "two", "three", "four", "five")]
