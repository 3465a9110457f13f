"""Writing below a folder: whole or not at all, and never through a link."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path, PurePath

import pytest

from owui_watch.files import append, create, make_folder, replace

Write = Callable[[Path, PurePath, bytes], Path]
WRITES = pytest.mark.parametrize("write", [create, replace, append])
LINKS = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base = tmp_path / "base"
    base.mkdir()
    return base


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"precious")
    return outside


class TestContent:
    @WRITES
    def test_is_written(self, base: Path, write: Write) -> None:
        assert write(base, PurePath("x"), b"a\r\n\0") == base / "x"
        assert (base / "x").read_bytes() == b"a\r\n\0"
        assert [path.name for path in base.iterdir()] == ["x"]

    def test_create_never_overwrites(self, base: Path) -> None:
        create(base, PurePath("x"), b"old")
        with pytest.raises(FileExistsError):
            create(base, PurePath("x"), b"new")
        assert (base / "x").read_bytes() == b"old"

    def test_reader_of_a_replaced_file_keeps_the_old(self, base: Path) -> None:
        replace(base, PurePath("x"), b"old")
        with (base / "x").open("rb") as before:
            replace(base, PurePath("x"), b"new")
            assert before.read() == b"old"
        assert (base / "x").read_bytes() == b"new"

    def test_append_adds(self, base: Path) -> None:
        append(base, PurePath("x"), b"a")
        append(base, PurePath("x"), b"b")
        assert (base / "x").read_bytes() == b"ab"

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
    def test_mode_is_kept_on_request(self, base: Path) -> None:
        (base / "x").touch()
        (base / "x").chmod(0o751)
        replace(base, PurePath("x"), b"", keep_mode=True)
        assert stat.S_IMODE((base / "x").stat().st_mode) == 0o751
        replace(base, PurePath("x"), b"", 0o600)
        assert stat.S_IMODE((base / "x").stat().st_mode) == 0o600


class TestFailure:
    @pytest.mark.parametrize("write", [create, replace])
    def test_leaves_nothing_behind(self, base: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        system_write = os.write

        def full(descriptor: int, content: bytes) -> int:
            if system_write(descriptor, bytes(content[:1])):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return 0

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            write(base, PurePath("x"), b"content")
        assert list(base.iterdir()) == []

    def test_of_a_replacement_keeps_the_old_file(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        replace(base, PurePath("x"), b"old")

        def fails(*_: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(Path, "replace", fails)
        with pytest.raises(OSError, match="put/output error"):
            replace(base, PurePath("x"), b"new")
        assert [(path.name, path.read_bytes()) for path in base.iterdir()] == [("x", b"old")]

    def test_partial_writes_are_continued(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        system_write = os.write
        monkeypatch.setattr(os, "write", lambda descriptor, content: system_write(descriptor, bytes(content[:3])))
        replace(base, PurePath("x"), b"0123456789")
        assert (base / "x").read_bytes() == b"0123456789"


@LINKS
class TestLinks:
    @WRITES
    @pytest.mark.parametrize("place", ["link/x", "a/link/x", "link/sub/x"])
    def test_folder_that_is_a_link_is_refused(self, base: Path, outside: Path, write: Write, place: str) -> None:
        (base / "a").mkdir()
        (outside / "sub").mkdir()
        for parent in (base, base / "a"):
            (parent / "link").symlink_to(outside)
        with pytest.raises(OSError, match="it is a link, which owui-watch does not write through") as caught:
            write(base, PurePath(place), b"new")
        assert caught.value.errno == errno.ELOOP
        assert Path(caught.value.filename).name == "link"
        assert sorted(path.name for path in outside.rglob("*")) == ["sub", "x"]
        assert (outside / "x").read_bytes() == b"precious"

    @pytest.mark.parametrize("target", ["x", "new"])
    @pytest.mark.parametrize("write", [create, append])
    def test_file_that_is_a_link_is_refused(self, base: Path, outside: Path, write: Write, target: str) -> None:
        (base / "x").symlink_to(outside / target)
        with pytest.raises(OSError):  # noqa: PT011 - FileExistsError or ELOOP
            write(base, PurePath("x"), b"new")
        assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("x", b"precious")]

    def test_replaced_link_becomes_a_file(self, base: Path, outside: Path) -> None:
        (base / "x").symlink_to(outside / "x")
        replace(base, PurePath("x"), b"new", keep_mode=True)
        assert not (base / "x").is_symlink()
        assert ((base / "x").read_bytes(), (outside / "x").read_bytes()) == (b"new", b"precious")

    def test_temporary_names_cannot_be_guessed(self, base: Path, outside: Path) -> None:
        for name in (f"x.{os.getpid()}.tmp", f".x.{os.getpid()}.tmp", "x.tmp"):
            (base / name).symlink_to(outside / "x")
        replace(base, PurePath("x"), b"new")
        assert (outside / "x").read_bytes() == b"precious"

    @WRITES
    def test_base_itself_may_be_a_link(self, base: Path, write: Write, tmp_path: Path) -> None:
        (tmp_path / "alias").symlink_to(base)
        write(tmp_path / "alias", PurePath("x"), b"new")
        assert (base / "x").read_bytes() == b"new"

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders there")
    def test_pipe_is_not_waited_for(self, base: Path) -> None:
        os.mkfifo(base / "x")
        with pytest.raises(OSError, match="No such device or address"):
            append(base, PurePath("x"), b"new")


class TestMakeFolder:
    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders there")
    def test_pipe_that_is_read_takes_nothing(self, base: Path) -> None:
        os.mkfifo(base / "x")
        reader = os.open(base / "x", os.O_RDONLY | os.O_NONBLOCK)
        try:
            with pytest.raises(OSError, match="it is not a regular file"):
                append(base, PurePath("x"), b"new")
            assert os.read(reader, 10) == b""
        finally:
            os.close(reader)

    def test_missing_parents_are_made(self, base: Path) -> None:
        assert make_folder(base, PurePath("a/b/c"), 0o700) == base / "a/b/c"
        assert make_folder(base, PurePath("a/b")) == base / "a/b"
        assert make_folder(base, PurePath()) == base

    @LINKS
    @pytest.mark.parametrize("place", ["link", "link/a", "dangling", "dangling/a"])
    def test_link_is_refused(self, base: Path, outside: Path, place: str) -> None:
        (base / "link").symlink_to(outside)
        (base / "dangling").symlink_to(outside / "missing")
        with pytest.raises(OSError, match="it is a link"):
            make_folder(base, PurePath(place))
        assert [path.name for path in outside.iterdir()] == ["x"]

    def test_file_is_refused(self, base: Path) -> None:
        (base / "a").touch()
        with pytest.raises(NotADirectoryError):
            make_folder(base, PurePath("a/b"))

    def test_missing_base_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            make_folder(tmp_path / "missing", PurePath("a"))


class TestPath:
    @pytest.mark.parametrize("place", ["..", "../x", "a/../../x", "/x"])
    @pytest.mark.parametrize("write", [create, replace, append])
    def test_above_the_base_is_a_bug(self, base: Path, write: Write, place: str) -> None:
        with pytest.raises(ValueError, match="not a path below a folder"):
            write(base, PurePath(place), b"")
