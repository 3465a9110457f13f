"""What owui-watch remembers on disk: whole or not at all, private, and never in the way of a deploy."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from owui_watch.files.lock import exclusive
from owui_watch.plugins.model import PluginKey, Space
from owui_watch.state import store as statefile
from owui_watch.state.journal import Intent, Journal
from owui_watch.state.store import StateFolder

URL, OTHER = "http://localhost:3000", "http://localhost:4000"
X = PluginKey(Space.FUNCTIONS, "x")
T = PluginKey(Space.TOOLS, "x")
INTENT = Intent(X, "d1", active=True, is_global=False, fresh=False, began=1.5)

full_while_writing = pytest.param(
    "writing", marks=pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/full is Linux' own")
)


def deployed(home: Path, url: str = URL, key: PluginKey = X, put: str = "d0") -> Journal:
    journal = Journal(home, url)
    journal.settle(key, put)
    journal.flush()
    return journal


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_put_is_remembered(tmp_path: Path) -> None:
    deployed(tmp_path)

    after = Journal(tmp_path, URL)
    assert after.put(X) == "d0"
    assert after.managed() == {X}
    assert after.unsettled() == set()


def test_functions_and_tools_of_one_id_are_remembered_apart(tmp_path: Path) -> None:
    deployed(tmp_path, key=X, put="function")
    deployed(tmp_path, key=T, put="tool")

    after = Journal(tmp_path, URL)
    assert (after.put(X), after.put(T)) == ("function", "tool")


def test_a_plugin_whose_save_was_seen_is_managed_before_anything_was_put(tmp_path: Path) -> None:
    journal = Journal(tmp_path, URL)
    journal.manage(X)
    journal.flush()

    after = Journal(tmp_path, URL)
    assert after.managed() == {X}
    assert after.put(X) is None


def test_seeing_a_save_does_not_forget_what_was_put(tmp_path: Path) -> None:
    journal = deployed(tmp_path)
    journal.manage(X)
    journal.flush()

    assert Journal(tmp_path, URL).put(X) == "d0"


def test_an_intent_outlives_the_process_until_it_is_settled(tmp_path: Path) -> None:
    Journal(tmp_path, URL).intend(INTENT)

    killed = Journal(tmp_path, URL)
    assert killed.intent(X) == INTENT
    assert killed.unsettled() == {X} == killed.managed()

    killed.settle(X, "d1")
    assert killed.intent(X) is None
    assert Journal(tmp_path, URL).intent(X) == INTENT, "the disk follows with flush"
    killed.flush()
    assert Journal(tmp_path, URL).intent(X) is None
    assert Journal(tmp_path, URL).put(X) == "d1"


def test_settling_one_intent_leaves_the_others(tmp_path: Path) -> None:
    journal = Journal(tmp_path, URL)
    other = Intent(T, "d2", None, None, fresh=True, began=2.0)
    journal.intend(INTENT)
    journal.intend(other)
    journal.settle(X, None)
    journal.flush()

    after = Journal(tmp_path, URL)
    assert after.unsettled() == {T}
    assert after.intent(T) == other


def test_an_intent_after_a_settled_one_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path, URL)
    journal.intend(INTENT)
    journal.settle(X, "d1")
    journal.intend(INTENT)
    journal.flush()

    assert journal.intent(X) == INTENT
    assert Journal(tmp_path, URL).intent(X) == INTENT


def test_a_refusal_strikes_the_intent_out_and_keeps_what_was_put(tmp_path: Path) -> None:
    journal = deployed(tmp_path)
    journal.intend(INTENT)
    journal.settle(X, None)
    journal.flush()

    after = Journal(tmp_path, URL)
    assert after.put(X) == "d0"
    assert after.unsettled() == set()


def test_servers_are_remembered_apart(tmp_path: Path) -> None:
    deployed(tmp_path, URL, put="here")
    deployed(tmp_path, OTHER, put="there").intend(INTENT)

    assert Journal(tmp_path, URL).put(X) == "here"
    assert Journal(tmp_path, OTHER).put(X) == "there"
    assert Journal(tmp_path, URL).unsettled() == set()
    assert Journal(tmp_path, OTHER).unsettled() == {X}


def test_forgetting_a_server_leaves_the_others(tmp_path: Path) -> None:
    deployed(tmp_path, URL)
    throwaway = deployed(tmp_path, OTHER)
    throwaway.intend(INTENT)
    throwaway.retire(X, True)
    throwaway.forget()

    assert Journal(tmp_path, OTHER).managed() == set()
    assert not Journal(tmp_path, OTHER).retired(X)
    assert Journal(tmp_path, URL).managed() == {X}


def test_a_function_that_was_switched_off_with_its_file_is_remembered_until_it_is_on_again(tmp_path: Path) -> None:
    Journal(tmp_path, URL).retire(X, True)
    assert Journal(tmp_path, URL).retired(X)

    Journal(tmp_path, URL).retire(X, False)
    assert not Journal(tmp_path, URL).retired(X)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_everything_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        journal = deployed(tmp_path)
        journal.intend(INTENT)
        journal.back_up(X, "content")
        with journal.held():
            paths = list((tmp_path / ".owui-watch").rglob("*"))
    finally:
        os.umask(before)

    assert mode(tmp_path / ".owui-watch") == 0o700
    assert len(paths) >= 6
    assert {path.name: mode(path) for path in paths if path.is_dir()} == {"backups": 0o700, "x": 0o700}
    assert {mode(path) for path in paths if path.is_file()} == {0o600}


def test_the_folder_ignores_itself_in_git(tmp_path: Path) -> None:
    deployed(tmp_path)

    assert (tmp_path / ".owui-watch" / ".gitignore").read_text() == "*\n"


def test_reading_alone_makes_no_folder(tmp_path: Path) -> None:
    Journal(tmp_path, URL).flush()

    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_and_never_written_into(tmp_path: Path) -> None:
    """Whoever reads while it is written gets the old content, whole."""
    deployed(tmp_path)
    state = tmp_path / ".owui-watch" / "state.json"
    with state.open() as before:
        deployed(tmp_path, put="d1")

        assert json.load(before)["servers"][URL] == {"functions/x": "d0"}
    assert json.loads(state.read_text())["servers"][URL] == {"functions/x": "d1"}
    assert sorted(path.name for path in state.parent.iterdir()) == [".gitignore", "state.json"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = deployed(tmp_path)

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fails)
        journal.settle(X, "d1")
        journal.flush()

    assert "Input/output error" in (journal.trouble() or "")
    assert Journal(tmp_path, URL).put(X) == "d0"
    assert sorted(path.name for path in (tmp_path / ".owui-watch").iterdir()) == [".gitignore", "state.json"]


@pytest.mark.parametrize(
    "damaged",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b"3", b'{"servers": []}', b'{"format": 1}', b"\0" * 4096],
)
def test_a_damaged_file_is_set_aside_said_once_and_begun_anew(tmp_path: Path, damaged: bytes) -> None:
    deployed(tmp_path)
    state = tmp_path / ".owui-watch" / "state.json"
    state.write_bytes(damaged)

    journal = Journal(tmp_path, URL)

    assert journal.managed() == set()
    assert "state.json is damaged and was set aside" in (journal.trouble() or "")
    assert journal.trouble() is None
    assert (state.parent / "state.json.damaged").read_bytes() == damaged
    journal.settle(X, "d1")
    journal.flush()
    assert Journal(tmp_path, URL).put(X) == "d1"


def test_of_a_damaged_part_the_rest_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / ".owui-watch"
    folder.mkdir()
    good = ["functions/x", "d1", True, False, False, 1.5, 0, 0]
    state = {"functions/x": "d0", "nonsense": "d", "functions/no id": "d", "skills/x": "d", "functions/": None}
    (folder / "state.json").write_text(json.dumps({"servers": {URL: state, OTHER: 5}}))
    Journal(tmp_path, URL).intend(replace(INTENT, sent="older"))
    [log] = folder.glob("intents-*.jsonl")
    intents = [good, ["tools/x", {"what": "is this"}], ["functions/../x", *good[1:]], 5, []]
    with log.open("a") as file:
        file.write("".join(f"\n{json.dumps(each)}" for each in intents) + '\n["functions/y", "cut sho')

    journal = Journal(tmp_path, URL)

    assert journal.managed() == {X, T}
    assert journal.intent(X) == INTENT
    unreadable = journal.intent(T)
    assert unreadable is not None, "that something was begun is known all the same"
    assert (unreadable.active, unreadable.is_global) == (None, None)
    assert Journal(tmp_path, OTHER).managed() == set()


def test_a_home_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    home = tmp_path / "plugins"
    journal = Journal(home, URL)
    journal.intend(INTENT)
    journal.settle(X, "d1")
    journal.flush()

    assert journal.back_up(X, "content") is None
    assert ".owui-watch" in (journal.trouble() or "")
    assert not home.exists()
    assert journal.put(X) == "d1", "it is remembered as long as the process lives"


def test_what_could_not_be_written_is_written_once_the_home_is_back(tmp_path: Path) -> None:
    home = tmp_path / "plugins"
    journal = Journal(home, URL)
    journal.settle(X, "d1")
    journal.flush()
    home.mkdir()
    journal.flush()

    assert Journal(home, URL).put(X) == "d1"


def test_a_file_where_the_folder_should_be_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".owui-watch").write_text("mine")
    journal = Journal(tmp_path, URL)
    journal.intend(INTENT)

    assert journal.back_up(X, "content") is None
    assert journal.trouble() is not None
    assert journal.intent(X) == INTENT
    assert (tmp_path / ".owui-watch").read_text() == "mine"


def test_a_file_that_cannot_be_read_now_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it remembers of other servers would be lost."""
    deployed(tmp_path, OTHER)
    journal = Journal(tmp_path, URL)

    def fails(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", fails)
        journal.settle(X, "d1")
        journal.flush()
    assert "Permission denied" in (journal.trouble() or "")
    assert Journal(tmp_path, OTHER).managed() == {X}

    journal.flush()
    assert Journal(tmp_path, OTHER).managed() == {X}
    assert Journal(tmp_path, URL).put(X) == "d1"


Fill = Callable[[], None]


@pytest.fixture
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Fill, Fill]:
    """Return what fills the disk, and what frees it."""

    def full(path: str, flags: int) -> int:
        if request.param == "creating":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return os.open("/dev/full", os.O_WRONLY)

    original = statefile.private
    return (
        lambda: monkeypatch.setattr(statefile, "private", full),
        lambda: monkeypatch.setattr(statefile, "private", original),
    )


