"""Runs owui-watch as a user does, and reads what it says as it says it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

Line = dict[str, Any]
PATIENCE = 20.0
"""Seconds within which anything that is waited for must come; it usually comes within a tenth of one."""
DEPLOYED = ("created", "updated", "unchanged")


def until(fact: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until ``fact`` holds; for what nobody tells, like a file that appears."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if fact():
            return
        pause.wait(0.05)
    pytest.fail(f"not within {seconds:g} s: {what}")


class Run:
    """One owui-watch. Its JSON lines are taken by ``wait_for``; leaving the context ends it as Ctrl-C does.

    However a run is left, it must have said nothing on stderr, and none of ``secrets`` may stand in what it said or in
    a file that it wrote.
    """

    def __init__(
        self, arguments: Sequence[str], *, folder: Path, environ: Mapping[str, str], secrets: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self._state = Path(environ["OWUI_WATCH_STATE_DIR"])
        self.lines: list[Line] = []
        self._raw: list[str] = []
        self._secrets = tuple(secrets)
        self._taken: set[int] = set()
        self._changed = threading.Condition()
        self._over = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _end
        self._process = subprocess.Popen(
            # Python tells on stderr what leaks or is never awaited.
            [sys.executable, "-W", "default", "-m", "owui_watch", *arguments],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
        )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, name=f"lines of owui-watch {self.pid}")
        self._reader.start()

    def wait_for(self, event: str, timeout: float = PATIENCE, **fields: object) -> Line:
        """Wait for a line that was not waited for before, and take it."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._find(event, fields) is not None, timeout)
            number = self._find(event, fields)
            if number is None:
                state = "owui-watch ended" if self._over else f"{timeout:g} s passed"
                pytest.fail(f"{state} without {event} {fields}. It said:\n{self.told()[-3000:]}")
            self._taken.add(number)
            return self.lines[number]

    def wait_for_text(self, text: str, timeout: float = PATIENCE) -> None:
        """Wait until ``text`` stands in what a person would have read."""
        with self._changed:
            if (
                not self._changed.wait_for(lambda: self._over or text in self.told(), timeout)
                or text not in self.told()
            ):
                pytest.fail(f"{text!r} was not said. It said:\n{self.told()[-3000:]}")

    def of(self, *events: str, **fields: object) -> list[Line]:
        """Return all lines of these events so far, taken or not."""
        with self._changed:
            return [line for line in self.lines if line["event"] in events and fields.items() <= line.items()]

    def deploys(self, plugin: str) -> list[str]:
        """Return what became of the saves of ``plugin`` so far."""
        return [line["event"] for line in self.of(*DEPLOYED, "rejected", plugin=plugin)]

    def told(self) -> str:
        """Return all of stdout so far."""
        return "".join(self._raw)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(number)

    def stop(self, code: int = 0) -> None:
        """Press Ctrl-C, and hold what owui-watch said at the end against what it must and must not say."""
        self.interrupt()
        self.ends(code)

    def ends(self, code: int) -> str:
        """Wait for the end, without a word on stderr; give all that was said on stdout."""
        assert self.fails(code) == "", self.told()
        return self.told()

    def fails(self, code: int, patience: float = PATIENCE) -> str:
        """Wait for the end; give all that was said on stderr."""
        try:
            actual = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._end()
            pytest.fail(f"owui-watch did not end. It said:\n{self.told()}")
        errors = self._end()
        assert actual == code, f"{self.told()}\n{errors}"
        self._assert_no_secret(errors)
        return errors

    def _assert_no_secret(self, errors: str) -> None:
        written = [path for path in self._state.rglob("*") if path.is_file()]
        texts = {"stdout": self.told(), "stderr": errors} | {str(path): path.read_text("utf-8") for path in written}
        assert [(secret, place) for secret in self._secrets for place, text in texts.items() if secret in text] == []

    def _find(self, event: str, fields: Mapping[str, object]) -> int | None:
        for number, line in enumerate(self.lines):
            if number not in self._taken and line["event"] == event and fields.items() <= line.items():
                return number
        return None

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            with self._changed:
                self._raw.append(text)
                if text.startswith("{"):
                    self.lines.append(json.loads(text))
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _end(self) -> str:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        if self._errors.closed:
            return ""
        assert self._process.stdout is not None
        self._process.stdout.close()
        with self._errors:
            self._errors.seek(0)
            return self._errors.read().decode("utf-8")

    @contextmanager
    def ended_by_an_error(self) -> Iterator[None]:
        """Kill owui-watch where something fails inside, and show what it said."""
        try:
            yield
        except BaseException as error:
            errors = self._end()
            error.add_note(f"owui-watch said:\n{self.told()}{errors}")
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            with self.ended_by_an_error():
                raise error
        if not self._errors.closed:
            self.stop()


def clean_environ(home: Path) -> dict[str, str]:
    """Return an environment in which nothing of the developer's own settings, editors or git is left."""
    kept = ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP", "LANG", "COVERAGE_FILE", "COVERAGE_PROCESS_START")
    environ = {name: os.environ[name] for name in kept if name in os.environ}
    return environ | {
        "HOME": str(home),
        "OWUI_WATCH_STATE_DIR": str(home / "state"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }
