"""Times that are too coarse to tell two saves apart: the content tells, once."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from owui_watch.files.regular import Signature
from owui_watch.plugins.ignore import Ignore
from owui_watch.watcher import snapshot as room
from owui_watch.watcher.snapshot import COARSEST, Snapshot

NOW = 1_700_000_001.5
"""The file was written a second and a half before."""


class Coarse:
    """A folder with a file in it, on a file system that keeps whole seconds, of which one has begun at ``NOW``."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = root / "x.py"
        self.path.write_text("one")
        self.passed = 0.0
        self.fraction = 0
        self._times = int(NOW - 1.5) * 10**9
        clock = SimpleNamespace(monotonic=lambda: self.passed, time_ns=lambda: int((NOW + self.passed) * 10**9))
        monkeypatch.setattr(room, "time", clock)
        monkeypatch.setattr(room, "signature", self._signature)
        self.snapshot = Snapshot([root], Ignore())
        self.look()

    def look(self) -> list[Path]:
        return self.snapshot.compare(self.snapshot.scan())

    def _signature(self, path: str | os.PathLike[str]) -> Signature | None:
        if not Path(path).exists():
            return None
        return b"1 %d %d %d" % (Path(path).stat().st_size, self._times, self._times + self.fraction)


@pytest.fixture
def coarse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Coarse:
    return Coarse(tmp_path, monkeypatch)


def test_a_save_that_its_times_and_size_hide_is_found_once_they_are_over(coarse: Coarse) -> None:
    coarse.path.write_text("two")
    assert coarse.look() == []
    coarse.passed = COARSEST
    assert coarse.look() == [coarse.path]
    assert coarse.look() == []


def test_where_nothing_was_saved_again_nothing_is_found(coarse: Coarse) -> None:
    coarse.passed = COARSEST
    assert coarse.look() == []


def test_what_was_seen_meanwhile_is_not_found_again(coarse: Coarse) -> None:
    coarse.path.write_text("two")
    assert not coarse.snapshot.refresh(coarse.path)
    coarse.passed = COARSEST
    assert coarse.look() == []


def test_a_file_that_has_gone_meanwhile_is_found_once(coarse: Coarse) -> None:
    coarse.path.unlink()
    coarse.passed = COARSEST
    assert coarse.look() == [coarse.path]
    assert coarse.look() == []


def test_of_a_folder_that_is_gone_nothing_is_found(coarse: Coarse) -> None:
    coarse.path.unlink()
    coarse.passed = COARSEST
    assert coarse.snapshot.compare({}, [coarse.path.parent]) == []


@pytest.mark.parametrize("why", ["old", "fine times"])
def test_a_file_whose_times_tell_all_is_not_read(why: str, coarse: Coarse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "read_regular", lambda _: pytest.fail("it was read"))
    if why == "old":
        coarse.passed = 0.5
    else:
        coarse.fraction = 1
    coarse.snapshot.refresh(coarse.path)
