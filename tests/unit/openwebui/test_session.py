"""The key of a session follows the files it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from owui_watch.openwebui.session import Session
from owui_watch.settings import Layer, load

ONE, TWO = "sk-canary-one-0123456789", "sk-canary-two-0123456789"


class Desk:
    """A session with its key in a ``.env``, and what it hid and told."""

    def __init__(self, folder: Path) -> None:
        self.env = folder / ".env"
        self.write(ONE)
        self.hidden: list[str] = []
        self.told: list[tuple[str, str]] = []
        settings = load([folder], {}, environ={}, cwd=folder)
        self.session = Session(settings, {}, self.hidden.append)
        self.session.on_problem = lambda *told: self.told.append(told)

    def write(self, key: str, more: str = "") -> None:
        self.env.write_text(f"OPENWEBUI_URL=http://localhost:3000\nOPENWEBUI_API_KEY={key}\n{more}")

    @property
    def sent(self) -> str:
        return str(self.session.server._client.headers["authorization"]).removeprefix("Bearer ")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_key_that_was_changed_is_taken_at_the_next_save(desk: Desk) -> None:
    desk.session.reload_key_if_changed()
    assert (desk.sent, desk.hidden) == (ONE, [])
    desk.write(TWO)
    desk.session.reload_key_if_changed()
    assert (desk.sent, desk.hidden, desk.told) == (TWO, [TWO], [])


def test_the_files_are_read_only_where_one_has_changed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    monkeypatch.setattr(desk.session, "reload_key", lambda: reads.append(1))
    for _ in range(3):
        desk.session.reload_key_if_changed()
    assert reads == []
    desk.write(ONE, "# a remark\n")
    for _ in range(3):
        desk.session.reload_key_if_changed()
    assert reads == [1]


@pytest.mark.parametrize("spoilt", ["two", "url"])
def test_a_file_that_cannot_be_used_any_more_is_told_once(desk: Desk, spoilt: str, tmp_path: Path) -> None:
    def spoil() -> None:
        desk.write(f"{TWO} {TWO}") if spoilt == "two" else desk.write(
            TWO, "OPENWEBUI_URL=http://me:canary@ai.example.com\n"
        )

    errors = {
        "two": f"{desk.env}: OPENWEBUI_API_KEY: holds a blank or a character that no API key has: "
        "copy the key again, alone, in one line",
        "url": f"{desk.env}: OPENWEBUI_URL: names another server now, http://***@ai.example.com: "
        "start owui-watch again",
    }
    spoil()
    assert [desk.session.reload_key() for _ in range(3)] == [False] * 3
    assert desk.sent == ONE
    [warned] = desk.told
    assert warned == (errors[spoilt], "until then the key stays the one that was read before")
    desk.write(ONE)
    assert not desk.session.reload_key()
    spoil()
    assert not desk.session.reload_key()
    assert desk.told == [warned, warned]


def test_a_new_key_is_asked_for_where_the_old_one_came_from(desk: Desk, tmp_path: Path) -> None:
    place = f"({desk.env}: OPENWEBUI_API_KEY)"
    assert desk.session.key_renewal_hint == f"Put the new key where this one came from {place}: it is noticed there."
    environ = {"OPENWEBUI_API_KEY": ONE}
    settings = load([tmp_path], {}, environ=environ, cwd=tmp_path)
    assert settings.key_source is not None
    assert settings.key_source.layer is Layer.ENVIRONMENT
    refused = Session(settings, environ, desk.hidden.append)
    assert refused.key_renewal_hint == (
        "This one came from the environment OPENWEBUI_API_KEY: set the new one there and start again."
    )
