"""Commands that run once, without a server: which one they tried, why it failed, what to do next."""

from __future__ import annotations

import pytest

from tests.unit.cli.runs import SERVER, Run

NEXT = "Check that Open WebUI runs there, or name another server with --url, --env-file or OPENWEBUI_URL.\n"


class TestUnreachableServer:
    @pytest.mark.parametrize("command", [["status"], ["pull"], ["deploy"], ["deploy", "--dry-run"], ["call", "x"]])
    def test_is_named_with_reason_and_next_step(
        self, run: Run, command: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENWEBUI_API_KEY", "sk-0123456789abcdef")
        code, out, err = run(*command, "--url", "http://localhost:1")
        assert code == 2
        assert SERVER.fullmatch(out)
        assert out[10:] == "server    http://localhost:1 (flag --url)\n"
        assert err == f"owui-watch: http://localhost:1: connection refused\n{NEXT}"

    def test_leaves_an_array_an_array(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENWEBUI_API_KEY", "sk-0123456789abcdef")
        assert run("status", "--json", "--url", "http://localhost:1")[:2] == (2, "")
