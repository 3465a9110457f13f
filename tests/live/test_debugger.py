"""``--debug``: a client of the debug adapter protocol stops in plugins of a sandbox, reads a local and goes on."""

from __future__ import annotations

import json
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from owui_watch.openwebui.client import OpenWebUI
from owui_watch.plugins.model import Kind
from owui_watch.runtime.call.kinds import Api, Caller, Target
from owui_watch.sandbox.packages import cache_folder
from owui_watch.sandbox.server import free_port
from owui_watch.state import RunningSandbox, running_sandboxes
from tests.live.harness import Run, clean_environ, until

pytestmark = pytest.mark.live

PATIENCE = 60.0
PLUGINS = {
    "my_pipe.py": "class Pipe:\n    def pipe(self, body):\n        word = 'of the pipe'\n        return word\n",
    "my_filter.py": "class Filter:\n    def inlet(self, body):\n        word = 'of the filter'\n        return body\n",
    "my_tool.py": (
        "class Tools:\n    async def do(self) -> str:\n        '''Do it.'''\n        word = 'of the tool'\n        return word\n"
    ),
    "many/main.py": (
        "from .helper import read\n\n\nclass Pipe:\n    def pipe(self, body):\n"
        "        word = 'of the package'\n        return read(word)\n"
    ),
    "many/helper.py": "def read(text):\n    word = 'of the helper'\n    return text + word\n",
}
IDS = ("my_pipe", "my_filter", "my_tool", "many")
Message = dict[str, Any]


