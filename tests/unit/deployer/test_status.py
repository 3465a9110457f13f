"""What ``status`` reports for a file and the server's copy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from owui_watch.deployer.comparison import PluginStatus, status_of
from owui_watch.openwebui.remote import Remote
from owui_watch.plugins.model import BrokenPlugin, Diagnostic, Kind, Plugin, PluginKey
from owui_watch.plugins.reader import read_plugin
from owui_watch.plugins.source import digest
from owui_watch.settings import load
from owui_watch.state import Journal, Naming, own

KEY = PluginKey(Kind.FILTER.space, "tidy")
CONTENT = "class Filter:\n    def inlet(self, body): return body\n"
REMOTE = Remote(KEY, Kind.FILTER, "Tidy", CONTENT, {"description": "tidies"}, True, False)
BROKEN = BrokenPlugin(Path("tidy.py"), (Diagnostic("bad", 1),), KEY, Kind.FILTER)
OFF = replace(REMOTE, active=False)
NEW_NAME, NEW_DESCRIPTION = replace(REMOTE, name="Other"), replace(REMOTE, meta={"description": "other"})


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    (tmp_path / "plugins").mkdir()
    settings = load([tmp_path / "plugins"], {"state_dir": tmp_path / "state"}, environ={}, cwd=tmp_path)
    with own(settings, settings.url) as owned:
        owned.journal.commit(KEY, digest(CONTENT), naming=Naming("Tidy", "tidies"))
        return owned.journal


def plugin(content: str = CONTENT) -> Plugin:
    parsed = read_plugin(content.encode(), Path("tidy.py"), PurePath("tidy.py"))
    assert isinstance(parsed, Plugin)
    return parsed


CHANGED = plugin(CONTENT + "# new\n")


@pytest.mark.parametrize(
    ("parsed", "remote", "expected"),
    [
        (plugin(), None, "not_on_server"),
        (BROKEN, None, "broken not_on_server"),
        (None, REMOTE, "only_on_server"),
        (plugin(), REMOTE, "in_sync"),
        (plugin(), OFF, "disabled"),
        (plugin(), NEW_NAME, "in_sync renamed"),
        (plugin(), NEW_DESCRIPTION, "in_sync renamed"),
        (CHANGED, REMOTE, "differs"),
        (CHANGED, OFF, "differs disabled"),
        (CHANGED, replace(NEW_NAME, active=False), "differs disabled renamed"),
        (CHANGED, replace(REMOTE, content=CONTENT + "# theirs\n"), "foreign"),
        (BROKEN, REMOTE, "broken differs"),
        (BROKEN, replace(OFF, content="theirs"), "broken foreign disabled"),
    ],
)
def test_every_pair_of_sides_has_its_status(
    journal: Journal, parsed: Plugin | BrokenPlugin | None, remote: Remote | None, expected: str
) -> None:
    assert status_of(parsed, remote, journal) == tuple(map(PluginStatus, expected.split()))


def test_without_a_record_nothing_is_renamed(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    settings = load([tmp_path / "plugins"], {"state_dir": tmp_path / "state"}, environ={}, cwd=tmp_path)
    with own(settings, settings.url) as owned:
        assert status_of(plugin(), NEW_NAME, owned.journal) == (PluginStatus.IN_SYNC,)
