"""Which paths can never matter, and that walking the tree asks just that."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.plugins.ignore import Ignore, is_copy_name, walk

NAMES = st.sampled_from(["a", "b", "tests", ".x", "venv", "old", "c.py", "test_d.py", "e.txt", "old.py"])


def files(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def found(root: Path, ignore: Ignore) -> set[str]:
    return {Path(entry.path).relative_to(root).as_posix() for entry in walk(root, ignore)}


class TestBuiltIn:
    @pytest.mark.parametrize(
        "path",
        [
            ".hidden.py",
            ".#mine.py",
            "#mine.py#",
            "4913",
            "mine.py~",
            ".mine.py.swp",
            "mine.swp",
            "mine.py___jb_tmp___",
            "mine.py___jb_old___",
            "mine.tmp",
            "mine.py.tmp",
            "mine.pyc",
            "README.md",
            "mine",
            "filters/tests/mine.py",
            ".git/hooks/mine.py",
            "a/.venv/lib/mine.py",
            "venv/mine.py",
            "env/mine.py",
            "__pycache__/mine.py",
            "a/node_modules/b/mine.py",
            "lib/site-packages/mine.py",
        ],
    )
    def test_hidden_foreign_and_other_files_are_ignored(self, path: str) -> None:
        assert Ignore().file(PurePosixPath(path))

    @pytest.mark.parametrize(
        "path",
        ["mine.py", "filters/mine.py", "a b/größe.py", "testing.py", "contest.py", "__init__.py", "test/mine.py"],
    )
    def test_other_python_files_are_not(self, path: str) -> None:
        assert not Ignore().file(PurePosixPath(path))
        assert not Ignore().folder(PurePosixPath(path).parent)


class TestGlobs:
    @pytest.mark.parametrize(
        ("globs", "passed", "kept"),
        [
            ("drafts", ["drafts/x.py", "a/drafts/b/x.py"], ["drafts.py", "my_drafts/x.py"]),
            ("drafts/", ["drafts/x.py"], ["drafts.py"]),
            ("**/drafts", ["drafts/x.py", "a/drafts/x.py"], ["a/b.py"]),
            ("drafts/**", ["drafts/a/x.py"], ["a/x.py"]),
            ("*_draft.py", ["x_draft.py", "a/x_draft.py"], ["x.py"]),
            ("filters/old/*.py", ["filters/old/x.py"], ["old/x.py", "a/filters/old/x.py"]),
            ("filters/old", ["filters/old/x.py", "filters/old/a/x.py"], ["old/x.py"]),
            ("x.py", ["x.py", "a/x.py"], ["ax.py"]),
            ("[ab].py", ["a.py"], ["c.py"]),
            ("**/drafts/**", ["drafts/x.py", "a/drafts/x.py", "a/b/drafts/c/x.py"], ["a/x.py", "a/drafts.py"]),
            ("**/drafts/*.py", ["drafts/x.py", "a/b/drafts/x.py"], ["drafts/a/x.py", "x.py"]),
            ("src/**/old.py", ["src/old.py", "src/a/b/old.py"], ["old.py", "a/src/old.py", "src/old.py.py"]),
            ("./drafts", ["drafts/x.py", "drafts/a/x.py"], ["a/drafts/x.py"]),
            ("/drafts", ["drafts/x.py"], ["a/drafts/x.py"]),
            ("./x.py", ["x.py"], ["a/x.py"]),
            ("/*.py", ["x.py"], ["a/x.py"]),
            ("drafts/**", ["drafts/x.py"], ["a/drafts/x.py"]),
            ("**", ["x.py", "a/x.py"], []),
            ("a/**/b/**", ["a/b/x.py", "a/c/d/b/e/x.py"], ["a/x.py", "b/x.py"]),
            ("a*.py", ["a.py", "c/ab.py"], ["a/b.py", "ca.py"]),
            ("a**.py", ["a.py", "ab.py"], ["a/b.py"]),
            ("a/*/c.py", ["a/b/c.py"], ["a/c.py", "a/b/b/c.py"]),
            ("a?b.py", ["axb.py"], ["a/b.py", "ab.py"]),
            ("a[!x]b.py", ["ayb.py"], ["axb.py"]),
            ("a.py", ["a.py"], ["aXpy.py"]),
            ("(a|b)+.py", ["(a|b)+.py"], ["a.py"]),
            ("[.py", [], ["a.py"]),
            ("*.py !keep.py", ["x.py", "a/x.py"], ["keep.py", "a/keep.py"]),
            ("drafts !drafts/keep.py", ["drafts/x.py", "drafts/keep.py"], ["x.py"]),
            ("/* !/mine/ !/own.py", ["x.py", "a/b.py"], ["mine/x.py", "own.py"]),
            ("!x.py", [], ["x.py"]),
            ("x.py !x.py x.py", ["x.py"], []),
            ("/", [], ["a.py", "a/b.py"]),
            ("./", [], ["a.py", "a/b.py"]),
            (".", [], ["a.py", "a/b.py"]),
            (".*", [], ["a.py", "a/b.py"]),
            ("../a.py", [], ["a.py", "b/a.py"]),
        ],
    )
    def test_mean_what_they_do_in_gitignore(self, globs: str, passed: list[str], kept: list[str]) -> None:
        ignore = Ignore(globs.split())
        assert [path for path in passed if not ignore.file(PurePosixPath(path))] == []
        assert [path for path in kept if ignore.file(PurePosixPath(path))] == []

    def test_any_of_several_matches(self) -> None:
        ignore = Ignore(["/a", "x/**/b.py", "c"])
        named = ["a/x.py", "x/b.py", "x/y/b.py", "c/x.py", "y/c/x.py"]
        assert [path for path in named if not ignore.file(PurePosixPath(path))] == []
        assert not ignore.file(PurePosixPath("y/a/b.py"))

    @given(st.lists(NAMES, min_size=1, max_size=5), st.sampled_from([(), ("old",), ("a/b",), ("*.py",), ("**/a/*",)]))
    def test_files_below_ignored_folders_are_ignored(self, parts: list[str], globs: tuple[str, ...]) -> None:
        ignore = Ignore(globs)
        path = PurePosixPath(*parts)
        if any(ignore.folder(above) for above in path.parents):
            assert ignore.file(path)
            assert ignore.folder(path)


class TestWalk:
    def test_finds_what_is_not_ignored(self, tmp_path: Path) -> None:
        names = [
            "a.py",
            "b/c.py",
            "b/test_d.py",
            "b/e.txt",
            "tests/f.py",
            ".g/h.py",
            "old/i.py",
            "b/old/j.py",
            "k.py/l.py",
        ]
        files(tmp_path, *names)
        (tmp_path / "folder.py").mkdir()
        for ignore in (Ignore(), Ignore(["old"]), Ignore(["b/*"])):
            assert found(tmp_path, ignore) == {name for name in names if not ignore.file(PurePosixPath(name))}

    def test_virtual_environments_are_not_entered(self, tmp_path: Path) -> None:
        files(tmp_path, "a.py", "my-python/pyvenv.cfg", "my-python/b.py", "my-python/lib/c.py")
        assert found(tmp_path, Ignore()) == {"a.py"}

    def test_linked_folders_are_not_entered(self, tmp_path: Path) -> None:
        files(tmp_path, "real/a.py")
        (tmp_path / "link").symlink_to(tmp_path / "real")
        (tmp_path / "real" / "loop").symlink_to(tmp_path)
        assert found(tmp_path, Ignore()) == {"real/a.py"}

    def test_unreadable_folder_is_left_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert found(tmp_path / "gone", Ignore()) == set()
        files(tmp_path, "a.py", "locked/b.py")

        def locked(folder: str) -> object:
            if folder.endswith("locked"):
                raise PermissionError(13, "Permission denied")
            return os.scandir(folder)

        monkeypatch.setattr("owui_watch.plugins.ignore.scandir", locked)
        assert found(tmp_path, Ignore()) == {"a.py"}


class TestCopyNames:
    @pytest.mark.parametrize(
        "name",
        [
            *(f"x_{side}_4711.py" for side in ("LOCAL", "REMOTE", "BASE", "BACKUP")),
            "x.LOCAL.4711.py",
            "x.sync-conflict-20260101-120000-ABCDEFG.py",
            "x.sync-conflict-20260101-120000.py",
            "x (conflicted copy 2026-01-01 120000).py",
            "x (Jo's conflicted copy 2026-01-01).py",
            "x (SFConflict jo@example.com 2026-01-01-12-00-00).py",
            "x_conflict-20260101-120000.py",
            "x.Conflict.py",
            "x - Copy.py",
            "x - Copy (2).py",
            "x - Kopie.py",
            "x - копия (2).py",
            "x - コピー.py",
            "x - 副本.py",
            "x copy.py",
            "x copy 2.py",
            "x Kopie.py",
            "x copie 2.py",
            "Copy of x.py",
            "Kopie von x.py",
            "x (copy).py",
            "x (another copy).py",
            "x (3rd copy).py",
            "x.backup.py",
            "x.bak.py",
            "x.orig.py",
        ],
    )
    def test_that_programs_give_to_copies(self, name: str) -> None:
        assert is_copy_name(name)

    @pytest.mark.parametrize(
        "name",
        [
            *("x.py", "copy.py", "my_copy.py", "backup.py", "chat_backup.py", "x_local.py", "conflict.py", "x (1).py"),
            *(
                "x_LOCAL.py",
                "copywriter.py",
                "Copy office.py",
                "photocopy.py",
                "merge_conflict-helper.py",
                "x.backup.v2.py",
                ".backup.py",
            ),
        ],
    )
    def test_of_plugins_are_no_copies(self, name: str) -> None:
        assert not is_copy_name(name)
