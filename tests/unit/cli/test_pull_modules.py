"""``owui-watch pull`` of a plugin of many files: each module gets its own file back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from owui_watch.cli.commands.pull_files import Pulled, Puller
from owui_watch.cli.selected_plugins import plugin_files
from owui_watch.openwebui.remote import Remote
from owui_watch.plugins.bundle.bundle import BundleFile, Package, bundle
from owui_watch.plugins.model import Kind, Plugin, PluginKey, Space
from owui_watch.plugins.tree import Tree
from owui_watch.settings import load
from owui_watch.state import own

KEY = PluginKey(Space.FUNCTIONS, "many")
MAIN = "from shared.text import clip\nfrom .helper import X\n\n\nclass Pipe:\n    def pipe(self, body):\n        return clip(X)\n"
HELPER = "X = '''a''' + \"\"\"b\"\"\"\r\n# from utils\r\n"
TEXT = "def clip(text):\n    return text\n"
FILES = {"pipes/many/main.py": MAIN, "pipes/many/helper.py": HELPER, "shared/text.py": TEXT}
Pull = Callable[..., Pulled]


def sent(helper: str = HELPER, name: str = "many/helper.py") -> str:
    files = (
        BundleFile("many/main.py", MAIN, "many.main"),
        BundleFile(name, helper, "many.helper"),
        BundleFile("shared/text.py", TEXT, "shared.text"),
    )
    return bundle(Package(files, libraries={"shared": "shared"}), KEY, Kind.PIPE)


@pytest.fixture
def pull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that pulls a plugin into ``plugins/``, with the journal of a server."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins/shared").mkdir(parents=True)
    (tmp_path / "owui-watch.toml").write_text('libraries = ["plugins/shared"]\n')

    def pull(content: str, *, force: bool = False, deployed: bool = False) -> Pulled:
        flags = {"state_dir": tmp_path.parent / "state"}
        settings = load([tmp_path / "plugins"], flags, environ={}, cwd=tmp_path)
        tree = Tree.of(settings)
        local = {each.path: each for each in plugin_files(tree.scan(), ())}
        remote = Remote(KEY, Kind.PIPE, "Many", content, {}, True, False)
        with own(settings, settings.url) as owned:
            if deployed:
                [digest] = tree.digests().values()
                owned.journal.commit(KEY, digest)
            return Puller(settings, tree, local, owned.journal, cwd=tmp_path, force=force).pull(remote)

    return pull


def written(folder: Path) -> dict[str, str]:
    root = folder / "plugins"
    return {path.relative_to(root).as_posix(): path.read_bytes().decode() for path in root.rglob("*.py")}


class TestIntoAnEmptyFolder:
    def test_every_module_is_written_exactly(self, pull: Pull, tmp_path: Path) -> None:
        pulled = pull(sent())
        assert (pulled.word, pulled.diagnostic) == ("written", None)
        assert written(tmp_path) == FILES
        assert pull(sent()).word == "unchanged"

    @pytest.mark.parametrize(
        "name", ["../evil.py", "/evil.py", "many/../../evil.py", "many/.env", "C:/evil.py", "many/con.py"]
    )
    def test_no_name_of_the_server_leads_elsewhere(self, pull: Pull, tmp_path: Path, name: str) -> None:
        pulled = pull(sent(name=name))
        assert pulled.word == "not written"
        assert pulled.diagnostic is not None
        assert pulled.diagnostic.error == f"“{name}” can't be the name of a file"
        assert written(tmp_path) == {}

    def test_pulled_files_make_the_same_bundle(self, pull: Pull, tmp_path: Path) -> None:
        pull(sent())
        settings = load([tmp_path / "plugins"], {}, environ={}, cwd=tmp_path)
        [plugin] = [each for each in Tree.of(settings).scan() if isinstance(each, Plugin)]
        assert plugin.content == sent()


class TestOverFiles:
    @pytest.fixture(autouse=True)
    def _files(self, pull: Pull) -> None:
        pull(sent())

    def test_edit_in_the_browser_goes_to_its_module(self, pull: Pull, tmp_path: Path) -> None:
        pulled = pull(sent("X = 2\n"), deployed=True)
        assert (pulled.word, pulled.path) == ("written", "plugins/pipes/many/helper.py")
        assert written(tmp_path) == FILES | {"pipes/many/helper.py": "X = 2\n"}
        assert any(line.startswith("+++ server/functions/many/many/helper.py") for line in pulled.diff)

    def test_local_changes_are_named_and_kept(self, pull: Pull, tmp_path: Path) -> None:
        helper = tmp_path / "plugins/pipes/many/helper.py"
        helper.write_text("X = 3\n")
        pulled = pull(sent("X = 2\n"))
        assert (pulled.word, pulled.path) == ("not written", "plugins/pipes/many/helper.py")
        assert pulled.diagnostic is not None
        assert pulled.diagnostic.error == "the files have changes that are not on the server"
        assert helper.read_text() == "X = 3\n"

        forced = pull(sent("X = 2\n"), force=True)
        assert forced.word == "written"
        assert forced.backup is not None
        assert Path(forced.backup).read_text() == "X = 3\n"
        assert helper.read_text() == "X = 2\n"


class TestSharedModule:
    """Two plugins on the server, each with its own copy of ``shared/text.py``."""

    @pytest.fixture
    def pull_both(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], list[Pulled]]:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "owui-watch.toml").write_text('libraries = ["plugins/shared"]\n')
        main = "from shared.text import clip\n\n\nclass Pipe:\n    def pipe(self, body):\n        return clip(body)\n"
        for name, text in {"one.py": main, "two.py": main, "shared/text.py": TEXT}.items():
            (tmp_path / "plugins" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "plugins" / name).write_text(text)

        def pull(*texts: str) -> list[Pulled]:
            settings = load([tmp_path / "plugins"], {"state_dir": tmp_path / "state"}, environ={}, cwd=tmp_path)
            tree = Tree.of(settings)
            local = {each.path: each for each in plugin_files(tree.scan(), ())}
            with own(settings, settings.url) as owned:
                for key, digest in tree.digests().items():
                    owned.journal.commit(key, digest)
                puller = Puller(settings, tree, local, owned.journal, cwd=tmp_path, force=False)
                pulled = []
                for plugin, text in zip(local.values(), texts, strict=True):
                    assert isinstance(plugin, Plugin)
                    content = plugin.content.replace("return text", text)
                    pulled.append(puller.pull(Remote(plugin.key, Kind.PIPE, "X", content, {}, True, False)))
            return pulled

        return pull

    @pytest.mark.parametrize("texts", [("return 'edited'", "return text"), ("return text", "return 'edited'")])
    def test_edited_in_one_of_them_stays_edited(
        self, texts: tuple[str, str], pull_both: Callable[..., list[Pulled]], tmp_path: Path
    ) -> None:
        pulled = pull_both(*texts)
        assert sorted(each.word for each in pulled) == ["unchanged", "written"]
        assert (tmp_path / "plugins/shared/text.py").read_text() == TEXT.replace("return text", "return 'edited'")

    def test_edited_in_both_is_named(self, pull_both: Callable[..., list[Pulled]], tmp_path: Path) -> None:
        first, second = pull_both("return 1", "return 2")
        assert (first.word, second.word, second.path) == ("written", "not written", "plugins/shared/text.py")
        assert second.diagnostic is not None
        assert second.diagnostic.error == "the server's one, just written, has other content of this module"
        assert (tmp_path / "plugins/shared/text.py").read_text() == TEXT.replace("return text", "return 1")
