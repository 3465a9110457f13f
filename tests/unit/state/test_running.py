"""Which owui-watch and which sandbox run now."""

from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from owui_watch.settings import Secret
from owui_watch.state import RunningSandbox, RunningWatch, StateFolder, announced_sandbox, running_sandboxes
from owui_watch.state.running import announced_watch, watch_in

SANDBOX = RunningSandbox(
    pid=os.getpid(),
    since=1764230400.0,
    url="http://localhost:8123",
    version="0.12.4",
    key=Secret("sk-one"),
    email="admin@example.org",
    password=Secret("pass"),
    folder=Path("/tmp/sandbox"),
    channel_token=Secret("channel-token"),
)


class TestSandboxes:
    def test_are_found_while_they_run(self, tmp_path: Path) -> None:
        newer = replace(SANDBOX, since=SANDBOX.since + 1, url="http://localhost:8124")
        with announced_sandbox(tmp_path, SANDBOX):
            assert running_sandboxes(tmp_path) == (SANDBOX,)
            with announced_sandbox(tmp_path, newer):
                assert running_sandboxes(tmp_path) == (newer, SANDBOX)
            assert running_sandboxes(tmp_path) == (SANDBOX,)
        assert running_sandboxes(tmp_path) == ()
        assert list((tmp_path / "sandboxes").iterdir()) == []

    def test_killed_one_is_forgotten(self, tmp_path: Path) -> None:
        folder = tmp_path / "sandboxes"
        with announced_sandbox(tmp_path, SANDBOX):
            left = {path.name: path.read_bytes() for path in folder.iterdir()}
        for name, content in left.items():
            (folder / name).write_bytes(content)
        assert len(left) == 2
        assert running_sandboxes(tmp_path) == ()
        assert list(folder.iterdir()) == []

    @pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
    def test_key_is_for_the_user_alone(self, tmp_path: Path) -> None:
        with announced_sandbox(tmp_path, SANDBOX):
            modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "sandboxes").iterdir()}
        assert modes == {0o600}

    @pytest.mark.parametrize("content", ["", "{}", "[1]", '{"pid": "x"}', "[" * 100_000])
    def test_odd_entry_is_passed_over(self, tmp_path: Path, content: str) -> None:
        with announced_sandbox(tmp_path, SANDBOX):
            [entry] = (tmp_path / "sandboxes").glob("*.json")
            entry.write_text(content)
            assert running_sandboxes(tmp_path) == ()

    def test_are_none_without_a_state_folder(self, tmp_path: Path) -> None:
        assert running_sandboxes(tmp_path / "none") == ()
        assert not (tmp_path / "none").exists()


class TestWatch:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> StateFolder:
        return StateFolder(tmp_path, PurePath("server"))

    def test_is_recorded_while_it_runs(self, folder: StateFolder, tmp_path: Path) -> None:
        folder.make()
        watch = RunningWatch(4711, time.time(), "http://localhost:3000", (tmp_path,))
        with announced_watch([folder], watch):
            assert watch_in(folder) == watch
        assert watch_in(folder) is None

    def test_says_since_when(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", "UTC")
        time.tzset() if hasattr(time, "tzset") else None
        today = time.mktime((2026, 1, 2, 10, 2, 0, 0, 0, -1))
        monkeypatch.setattr("time.time", lambda: today + 3600)
        assert str(RunningWatch(4711, today, "", ())) == "pid 4711, since 10:02"
        assert str(RunningWatch(4711, today - 86400, "", ())) == "pid 4711, since 2026-01-01 10:02"

    @pytest.mark.parametrize("since", [1e300, float("inf"), float("nan"), 10**40, -1e300])
    def test_time_that_is_none_is_left_out(self, folder: StateFolder, since: float) -> None:
        folder.replace("watch.json", json.dumps({"pid": 4711, "since": since, "url": "", "roots": []}).encode())
        assert str(watch_in(folder)) == "pid 4711"

    @pytest.mark.parametrize("content", [{}, [], {"pid": 1, "since": 1, "url": 5, "roots": []}, None])
    def test_odd_entry_is_passed_over(self, folder: StateFolder, content: object) -> None:
        folder.replace("watch.json", json.dumps(content).encode())
        assert watch_in(folder) is None
