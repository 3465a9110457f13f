"""Watched folders that go away, come back, or are replaced."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from owui_watch.files import Identity, identity
from owui_watch.watcher.watched_folders import RootChanges, WatchedFolders


class Tree:
    """Two watched folders and a watched file; ``unmounted`` ones lie on another device and hold no file."""

    def __init__(self, base: Path) -> None:
        self.one, self.two, self.file = base / "one", base / "two", base / "three" / "x.py"
        for folder in (self.one, self.two, self.file.parent):
            folder.mkdir()
        self.file.write_text("")
        self.devices: dict[Path, int] = {}
        self.empty: set[Path] = set()
        self.now = 0.0
        self.folders = WatchedFolders(
            [self.one, self.two, self.file], lambda root: root not in self.empty, self._identity
        )

    def _identity(self, path: Path) -> Identity | None:
        found = identity(path)
        return (self.devices.get(path, 0), found[1]) if found else None

    def look(self) -> RootChanges:
        self.now += 1
        return self.folders.update(self.folders.find(), self.now)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


class TestGone:
    def test_nothing_is_gone_at_first(self, tree: Tree) -> None:
        assert tree.look() == RootChanges((), ())

    def test_deleted_folder_is_reported_once(self, tree: Tree) -> None:
        shutil.rmtree(tree.one)

        assert tree.look() == RootChanges((tree.one,), ())
        assert tree.look() == RootChanges((), ())
        assert tree.folders.gone == {tree.one}

    def test_only_its_own_files_are_gone(self, tree: Tree) -> None:
        shutil.rmtree(tree.one)

        assert tree.folders.is_gone(tree.one / "x.py")
        assert not tree.folders.is_gone(tree.two / "x.py")

    def test_watched_file_may_be_away(self, tree: Tree) -> None:
        tree.file.unlink()

        assert tree.look() == RootChanges((), ())
        assert not tree.folders.is_gone(tree.file)

    def test_empty_mount_point_counts_as_gone(self, tree: Tree) -> None:
        tree.devices[tree.one], tree.empty = 1, {tree.one}
        assert tree.look().gone == (tree.one,)

        tree.empty.clear()
        assert tree.look().renewed == (tree.one,)


class TestRenewed:
    @pytest.mark.parametrize("seen_gone", [True, False])
    def test_folder_made_again_is_renewed_once(self, tree: Tree, seen_gone: bool) -> None:
        tree.one.rename(tree.one.with_name("old"))
        if seen_gone:
            tree.look()
        tree.one.mkdir()

        assert tree.look() == RootChanges((), (tree.one,))
        assert tree.look() == RootChanges((), ())

    def test_folder_that_came_back_unchanged_is_renewed(self, tree: Tree) -> None:
        tree.one.rename(tree.one.with_name("old"))
        tree.look()
        tree.one.with_name("old").rename(tree.one)

        assert tree.look().renewed == (tree.one,)

    def test_one_folder_missing_does_not_hide_another_renewed(self, tree: Tree) -> None:
        shutil.rmtree(tree.one)
        tree.look()
        tree.two.rename(tree.two.with_name("old"))
        tree.two.mkdir()

        assert tree.look() == RootChanges((), (tree.two,))

    def test_renewed_since_counts_per_folder(self, tree: Tree) -> None:
        tree.one.rename(tree.one.with_name("old"))
        tree.one.mkdir()
        tree.look()

        assert tree.folders.renewed_since(tree.one / "x.py", 0.5)
        assert not tree.folders.renewed_since(tree.one / "x.py", 1.5)
        assert not tree.folders.renewed_since(tree.two / "x.py", 0.5)


class TestDepth:
    def test_is_recursive_except_for_single_files(self, tree: Tree) -> None:
        assert tree.folders.recursive == {tree.one: True, tree.two: True, tree.file.parent: False}