@pytest.mark.parametrize("disk", ["creating", full_while_writing], indirect=True)
def test_on_a_full_disk_everything_goes_on_in_memory(tmp_path: Path, disk: tuple[Fill, Fill]) -> None:
    fill, free = disk
    journal = deployed(tmp_path)
    fill()

    journal.intend(INTENT)
    assert "No space left" in (journal.trouble() or "")
    journal.settle(X, "d1")
    journal.flush()
    assert "No space left" in (journal.trouble() or "")
    assert (journal.put(X), journal.intent(X)) == ("d1", None)
    assert Journal(tmp_path, URL).put(X) == "d0", "the old file is whole"

    free()
    journal.flush()
    assert journal.trouble() is None
    assert Journal(tmp_path, URL).put(X) == "d1"


@pytest.mark.parametrize("disk", ["creating", full_while_writing], indirect=True)
def test_an_intent_that_could_not_be_struck_out_is_struck_out_later(tmp_path: Path, disk: tuple[Fill, Fill]) -> None:
    """Else it would be taken for one that was never answered, and mended, by the next run."""
    fill, free = disk
    journal = Journal(tmp_path, URL)
    journal.settle(X, "d1")
    journal.flush()
    journal.intend(INTENT)
    journal.settle(X, "d1")
    fill()
    journal.flush()
    assert Journal(tmp_path, URL).unsettled() == {X}

    free()
    journal.flush()
    assert Journal(tmp_path, URL).unsettled() == set()


