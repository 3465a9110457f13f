"""Which files changed between two looks, also if their times don't show it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from owui_watch.files import Signature, signature
from owui_watch.plugins.ignore import Ignore
from owui_watch.watcher.snapshot import COARSEST, Snapshot

NOW = 1_700_000_001.5
"""The file was written a second and a half before."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "filters").mkdir()
    for name in ("x.py", "y.py", "filters/z.py"):
        (tmp_path / name).write_text("old")
    return tmp_path


def begun(*roots: Path, data_files: Mapping[Path, Signature | None] | None = None) -> Snapshot:
    snapshot = Snapshot(roots, Ignore(), data_files=lambda: data_files or {})
    snapshot.begin(snapshot.scan())
    return snapshot


def look(snapshot: Snapshot, *, gone: tuple[Path, ...] = (), within: tuple[Path, ...] | None = None) -> list[Path]:
    return sorted(snapshot.compare(snapshot.scan(within), gone=gone, within=within))


class TestCompare:
    def test_finds_each_change_once(self, root: Path) -> None:
        snapshot = begun(root)
        (root / "x.py").write_text("newer")
        (root / "y.py").unlink()
        (root / "filters" / "new.py").write_text("new")

        assert look(snapshot) == [root / "filters" / "new.py", root / "x.py", root / "y.py"]
        assert look(snapshot) == []

    def test_within_a_folder_finds_nothing_elsewhere(self, root: Path) -> None:
        snapshot = begun(root)
        (root / "x.py").write_text("newer")
        (root / "filters" / "z.py").unlink()

        assert look(snapshot, within=(root / "filters",)) == [root / "filters" / "z.py"]
        assert look(snapshot) == [root / "x.py"]

    def test_finds_a_folder_in_place_of_a_file(self, root: Path) -> None:
        snapshot = begun(root)
        (root / "x.py").unlink()
        (root / "x.py").mkdir()

        assert look(snapshot, within=(root / "x.py",)) == [root / "x.py"]
        (root / "x.py" / "y.py").write_text("new")
        assert look(snapshot) == [root / "x.py" / "y.py"]

    def test_ignores_files_of_a_folder_that_is_gone(self, root: Path) -> None:
        snapshot = begun(root / "filters", root / "x.py")
        (root / "filters" / "z.py").unlink()
        (root / "x.py").unlink()

        assert look(snapshot, gone=(root / "filters",)) == [root / "x.py"]
        assert look(snapshot) == [root / "filters" / "z.py"]

    def test_leaves_out_what_was_refreshed_during_the_scan(self, root: Path) -> None:
        snapshot = begun(root)
        scan = snapshot.scan()
        (root / "x.py").write_text("newer")
        assert snapshot.refresh(root / "x.py")

        assert snapshot.compare(scan) == []
        assert look(snapshot) == []
        (root / "x.py").write_text("newer still")
        assert look(snapshot) == [root / "x.py"]

    @pytest.mark.skipif("sys.platform == 'win32'")
    def test_file_in_an_unreadable_folder_is_still_there(self, root: Path) -> None:
        snapshot = begun(root)
        (root / "filters" / "pyvenv.cfg").write_text("")  # the walk passes over the folder now

        assert look(snapshot) == []

    @pytest.mark.parametrize("within", [None, "filters"])
    def test_folder_that_becomes_a_link_loses_its_files(self, root: Path, within: str | None) -> None:
        snapshot = begun(root)
        (root / "filters").rename(root.parent / f"{root.name}-moved")
        (root / "filters").symlink_to(root.parent / f"{root.name}-moved")

        assert look(snapshot, within=(root / within,) if within else None) == [root / "filters" / "z.py"]

    def test_single_file_matters_whatever_its_name(self, root: Path) -> None:
        (root / "test_x.py").write_text("old")
        snapshot = begun(root / "test_x.py")
        (root / "test_x.py").write_text("newer")
        (root / "x.py").write_text("newer")

        assert look(snapshot) == [root / "test_x.py"]

    def test_ignored_path_is_ignored_within_a_folder_too(self, root: Path) -> None:
        snapshot = Snapshot([root], Ignore(["a/old/*", "a/new/b"]))
        snapshot.begin(snapshot.scan())
        for name in ("a/old/x.py", "a/new/y.py", "a/new/b/z.py"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("new")

        assert look(snapshot, within=(root / "a" / "new" / "b",)) == []
        assert look(snapshot, within=(root / "a",)) == [root / "a" / "new" / "y.py"]

    def test_watches_data_files_too(self, root: Path) -> None:
        data = root / "filters" / "words.json"
        data.write_text("[]")
        (root / "filters" / "other.json").write_text("[]")
        snapshot = begun(root, data_files={data: signature(data)})
        data.write_text("[1]")
        (root / "filters" / "other.json").write_text("[1]")

        assert look(snapshot, within=(root / "filters",)) == [data]
        assert look(snapshot) == []


class TestDataFileThatAPluginBeginsToRead:
    """A snapshot, and the data files that plugins have read since its first scan."""

    @pytest.fixture
    def data(self, root: Path) -> Path:
        path = root / "words.txt"
        path.write_text("one")
        return path

    @pytest.fixture
    def used(self) -> dict[Path, Signature | None]:
        return {}

    @pytest.fixture
    def snapshot(self, root: Path, used: dict[Path, Signature | None]) -> Snapshot:
        return begun(root, data_files=used)

    def test_has_not_changed_by_that(self, snapshot: Snapshot, data: Path, used: dict[Path, Signature | None]) -> None:
        used[data] = signature(data)
        assert look(snapshot) == []
        data.write_text("newer")
        assert look(snapshot) == [data]

    def test_has_changed_if_saved_since_the_reading(
        self, snapshot: Snapshot, data: Path, used: dict[Path, Signature | None]
    ) -> None:
        used[data] = signature(data)
        data.write_text("newer")
        assert look(snapshot) == [data]
        assert look(snapshot) == []

    def test_has_changed_if_it_was_missing_then(
        self, snapshot: Snapshot, data: Path, used: dict[Path, Signature | None]
    ) -> None:
        used[data] = None
        assert look(snapshot) == [data]
        assert look(snapshot) == []

    def test_is_unknown_after_its_end_during_a_scan(
        self, snapshot: Snapshot, data: Path, used: dict[Path, Signature | None]
    ) -> None:
        used[data] = signature(data)
        scan = snapshot.scan()
        data.unlink()
        snapshot.refresh(data)
        assert snapshot.compare(scan) == []
        assert not snapshot.knows(data)

    def test_may_have_changed_if_times_are_coarse(
        self, snapshot: Snapshot, data: Path, used: dict[Path, Signature | None]
    ) -> None:
        used[data] = b"1 3 1000000000 1000000000"
        assert look(snapshot) == [data]


class Coarse:
    """A folder with a file in it, on a file system that keeps whole seconds, of which one has begun at ``NOW``."""

    def __init__(self, root: Path) -> None:
        self.path = root / "x.py"
        self.path.write_text("one")
        self.passed = 0.0
        self.fraction = 0
        self._times = int(NOW - 1.5) * 10**9
        self.snapshot = Snapshot(
            [root], Ignore(), signature=self._signature, clock=lambda: int((NOW + self.passed) * 10**9)
        )
        self.snapshot.begin(self.snapshot.scan())

    def _signature(self, path: str) -> Signature | None:
        if not Path(path).exists():
            return None
        return b"1 %d %d %d" % (Path(path).stat().st_size, self._times, self._times + self.fraction)


class TestCoarseTimes:
    @pytest.fixture
    def coarse(self, tmp_path: Path) -> Coarse:
        return Coarse(tmp_path)

    @pytest.mark.parametrize("passed", [0.1, COARSEST, 60.0])
    def test_hidden_save_is_found_once(self, coarse: Coarse, passed: float) -> None:
        coarse.path.write_text("two")
        coarse.passed = passed

        assert look(coarse.snapshot) == [coarse.path]
        assert look(coarse.snapshot) == []

    def test_two_hidden_saves_are_found_in_turn(self, coarse: Coarse) -> None:
        coarse.path.write_text("two")
        assert look(coarse.snapshot) == [coarse.path]
        coarse.path.write_text("six")
        assert look(coarse.snapshot) == [coarse.path]

    def test_without_another_save_nothing_is_found(self, coarse: Coarse) -> None:
        for passed in (0.1, COARSEST, 60.0):
            coarse.passed = passed
            assert look(coarse.snapshot) == []

    def test_save_an_event_reported_is_not_found_again(self, coarse: Coarse) -> None:
        coarse.path.write_text("two")
        assert not coarse.snapshot.refresh(coarse.path)
        coarse.passed = COARSEST

        assert look(coarse.snapshot) == []

    def test_deleted_file_is_found_once(self, coarse: Coarse) -> None:
        coarse.path.unlink()
        coarse.passed = COARSEST

        assert look(coarse.snapshot) == [coarse.path]
        assert look(coarse.snapshot) == []

    @pytest.mark.parametrize("why", ["old", "fine times"])
    def test_file_with_telling_times_is_not_read(self, coarse: Coarse, why: str) -> None:
        if why == "old":
            coarse.passed = 0.5
        else:
            coarse.fraction = 1
        coarse.snapshot.refresh(coarse.path)
        look(coarse.snapshot)

        assert coarse.snapshot.scan().digests == {}


class TestSignature:
    def test_of_an_impossible_name_is_none(self) -> None:
        assert signature("a\0b") is None
