"""Requests between runs, by files that only the user can write."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest

from owui_watch.plugins.model import PluginKey, Space
from owui_watch.state import DeployRequest, Everything, Only, Request, Requests, SentRequest, StateFolder, StopRequest

X, TOOL = PluginKey(Space.FUNCTIONS, "x"), PluginKey(Space.TOOLS, "x")


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path, PurePath("server"))


@pytest.mark.parametrize(
    "request_",
    [DeployRequest(Everything()), DeployRequest(Only((X,))), DeployRequest(Only((X, TOOL))), StopRequest()],
)
def test_request_is_taken_once_and_replied_to(folder: StateFolder, tmp_path: Path, request_: Request) -> None:
    sent, owner = SentRequest(folder, request_), Requests([folder])
    assert sent.reply() is None
    assert owner.take([tmp_path, tmp_path / "y"]) == [request_]
    assert owner.take([]) == []
    assert sent.reply() == (tmp_path, tmp_path / "y")
    assert list((folder.path / "requests").iterdir()) == []


def test_nothing_named_is_no_request() -> None:
    with pytest.raises(ValueError, match="must name a plugin"):
        DeployRequest(Only(()))


def test_requests_of_several_runs_are_all_taken(tmp_path: Path) -> None:
    folders = [StateFolder(tmp_path, PurePath(name)) for name in ("one", "two")]
    sent = [
        SentRequest(folder, DeployRequest(Only((PluginKey(Space.TOOLS, name),)))) for folder in folders for name in "ab"
    ]
    taken = Requests(folders).take([tmp_path])
    assert sorted(str(each) for each in taken) == sorted(
        str(DeployRequest(Only((PluginKey(Space.TOOLS, name),)))) for name in "aabb"
    )
    assert all(each.reply() == (tmp_path,) for each in sent)


def test_withdrawn_request_is_not_taken(folder: StateFolder) -> None:
    SentRequest(folder, StopRequest()).withdraw()
    assert Requests([folder]).take([]) == []


def test_requests_to_an_ended_owner_are_dropped(folder: StateFolder) -> None:
    sent = SentRequest(folder, StopRequest())
    Requests([folder]).take([])
    SentRequest(folder, StopRequest())
    owner = Requests([folder])
    owner.clear()
    assert (owner.take([]), sent.reply()) == ([], None)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"deploy": []}', b'{"deploy": null}', b'{"deploy": [1]}', b'{"deploy": ["x"]}', b'{"deploy": [["skills", "x"]]}', b'{"deploy": [["tools", "x"], 1]}', b'{"deploy": "all"}',
     b'{"stop": 1}', b'{"plugins": []}', b"\xff", b"[" * 100_000],
)  # fmt: skip
def test_odd_request_asks_for_nothing(folder: StateFolder, content: bytes) -> None:
    folder.make("requests")
    folder.replace("requests/0123456789abcdef.json", content)
    assert Requests([folder]).take([]) == []
    assert list((folder.path / "requests").iterdir()) == []


def test_asking_makes_no_folder(folder: StateFolder) -> None:
    Requests([folder]).clear()
    assert Requests([folder]).take([]) == []
    assert not folder.path.exists()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_request_that_is_a_link_is_not_read(folder: StateFolder, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b'{"stop": true}')
    folder.make("requests")
    (folder.path / "requests/0123456789abcdef.json").symlink_to(target)
    assert Requests([folder]).take([]) == []
    assert target.exists()