@pytest.mark.parametrize("disk", ["creating", full_while_writing], indirect=True)
def test_on_a_full_disk_nothing_is_taken_for_backed_up(tmp_path: Path, disk: tuple[Fill, Fill]) -> None:
    fill, _ = disk
    deployed(tmp_path)
    fill()

    journal = Journal(tmp_path, URL)

    assert journal.back_up(X, "theirs") is None
    assert "No space left" in (journal.trouble() or "")
    assert [path for path in (tmp_path / ".owui-watch" / "backups").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("disk", ["creating", full_while_writing], indirect=True)
def test_a_folder_that_was_made_on_a_full_disk_ignores_itself_once_there_is_room(
    tmp_path: Path, disk: tuple[Fill, Fill]
) -> None:
    fill, free = disk
    fill()
    journal = deployed(tmp_path)
    free()
    journal.flush()

    assert (tmp_path / ".owui-watch" / ".gitignore").read_text() == "*\n"


def test_a_backup_is_what_the_server_held_byte_for_byte(tmp_path: Path) -> None:
    content = "title: café\r\nclass Pipe:\r\n\tpass\n\n"

    backup = Journal(tmp_path, URL).back_up(X, content)

    assert backup is not None
    assert backup.parent == tmp_path / ".owui-watch" / "backups" / "x"
    assert backup.suffix == ".py"
    assert backup.read_bytes() == content.encode()


def test_backups_of_one_second_never_overwrite_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda *_: "2026-01-01T00-00-00Z")
    journal = Journal(tmp_path, URL)

    backups = [journal.back_up(X, f"v{number}") for number in range(12)]

    assert [backup.read_text() for backup in backups if backup] == [f"v{number}" for number in range(12)]


