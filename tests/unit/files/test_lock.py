"""A lock between processes."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from owui_watch.files import exclusive, is_locked

HOLD = """
import sys
from pathlib import Path
from owui_watch.files import exclusive
with exclusive(Path(sys.argv[1]), busy=lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


def ignored() -> None:
    """Wait without a word."""


class TestIsLocked:
    def test_follows_the_lock(self, tmp_path: Path) -> None:
        lock = tmp_path / "lock"
        assert not is_locked(lock)
        assert not lock.exists()
        with exclusive(lock, busy=ignored):
            assert is_locked(lock)
        assert not is_locked(lock)

    def test_asking_is_no_obstacle(self, tmp_path: Path) -> None:
        lock = tmp_path / "lock"
        with exclusive(lock, busy=ignored):
            pass
        for _ in range(20):
            assert not is_locked(lock)
            with exclusive(lock, busy=lambda: pytest.fail("it is free"), patience=0):
                assert is_locked(lock)

    def test_folder_in_its_place_is_not_locked(self, tmp_path: Path) -> None:
        assert not is_locked(tmp_path)


class TestLock:
    def test_second_owner_is_kept_out_and_told_once(self, tmp_path: Path) -> None:
        calls: list[int] = []
        with (
            exclusive(tmp_path / "lock", busy=ignored),
            pytest.raises(TimeoutError),
            exclusive(tmp_path / "lock", busy=lambda: calls.append(1), patience=0.2),
        ):
            pass
        assert calls == [1]
        with exclusive(tmp_path / "lock", busy=lambda: pytest.fail("it is free"), patience=0):
            pass

    def test_ends_with_a_killed_process(self, tmp_path: Path) -> None:
        lock = tmp_path / "lock"
        command = [sys.executable, "-c", HOLD, str(lock)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            assert is_locked(lock)
            holder.kill()
            holder.wait()
            assert not is_locked(lock)

    @pytest.mark.skipif(sys.platform == "win32", reason="an open file can't be deleted there")
    def test_deleted_while_waiting_is_opened_anew(self, tmp_path: Path) -> None:
        lock = tmp_path / "lock"
        with ExitStack() as first:
            first.enter_context(exclusive(lock, busy=ignored))

            def delete_and_release() -> None:
                lock.unlink()
                first.close()

            with exclusive(lock, busy=delete_and_release, patience=5):
                assert is_locked(lock), "the file that others find is the one that is held"

    @pytest.mark.skipif(os.name == "nt", reason="links need rights there")
    def test_that_is_a_link_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "lock").symlink_to(tmp_path / "outside")
        with pytest.raises(OSError), exclusive(tmp_path / "lock", busy=ignored):  # noqa: PT011 - ELOOP
            pass
        assert not (tmp_path / "outside").exists()
