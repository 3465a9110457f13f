"""The user's commands: one at a time, in order, in time, and nothing of them left."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import anyio
import pytest

from owui_watch.plugins.model import Diagnostic
from owui_watch.reporting.events import Created, Event, Rejection, Updated, Warned
from owui_watch.reporting.hooks import Commands, Hooks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell")


def created(name: str) -> Created:
    return Created(name, "pipe", Path(f"{name}.py"), None, None, 1)


def run_all(command: str, *events: Event, limit: float = 30.0, environ: dict[str, str] | None = None) -> list[Event]:
    """Have ``command`` follow every deploy; give what was told of it."""
    told: list[Event] = []

    async def main() -> None:
        hooks = Hooks(
            Commands(on_deploy=command, on_reject=None),
            {"PATH": "/usr/bin:/bin", **(environ or {})},
            told.append,
            variables=lambda event: {"OWUI_PLUGIN": event.plugin or "", "OWUI_EVENT": event.event},
            secret=lambda value: "sk-secret" in value,
            limit=limit,
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hooks.run)
            for event in events:
                hooks.heard(event)
            await hooks.finished()
            tasks.cancel_scope.cancel()

    anyio.run(main)
    return told


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


class TestCommands:
    def test_run_one_at_a_time_in_order(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        command = f'echo "<$OWUI_PLUGIN" >> {log}; sleep 0.05; echo "$OWUI_PLUGIN>" >> {log}'
        assert run_all(command, created("a"), created("b"), created("c")) == []
        assert log.read_text().split() == ["<a", "a>", "<b", "b>", "<c", "c>"]

    def test_follow_deploys_only(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        rejection = Rejection("b", "pipe", Path("b.py"), "check", (Diagnostic("bad", 1),))
        updated = Updated("c", "pipe", Path("c.py"), None, None, 1)
        run_all(f"echo $OWUI_EVENT >> {log}", created("a"), rejection, updated)
        assert log.read_text().split() == ["created", "updated"]

    def test_that_take_too_long_die_with_their_children(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        told = run_all(f"(sleep 30; echo late >> {log}) & echo $! >> {log}; wait", created("a"), limit=0.2)
        assert told == [
            Warned("the --on-deploy command took longer than 0.2 s and was killed", "it ran for the event created of a")
        ]
        (pid,) = log.read_text().split()
        deadline, pause = time.monotonic() + 60, threading.Event()
        while _runs(pid) and time.monotonic() < deadline:  # a killed process ends when it is scheduled next
            pause.wait(0.01)
        assert not _runs(pid)

    def test_that_fail_are_reported_once(self) -> None:
        told = run_all('test "$OWUI_PLUGIN" = good', *map(created, ("a", "b", "good", "c")))
        failed = "the --on-deploy command ended with exit code 1; it ran for the event created of"
        assert [event.error for event in told if isinstance(event, Warned)] == [f"{failed} a", f"{failed} c"]

    def test_get_no_key(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        keys = {"OPENWEBUI_API_KEY": "sk-other", "api_key": "sk-other", "HEADER": "Bearer sk-secret", "EDITOR": "vi"}
        run_all(f"env > {log}", created("a"), environ=keys)
        names = {line.partition("=")[0] for line in log.read_text().splitlines()}
        assert names & {*keys, "OWUI_PLUGIN"} == {"EDITOR", "OWUI_PLUGIN"}

    def test_write_to_stderr_only(self, capfd: pytest.CaptureFixture[str]) -> None:
        run_all("echo out; echo err >&2", created("a"))
        captured = capfd.readouterr()
        assert (captured.out, sorted(captured.err.split())) == ("", ["err", "out"])

    def test_run_once_for_many_diagnostics(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        missing = tuple(Diagnostic(f"No module named 'm{number}'", number) for number in range(1, 21))
        told: list[Event] = []

        async def main() -> None:
            hooks = Hooks(
                Commands(on_deploy=None, on_reject=f"echo $OWUI_PLUGIN >> {log}"),
                {"PATH": "/usr/bin:/bin"},
                told.append,
                variables=lambda event: {"OWUI_PLUGIN": event.plugin or "", "OWUI_EVENT": event.event},
                secret=lambda value: value == "sk-secret",
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hooks.run)
                hooks.heard(Rejection("b", "pipe", Path("b.py"), "check", missing))
                await hooks.finished()
                tasks.cancel_scope.cancel()

        anyio.run(main)
        assert (told, log.read_text().split()) == ([], ["b"])
