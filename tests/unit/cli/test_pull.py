"""``owui-watch pull``: files written from a server's plugins or an export, and what is never overwritten."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from owui_watch.cli.commands.pull_files import Pulled, Puller
from owui_watch.cli.selected_plugins import plugin_files
from owui_watch.openwebui.remote import Remote
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import Kind, PluginKey
from owui_watch.plugins.tree import Tree
from owui_watch.settings import load
from owui_watch.state import own
from tests.unit.cli.runs import FILTER, Run, refused

TOOLS = "class Tools:\n    def now(self) -> str:\n        return 'now'\n"
FUNCTION = {
    "id": "tidy",
    "user_id": "u",
    "name": "Tidy",
    "type": "filter",
    "content": FILTER,
    "meta": {"description": "", "manifest": {}},
    "is_active": True,
    "is_global": False,
    "updated_at": 1,
    "created_at": 1,
}
TOOL = {"id": "clock", "user_id": "u", "name": "Clock", "content": TOOLS, "specs": [], "meta": {"manifest": {}}}


def write(body: object, name: str = "export.json") -> str:
    Path(name).write_text(json.dumps(body), encoding="utf-8")
    return name


class TestExports:
    @pytest.mark.parametrize(
        "body",
        [
            [FUNCTION, TOOL],
            [{"id": 1, "function": FUNCTION}, {"tool": TOOL}],
            [{name: FUNCTION[name] for name in ("id", "name", "type", "content")}, TOOL],
        ],
        ids=["export", "community", "few fields"],
    )
    def test_are_unpacked_without_a_server(self, run: Run, body: object) -> None:
        assert run("pull", write(body), "--to", "out") == (
            0,
            "written      filter tidy  out/filters/tidy.py\n"
            "written      tool clock  out/tools/clock.py\n"
            "written 2, unchanged 0, not written 0\n",
            "",
        )
        assert Path("out/filters/tidy.py").read_text() == FILTER
        assert Path("out/tools/clock.py").read_text() == TOOLS

    def test_of_one_plugin_are_unpacked(self, run: Run) -> None:
        assert run("pull", write(TOOL), "--to", "out")[0] == 0
        assert Path("out/tools/clock.py").exists()

    def test_can_be_unpacked_in_part(self, run: Run) -> None:
        code, out, _ = run("pull", "clock", "clok", write([FUNCTION, TOOL]), "--to", "out")
        assert code == 1
        assert "not written  clok is not in the export: did you mean clock?\n" in out
        assert not Path("out/filters").exists()

    def test_never_overwrite_a_file(self, run: Run) -> None:
        name = write([FUNCTION | {"content": FILTER + "# new\n"}])
        Path("plugins/filters/tidy.py").write_text(FILTER)
        code, out, _ = run("pull", name)
        assert code == 1
        assert "not written  filter tidy  plugins/filters/tidy.py: the file differs\n" in out
        assert "rename the file, or unpack into another folder (--to)\n" in out
        assert "+# new\n" in out
        assert Path("plugins/filters/tidy.py").read_text() == FILTER
        assert "an export never overwrites a file" in refused(run, "pull", name, "--force")

    def test_that_hold_the_same_change_nothing(self, run: Run) -> None:
        Path("plugins/filters/tidy.py").write_text(FILTER)
        assert run("pull", write([FUNCTION])) == (0, "written 0, unchanged 1, not written 0\n", "")

    @pytest.mark.parametrize(
        ("entry", "reason"),
        [
            (5, "it is no JSON object"),
            (FUNCTION | {"content": None}, "it has no content"),
            (FUNCTION | {"id": ["x"]}, "`id` is "),
            (FUNCTION | {"type": "agent"}, "`type` is "),
        ],
    )
    def test_name_entries_that_are_no_plugin(self, run: Run, entry: object, reason: str) -> None:
        code, out, _ = run("pull", write([entry, TOOL]), "--to", "out")
        assert code == 1
        assert f"not written  entry 1 of export.json is no function and no tool: {reason}" in out
        assert Path("out/tools/clock.py").exists()

    @pytest.mark.parametrize(
        ("content", "error"),
        [
            (b"{", "export.json: is not JSON: "),
            (b"\xff\xfe", "export.json: is not JSON: "),
            (b"[" * 200_000, "export.json: is not JSON: "),
            (b"[]", "export.json: holds no function and no tool: "),
            (b'"x"', "export.json: holds no function and no tool: "),
        ],
    )
    def test_that_are_none_are_refused(self, run: Run, content: bytes, error: str) -> None:
        Path("export.json").write_bytes(content)
        assert error in refused(run, "pull", "export.json", "--to", "out")
        assert not Path("out").exists()

    def test_that_can_not_be_read_are_refused(self, run: Run) -> None:
        Path("folder.json").mkdir()
        assert "gone.json: can't be read: No such file or directory" in refused(run, "pull", "gone.json")
        assert "folder.json: can't be read: " in refused(run, "pull", "folder.json")

    def test_never_write_outside_the_folder(self, run: Run) -> None:
        for name in ("../evil", "/etc/evil", "a/b", "..", "con"):
            code, *_ = run("pull", write([FUNCTION | {"id": name}]), "--to", "out")
            assert code in {1, 2}
            assert not Path("out").exists()
        assert not Path("evil.py").exists()


Pull = Callable[..., Pulled]


@pytest.fixture
def pull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that pulls one filter into a folder, with the journal of a server."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "filters").mkdir()
    settings = load([tmp_path], {"state_dir": tmp_path.parent / "state"}, environ={}, cwd=tmp_path)

    def pull(content: str, *, force: bool = False) -> Pulled:
        tree = Tree(settings.roots, Ignore(()), {}, settings.base)
        local = {each.path: each for each in plugin_files(tree.scan(), ())}
        remote = Remote(PluginKey(Kind.FILTER.space, "tidy"), Kind.FILTER, "Tidy", content, {}, True, False)
        with own(settings, settings.url) as owned:
            return Puller(settings, tree, local, owned.journal, cwd=tmp_path, force=force).pull(remote)

    return pull


class TestOverAFile:
    def test_with_changes_nothing_is_written(self, pull: Pull, tmp_path: Path) -> None:
        (tmp_path / "filters/tidy.py").write_text(FILTER)
        pulled = pull(FILTER + "# server\n")
        assert pulled.word == "not written"
        assert pulled.diagnostic is not None
        assert pulled.diagnostic.error == "it has changes that are not on the server"
        assert pulled.diagnostic.hint == "deploy it, or overwrite it with --force; a copy is kept"

    @pytest.mark.parametrize(
        "raw",
        [
            FILTER.encode() + b"# caf\xe9\n",
            b"# -*- coding: latin-1 -*-\n# caf\xe9\n" + FILTER.encode(),
            FILTER.encode().replace(b"\n", b"\r\n"),
            b"\xef\xbb\xbf" + FILTER.encode(),
        ],
        ids=["not UTF-8", "latin-1", "CRLF", "byte-order mark"],
    )
    def test_force_keeps_a_copy_byte_for_byte(self, pull: Pull, tmp_path: Path, raw: bytes) -> None:
        (tmp_path / "filters/tidy.py").write_bytes(raw)
        pulled = pull(FILTER + "# server\n", force=True)
        assert (pulled.word, pulled.diagnostic) == ("written", None)
        assert pulled.backup is not None
        assert Path(pulled.backup).read_bytes() == raw
        assert (tmp_path / "filters/tidy.py").read_text() == FILTER + "# server\n"

    @pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
    def test_the_mode_stays(self, pull: Pull, tmp_path: Path) -> None:
        path = tmp_path / "filters/tidy.py"
        path.write_text(FILTER)
        path.chmod(0o640)
        assert pull(FILTER + "# server\n", force=True).word == "written"
        assert path.stat().st_mode & 0o777 == 0o640

    @pytest.mark.skipif(os.name == "nt", reason="links need a right on Windows")
    def test_link_out_of_the_folder_is_not_followed(self, pull: Pull, tmp_path: Path) -> None:
        elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
        elsewhere.mkdir()
        (tmp_path / "filters").rmdir()
        (tmp_path / "filters").symlink_to(elsewhere)
        pulled = pull(FILTER)
        assert pulled.word == "not written"
        assert list(elsewhere.iterdir()) == []

    def test_nothing_else_is_left_in_the_folder(self, pull: Pull, tmp_path: Path) -> None:
        pull(FILTER)
        assert [path.name for path in (tmp_path / "filters").iterdir()] == ["tidy.py"]
