"""The log of entries and the backups: whole or not at all, private, and never in the way of a deploy."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

import pytest

from owui_watch.state.folder import StateFolder
from owui_watch.state.store import Store

LOG = "journal.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state", PurePath("trees/plugins/server"))


def entries(folder: StateFolder) -> dict[str, object]:
    return dict(Store([folder]).entries())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestEntries:
    def test_newest_value_counts(self, folder: StateFolder) -> None:
        store = Store([folder])
        store.record({"x": 1, "y": 2})
        store.record({"x": 3})
        assert entries(folder) == {"x": 3, "y": 2} == store.entries()

    def test_none_forgets(self, folder: StateFolder) -> None:
        Store([folder]).record({"x": 1, "y": 2})
        Store([folder]).record({"x": None})
        assert entries(folder) == {"y": 2}

    def test_clock_put_back_changes_nothing(self, folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        Store([folder]).record({"x": "old"})
        monkeypatch.setattr("time.time", lambda: 1.0)
        Store([folder]).record({"x": "new"})
        assert entries(folder) == {"x": "new"}

    def test_reading_writes_nothing(self, folder: StateFolder) -> None:
        store = Store([folder])
        assert store.entries() == {}
        assert store.flush()
        assert not folder.base.exists()

    def test_log_is_compacted(self, folder: StateFolder) -> None:
        store = Store([folder])
        for number in range(4200):
            store.record({"x": number})
        store.flush()
        assert (folder.path / LOG).read_text().count("\n") == 1
        assert entries(folder) == {"x": 4199}

    def test_forget_keeps_backups(self, folder: StateFolder) -> None:
        store = Store([folder])
        store.record({"x": 1})
        backup = store.back_up("x", "1.py", b"copy")
        store.forget()
        assert (entries(folder), store.entries()) == ({}, {})
        assert backup is not None
        assert backup.read_bytes() == b"copy"

    def test_are_one_json_line_each(self, folder: StateFolder) -> None:
        Store([folder]).record({"functions/x": {"put": "a\nb"}})
        [line] = (folder.path / LOG).read_text().split()
        name, when, value = json.loads(line)
        assert (name, value) == ("functions/x", {"put": "a\nb"})
        assert when > 1.7e9


class TestOverlaps:
    def test_own_trees_get_every_entry(self, tmp_path: Path) -> None:
        one, two = (StateFolder(tmp_path, PurePath(name)) for name in ("one", "two"))
        Store([one, two]).record({"x": 1})
        Store([two]).record({"x": 2})
        assert (entries(one), entries(two)) == ({"x": 1}, {"x": 2})
        assert Store([one, two]).entries() == {"x": 2}, "the newest of both"

    def test_newest_of_parts_and_wider_counts(self, tmp_path: Path) -> None:
        own, part, wider = (StateFolder(tmp_path, PurePath(name)) for name in ("own", "part", "wider"))
        Store([wider]).record({"a": "wider", "b": "wider", "c": "wider"})
        Store([part], wider=[wider]).record({"b": "part", "c": "part"})
        Store([own], [part], [wider]).record({"c": "own"})
        store = Store([own], [part], [wider])
        assert store.entries() == {"b": "part", "c": "own"}
        assert store.wider_entries() == {"a": "wider"}

    def test_parts_and_wider_are_read_only(self, tmp_path: Path) -> None:
        own, part, wider = (StateFolder(tmp_path, PurePath(name)) for name in ("own", "part", "wider"))
        for folder in (part, wider):
            folder.append(LOG, b"damaged\n\nalso\n")
        store = Store([own], [part], [wider])
        store.record({"x": 1})
        assert store.flush()
        assert [(each.path / LOG).read_text() for each in (part, wider)] == ["damaged\n\nalso\n"] * 2


class TestDamage:
    @pytest.mark.parametrize(
        "damaged",
        [b"{\n{\n", b"\xff\xfe\n\xff", b"3\n4\n5", b'["x"]\n[]', b"\0" * 4096 + b"\n\0", b"[" * 9000 + b"\n1"],
    )
    def test_is_set_aside_and_reported_once(self, folder: StateFolder, damaged: bytes) -> None:
        folder.append(LOG, damaged)
        store = Store([folder])
        assert store.entries() == {}
        assert f"{folder.path / LOG} is damaged" in (store.trouble() or "")
        assert store.trouble() is None
        assert (folder.path / f"{LOG}.damaged").read_bytes() == damaged
        store.record({"x": 1})
        assert entries(folder) == {"x": 1}
        assert Store([folder]).trouble() is None

    def test_costs_no_good_entry(self, folder: StateFolder) -> None:
        Store([folder]).record({"x": 1})
        folder.append(LOG, b"\nnonsense")
        Store([folder]).record({"y": 2})
        store = Store([folder])
        assert store.entries() == {"x": 1, "y": 2}
        assert "(1 of its lines)" in (store.trouble() or "")

    @pytest.mark.parametrize("when", ["NaN", "1e400", "-1", "9" * 400])
    def test_entry_of_no_time_is_passed_over(self, folder: StateFolder, when: str) -> None:
        folder.append(LOG, f'["x",{when},"odd"]\n["y",1,2]\n'.encode())
        store = Store([folder])
        assert store.entries() == {"y": 2}
        store.record({"x": 1})
        assert entries(folder) == {"x": 1, "y": 2}

    def test_line_cut_by_a_crash_is_no_damage(self, folder: StateFolder) -> None:
        Store([folder]).record({"x": 1})
        folder.append(LOG, b'\n["y", 17')
        store = Store([folder])
        assert (dict(store.entries()), store.trouble()) == ({"x": 1}, None)

    def test_huge_log_is_not_read(self, folder: StateFolder) -> None:
        folder.make()
        with (folder.path / LOG).open("wb") as file:
            file.truncate(65 * 2**20)
        store = Store([folder])
        assert "is damaged (it is larger than 64 MiB)" in (store.trouble() or "")
        assert store.record({"x": 1})
        assert entries(folder) == {"x": 1}

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders there")
    def test_pipe_is_not_waited_for(self, folder: StateFolder) -> None:
        folder.make()
        os.mkfifo(folder.path / LOG)
        store = Store([folder])
        assert "it is not a regular file" in (store.trouble() or "")
        assert store.record({"x": 1})
        assert entries(folder) == {"x": 1}


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
class TestLinks:
    @pytest.mark.parametrize("part", ["trees", "trees/plugins", "trees/plugins/server"])
    def test_linked_folder_is_not_written(self, folder: StateFolder, tmp_path: Path, part: str) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        link = folder.base / part
        link.parent.mkdir(parents=True)
        link.symlink_to(elsewhere)
        store = Store([folder])
        store.record({"x": 1})
        assert not store.flush()
        assert store.back_up("x", "1.py", b"copy") is None
        assert "it is a link" in (store.trouble() or "")
        assert list(elsewhere.rglob("*")) == []

    @pytest.mark.parametrize("name", [LOG, "backups", "backups/x"])
    def test_link_in_the_folder_is_not_followed(self, folder: StateFolder, tmp_path: Path, name: str) -> None:
        target = tmp_path / "target"
        if name == LOG:
            target.write_text("precious")
        else:
            target.mkdir()
        folder.make(str(PurePath(name).parent))
        (folder.path / name).symlink_to(target)
        store = Store([folder])
        store.record({"x": 1})
        store.flush()
        store.back_up("x", "1.py", b"copy")
        assert store.trouble() is not None
        if name == LOG:
            assert target.read_text() == "precious"
            assert entries(folder) == {"x": 1}, "the link itself was replaced"
        else:
            assert list(target.iterdir()) == []

    @pytest.mark.parametrize("part", ["", "trees", "trees/plugins", "trees/plugins/server"])
    def test_file_in_place_of_a_folder_is_named(self, folder: StateFolder, part: str) -> None:
        path = folder.base / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        store = Store([folder])
        store.record({"x": 1})
        assert (store.trouble() or "").startswith(f"{path}: ")

    def test_folder_in_place_of_the_log_is_named(self, folder: StateFolder) -> None:
        store = Store([folder])
        folder.make(LOG)
        store.record({"x": 1})
        store.flush()
        assert store.trouble() == f"{folder.path / LOG}: Is a directory"

    def test_state_folder_itself_may_be_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "state").symlink_to(tmp_path / "disk")
        folder = StateFolder(tmp_path / "state", PurePath("t"))
        assert Store([folder]).record({"x": 1})
        assert entries(folder) == {"x": 1}


class TestFiles:
    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
    def test_are_private_whatever_the_umask(self, folder: StateFolder) -> None:
        before = os.umask(0)
        try:
            store = Store([folder])
            store.record({"x": 1})
            store.back_up("x", "1.py", b"copy")
            folder.replace("other", b"")
        finally:
            os.umask(before)
        paths = [folder.base, *folder.base.rglob("*")]
        assert {mode(path) for path in paths if path.is_dir()} == {0o700}
        assert {mode(path) for path in paths if path.is_file()} == {0o600}
        assert len(paths) == 9


class TestBackups:
    def test_hold_every_byte(self, folder: StateFolder) -> None:
        content = "title: café\r\nclass Pipe:\r\n\tpass\n\n\0".encode() + b"\xff\xfe"
        path = Store([folder]).back_up("x", "stamp.py", content)
        assert path == folder.path / "backups/x/stamp.py"
        assert path.read_bytes() == content

    def test_never_overwrite_each_other(self, folder: StateFolder) -> None:
        store = Store([folder])
        paths = [store.back_up("x", "stamp.py", str(number).encode()) for number in range(12)]
        assert [path.read_text() for path in paths if path] == [str(number) for number in range(12)]

    def test_are_read_by_suffix(self, folder: StateFolder) -> None:
        store = Store([folder])
        assert list(store.backups("x", ".py")) == []
        store.back_up("x", "1.py", b"1")
        store.back_up("x", "1.json", b"{}")
        (folder.path / "backups/x/2.py").symlink_to(folder.path / "backups/x/1.py")
        assert list(store.backups("x", ".py")) == [b"1"], "a link is not followed"


# A disk that is full, or read-only

Fill = Callable[[], None]


@pytest.fixture(params=["creating", "writing"])
def disk(request: pytest.FixtureRequest) -> Iterator[tuple[Fill, Fill]]:
    """Return what makes the disk full, and what frees it."""
    patch = pytest.MonkeyPatch()
    system_open, system_write = os.open, os.write

    def full_open(path: str, flags: int, mode: int = 0o777, **more: object) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return system_open(path, flags, mode)

    def full_write(descriptor: int, data: bytes) -> int:
        system_write(descriptor, bytes(data[:1]))  # a full disk may take a part
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill() -> None:
        patch.setattr(os, "open", full_open) if request.param == "creating" else patch.setattr(os, "write", full_write)

    yield fill, patch.undo
    patch.undo()


class TestFullDisk:
    def test_entries_are_written_once_there_is_room(self, folder: StateFolder, disk: tuple[Fill, Fill]) -> None:
        fill, free = disk
        store = Store([folder])
        store.record({"x": 1})
        fill()
        assert not store.record({"x": 2})
        assert "No space left" in (store.trouble() or "")
        assert not store.flush()
        assert store.entries() == {"x": 2}
        free()
        assert entries(folder) == {"x": 1}
        assert store.flush()
        assert entries(folder) == {"x": 2}
        assert sorted(path.name for path in folder.path.iterdir()) == [LOG], "no temporary file is left"

    def test_no_part_of_a_backup_is_left(self, folder: StateFolder, disk: tuple[Fill, Fill]) -> None:
        fill, free = disk
        fill()
        store = Store([folder])
        assert store.back_up("x", "1.py", b"copy") is None
        assert "No space left" in (store.trouble() or "")
        free()
        assert [path for path in folder.base.rglob("*") if path.is_file()] == []

    def test_one_problem_is_reported_once(self, folder: StateFolder, disk: tuple[Fill, Fill]) -> None:
        fill, _ = disk
        fill()
        store = Store([folder])
        for number in range(5):
            store.record({"x": number})
        assert store.trouble() is not None
        assert store.trouble() is None


class TestRenewal:
    def test_all_is_written_to_the_new_folder(self, folder: StateFolder, tmp_path: Path) -> None:
        new = StateFolder(tmp_path, PurePath("new"))
        answers: list[list[StateFolder] | None] = [None, [new], None]
        store = Store([folder], renewed=lambda: answers.pop(0))
        store.record({"x": 1})
        store.flush()
        assert not new.path.exists()
        store.flush()
        assert entries(new) == {"x": 1}
        store.record({"y": 2})
        store.flush()
        assert entries(new) == {"x": 1, "y": 2}

    def test_failure_is_reported(self, folder: StateFolder) -> None:
        def fails() -> None:
            raise OSError(errno.EBUSY, "another owui-watch uses it now", "/there")

        store = Store([folder], renewed=fails)
        store.flush()
        assert store.trouble() == "/there: another owui-watch uses it now"
