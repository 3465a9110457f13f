"""The key of a session follows the files that it comes from."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from owui_watch.openwebui.responses import Denied, KeyProblem, Unavailable
from owui_watch.openwebui.session import Session
from owui_watch.settings import Layer, load

ONE, TWO = "sk-canary-one-0123456789", "sk-canary-two-0123456789"
pytestmark = pytest.mark.anyio


class Desk:
    """A session with its key in a ``.env``: the keys that it sent and hid, the problems that it reported."""

    def __init__(self, folder: Path) -> None:
        self.env = folder / ".env"
        self.write(ONE)
        self.sent: list[str] = []
        self.hidden: list[str] = []
        self.problems: list[tuple[str, str]] = []
        self.answer = httpx.Response(200, json={"version": "0.12.4"})
        settings = load([folder], {}, environ={}, cwd=folder)
        self.session = Session(settings, {}, self.hidden.append, httpx.MockTransport(self._answer))
        self.session.on_problem = lambda error, hint: self.problems.append((error, hint))

    def write(self, key: str, more: str = "") -> None:
        self.env.write_text(f"OPENWEBUI_URL=http://localhost:3000\nOPENWEBUI_API_KEY={key}\n{more}")

    async def sent_key(self) -> str:
        await self.session.server.connect()
        return self.sent[-1]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request.headers["authorization"].removeprefix("Bearer "))
        return self.answer


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class TestKey:
    async def test_changed_key_is_used_after_the_next_save(self, desk: Desk) -> None:
        desk.session.reload_key_if_changed()
        assert (await desk.sent_key(), desk.hidden) == (ONE, [])
        desk.write(TWO)
        assert desk.session.reload_key_if_changed()
        assert (await desk.sent_key(), desk.hidden, desk.problems) == (TWO, [TWO], [])

    async def test_files_are_read_only_if_one_changed(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
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
    async def test_unusable_file_is_reported_once(self, desk: Desk, spoilt: str) -> None:
        def spoil() -> None:
            if spoilt == "two":
                desk.write(f"{TWO} {TWO}")
            else:
                desk.write(TWO, "OPENWEBUI_URL=http://me:canary@ai.example.com\n")

        errors = {
            "two": f"{desk.env}: OPENWEBUI_API_KEY: holds a blank or a character that no API key has: "
            "copy the key again, alone, in one line",
            "url": f"{desk.env}: OPENWEBUI_URL: names another server now, http://***@ai.example.com: "
            "start owui-watch again",
        }
        spoil()
        assert [desk.session.reload_key() for _ in range(3)] == [False] * 3
        assert await desk.sent_key() == ONE
        [problem] = desk.problems
        assert problem == (errors[spoilt], "until this is fixed, owui-watch uses the key that it read before")
        desk.write(ONE)
        assert not desk.session.reload_key()
        spoil()
        assert not desk.session.reload_key()
        assert desk.problems == [problem, problem]

    async def test_new_key_comes_from_the_old_ones_place(self, desk: Desk, tmp_path: Path) -> None:
        source = f"({desk.env}: OPENWEBUI_API_KEY)"
        hint = f"Write a new key where this one came from {source}: owui-watch notices it at once."
        assert desk.session.key_renewal_hint == hint
        environ = {"OPENWEBUI_API_KEY": ONE}
        settings = load([tmp_path], {}, environ=environ, cwd=tmp_path)
        assert settings.key_source is not None
        assert settings.key_source.layer is Layer.ENVIRONMENT
        refused = Session(settings, environ, desk.hidden.append)
        assert refused.key_renewal_hint == (
            "The key came from the environment OPENWEBUI_API_KEY: set a new one there, and start owui-watch again."
        )


class TestProbe:
    async def test_server_that_accepts_the_key(self, desk: Desk) -> None:
        assert await desk.session.probe() is None
        assert desk.session.server.release is not None
        assert desk.session.server.release.version == "0.12.4"

    async def test_key_is_read_again_first(self, desk: Desk) -> None:
        desk.write(TWO)
        await desk.session.probe()
        assert desk.sent == [TWO, TWO]

    @pytest.mark.parametrize("status", [200, 401])
    async def test_other_program(self, desk: Desk, status: int) -> None:
        desk.answer = httpx.Response(status, json={"hello": "world"})
        found = await desk.session.probe()
        assert isinstance(found, Unavailable)
        assert found.error.startswith("no Open WebUI there: it answers with ")

    @pytest.mark.parametrize("detail", ["Invalid authentication request.", "401 Unauthorized", "a later wording"])
    async def test_dead_key_in_every_wording(self, desk: Desk, detail: str) -> None:
        desk.answer = httpx.Response(401, json={"detail": detail})
        assert await desk.session.probe() == Denied(KeyProblem.KEY_REFUSED)


class TestAdvice:
    @pytest.mark.parametrize("problem", list(KeyProblem))
    async def test_every_problem_says_what_to_do(self, desk: Desk, problem: KeyProblem) -> None:
        error, hint = desk.session.explain_denied(Denied(problem))
        assert error
        assert "Settings" in hint
        assert ONE not in error + hint
