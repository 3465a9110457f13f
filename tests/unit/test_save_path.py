"""Through which modules one save passes, as the benchmark of the same name counts them."""

from __future__ import annotations

from pathlib import Path

import trio
from trio.testing import MockClock

from tests.benchmarks.save_path import measure


class TestSave:
    def test_of_one_file_runs_no_code_for_bundles(self, tmp_path: Path) -> None:
        found = trio.run(measure, tmp_path, clock=MockClock(autojump_threshold=0))
        assert found.calls["plugins/reader.py"]
        assert not [module for module in found.calls if module.startswith("plugins/bundle/")]
