"""The server is down, restarted, overloaded, hanging, or behind something else that answers: no save is lost or sent
twice, and there is one line when it goes and one when it is back."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.harness import Run, until
from tests.live.samples import source
from tests.live.server import Server
from tests.resilience.tcp_proxy import (
    BAD_GATEWAY,
    CUT_AFTER,
    CUT_BEFORE,
    FAILS,
    OVERLOADED,
    RESET_AFTER,
    RESET_BEFORE,
    STALLED,
    TRUNCATED,
    WEB_PAGE,
    Diagnostic,
    TcpProxy,
    answers,
)

UPDATE = "POST .*/update$"
AWAY = {
    "408": answers(408),
    "425": answers(425),
    "429": OVERLOADED,
    "500": FAILS,
    "502_web_page": BAD_GATEWAY,
    "503": answers(503),
    "200_web_page": WEB_PAGE,
    "other_json": answers(200, b'{"hello": "world"}'),
    "broken_json": answers(200, b'{"version": "0.1'),
    "reset": RESET_BEFORE,
    "truncated": TRUNCATED,
}


def outages(run: Run) -> list[str]:
    """Return the lines about the server itself, in order."""
    return [line["event"] for line in run.of("waiting", "reachable")]


def deployed(run: Run, project: Project, name: str = "notes") -> None:
    """Have a first version live."""
    project.save(f"{name}.py", source(mark="one"))
    run.wait_for("created", plugin=name)


class TestSilentServer:
    def test_hanging_update_delays_no_other_plugin(self, project: Project, proxy: TcpProxy) -> None:
        with project.watch() as run:
            deployed(run, project)
            deployed(run, project, "other")
            proxy.next("POST .*/notes/update", STALLED)
            project.save("notes.py", source(mark="two"))
            until(lambda: proxy.count("POST .*/notes/update"), "the update that hangs")
            project.save("other.py", source(mark="two"))
            run.wait_for("updated", plugin="other")
            proxy.calm()
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert proxy.taken("functions/notes") == [source(mark="one"), source(mark="two")]

    def test_gets_the_newest_when_it_wakes(self, project: Project, proxy: TcpProxy) -> None:
        proxy.always(replace(STALLED, pause=1.5))
        with project.watch() as run:
            for mark in ("one", "two", "three"):
                project.save("notes.py", source(mark=mark))
            until(lambda: len(proxy.requests) >= 2, "a second try")
            proxy.calm()
            run.wait_for("created", plugin="notes")
            run.stop()
        assert proxy.taken("functions/notes") == [source(mark="three")]


class TestUpdate:
    @pytest.mark.parametrize("name", ["425", "429", "503", "200_web_page", "reset"])
    def test_without_usable_response_is_tried_again(self, name: str, project: Project, proxy: TcpProxy) -> None:
        with project.watch() as run:
            deployed(run, project)
            proxy.always(AWAY[name], UPDATE)
            project.save("notes.py", source(mark="two"))
            until(lambda: proxy.count(UPDATE) >= 3, "three tries")
            proxy.calm()
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert outages(run) == ["waiting", "reachable"]
        assert proxy.taken("functions/notes") == [source(mark="one"), source(mark="two")]

    @pytest.mark.parametrize("name", ["other_json", "broken_json"])
    def test_answered_with_odd_json_is_no_outage(self, name: str, project: Project, proxy: TcpProxy) -> None:
        with project.watch() as run:
            deployed(run, project)
            proxy.always(AWAY[name], UPDATE)
            project.save("notes.py", source(mark="two"))
            warning = run.wait_for("warning", plugin="notes")
            assert "its response can't be used" in warning["error"]
            until(lambda: proxy.count(UPDATE) >= 3, "three tries")
            proxy.calm()
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert outages(run) == []
        assert len(run.of("warning")) == 1
        assert proxy.taken("functions/notes") == [source(mark="one"), source(mark="two")]

    @pytest.mark.parametrize("diagnostic", [RESET_AFTER, TRUNCATED], ids=["reset", "truncated"])
    @pytest.mark.parametrize("request_line", ["POST .*/update$", "POST .*/create$", "POST .*/toggle$"])
    def test_that_arrived_unanswered_is_not_repeated(
        self, request_line: str, diagnostic: Diagnostic, project: Project, proxy: TcpProxy, server: Server
    ) -> None:
        with project.watch() as run:
            deployed(run, project)
            proxy.next(request_line, diagnostic)
            project.save("notes.py", source(mark="two"))
            project.save("new.py", source(mark="new"))
            run.wait_for("updated", plugin="notes")
            run.wait_for("created", plugin="new")
            run.stop()
        assert proxy.taken("functions/notes") == [source(mark="one"), source(mark="two")]
        assert proxy.taken("functions/new") == [source(mark="new")]
        assert server.plugin(Kind.PIPE, "new")["is_active"] is True

    @pytest.mark.parametrize("later", ["same", "newer"])
    @pytest.mark.parametrize("cut", [CUT_BEFORE, CUT_AFTER], ids=["before_it_arrived", "after_it_arrived"])
    def test_that_lost_the_server_sends_the_newest(
        self, cut: Diagnostic, later: str, project: Project, proxy: TcpProxy, server: Server
    ) -> None:
        with project.watch() as run:
            deployed(run, project)
            proxy.next(UPDATE, cut)
            project.save("notes.py", source(mark="two"))
            run.wait_for("waiting")
            last = "two"
            if later == "newer":
                for last in ("three", "four"):
                    project.save("notes.py", source(mark=last))
            proxy.open()
            run.wait_for("reachable")
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert outages(run) == ["waiting", "reachable"]
        assert server.content(Kind.PIPE, "notes") == source(mark=last)
        taken = proxy.taken("functions/notes")
        assert taken == [source(mark=mark) for mark in dict.fromkeys(["one", *["two"] * (cut is CUT_AFTER), last])]

    def test_of_a_reverted_save_is_not_sent(self, project: Project, proxy: TcpProxy) -> None:
        with project.watch() as run:
            deployed(run, project)
            proxy.close()
            project.save("notes.py", source(mark="two"))
            run.wait_for("waiting")
            project.save("notes.py", source(mark="one"))
            proxy.open()
            run.wait_for("unchanged", plugin="notes")
            run.stop()
        assert outages(run) == ["waiting", "reachable"]
        assert proxy.taken("functions/notes") == [source(mark="one")]

    @pytest.mark.parametrize("new", [False, True], ids=["update", "create"])
    def test_that_was_refused_is_not_sent_again(self, new: bool, project: Project, proxy: TcpProxy) -> None:
        sent = "POST .*/(notes/update|create)$"
        with project.watch() as run:
            deployed(run, project, "sentinel")
            if not new:
                deployed(run, project)
            project.save("notes.py", source(mark="two", top="import there_is_no_such_module"))
            run.wait_for("rejected", plugin="notes", stage="server")
            before = proxy.count(sent)
            proxy.close()
            project.save("sentinel.py", source(mark="two"))
            run.wait_for("waiting")
            proxy.open()
            run.wait_for("updated", plugin="sentinel")
            project.save("sentinel.py", source(mark="three"))
            run.wait_for("updated", plugin="sentinel")
            assert proxy.count(sent) == before
            project.save("notes.py", source(mark="three"))
            run.wait_for("created" if new else "updated", plugin="notes")
            run.stop()
        assert proxy.taken("functions/notes")[-1] == source(mark="three")
        assert len(run.of("rejected")) == 1


class TestOutage:
    def test_at_the_start_is_one_line(self, project: Project, proxy: TcpProxy, server: Server) -> None:
        proxy.close()
        with project.watch() as run:
            for number in range(5):
                project.save("often.py", source(mark=f"number {number}"))
                project.save("tools/other.py", source(Kind.TOOL, mark=f"number {number}"))
            waiting = run.wait_for("waiting")
            assert (waiting["url"], waiting["error"]) == (proxy.url, "connection refused")
            proxy.open()
            run.wait_for("reachable")
            run.wait_for("created", plugin="often")
            run.wait_for("created", plugin="other")
            run.stop()
        assert run.of("watching")[0]["server_version"] is None
        assert outages(run) == ["waiting", "reachable"]
        assert proxy.taken("functions/often") == [source(mark="number 4")]
        assert proxy.taken("tools/other") == [source(Kind.TOOL, mark="number 4")]
        assert server.content(Kind.PIPE, "often") == source(mark="number 4")

    @pytest.mark.parametrize("name", ["408", "429", "500", "502_web_page", "reset", "truncated"])
    def test_after_any_useless_response_is_one_line(
        self, name: str, project: Project, proxy: TcpProxy, server: Server
    ) -> None:
        with project.watch() as run:
            deployed(run, project)
            proxy.always(AWAY[name])
            asked = len(proxy.requests)
            project.save("notes.py", source(mark="two"))
            run.wait_for("waiting")
            until(lambda: len(proxy.requests) >= asked + 3, "three tries")
            project.save("notes.py", source(mark="three"))
            proxy.calm()
            run.wait_for("reachable")
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert outages(run) == ["waiting", "reachable"]
        assert server.content(Kind.PIPE, "notes") == source(mark="three")
        assert proxy.taken("functions/notes").count(source(mark="three")) == 1

    def test_with_a_web_page_says_what_to_check(self, project: Project, proxy: TcpProxy) -> None:
        proxy.always(WEB_PAGE)
        with project.watch() as run:
            waiting = run.wait_for("waiting")
            assert "web page" in waiting["error"]
            assert proxy.url in waiting["hint"]
            run.stop()

    def test_waits_for_retry_after_unless_saved(self, project: Project, proxy: TcpProxy) -> None:
        with project.watch() as run:
            deployed(run, project)
            proxy.next(UPDATE, answers(429, retry_after="60"))
            project.save("notes.py", source(mark="two"))
            assert run.wait_for("waiting")["retry_in"] == 60
            project.save("notes.py", source(mark="three"))
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert proxy.taken("functions/notes") == [source(mark="one"), source(mark="three")]

    @pytest.mark.parametrize("how", ["stop", "kill"])
    def test_keeps_a_first_save_over_a_restart(self, how: str, project: Project, proxy: TcpProxy) -> None:
        proxy.close()
        with project.watch("--drain", "0", "-v") as run:
            project.save("notes.py", source(mark="one"))
            run.wait_for("note", path="plugins/notes.py")
            run.wait_for("waiting")
            if how == "stop":
                run.stop(code=1)
                assert run.of("stopped")[0]["pending"] == ["notes"]
            else:
                until(lambda: '"functions/notes"' in project.remembered(), "the save on the disk")
                os.kill(run.pid, signal.SIGKILL)
                run.ends(-signal.SIGKILL)
        proxy.open()
        with project.watch() as run:
            run.wait_for("created", plugin="notes")
            run.stop()
        assert proxy.taken("functions/notes") == [source(mark="one")]
