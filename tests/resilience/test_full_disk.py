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
    """The folder for what owui-watch remembers, on a disk of its own that holds little."""
    place = project.folder / ".owui-watch"
    place.mkdir()
    (project.folder / "owui-watch.toml").write_text("", "utf-8")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def is_at_rest(place: Path) -> bool:
    return (place / "state.json").exists() and not any(
        "notes" in log.read_text("utf-8") for log in place.glob("intents-*")
    )


def fill(place: Path) -> None:
    with suppress(OSError), (place / "filler").open("wb", buffering=0) as file:
        for _ in range(1000):
            file.write(b"x" * 4096)


def test_deploys_go_on_and_one_line_says_that_nothing_is_remembered(
    small: Path, project: Project, proxy: TcpProxy
) -> None:
    with project.watch() as run:
        project.save("notes.py", source(mark="one"))
        run.wait_for("created", plugin="notes")
        # A file that is being replaced would leave room behind.
        until(lambda: is_at_rest(small), "what is remembered, and nothing under way")
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
        until(lambda: '"functions/notes"' in (small / "state.json").read_text("utf-8"), "it is remembered again")
        run.stop()
    assert len(run.of("warning")) == 1
    assert proxy.taken("functions/notes") == [source(mark=mark) for mark in ("one", "two", "three", "four", "five")]
