"""Through how many modules does one save pass? Counted by a profiler, from the write to the line that reports it.

Run ``python -m tests.benchmarks.save_path``. The server is a fake at the HTTP transport, the observer one without
threads, so everything happens in one thread and the count is the same each time.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import anyio
import trio
from trio.testing import MockClock

import owui_watch
from owui_watch.reporting.events import Updated
from owui_watch.reporting.log import start_reporting
from owui_watch.reporting.output import Output
from tests.unit.test_daemon import Bench, function, source, watching

_PACKAGE = Path(owui_watch.__file__).parent
_TESTS = Path(__file__).parents[1]


@dataclass
class SavePath:
    """The modules in which something was called, with the number of calls, and how often the module changed."""

    calls: Counter[str] = field(default_factory=Counter)
    changes: int = 0
    _last: str = ""

    def profile(self, frame: FrameType, event: str, _argument: object) -> None:
        """Take an event of ``sys.setprofile``."""
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(_PACKAGE) and not _is_called_by_tests(frame):
            module = path.relative_to(_PACKAGE).as_posix()
            self.calls[module] += 1
            self.changes += module != self._last
            self._last = module


def _is_called_by_tests(frame: FrameType) -> bool:
    """Return whether the fake server or the observer of the tests made a call, and not owui-watch."""
    caller = frame.f_back
    while caller is not None:
        path = Path(caller.f_code.co_filename)
        if path.is_relative_to(_PACKAGE):
            return False
        if path.is_relative_to(_TESTS) and path.name in {"fake_server.py", "test_daemon.py"}:
            return True
        caller = caller.f_back
    return False


async def measure(folder: Path) -> SavePath:
    """Save a known plugin in place, below ``folder``, and follow it until it is live and reported."""
    bench = Bench(folder)
    output = Output(io.StringIO())
    bench.forward = start_reporting(output, json=False, colours=False, threshold=20, cwd=folder).report
    bench.path("x.py").write_text(source("old"))
    bench.server.put(function("x"), source("old"))
    found = SavePath()

    async with watching(bench):
        bench.save("x.py", source("one"))
        await bench.wait_for(Updated)
        await anyio.sleep(600)
        sys.setprofile(found.profile)
        try:
            bench.save("x.py", source("two"))
            await bench.wait_for(Updated, 2)
        finally:
            sys.setprofile(None)
    output.close()
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        result = trio.run(measure, Path(folder), clock=MockClock(autojump_threshold=0))
    print(f"{len(result.calls)} modules, {result.changes} changes of module")
    for module, calls in sorted(result.calls.items()):
        print(f"{calls:5}  {module}")