def test_a_backup_is_made_though_an_earlier_trouble_was_not_told_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "strftime", lambda *_: "2026-01-01T00-00-00Z")
    journal = deployed(tmp_path)
    journal.back_up(X, "v0")
    (tmp_path / ".owui-watch" / "state.json").write_text("{")
    journal = Journal(tmp_path, URL)

    assert journal.back_up(X, "v1") is not None


def test_content_that_no_file_can_hold_is_not_taken_for_backed_up(tmp_path: Path) -> None:
    journal = Journal(tmp_path, URL)

    assert journal.back_up(X, "half a pair: \ud800") is None
    assert journal.trouble() is not None
    assert list((tmp_path / ".owui-watch" / "backups" / "x").iterdir()) == []


def test_a_second_owui_watch_on_the_same_server_is_kept_away(tmp_path: Path) -> None:
    with Journal(tmp_path, URL).held(), pytest.raises(TimeoutError), Journal(tmp_path, URL).held():
        pass


def test_two_servers_and_one_after_the_other_are_not_in_each_others_way(tmp_path: Path) -> None:
    with Journal(tmp_path, URL).held(), Journal(tmp_path, OTHER).held():
        pass
    with Journal(tmp_path, URL).held():
        pass


def test_one_that_only_asks_is_not_taken_for_an_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = StateFolder(tmp_path)
    assert not folder.is_held(URL)
    assert not folder.path.exists()
    with folder.held(URL):
        assert folder.is_held(URL)
        assert not folder.is_held(OTHER)
    (lock,) = folder.path.glob("*.lock")
    with ExitStack() as another:
        another.enter_context(exclusive(lock, busy=lambda: None))
        monkeypatch.setattr("owui_watch.files.lock.time.sleep", lambda _: another.close())
        assert not folder.is_held(URL)


def test_who_asks_for_a_deploy_learns_what_is_watched(tmp_path: Path) -> None:
    asking, watching = Journal(tmp_path, URL), Journal(tmp_path, URL)
    watching.answer([tmp_path])
    asking.ask(["x"])
    assert (watching.asked(), asking.answered()) == (("x",), ())
    watching.answer([tmp_path, tmp_path / "y"])
    assert (asking.asked(), asking.answered()) == (None, (tmp_path, tmp_path / "y"))


HOSTS = ("localhost", "127.0.0.1", "[::1]")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("rest", [":3000", "", "/prefix"])
def test_this_computer_is_one_server_by_any_of_its_names(tmp_path: Path, host: str, rest: str) -> None:
    ids = dict(zip(HOSTS, ("one", "two", "three"), strict=True))
    for other, name in ids.items():
        deployed(tmp_path, f"http://{other}{rest}", PluginKey(Space.TOOLS, name))
    journal = Journal(tmp_path, f"http://{host}{rest}")
    assert {key.id for key in journal.managed()} == set(ids.values())
    with journal.held(), pytest.raises(TimeoutError), Journal(tmp_path, f"http://localhost{rest}").held():
        pass


