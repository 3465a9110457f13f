"""What goes wrong before anything can be deployed: each message in full, as a user meets it.

All of it runs with a key that ``Run`` then looks for in stdout, stderr and every file that owui-watch wrote, and with
``-vv``, where most is said.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.golden import without_server
from tests.live.harness import Run
from tests.live.samples import source
from tests.live.server import Server
from tests.live.wire import Answer, Door, stub

CANARY = "sk-canary0123456789abcdef0123456789"
SECOND_CANARY = "sk-second9876543210fedcba9876543210"
FROM_ENVIRONMENT = "environment OPENWEBUI_API_KEY"


class Console:
    """The lines for people."""

    arguments = ("plugins/", "-vv")

    @staticmethod
    def waiting(run: Run, url: str, error: str, *hint: str, key: bool = False) -> None:
        """Wait for ``waiting`` and compare all of it, but for the seconds of the next try."""
        run.wait_for_text("waiting ")
        run.wait_for_text(hint[-1] if hint else error)
        tail = "waiting for another key" if key else "next try in N s"
        text = re.sub(r"next try in [\d.]+ s", "next try in N s", _without_stamps(run))
        assert "\n".join((f"waiting   {url}: {error} · {tail}", *hint)) in text


class Json:
    """The lines for programs."""

    arguments = ("plugins/", "-vv", "--log-format", "json")

    @staticmethod
    def waiting(run: Run, url: str, error: str, *hint: str, key: bool = False) -> None:
        """Wait for ``waiting`` and compare all its fields."""
        line = run.wait_for("waiting")
        assert (line["url"], line["error"], line["hint"]) == (url, error, "\n".join(hint) or None)
        assert (line["level"], line["pending"]) == ("warning", 0)
        assert line["retry_in"] is None if key else 0 < line["retry_in"] <= 5


Style = type[Console] | type[Json]
both_styles = pytest.mark.parametrize("style", [Console, Json])


def _without_stamps(run: Run) -> str:
    return re.sub(r"(?m)^(\d\d:\d\d:\d\d  | {20})", "", run.told())


@pytest.fixture
def canary(bare_project: Project) -> Project:
    """A project whose key is a made-up one."""
    bare_project.use("http://127.0.0.1:9", CANARY)
    return bare_project


def refused(project: Project, *arguments: str) -> str:
    """Run owui-watch, which must refuse; give its message."""
    run = project.run(*arguments)
    message = run.fails(2)
    assert without_server(run.told()) == ""
    return message


class TestSettings:
    def test_without_key_list_each_place_searched(self, bare_project: Project) -> None:
        searched = [folder / ".env" for folder in (bare_project.plugins, *bare_project.plugins.parents)]

        def message(*found: Path) -> str:
            places = "".join(f"  {path} ({'has none' if path in found else 'not there'})\n" for path in searched)
            return (
                "owui-watch: no API key for http://localhost:3000: set OPENWEBUI_API_KEY in the environment or in .env "
                "(an API key or a JWT; Open WebUI shows both under Settings > Account).\n"
                "Searched:\n  OPENWEBUI_API_KEY in the environment\n" + places
            )

        assert refused(bare_project, "plugins/", "-vv") == message()
        del searched[2:]
        (bare_project.folder / ".env").write_text("OTHER=1\nOPENWEBUI_API_KEY=\n")
        assert refused(bare_project, "plugins/", "-vv") == message(bare_project.folder / ".env")

    def test_with_a_key_in_toml_name_its_place(self, canary: Project) -> None:
        toml = canary.folder / "owui-watch.toml"
        for name in ("api_key", "OPENWEBUI_API_KEY", "token"):
            toml.write_text(f'{name} = "{CANARY}"\n')
            assert refused(canary, "plugins/", "-vv") == (
                f"owui-watch: {toml}: {name}: an API key belongs in OPENWEBUI_API_KEY, in the environment or in .env, "
                "and nowhere else; remove it from this file\n"
            )

    @pytest.mark.parametrize("flag", ["--api-key", "--key", "--token"])
    @pytest.mark.parametrize("form", ["{flag} {key}", "{flag}={key}"])
    def test_with_a_key_as_flag_name_its_place(self, flag: str, form: str, canary: Project) -> None:
        assert refused(canary, "plugins/", *form.format(flag=flag, key=CANARY).split(), "-vv") == (
            f"owui-watch: flag {flag}: an API key belongs in OPENWEBUI_API_KEY, in the environment or in .env, and "
            "nowhere else: others can see a command line\n"
        )

    def test_that_are_unknown_name_the_likely_ones(self, canary: Project) -> None:
        toml = canary.folder / "owui-watch.toml"
        toml.write_text("debounse = 0.2\n")
        assert refused(canary, "plugins/") == (
            f"owui-watch: {toml}: debounse: there is no such setting: did you mean debounce?\n"
        )
        toml.unlink()
        canary.environ["OWUI_WATCH_MAXNEW"] = "3"
        assert refused(canary, "plugins/") == (
            "owui-watch: environment OWUI_WATCH_MAXNEW: there is no such setting: did you mean OWUI_WATCH_MAX_NEW?\n"
        )
        del canary.environ["OWUI_WATCH_MAXNEW"]
        (canary.folder / ".env").write_text("OWUI_WATCH_URL=http://localhost:3000\n")
        assert refused(canary, "plugins/") == (
            f"owui-watch: {canary.folder / '.env'}: OWUI_WATCH_URL: there is no such setting: did you mean OPENWEBUI_URL?\n"
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                ("--url", "localhost:3000"),
                "flag --url: must begin with http:// or https://, not 'localhost:3000': "
                "did you mean 'http://localhost:3000'?",
            ),
            (
                ("--url", CANARY),
                "flag --url: must begin with http:// or https://, not '***': "
                "that looks like an API key; put it into OPENWEBUI_API_KEY",
            ),
            (
                ("--url", f"http://admin:{CANARY}@/"),
                "flag --url: must be a URL like 'http://localhost:3000' or 'https://host/prefix', not 'http://***@/'; "
                "special characters in user:password must be percent-encoded",
            ),
            (("--debounce", "soon"), "flag --debounce: must be a number of seconds from 0.01 to 10, not 'soon'"),
            (("--log-format", "jsno"), "flag --log-format: must be console or json, not 'jsno': did you mean json?"),
            (("--env-file", "gone.env"), "flag --env-file: there is no such file: {folder}/gone.env"),
            (("no-such-folder",), "{folder}/no-such-folder: there is no such file or folder"),
            (
                ("/",),
                "/: is a whole file system, which owui-watch doesn't watch: name the folder that holds your plugins",
            ),
            (("--sandbox", "--url", "http://localhost:1"), "--sandbox starts a server of its own: remove --url"),
        ],
    )
    def test_on_a_wrong_command_line_name_the_right(
        self, arguments: tuple[str, ...], message: str, canary: Project
    ) -> None:
        assert refused(canary, *arguments) == f"owui-watch: {message.format(folder=canary.folder)}\n"


class TestKey:
    @both_styles
    def test_that_is_wrong_names_the_way_to_another(self, style: Style, bare_project: Project, server: Server) -> None:
        bare_project.use(server.url, CANARY)
        with bare_project.run(*style.arguments) as run:
            style.waiting(
                run,
                server.url,
                "the API key is refused: it is wrong, or expired",
                f"In {server.url}: Settings → Account → API keys (or copy the JWT there).",
                f"The key came from the {FROM_ENVIRONMENT}: set a new one there, and start owui-watch again.",
                key=True,
            )
            run.stop()

    def test_without_rights_is_reported_each_save(self, bare_project: Project, server: Server) -> None:
        server.create(Kind.PIPE, "there", source(), title="There")
        _, session = server.new_user("user")
        bare_project.use(server.url, session)
        with bare_project.watch("-vv") as run:
            for kind, name in ((Kind.PIPE, "there"), (Kind.FILTER, "absent"), (Kind.TOOL, "hammer")):
                bare_project.save(f"{name}.py", source(kind, "two"))
                rejected = run.wait_for("rejected", plugin=name, stage="server")
                assert (rejected["error"], rejected["hint"]) == (
                    "the API key's user is not allowed to deploy this plugin",
                    "use an administrator's key; for tools, a user with the permission for workspace tools is enough",
                )
            run.stop()
            assert run.of("waiting", "differs", "held") == []
            [warning] = run.of("warning")
            assert (warning["error"], warning["hint"]) == (
                "this key is not an administrator's",
                "Functions need an administrator's key; tools need a user with the permission for workspace tools. "
                f"The key came from the {FROM_ENVIRONMENT}: "
                "set a new one there, and start owui-watch again.",
            )
        assert server.ids() == {"there"}
        assert server.content(Kind.PIPE, "there") == source()

    @both_styles
    def test_is_waited_for_while_keys_are_switched_off(self, style: Style, project: Project, server: Server) -> None:
        with server.configured(ENABLE_API_KEYS=False), project.run(*style.arguments) as run:
            style.waiting(
                run,
                server.url,
                "API keys are switched off on this server",
                "Start it with ENABLE_API_KEYS=true (ENABLE_API_KEY=true up to 0.6.36), or switch them on in",
                "Admin Panel → Settings → General; or use a JWT. The next save tries again.",
                key=True,
            )
            run.stop()

    def test_switched_on_again_is_found_by_a_save(self, project: Project, server: Server) -> None:
        with server.configured(ENABLE_API_KEYS=False):
            run = project.watch()
            with run.ended_by_an_error():
                run.wait_for("waiting")
        with run:
            project.save("late.py", source())
            run.wait_for("reachable")
            run.wait_for("created", plugin="late")

    def test_that_is_restricted_names_the_endpoints_it_needs(self, project: Project, server: Server) -> None:
        limits = {"ENABLE_API_KEYS_ENDPOINT_RESTRICTIONS": True, "API_KEYS_ALLOWED_ENDPOINTS": "/api/models"}
        with server.configured(**limits), project.watch("-vv") as run:
            line = run.wait_for("waiting", retry_in=None)
            assert (line["error"], line["hint"]) == (
                "this API key may not reach the endpoints for functions and tools",
                "Allow /api/v1/functions and /api/v1/tools in Admin Panel → Settings → General (API key endpoint\n"
                "restrictions), or use a JWT. The next save tries again.",
            )
            run.stop()

    def test_that_is_refused_is_replaced_while_running(self, bare_project: Project, server: Server) -> None:
        env = bare_project.folder / ".env"
        env.write_text(f"OPENWEBUI_URL={server.url}\nOPENWEBUI_API_KEY={CANARY}\n")
        bare_project.secrets += [CANARY, server.key]
        with bare_project.watch("-vv") as run:
            waiting = run.wait_for("waiting", retry_in=None)
            assert f"({env}: OPENWEBUI_API_KEY): owui-watch notices it at once." in waiting["hint"]
            bare_project.save("patient.py", source())
            env.write_text(f"OPENWEBUI_URL={server.url}\nOPENWEBUI_API_KEY={server.key}\n")
            run.wait_for("created", plugin="patient")
            run.wait_for("reachable")
        assert server.ids() == {"patient"}

    def test_without_rights_is_replaced_while_running(self, bare_project: Project, server: Server) -> None:
        env = bare_project.folder / ".env"
        _, session = server.new_user("user")
        env.write_text(f"OPENWEBUI_URL={server.url}\nOPENWEBUI_API_KEY={session}\n")
        bare_project.secrets += [session, server.key]
        with bare_project.watch("-vv") as run:
            assert f"({env}: OPENWEBUI_API_KEY): owui-watch notices it at once." in run.wait_for("warning")["hint"]
            bare_project.save("patient.py", source())
            run.wait_for("rejected", plugin="patient")
            env.write_text(f"OPENWEBUI_URL={server.url}\nOPENWEBUI_API_KEY={server.key}\n")
            bare_project.save("patient.py", source(mark="two"))
            run.wait_for("created", plugin="patient")
            run.stop()
        assert server.ids() == {"patient"}


def always(status: int, body: str, **headers: str) -> Callable[[str, Mapping[str, str]], Answer]:
    return lambda _path, _headers: (status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


ADDRESS_HINT = "{url} must be the address you open Open WebUI at in a browser, a path prefix included"
JSON_TYPE = "application/json"
STRANGERS = {
    "html": (
        always(200, "<html>It works!</html>", content_type="text/html; charset=utf-8"),
        "no Open WebUI there: it answers with a web page (200)",
        ADDRESS_HINT,
    ),
    "another_programs_json": (
        always(200, '{"name": "other", "version": 3}', content_type=JSON_TYPE),
        "no Open WebUI there: it answers with another program's JSON",
        ADDRESS_HINT,
    ),
    "another_programs_404": (
        always(404, '{"detail": "Not Found"}', content_type=JSON_TYPE),
        "no Open WebUI there: it answers with 404 Not Found",
        ADDRESS_HINT,
    ),
    "broken_json": (
        always(200, "{", content_type=JSON_TYPE),
        "no Open WebUI there: it answers with another program's JSON",
        ADDRESS_HINT,
    ),
    "redirect_to_https": (
        always(308, "", location="https://127.0.0.1/api/version"),
        "answers with a redirect, which is never followed with a key",
        "set the URL to https://127.0.0.1",
    ),
    "redirect_elsewhere": (
        always(302, "", location="/login"),
        "answers with a redirect, which is never followed with a key",
        "set the URL to where Open WebUI itself answers; {url} redirects to /login",
    ),
    "echo_of_the_key": (
        lambda _, headers: (400, {"content-type": JSON_TYPE}, json.dumps({"detail": headers["authorization"]})),
        "no Open WebUI there: it answers with Bearer ***",
        ADDRESS_HINT,
    ),
    "redirect_with_the_key": (
        lambda _, headers: (302, {"location": f"/login?{headers['authorization'][7:]}"}, ""),
        "answers with a redirect, which is never followed with a key",
        "set the URL to where Open WebUI itself answers; {url} redirects to /login?***",
    ),
}


class TestOtherServer:
    @both_styles
    @pytest.mark.parametrize("stranger", STRANGERS)
    def test_is_known_by_its_responses(self, stranger: str, style: Style, bare_project: Project) -> None:
        answer, error, hint = STRANGERS[stranger]
        with stub(answer) as url:
            bare_project.use(url, CANARY)
            with bare_project.run(*style.arguments) as run:
                style.waiting(run, url, error, hint.format(url=url, host=url.removeprefix("http://")))
                run.stop()

    @both_styles
    def test_is_waited_for_if_overloaded(self, style: Style, bare_project: Project) -> None:
        with stub(always(503, "busy", content_type="text/plain")) as url:
            bare_project.use(url, CANARY)
            with bare_project.run(*style.arguments) as run:
                style.waiting(run, url, "answers 503")
                run.stop()


class TestSecret:
    def test_replaced_key_is_never_shown(self, bare_project: Project) -> None:
        env = bare_project.folder / ".env"
        keys: list[str] = []

        def echo(path: str, headers: Mapping[str, str]) -> Answer:
            keys.append(headers["authorization"].removeprefix("Bearer "))
            if keys[-1] == CANARY and path == "/api/version":
                return 200, {"content-type": JSON_TYPE}, '{"version": "0.12.4"}'
            status, detail = (401, "Invalid token") if keys[-1] == CANARY else (400, keys[-1])
            return status, {"content-type": JSON_TYPE}, json.dumps({"detail": detail})

        with stub(echo) as url:
            env.write_text(f"OPENWEBUI_URL={url}\nOPENWEBUI_API_KEY={CANARY}\n")
            bare_project.secrets += [CANARY, SECOND_CANARY]
            with bare_project.watch("-vv") as run:
                run.wait_for("waiting", error="the API key is refused: it is wrong, or expired")
                env.write_text(f"OPENWEBUI_URL={url}\nOPENWEBUI_API_KEY={SECOND_CANARY}\n")
                run.wait_for("waiting", error="no Open WebUI there: it answers with ***")
                run.stop()
        assert SECOND_CANARY in keys

    @both_styles
    def test_password_in_a_url_is_never_shown(self, style: Style, bare_project: Project) -> None:
        with stub(always(200, "hello", content_type="text/plain")) as url:
            host = url.removeprefix("http://")
            bare_project.use(f"http://admin:{SECOND_CANARY}@{host}", CANARY)
            bare_project.secrets.append(SECOND_CANARY)
            with bare_project.run(*style.arguments) as run:
                masked = f"http://***@{host}"
                style.waiting(
                    run,
                    masked,
                    "no Open WebUI there: it answers with text/plain (200)",
                    ADDRESS_HINT.format(url=masked),
                )
                run.stop()
                assert "/api/version" in run.told()


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.close()


class TestServerAway:
    @both_styles
    def test_refusing_connections_is_told_and_waited_for(self, style: Style, bare_project: Project, door: Door) -> None:
        bare_project.use(door.url, CANARY)
        with bare_project.run(*style.arguments) as run:
            style.waiting(run, door.url, "connection refused")
            run.stop()

    @both_styles
    def test_with_unknown_name_is_told_and_waited_for(self, style: Style, bare_project: Project) -> None:
        bare_project.use("http://no-such-host.invalid:3000", CANARY)
        with bare_project.run(*style.arguments) as run:
            style.waiting(run, "http://no-such-host.invalid:3000", "its host name is not known")
            run.stop()

    def test_and_started_later_gets_what_was_saved(self, bare_project: Project, server: Server, door: Door) -> None:
        bare_project.use(door.url, server.key)
        with bare_project.watch() as run:
            assert run.lines[0]["server_version"] is None
            run.wait_for("waiting", error="connection refused", url=door.url)
            for mark in ("one", "two"):
                bare_project.save("early.py", source(mark=mark))
            with door.open_to(server.url):
                run.wait_for("created", plugin="early")
                run.wait_for("reachable", url=door.url)
                run.stop()
            assert run.deploys("early") == ["created"]
            assert len(run.of("waiting")) == 1
        assert server.content(Kind.PIPE, "early") == source(mark="two")

    def test_and_back_gets_the_newest_saves(self, bare_project: Project, server: Server, door: Door) -> None:
        bare_project.use(door.url, server.key)
        with ExitStack() as stack:
            with door.open_to(server.url):
                run = stack.enter_context(bare_project.watch())
                bare_project.save("lasting.py", source())
                run.wait_for("created", plugin="lasting")
            bare_project.save("lasting.py", source(mark="two"))
            assert run.wait_for("waiting", url=door.url)["pending"] == 1
            bare_project.save("lasting.py", source(mark="three"))
            with door.open_to(server.url):
                run.wait_for("updated", plugin="lasting")
                run.wait_for("reachable", url=door.url)
                run.stop()
            assert run.deploys("lasting") == ["created", "updated"]
        assert server.content(Kind.PIPE, "lasting") == source(mark="three")

    def test_at_the_end_gives_exit_code_1(self, bare_project: Project, door: Door) -> None:
        bare_project.use(door.url, CANARY)
        with bare_project.watch("--drain", "0.2") as run:
            run.wait_for("waiting")
            bare_project.save("pending.py", source())
            bare_project.save("broken.py", source() + "x = (1,\n")
            run.wait_for("rejected", plugin="broken")
            run.interrupt()
            run.ends(1)
            assert run.lines[-1]["event"] == "stopped"
            assert run.lines[-1]["pending"] == ["pending"]
        assert '"functions/pending"' in bare_project.remembered()

    def test_delays_no_second_interrupt(self, bare_project: Project, door: Door) -> None:
        bare_project.use(door.url, CANARY)
        with bare_project.watch() as run:
            run.wait_for("waiting")
            bare_project.save("pending.py", source())
            bare_project.save("broken.py", source() + "x = (1,\n")
            run.wait_for("rejected", plugin="broken")
            run.interrupt(signal.SIGINT)
            run.interrupt(signal.SIGTERM)  # the second of two SIGINT in a row can be lost in the first
            run.ends(130)