class Client:
    """The least that a debugger does: one request at a time, and the events that come in between."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._socket.settimeout(None)
        self._file = self._socket.makefile("rb")
        self._responses: queue.Queue[Message] = queue.Queue()
        self._events: queue.Queue[Message] = queue.Queue()
        self._number = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def send(self, command: str, **arguments: Any) -> None:
        self._number += 1
        request = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def ask(self, command: str, **arguments: Any) -> Message:
        self.send(command, **arguments)
        return self.answer_to(command)

    def answer_to(self, command: str) -> Message:
        while True:
            response = self._responses.get(timeout=PATIENCE)
            if response["command"] == command:
                assert response["success"], response
                return dict(response.get("body") or {})

    def wait_for(self, event: str) -> Message:
        while True:
            found = self._events.get(timeout=PATIENCE)
            if found["event"] == event:
                return dict(found.get("body") or {})

    def attach(self, breakpoints: dict[Path, int]) -> None:
        self.ask("initialize", adapterID="test", pathFormat="path", linesStartAt1=True, columnsStartAt1=True)
        self.send("attach", justMyCode=True)
        self.wait_for("initialized")
        for path, line in breakpoints.items():
            self.set_breakpoints(path, line)
        self.ask("configurationDone")

    def set_breakpoints(self, path: Path, *lines: int) -> None:
        self.ask("setBreakpoints", source={"path": str(path)}, breakpoints=[{"line": line} for line in lines])

    def stopped_at(self) -> tuple[str, int, str]:
        """Wait for a stop, return the file, the line and the local ``word``, and go on."""
        thread = self.wait_for("stopped")["threadId"]
        frame = self.ask("stackTrace", threadId=thread)["stackFrames"][0]
        scope = self.ask("scopes", frameId=frame["id"])["scopes"][0]
        variables = self.ask("variables", variablesReference=scope["variablesReference"])["variables"]
        word = next(each["value"] for each in variables if each["name"] == "word")
        self.ask("continue", threadId=thread)
        return Path(frame["source"]["path"]).name, frame["line"], word

    def close(self) -> None:
        self.ask("disconnect", terminateDebuggee=False)
        self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._file.close()
        self._socket.close()

    def _read(self) -> None:
        while header := self._file.readline():
            length = int(header.split(b":")[1])
            self._file.readline()
            message = json.loads(self._file.read(length))
            (self._events if message["type"] == "event" else self._responses).put(message)


def environ(folder: Path) -> dict[str, str]:
    """Return the environment of a watch that takes Open WebUI from the cache of the user."""
    found = clean_environ(folder) | {"XDG_CACHE_HOME": str(cache_folder().parent)}
    return found | {name: os.environ[name] for name in os.environ if name.startswith(("UV_", "PIP_", "SSL_"))}


@pytest.fixture(scope="module")
def debugged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Run, RunningSandbox, int]]:
    folder = tmp_path_factory.mktemp("debugger")
    (folder / "plugins").mkdir()
    for name, code in PLUGINS.items():
        path = folder / "plugins" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    version = request.config.getoption("--openwebui")
    with Run(
        ("plugins", f"--sandbox={version}", "--debug", "--log-format", "json"), folder=folder, environ=environ(folder)
    ) as run:
        port = run.wait_for("sandbox", 300)["debugger"]
        for plugin in IDS:
            run.wait_for("created", 60, plugin=plugin)
        [sandbox] = running_sandboxes(folder / "state")
        yield run, sandbox, port
        run.interrupt()
        run.fails(0)


def in_background(sandbox: RunningSandbox, act: Callable[[Api, Caller], Any]) -> threading.Thread:
    """Call a plugin while the test speaks with the debugger."""

    async def call() -> None:
        server = OpenWebUI(sandbox.url, sandbox.key.reveal(), shown_url=sandbox.url, loopback=True)
        try:
            api = Api(server)
            await act(api, Caller(api, sandbox.channel_token.reveal()))
        finally:
            await server.close()

    thread = threading.Thread(target=lambda: anyio.run(call))
    thread.start()
    return thread


def chat(api: Api, _caller: Caller, model: str = "my_pipe") -> Any:
    return api.chat({"model": model, "stream": True, "messages": [{"role": "user", "content": "x"}]}, {})


def test_stops_in_pipe_async_tool_and_filter(debugged: tuple[Run, RunningSandbox, int]) -> None:
    run, sandbox, port = debugged
    folder = run.folder / "plugins"
    client = Client(port)
    client.attach({folder / "my_pipe.py": 4, folder / "my_filter.py": 4, folder / "my_tool.py": 5})

    call = in_background(sandbox, chat)
    assert client.stopped_at() == ("my_filter.py", 4, "'of the filter'")  # the filter is global in a sandbox
    assert client.stopped_at() == ("my_pipe.py", 4, "'of the pipe'")
    call.join(PATIENCE)

    call = in_background(sandbox, lambda _, caller: caller.tool(Target(Kind.TOOL, "my_tool", "do"), {}))
    assert client.stopped_at() == ("my_tool.py", 5, "'of the tool'")
    call.join(PATIENCE)

    client.set_breakpoints(folder / "my_filter.py")
    (folder / "my_pipe.py").write_text(PLUGINS["my_pipe.py"].replace("of the pipe", "of the next save"))
    run.wait_for("updated", plugin="my_pipe")
    call = in_background(sandbox, chat)
    assert client.stopped_at() == ("my_pipe.py", 4, "'of the next save'")
    call.join(PATIENCE)
    client.close()


def test_stops_in_a_helper_of_a_package(debugged: tuple[Run, RunningSandbox, int]) -> None:
    run, sandbox, port = debugged
    helper = run.folder / "plugins/many/helper.py"
    client = Client(port)
    client.attach({run.folder / "plugins/many/main.py": 7, helper: 3})

    call = in_background(sandbox, partial(chat, model="many"))
    assert client.stopped_at() == ("main.py", 7, "'of the package'")
    assert client.stopped_at() == ("helper.py", 3, "'of the helper'")
    call.join(PATIENCE)

    client.set_breakpoints(run.folder / "plugins/many/main.py")
    helper.write_text(PLUGINS["many/helper.py"].replace("of the helper", "of the next save"))
    run.wait_for("updated", plugin="many")
    call = in_background(sandbox, partial(chat, model="many"))
    assert client.stopped_at() == ("helper.py", 3, "'of the next save'")
    call.join(PATIENCE)
    client.close()


def test_debug_wait_starts_once_a_debugger_is_there(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "my_pipe.py").write_text(PLUGINS["my_pipe.py"])
    port = free_port()
    arguments = (f"--sandbox={request.config.getoption('--openwebui')}", f"--debug={port}", "--debug-wait")
    with Run(("plugins", *arguments, "--log-format", "json"), folder=tmp_path, environ=environ(tmp_path)) as run:
        until(lambda: is_listening(port), "the debugger's port is open", 300)
        assert run.of("sandbox") == []
        client = Client(port)
        client.attach({})
        assert run.wait_for("sandbox", 300)["debugger"] == port
        run.wait_for("created", 60, plugin="my_pipe")
        client.close()
        run.interrupt()
        assert f"waiting for a debugger: attach to 127.0.0.1:{port} (`owui-watch help debugging`)" in run.fails(0)


def is_listening(port: int) -> bool:
    """Return whether a debugger could connect, without connecting: debugpy takes a connection for a client."""
    return any(f":{port:04X} " in line and " 0A " in line for line in Path("/proc/net/tcp").read_text().splitlines())