@pytest.mark.parametrize(
    "url",
    ["http://localhost:4000", "https://localhost:3000", "http://127.0.0.2:3000", "http://127.0.0.1.example.com:3000"],
)
def test_another_port_scheme_or_host_is_another_server(tmp_path: Path, url: str) -> None:
    deployed(tmp_path, "http://127.0.0.1:3000")
    assert Journal(tmp_path, url).managed() == set()


def test_what_was_remembered_under_a_name_of_its_own_is_found(tmp_path: Path) -> None:
    deployed(tmp_path, OTHER)
    file = tmp_path / ".owui-watch" / "state.json"
    kept = {"http://127.0.0.1:3000": {"functions/x": "old", "tools/x": "t"}, URL: {"functions/x": "new"}, "bad": 1}
    file.write_text(json.dumps({"format": 1, "servers": json.loads(file.read_text())["servers"] | kept}))
    journal = Journal(tmp_path, "http://[::1]:3000")
    assert (journal.put(X), journal.put(T)) == ("new", "t")
    journal.settle(X, "newer")
    journal.flush()
    assert set(json.loads(file.read_text())["servers"]) == {URL, OTHER, "bad"}
    assert Journal(tmp_path, "http://127.0.0.1:3000").put(X) == "newer"


@pytest.mark.parametrize("where", ["gone", "full"])
def test_where_nothing_can_be_written_nothing_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    home = tmp_path if where == "full" else tmp_path / "gone"
    if where == "full":
        deployed(home)
        monkeypatch.setattr(statefile, "exclusive", full)
    journal = Journal(home, URL)

    with journal.held():
        assert journal.trouble() is not None


# A folder that goes and comes back


def test_all_is_written_anew_and_held_again_where_the_folder_was_made_anew(tmp_path: Path) -> None:
    journal = deployed(tmp_path)
    journal.intend(INTENT)
    with journal.held():
        shutil.rmtree(tmp_path / ".owui-watch")
        journal.flush()

        after = Journal(tmp_path, URL)
        assert (after.put(X), after.intent(X)) == ("d0", INTENT)
        with pytest.raises(TimeoutError), after.held():
            pass
    with after.held():
        pass


def test_where_the_watched_folder_itself_is_gone_nothing_is_made_until_it_is_back(tmp_path: Path) -> None:
    home = tmp_path / "plugins"
    home.mkdir()
    journal = deployed(home)
    with journal.held():
        shutil.rmtree(home)
        journal.flush()
        assert not home.exists()
        assert journal.trouble() is None
        home.mkdir()
        journal.flush()
        assert Journal(home, URL).put(X) == "d0"


def test_another_that_holds_the_folder_made_anew_is_told_of(tmp_path: Path) -> None:
    journal = deployed(tmp_path)
    with journal.held():
        shutil.rmtree(tmp_path / ".owui-watch")
        with Journal(tmp_path, URL).held():
            journal.flush()
            assert (journal.trouble() or "").endswith(".owui-watch is another owui-watch's now: end one of them")


def test_a_copy_is_known_by_its_content_and_only_while_it_is_the_newest(tmp_path: Path) -> None:
    journal = Journal(tmp_path, URL)
    assert not journal.is_backed_up(X, "a\r\n")
    first = journal.back_up(X, "a\r\n")
    assert first is not None
    assert journal.is_backed_up(X, "a\r\n")
    os.utime(first, (1, 1))
    journal.back_up(X, "b")
    assert not journal.is_backed_up(X, "a\r\n")


def test_a_save_that_nobody_let_in_is_forgotten_and_what_was_put_is_not(tmp_path: Path) -> None:
    journal = deployed(tmp_path)
    journal.manage(T)
    for key in (X, T):
        journal.release(key)
    journal.flush()
    assert Journal(tmp_path, URL).managed() == {X}
