"""Which plugins a saved file is part of."""

from __future__ import annotations

from pathlib import Path

import pytest

from owui_watch.files import signature
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import BrokenPlugin, Plugin
from owui_watch.plugins.tree import Tree

PIPE = "from .helper import X\n\n\nclass Pipe:\n    def pipe(self, body):\n        return X\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("first", "second"):
        (tmp_path / f"{name}.py").write_text(PIPE)
    (tmp_path / "helper.py").write_text("X = 1\n")
    (tmp_path / "alone.py").write_text("class Pipe:\n    def pipe(self, body):\n        return 1\n")
    return tmp_path


def tree_of(*roots: Path) -> Tree:
    tree = Tree(roots, Ignore(), {}, roots[0].parent)
    tree.survey()
    return tree


class TestDependents:
    def test_are_known_after_a_survey(self, root: Path) -> None:
        tree = tree_of(root)
        assert tree.dependents(root / "helper.py") == [root / "first.py", root / "second.py"]
        assert tree.dependents(root / "first.py") == tree.dependents(root / "alone.py") == []

    def test_follow_what_a_plugin_imports(self, root: Path) -> None:
        tree = tree_of(root)
        (root / "first.py").write_text(PIPE.replace("from .helper import X", "X = 1"))
        tree.refresh(root / "first.py")
        assert tree.dependents(root / "helper.py") == [root / "second.py"]
        (root / "second.py").unlink()
        tree.refresh(root / "second.py")
        assert tree.dependents(root / "helper.py") == []

    def test_wait_for_a_missing_module(self, root: Path) -> None:
        (root / "helper.py").unlink()
        tree = tree_of(root)
        assert isinstance(tree.refresh(root / "first.py"), BrokenPlugin)
        for name in ("helper.py", "helper/__init__.py"):
            assert root / "first.py" in tree.dependents(root / name)
        (root / "helper.py").write_text("X = 2\n")
        mended = tree.refresh(root / "first.py", through=root / "helper.py")
        assert isinstance(mended, Plugin)
        assert mended.through == root / "helper.py"

    def test_the_digest_is_that_of_all_files(self, root: Path) -> None:
        before = tree_of(root).digests()
        (root / "helper.py").write_text("X = 2\n")
        changed = {key.id for key, digest in tree_of(root).digests().items() if before[key] != digest}
        assert changed == {"first", "second"}


class TestUnwatchedFiles:
    def test_are_data_and_what_a_single_file_imports(self, root: Path) -> None:
        text = "from pathlib import Path\n" + PIPE.replace(
            "return X", "return (Path(__file__).parent / 'x.txt').read_text()"
        )
        (root / "first.py").write_text(text)
        (root / "x.txt").write_text("x")
        assert tree_of(root).data_files() == {root / "x.txt": signature(root / "x.txt")}
        assert root / "helper.py" in tree_of(root / "first.py").data_files()

    def test_keep_the_signature_of_the_first_reading(self, root: Path) -> None:
        tree = tree_of(root / "first.py", root / "second.py")
        before = signature(root / "helper.py")
        (root / "helper.py").write_text("X = 'saved before any look'\n")
        tree.refresh(root / "second.py")
        assert tree.data_files()[root / "helper.py"] == before

    def test_are_forgotten_with_their_last_plugin(self, root: Path) -> None:
        tree = tree_of(root / "first.py", root / "second.py")
        for name in ("first.py", "second.py"):
            assert root / "helper.py" in tree.data_files()
            (root / name).unlink()
            tree.refresh(root / name)
        assert root / "helper.py" not in tree.data_files()
