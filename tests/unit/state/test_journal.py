"""What the journal remembers of each plugin, in memory and on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from owui_watch.plugins.model import PluginKey, Space
from owui_watch.plugins.source import digest
from owui_watch.state import Intent, Journal, Naming, StateFolder, Store

NAMING = Naming("Name", "description")
X = PluginKey(Space.FUNCTIONS, "x")
T = PluginKey(Space.TOOLS, "x")
INTENT = Intent(X, "d1", active=True, is_global=False, fresh=False, began=1.5)


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path, PurePath("server"))


def opened(folder: StateFolder) -> Journal:
    return Journal(Store([folder]))


def deployed(folder: StateFolder, key: PluginKey = X, put: str = "d0") -> Journal:
    journal = opened(folder)
    journal.commit(key, put)
    journal.flush()
    return journal


class TestPut:
    def test_is_remembered(self, folder: StateFolder) -> None:
        deployed(folder)
        after = opened(folder)
        assert after.record(X).digest == "d0"
        assert after.managed() == {X}
        assert after.unfinished() == set()

    def test_functions_and_tools_are_apart(self, folder: StateFolder) -> None:
        deployed(folder, X, "function")
        deployed(folder, T, "tool")
        after = opened(folder)
        assert (after.record(X).digest, after.record(T).digest) == ("function", "tool")

    def test_outlives_a_save(self, folder: StateFolder) -> None:
        journal = deployed(folder)
        journal.manage(X)
        journal.flush()
        assert opened(folder).record(X).digest == "d0"


class TestManaged:
    def test_save_is_remembered(self, folder: StateFolder) -> None:
        journal = opened(folder)
        journal.manage(X)
        journal.flush()
        after = opened(folder)
        assert (after.managed(), after.record(X).digest) == ({X}, None)

    def test_released_save_is_forgotten(self, folder: StateFolder) -> None:
        journal = deployed(folder)
        journal.manage(T)
        journal.flush()
        for key in (X, T):
            journal.release(key)
        journal.flush()
        assert opened(folder).managed() == {X}


class TestIntents:
    def test_outlive_the_process_until_settled(self, folder: StateFolder) -> None:
        opened(folder).begin(INTENT)
        killed = opened(folder)
        assert killed.intent(X) == INTENT
        assert killed.unfinished() == {X} == killed.managed()
        killed.commit(X, "d1")
        assert killed.intent(X) is None
        assert opened(folder).intent(X) == INTENT, "the disk follows with flush"
        killed.flush()
        after = opened(folder)
        assert (after.intent(X), after.record(X).digest) == (None, "d1")

    def test_settling_one_leaves_the_others(self, folder: StateFolder) -> None:
        journal = opened(folder)
        other = Intent(T, "d2", None, None, fresh=True, began=2.0)
        journal.begin(INTENT)
        journal.begin(other)
        journal.abandon(X)
        journal.flush()
        after = opened(folder)
        assert after.unfinished() == {T}
        assert after.intent(T) == other

    def test_new_one_after_a_settled_one_counts(self, folder: StateFolder) -> None:
        journal = opened(folder)
        journal.begin(INTENT)
        journal.commit(X, "d1")
        journal.begin(INTENT)
        journal.flush()
        assert journal.intent(X) == INTENT == opened(folder).intent(X)

    def test_refusal_keeps_what_was_put(self, folder: StateFolder) -> None:
        journal = deployed(folder)
        journal.begin(INTENT)
        journal.abandon(X)
        journal.flush()
        after = opened(folder)
        assert (after.record(X).digest, after.unfinished()) == ("d0", set())


class TestDisabledFunction:
    def test_is_remembered_until_it_is_enabled_again(self, folder: StateFolder) -> None:
        opened(folder).set_disabled(X, True)
        assert opened(folder).record(X).disabled
        opened(folder).set_disabled(X, False)
        assert not opened(folder).record(X).disabled


class TestOddEntries:
    def test_are_ignored(self, folder: StateFolder) -> None:
        values = {
            "functions/x": {"record": {"digest": 5, "disabled": "yes", "unanswered": [1], "fatal": 3}, "intent": [1]},
            "functions/y": 5,
            "nonsense": {"record": {"digest": "d"}},
            "functions/no id": {"record": {"digest": "d"}},
            "skills/x": {"record": {"digest": "d"}},
            "functions/../x": {"record": {"digest": "d"}, "intent": ["d", True, True, False, 1.0, 0, 0]},
            "tools/x": {"record": {"digest": "d0", "unknown": 1}},
        }
        lines = [json.dumps([name, 1.5, value]) for name, value in values.items()]
        folder.append("journal.jsonl", "\n".join(lines).encode())
        journal = opened(folder)
        assert journal.managed() == {X, T}
        assert (journal.record(X).digest, journal.record(T).digest, journal.record(X).disabled) == (None, "d0", False)
        unreadable = journal.intent(X)
        assert unreadable is not None, "something was begun"
        assert (unreadable.sent, unreadable.active, unreadable.is_global) == ("", None, None)

    @pytest.mark.parametrize("counts", ["1e400, 0, 0", "NaN, 0, 0", "1.0, -1, 0", f"1.0, 0, {'9' * 400}"])
    def test_intent_of_impossible_counts_is_unreadable(self, folder: StateFolder, counts: str) -> None:
        folder.append("journal.jsonl", f'["functions/x",1,{{"intent":["d",true,true,false,{counts}]}}]\n'.encode())
        unreadable = opened(folder).intent(X)
        assert unreadable is not None
        assert unreadable.sent == ""


class TestWiderTree:
    """A run on a folder around this one put things there, and began others."""

    def test_what_it_put_is_known(self, tmp_path: Path) -> None:
        own, wider = (StateFolder(tmp_path, PurePath(name)) for name in ("own", "wider"))
        deployed(wider, X, "w1")
        journal = Journal(Store([own], wider=[wider]))
        assert (journal.managed(), journal.record(X).digest, journal.ours(X)) == ({X}, "w1", frozenset({"w1"}))

    def test_what_it_began_is_left_to_it(self, tmp_path: Path) -> None:
        own, wider = (StateFolder(tmp_path, PurePath(name)) for name in ("own", "wider"))
        began = opened(wider)
        began.begin(replace(INTENT, key=X))
        began.manage(T)
        began.flush()
        journal = Journal(Store([own], wider=[wider]))
        assert (journal.managed(), journal.unfinished()) == (set(), set())


class TestBackups:
    def test_are_what_the_server_held(self, folder: StateFolder) -> None:
        content = "title: café\r\nclass Pipe:\r\n\tpass\n\n"
        backup = opened(folder).back_up(X, content, NAMING, {})
        assert backup is not None
        assert (backup.parent, backup.suffix) == (folder.path / "backups/x", ".py")
        assert backup.read_bytes() == content.encode()

    def test_content_that_no_file_can_hold(self, folder: StateFolder) -> None:
        journal = opened(folder)
        assert journal.back_up(X, "half a pair: \ud800", NAMING, {}) is None
        assert "the server's copy of x can't be written" in (journal.trouble() or "")
        assert journal.backed_up(X) == frozenset()
        assert not folder.path.exists()

    def test_are_known_by_their_content(self, folder: StateFolder) -> None:
        journal = opened(folder)
        journal.back_up(X, "a\r\n", NAMING, {})
        journal.back_up(X, "b", NAMING, {})
        assert journal.backed_up(X) == opened(folder).backed_up(X) == {digest("a\r\n"), digest("b"), NAMING}
