"""Which plugins a saved file is part of."""

from __future__ import annotations

from pathlib import Path

import pytest

from owui_watch.files import signature
from owui_watch.plugins.changes import read_change
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import BrokenPlugin, NotPlugin, Plugin
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


BASE = "class Pipe:\n    def pipe(self, body):\n        return 1\n"
MAIN = "from .base import Pipe as Base\n\n\nclass Pipe(Base):\n    pass\n"
TITLE = '"""\ntitle: Mine\n"""\n'


class Folder:
    """A watched folder; ``deployed`` are the ids that a server has."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.deployed: set[str] = set()

    def write(self, **files: str) -> Folder:
        """Write files by their names, in which ``__`` separates folders."""
        for name, text in files.items():
            path = self.root / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self

    def tree(self, *names: str, ids: dict[str, str] | None = None) -> Tree:
        roots = [self.root / f"{name}.py" for name in names] or [self.root]
        return Tree(roots, Ignore(), ids or {}, self.root, has_deployed=lambda key: key.id in self.deployed)

    def plugins(self, *names: str, ids: dict[str, str] | None = None) -> set[str]:
        """Return the ids of all plugins: by a survey, a scan, and reads of single files in either order."""
        found = []
        surveyed = self.tree(*names, ids=ids)
        surveyed.survey()
        found.append({key.id for key in surveyed.plugins()})
        for order in (1, -1):
            for path in sorted(self.root.rglob("*.py"))[::order]:
                surveyed.refresh(path)
            found.append({key.id for key in surveyed.plugins()})
        scanned = self.tree(*names, ids=ids)
        read = list(scanned.scan())
        found.append({each.key.id for each in read if isinstance(each, Plugin | BrokenPlugin) and each.key})
        found.append({key.id for key in scanned.plugins()})
        assert [ids for ids in found if ids != found[0]] == []
        return found[0]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "plugins")


class TestModulesWithAPluginsClass:
    @pytest.mark.parametrize("base", ["base", "zbase"])
    @pytest.mark.parametrize(
        "text", [BASE, BASE.replace("Pipe", "Pipe(object)"), "class Tools:\n    def add(self): ...\n" + BASE]
    )
    def test_an_imported_one_is_a_module(self, folder: Folder, base: str, text: str) -> None:
        folder.write(**{"many__main": MAIN.replace("base", base), f"many__{base}": text})
        assert folder.plugins() == {"many"}

    def test_so_is_one_behind_others(self, folder: Folder) -> None:
        folder.write(many__main=MAIN, many__base="from .core import Pipe as Core\n" + BASE, many__core=BASE)
        assert folder.plugins() == {"many"}

    def test_requirements_alone_are_no_header(self, folder: Folder) -> None:
        folder.write(many__main=MAIN, many__base=f'"""\nrequirements: rich\n"""\n{BASE}')
        assert folder.plugins() == {"many"}

    def test_one_with_a_header_is_a_plugin_too(self, folder: Folder) -> None:
        folder.write(many__main=MAIN, many__base=f'"""\nversion: 1.0\n"""\n{BASE}')
        assert folder.plugins() == {"many", "base"}

    def test_one_that_nobody_imports_is_a_plugin(self, folder: Folder) -> None:
        folder.write(
            many__main=f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .base import Pipe\n{BASE}",
            many__base=BASE,
        )
        assert folder.plugins() == {"many", "base"}

    def test_a_deployed_one_stays_a_plugin(self, folder: Folder) -> None:
        folder.write(many__main=MAIN, many__base=BASE).deployed = {"base"}
        assert folder.plugins() == {"many", "base"}

    def test_name_in_the_settings_makes_it_a_plugin(self, folder: Folder) -> None:
        folder.write(many__main=MAIN, many__base=BASE)
        assert folder.plugins(ids={"many/base.py": "mine"}) == {"many", "mine"}

    def test_so_does_a_path_of_the_user(self, folder: Folder) -> None:
        folder.write(first=MAIN, base=BASE)
        tree = folder.tree("base", "first")
        assert {each.key.id for each in tree.scan() if isinstance(each, Plugin)} == {"base", "first"}

    def test_one_named_like_its_package_is_a_module(self, folder: Folder) -> None:
        folder.write(many__main=MAIN.replace("base", "pipe"), many__pipe=BASE).deployed = {"many"}
        assert folder.plugins() == {"many"}

    def test_two_that_import_each_other_are_plugins(self, folder: Folder) -> None:
        folder.write(first="from . import second\n" + BASE, second="from . import first\n" + BASE)
        assert folder.plugins() == {"first", "second"}

    def test_title_tells_which_of_two_is_the_plugin(self, folder: Folder) -> None:
        folder.write(first=TITLE + "from . import second\n" + BASE, second="from . import first\n" + BASE)
        assert folder.plugins() == {"first"}

    def test_a_broken_one_is_reported_at_the_plugin(self, folder: Folder) -> None:
        folder.write(many__main=MAIN, many__base=BASE)
        tree = folder.tree()
        tree.survey()
        folder.write(many__base=BASE + "x = (\n")
        change = read_change(tree, folder.root / "many/base.py")
        assert change.is_part
        [rejected] = change.others
        assert isinstance(rejected, BrokenPlugin)
        assert rejected.key is not None
        assert (rejected.key.id, rejected.diagnostics[0].path) == ("many", folder.root / "many/base.py")

    def test_one_saved_before_its_plugin_is_not_sent(self, folder: Folder) -> None:
        tree = folder.tree()
        folder.write(many__base=BASE)
        base = tree.refresh(folder.root / "many/base.py")
        assert isinstance(base, Plugin)
        folder.write(many__main=MAIN)
        assert isinstance(tree.refresh(folder.root / "many/main.py"), Plugin)
        assert isinstance(tree.newest(base.key), NotPlugin)
        assert {key.id for key in tree.plugins()} == {"many"}

    def test_it_is_a_plugin_again_without_the_import(self, folder: Folder) -> None:
        folder.write(many__main=MAIN, many__base=BASE)
        tree = folder.tree()
        tree.survey()
        (folder.root / "many/main.py").unlink()
        tree.refresh(folder.root / "many/main.py")
        assert isinstance(tree.refresh(folder.root / "many/base.py"), Plugin)
