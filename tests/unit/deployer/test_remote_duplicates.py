"""Which plugins of a server a new one seems to be: found by what they say, unless they have a file of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from owui_watch.deployer.remote_duplicates import TwinIndex
from owui_watch.openwebui.remote import Remote
from owui_watch.plugins.model import Kind, Plugin, PluginKey, Space

COPY = PluginKey(Space.FUNCTIONS, "big2")
BIG = PluginKey(Space.FUNCTIONS, "big")


def plugin(*, inferred: bool = True, **header: str) -> Plugin:
    return Plugin(COPY, Kind.FILTER, Path("/w/big2.py"), "", header, inferred)


def remote(key: PluginKey = BIG, kind: Kind = Kind.FILTER, name: str = "Big", **manifest: str) -> Remote:
    return Remote(key, kind, name, "", {"manifest": manifest}, active=True, is_global=False)


def index(*remotes: Remote) -> TwinIndex:
    return TwinIndex({remote.key: remote for remote in remotes})


def no_files(key: PluginKey) -> list[Path]:
    return []


class TestTwin:
    @pytest.mark.parametrize(
        ("mine", "theirs"),
        [
            (plugin(title="Big"), remote()),
            (plugin(title="Big"), remote(name="Other", title="Big")),
            (plugin(openwebui_id="0-1"), remote(kind=Kind.PIPE, openwebui_id="0-1")),
        ],
    )
    def test_has_the_kind_and_title_or_community_id(self, mine: Plugin, theirs: Remote) -> None:
        assert index(remote(PluginKey(Space.FUNCTIONS, "small"), name="Small"), theirs).find(mine, no_files) is theirs

    @pytest.mark.parametrize(
        ("mine", "theirs"),
        [
            (plugin(title="Big", inferred=False), remote()),
            (plugin(title="Big"), remote(kind=Kind.PIPE)),
            (plugin(title="Big"), remote(COPY)),
            (plugin(title="Big"), remote(PluginKey(Space.TOOLS, "big"), Kind.TOOL)),
            (plugin(), remote(name="")),
        ],
    )
    def test_all_others_are_none(self, mine: Plugin, theirs: Remote) -> None:
        assert index(theirs).find(mine, no_files) is None

    def test_plugin_of_another_file_is_none(self, tmp_path: Path) -> None:
        file = tmp_path / "big.py"
        file.touch()
        twin = remote(PluginKey(Space.FUNCTIONS, "big_of_the_editor"))
        assert index(remote(), twin).find(plugin(title="Big"), {BIG: [file], twin.key: []}.__getitem__) is twin
        file.rename(tmp_path / "big2.py")
        assert index(remote()).find(plugin(title="Big"), {BIG: [file]}.__getitem__) == remote(), "it was renamed"
