"""A file system that answers with an error of whatever kind ends no watch."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from owui_watch.files import reading as files
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.tree import Tree
from owui_watch.watcher.observer import Observation
from owui_watch.watcher.snapshot import Snapshot
from owui_watch.watcher.watcher import Watcher

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there os.path asks the system in other ways")

DEAD = [errno.EACCES, errno.EIO, errno.ENOTCONN, getattr(errno, "ESTALE", errno.EIO), errno.ENOENT]


@pytest.fixture(params=DEAD, ids=errno.errorcode.get)
def dead(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that can't be looked at any more."""

    def fails(*_: object, **__: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    for name in ("stat", "lstat", "scandir"):
        monkeypatch.setattr(os, name, fails)
    return tmp_path


class TestDeadFileSystem:
    def test_file_counts_as_missing(self, dead: Path) -> None:
        asked = (files.exists, files.is_folder, files.is_file, files.is_link, files.identity)
        assert [ask(dead) for ask in asked] == [False, False, False, False, None]

    @pytest.mark.parametrize("name", ["\0", "\ud800"])
    def test_impossible_name_is_missing(self, name: str) -> None:
        asked = (files.exists, files.is_folder, files.is_file, files.is_link, files.identity, files.signature)
        assert [ask(Path(name)) for ask in asked] == [False, False, False, False, None, None]

    def test_tree_is_gone_and_empty(self, dead: Path) -> None:
        assert Watcher([dead], Ignore(), 0.1, report=lambda *_: None).is_gone(dead / "x.py")
        assert Snapshot([dead], Ignore()).scan().signatures == {}
        assert list(Tree([dead], Ignore(), {}, dead).scan()) == []
        assert Observation({dead: True}, lambda *_: True, lambda *_: None, lambda: None).works([dead]) is False
