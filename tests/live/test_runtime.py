"""What a plugin raises and writes in a sandbox: the terminal names the author's file and line at once.

``--runtime FILE`` adds what was seen to FILE, from which ``tests.live.runtime_table`` makes the table of the docs.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.releases import version_number
from owui_watch.plugins.model import Kind
from owui_watch.runtime.call.kinds import Api, Caller, Outcome, Target
from owui_watch.sandbox.packages import cache_folder
from owui_watch.state import RunningSandbox, running_sandboxes
from tests.live.harness import PATIENCE, Line, Run, clean_environ

pytestmark = pytest.mark.live

AT_MOST_MS = 300
WHATS = ("raise", "raise in a task", "print", "log")
COMMON = '''"""
title: {kind}
version: 1.0
"""
import asyncio
import logging
import time

log = logging.getLogger(__name__)


def act(what):
    if what == "print":
        print("at", time.time())
    if what == "log":
        log.warning("at %s", time.time())
    if what == "raise":
        raise ValueError(f"at {{time.time()}}")
    if what == "block":
        print("blocking")
        time.sleep(120)
    if what == "raise in a task":
        act.task = asyncio.ensure_future(work())


async def work():
    await asyncio.sleep(0)
    raise ValueError(f"at {{time.time()}}")

'''
METHODS = {
    Kind.PIPE: "class Pipe:\n    async def pipe(self, body):\n        act(body['messages'][-1]['content'])\n        return 'x'\n",
    Kind.FILTER: "class Filter:\n    def inlet(self, body):\n        act(body['messages'][-1]['content'].partition('filter: ')[2])\n        return body\n",
    Kind.ACTION: "class Action:\n    async def action(self, body):\n        act(body['messages'][-1]['content'])\n",
    Kind.EVENT: "class Event:\n    async def event(self, event):\n        act(event['data'].get('what'))\n",
    Kind.TOOL: "class Tools:\n    async def do(self, what: str) -> str:\n        '''Do it.'''\n        act(what)\n        return 'x'\n",
}


class Plugins:
    """A watch on a sandbox of its own, with a plugin of each kind that the release knows."""

    def __init__(self, run: Run, sandbox: RunningSandbox, folder: Path, kinds: list[Kind]) -> None:
        self.run = run
        self.sandbox = sandbox
        self.folder = folder
        self.kinds = kinds

    def file(self, kind: Kind) -> Path:
        return self.folder / f"my_{kind}.py"

    def call(self, kind: Kind, what: str) -> Outcome:
        """Have a plugin do something."""
        target = Target(kind, f"my_{kind}", "do" if kind is Kind.TOOL else "")

        async def pipe(api: Api, _caller: Caller) -> Outcome:
            answer = await api.chat({"model": "my_pipe", "stream": True, "messages": _message(what)}, {})
            return Outcome(answer.text, error=answer.error)

        calls: dict[Kind, Callable[[Api, Caller], Awaitable[Outcome]]] = {
            Kind.PIPE: pipe,
            Kind.FILTER: lambda _, caller: caller.filter(target, f"filter: {what}", None),
            Kind.ACTION: lambda _, caller: caller.action(target, what, {}, None),
            Kind.EVENT: lambda _, caller: caller.event(target, {"data": {"what": what}}),
            Kind.TOOL: lambda _, caller: caller.tool(target, {"what": what}),
        }

        async def call() -> Outcome:
            key = self.sandbox.key.reveal()
            server = OpenWebUI(self.sandbox.url, key, shown_url=self.sandbox.url, loopback=True)
            try:
                api = Api(server)
                return await calls[kind](api, Caller(api, self.sandbox.channel_token.reveal()))
            finally:
                await server.close()

        return anyio.run(call)


def _message(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def plugins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugins]:
    version = request.config.getoption("--openwebui")
    folder = tmp_path_factory.mktemp("runtime")
    (folder / "plugins").mkdir()
    kinds = [kind for kind in Kind if kind is not Kind.EVENT or version_number(version) >= version_number("0.10.0")]
    for kind in kinds:
        (folder / "plugins" / f"my_{kind}.py").write_text(COMMON.format(kind=kind) + METHODS[kind])
    environ = clean_environ(folder) | {"XDG_CACHE_HOME": str(cache_folder().parent)}
    environ |= {name: os.environ[name] for name in os.environ if name.startswith(("UV_", "PIP_", "SSL_"))}
    arguments = ("plugins", f"--sandbox={version}", "--log-format", "json")
    with Run(arguments, folder=folder, environ=environ) as run:
        for kind in kinds:
            run.wait_for("created", 120, plugin=f"my_{kind}")
        [sandbox] = running_sandboxes(folder / "state")
        yield Plugins(run, sandbox, folder / "plugins", kinds)
        run.interrupt()
        run.fails(0)


def line_of(path: Path, text: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def _delay_ms(line: Line, text: str) -> int:
    found = re.search(r"at (\d+\.\d+)", text)
    assert found is not None, text
    return round((datetime.fromisoformat(line["timestamp"]).timestamp() - float(found[1])) * 1000)


def _note(request: pytest.FixtureRequest, version: str, kind: Kind, what: str, delay: int) -> None:
    if file := request.config.getoption("--runtime"):
        with Path(file).open("a") as stream:
            stream.write(json.dumps({"version": version, "kind": kind.value, "what": what, "ms": delay}) + "\n")


class TestExceptions:
    @pytest.mark.parametrize("what", WHATS)
    @pytest.mark.parametrize("kind", list(Kind))
    def test_name_the_authors_line_at_once(
        self, plugins: Plugins, kind: Kind, what: str, request: pytest.FixtureRequest
    ) -> None:
        if kind not in plugins.kinds:
            pytest.skip("this release has no such kind")
        outcome = plugins.call(kind, what)
        raises = what.startswith("raise")
        assert (outcome.error is None) == (what != "raise"), outcome
        line = plugins.run.wait_for("raised" if raises else "printed", plugin=f"my_{kind}", kind=str(kind))
        written = {
            "raise": "raise ValueError",
            "raise in a task": "raise ValueError",
            "print": "print(",
            "log": "log.w",
        }[what]
        expected = line_of(plugins.file(kind), written)
        if what == "raise in a task":
            expected = max(
                number
                for number, text in enumerate(plugins.file(kind).read_text().splitlines(), 1)
                if "raise ValueError" in text
            )
        assert (line["path"], line["line"]) == (f"plugins/my_{kind}.py", expected)
        text = line["error"] if raises else line["text"]
        delay = _delay_ms(line, text)
        _note(request, plugins.sandbox.version, kind, what, delay)
        assert delay < AT_MOST_MS

    def test_are_reported_once_each(self, plugins: Plugins) -> None:
        plugins.call(Kind.PIPE, "raise")
        error = plugins.run.wait_for("raised", plugin="my_pipe")["error"]
        plugins.call(Kind.PIPE, "print")
        plugins.run.wait_for("printed", plugin="my_pipe")
        assert len(plugins.run.of("raised", error=error)) == 1


class TestCalls:
    def test_tool_gives_its_result(self, plugins: Plugins) -> None:
        assert plugins.call(Kind.TOOL, "nothing").result == "x"

    def test_tool_that_raises_says_so(self, plugins: Plugins) -> None:
        outcome = plugins.call(Kind.TOOL, "raise")
        assert (outcome.error or "").startswith("ValueError: at ")
        assert [record["line"] for record in outcome.raised] == [line_of(plugins.file(Kind.TOOL), "raise ValueError")]

    def test_filter_shows_what_it_got_and_gave(self, plugins: Plugins) -> None:
        outcome = plugins.call(Kind.FILTER, "nothing")
        assert outcome.error is None
        assert [change.method for change in outcome.changes] == ["inlet"]
        assert outcome.result == "filter: nothing"

    def test_action_runs_without_a_browser(self, plugins: Plugins) -> None:
        assert plugins.call(Kind.ACTION, "nothing").error is None

    def test_nothing_is_left_on_the_server(self, plugins: Plugins) -> None:
        plugins.call(Kind.FILTER, "nothing")

        async def listed() -> list[str]:
            key = plugins.sandbox.key.reveal()
            server = OpenWebUI(plugins.sandbox.url, key, shown_url=plugins.sandbox.url, loopback=True)
            try:
                functions = (await Api(server).request("GET", "/api/v1/functions/")).body
            finally:
                await server.close()
            return [function["id"] for function in functions]

        assert [name for name in anyio.run(listed) if "echo" in name] == []


class TestNextSave:
    def test_is_reported_under_its_new_line(self, plugins: Plugins) -> None:
        path = plugins.file(Kind.PIPE)
        path.write_text(path.read_text().replace("import time\n", "import time\n\n\n", 1))
        plugins.run.wait_for("updated", plugin="my_pipe")
        before = time.time()
        plugins.call(Kind.PIPE, "raise")
        line = plugins.run.wait_for("raised", PATIENCE, plugin="my_pipe")
        assert line["line"] == line_of(path, "raise ValueError")
        assert not line["outdated"]
        assert time.time() - before < PATIENCE

    def test_does_not_wait_for_a_blocking_pipe(self, plugins: Plugins) -> None:
        call = threading.Thread(target=plugins.call, args=(Kind.PIPE, "block"))
        call.start()
        plugins.run.wait_for("printed", plugin="my_pipe", text="blocking")
        path = plugins.file(Kind.TOOL)
        path.write_text(path.read_text().replace("import time\n", "import time\n\n", 1))
        plugins.run.wait_for("updated", plugin="my_tool")
        warning = plugins.run.wait_for("warning", plugin="my_pipe")
        assert warning["line"] == line_of(plugins.file(Kind.PIPE), "time.sleep(120)")
        call.join(PATIENCE)
        assert not call.is_alive()
