"""``owui-watch try --open``: the first pipe that is live is opened in a browser, once."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import anyio
import pytest

from owui_watch.reporting.events import Created, Event, Unchanged, Warned
from owui_watch.reporting.runtime_events import NewChat
from owui_watch.runtime.open_first_chat import OpenFirstChat

URL = "http://127.0.0.1:3000"


def live(plugin: str, kind: str = "pipe") -> Event:
    return Created(plugin, kind, Path(f"/plugins/{plugin}.py"), None, None, 1)


class Browser:
    """Stands for the user's browser: takes every address, or fails to start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, starts: bool = True) -> None:
        self.opened: list[str] = []
        self._starts = starts
        monkeypatch.setattr(webbrowser, "open", self._open)

    def _open(self, url: str) -> bool:
        self.opened.append(url)
        return self._starts


def follow(*events: Event, opens: bool) -> list[Event]:
    """Let a follower take events and act on them; return what it reports."""
    reported: list[Event] = []
    chat = OpenFirstChat(URL, reported.append, opens=opens)
    for event in events:
        chat.heard(event)
    if any(isinstance(event, NewChat) for event in reported):
        anyio.run(chat.run)
    return reported


def test_open_opens_the_chat_with_the_model_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser(monkeypatch)
    [chat] = follow(live("hello"), live("other"), opens=True)
    assert isinstance(chat, NewChat)
    assert browser.opened == [chat.url] == [f"{URL}/?models=hello"]


def test_without_open_no_browser_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser(monkeypatch)
    assert [event.event for event in follow(live("hello"), opens=False)] == ["chat"]
    assert browser.opened == []


def test_browser_that_does_not_start_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    Browser(monkeypatch, starts=False)
    _, warned = follow(live("hello"), opens=True)
    assert isinstance(warned, Warned)
    assert (warned.error, warned.hint) == ("no browser could be opened", f"open {URL}/?models=hello yourself")


def test_pipe_that_was_live_before_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser(monkeypatch)
    follow(Unchanged("hello", "pipe", Path("/plugins/hello.py"), None, None, 1), opens=True)
    assert browser.opened == [f"{URL}/?models=hello"]


def test_filter_is_no_chat() -> None:
    assert follow(live("my_filter", "filter"), opens=True) == []
