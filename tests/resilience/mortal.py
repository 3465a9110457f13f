"""A real Open WebUI that can be killed, and started again on the data it had."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from owui_watch.sandbox import Sandbox, sandbox
from tests.live.harness import until


class Mortal:
    """One server after the other, all with the same data; ``now`` is the one that runs."""

    def __init__(self, version: str, data: Path) -> None:
        self._version = version
        self._data = data
        self._stack = ExitStack()
        self.kills = 0
        self.now: Sandbox

    def start(self) -> Sandbox:
        self.now = self._stack.enter_context(sandbox(self._version, data=self._data))
        return self.now

    def kill(self) -> None:
        """End the server's process with SIGKILL, whatever it is at."""
        os.kill(self.now.pid, signal.SIGKILL)
        until(lambda: not self._runs(), "the server is gone")
        self.kills += 1

    def bury(self) -> None:
        """Clear away what is left of a killed one."""
        self._stack.close()

    def _runs(self) -> bool:
        try:
            state = Path(f"/proc/{self.now.pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        return state != "Z"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
