"""What ``in_server`` sees of a plugin, run here in this process as the server would run it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import json
import logging
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from owui_watch.sandbox.in_server import replacement
from owui_watch.sandbox.in_server.channel import Channel
from owui_watch.sandbox.in_server.methods import Methods
from owui_watch.sandbox.in_server.modules import Registry
from owui_watch.sandbox.in_server.output import Output
from tests.unit.virtual_loop import VirtualLoop

Record = dict[str, Any]
PATHS = {"function:x": "/home/me/plugins/x.py", "tool:x": "/home/me/plugins/clock.py"}
PLUGIN = '"""\ntitle: X\nversion: 1.2\n"""\n'


class Collected:
    """Stands for the channel: keeps what would be sent."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.texts: list[tuple[Record, str]] = []

    def put(self, record: Record) -> None:
        self.records.append(record)

    def write(self, key: object, head: Record, text: str) -> None:
        self.texts.append((head, text))


class Server:
    """Loads plugins as Open WebUI does, through the replaced ``exec``."""

    def __init__(self, paths: Path) -> None:
        self.now = 0.0
        self.sent = Collected()
        self.registry = Registry(str(paths))
        self.methods = Methods(self.registry, self.sent.put, clock=lambda: self.now)
        self._exec = replacement(self.registry, self.methods)

    def load(self, code: str, function_id: str = "x", kind: str = "Pipe") -> Any:
        """Return an object of the plugin's class."""
        module = types.ModuleType(f"function_{function_id}")
        self._exec(PLUGIN + code, module.__dict__)
        return getattr(module, kind)()

    def tool(self, code: str, tool_id: str = "x") -> Any:
        module = types.ModuleType(f"tool_{tool_id}")
        self._exec(PLUGIN + code, module.__dict__)
        return module.__dict__["Tools"]()

    @property
    def raised(self) -> list[Record]:
        return [record for record in self.sent.records if record["record"] == "raised"]

    def only(self) -> Record:
        """Return the one exception that was reported."""
        assert len(self.raised) == 1, self.raised
        json.dumps(self.raised[0])
        return self.raised[0]


@pytest.fixture
def server(tmp_path: Path) -> Server:
    paths = tmp_path / "paths.json"
    paths.write_text(json.dumps({name: {"path": path, "files": {}} for name, path in PATHS.items()}))
    return Server(paths)


@pytest.fixture
def installed(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the hooks of the process, for one test."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    number = getattr(signal, "SIGUSR1", signal.SIGTERM)
    before = signal.getsignal(number)
    server.methods.install()
    yield
    signal.signal(number, before)


def pipe(body: str, *, asynchronous: bool = False, top: str = "") -> str:
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return f"{top}\nclass Pipe:\n    {'async ' if asynchronous else ''}def pipe(self, body=None):\n{lines}"


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in virtual time: its sleeps cost nothing."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(coroutine)


def fails(call: Callable[[], Any], kind: type[BaseException] = ValueError) -> None:
    with pytest.raises(kind):
        call()


class TestRaised:
    def test_names_the_authors_file_line_and_source(self, server: Server) -> None:
        fails(server.load(pipe("raise ValueError('no such thing')")).pipe)
        record = server.only()
        assert (record["path"], record["line"], record["method"]) == ("/home/me/plugins/x.py", 8, "pipe")
        assert record["source"] == "        raise ValueError('no such thing')"
        assert (record["column"], record["type"], record["text"]) == (9, "ValueError", "no such thing")
        assert (record["plugin"], record["kind"], record["version"]) == ("x", "pipe", "1.2")

    def test_column_counts_characters(self, server: Server) -> None:
        fails(server.load(pipe("x = 'äöü' + {}['ß']")).pipe, KeyError)
        record = server.only()
        assert record["source"][record["column"] - 1 : record["end_column"] - 1] == "{}['ß']"

    def test_innermost_authors_frame_wins_over_libraries(self, server: Server) -> None:
        fails(server.load(pipe("import json\njson.loads('x')")).pipe)
        assert (server.only()["line"], server.only()["type"]) == (9, "json.decoder.JSONDecodeError")

    @pytest.mark.parametrize(
        ("code", "method"),
        [
            ("class Pipe:\n    def __init__(self): raise ValueError('x')", "__init__"),
            ("raise ValueError('x')", "<module>"),
        ],
    )
    def test_loading_is_watched_too(self, server: Server, code: str, method: str) -> None:
        fails(lambda: server.load(code))
        assert server.only()["method"] == method

    def test_generator_is_watched(self, server: Server) -> None:
        answer = server.load(pipe("yield 1\nraise ValueError('x')")).pipe()
        assert inspect.isgenerator(answer)
        fails(lambda: list(answer))
        assert server.only()["line"] == 9

    def test_async_generator_is_watched(self, server: Server) -> None:
        async def read() -> list[object]:
            answer = server.load(pipe("yield 1\nraise ValueError('x')", asynchronous=True)).pipe()
            assert inspect.isasyncgen(answer)
            return [item async for item in answer]

        fails(lambda: asyncio.run(read()))
        assert server.only()["line"] == 9

    def test_unawaited_task_is_reported(self, server: Server) -> None:
        code = pipe(
            "import asyncio\nself.task = asyncio.ensure_future(self.work())\nawait asyncio.sleep(0)", asynchronous=True
        )

        async def wait() -> None:
            plugin = server.load(code + "    async def work(self): raise ValueError('x')")
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            await plugin.pipe()
            await asyncio.sleep(60)

        run(wait())
        assert server.only()["line"] == 11

    def test_task_whose_error_is_handled_is_none(self, server: Server) -> None:
        body = "import asyncio\nreturn await asyncio.gather(self.work(), return_exceptions=True)"

        async def wait() -> None:
            plugin = server.load(pipe(body, asynchronous=True) + "    async def work(self): raise ValueError('x')")
            await plugin.pipe()
            await asyncio.sleep(60)

        run(wait())
        assert server.raised == []

    def test_each_exception_once_however_many_layers(self, server: Server) -> None:
        inner = server.load(pipe("raise ValueError('x')"), "inner")
        outer = server.load(pipe("return body()"), "outer")
        fails(lambda: outer.pipe(inner.pipe))
        assert server.only()["plugin"] == "inner"

    def test_same_object_raised_again_counts_again(self, server: Server) -> None:
        plugin = server.load(pipe("raise ERROR", top="ERROR = ValueError('x')"))
        fails(plugin.pipe)
        fails(plugin.pipe)
        assert len(server.raised) == 2

    def test_error_that_the_plugin_handles_is_none(self, server: Server) -> None:
        tools = server.tool(
            "class Tools:\n    def a(self):\n        raise ValueError('x')\n"
            "    def b(self):\n        try: self.a()\n        except ValueError: return 'fine'\n"
        )
        assert tools.b() == "fine"
        assert server.raised == []

    @pytest.mark.parametrize("intro", ["def", "async def"])
    def test_error_handled_by_the_plugins_generator_is_none(self, server: Server, intro: str) -> None:
        tools = server.tool(
            "class Tools:\n    def a(self):\n        raise ValueError('x')\n"
            f"    {intro} b(self):\n        try: self.a()\n        except ValueError: yield 'fine'\n"
        )

        async def read() -> list[object]:
            answer = tools.b()
            return [item async for item in answer] if inspect.isasyncgen(answer) else list(answer)

        assert asyncio.run(read()) == ["fine"]
        assert server.raised == []

    def test_generator_takes_what_is_sent_and_thrown(self, server: Server) -> None:
        body = "got = yield 1\ntry:\n    yield got\nexcept KeyError:\n    yield 'handled'\nreturn 'end'"
        answer = server.load(pipe(body)).pipe()
        assert [next(answer), answer.send("sent"), answer.throw(KeyError("k"))] == [1, "sent", "handled"]
        with pytest.raises(StopIteration, match="end"):
            next(answer)
        assert server.raised == []

    def test_closed_generator_runs_its_end(self, server: Server) -> None:
        ended: list[str] = []
        answer = server.load(pipe("try:\n    yield 1\nfinally:\n    body.append('end')")).pipe(ended)
        next(answer)
        answer.close()
        assert (ended, server.raised) == (["end"], [])

    def test_exception_goes_on_unchanged(self, server: Server) -> None:
        error = ValueError("x")
        plugin = server.load(pipe("raise body"))
        with pytest.raises(ValueError, match="x") as caught:
            plugin.pipe(error)
        assert caught.value is error
        assert error.__context__ is None

    def test_causes_are_described(self, server: Server) -> None:
        body = "try:\n    {}['k']\nexcept KeyError as error:\n    raise ValueError('x') from error"
        fails(server.load(pipe(body)).pipe)
        [cause] = server.only()["causes"]
        assert (cause["relation"], cause["type"], cause["frames"][-1]["line"]) == ("cause", "KeyError", 9)


METHODS = [
    ("Pipe", "pipe"),
    ("Pipe", "pipes"),
    ("Filter", "inlet"),
    ("Filter", "outlet"),
    ("Filter", "stream"),
    ("Action", "action"),
    ("Event", "event"),
    ("Tools", "anything"),
]
CODE = """
import asyncio
class {kind}:
    {intro} {method}(self, body=None):
        {body}
    async def fail(self):
        raise ValueError('x')
"""
RAISES = "raise ValueError('x')"
START_TASK = "self.task = asyncio.ensure_future(self.fail()); await asyncio.sleep(0)"
WAYS = {
    "method": ("def", RAISES),
    "async method": ("async def", RAISES),
    "generator": ("def", f"yield 1; {RAISES}"),
    "async generator": ("async def", f"yield 1; {RAISES}"),
    "task": ("async def", START_TASK),
    "task of an async generator": ("async def", f"{START_TASK}; yield 1"),
}


class TestEveryKindAndWay:
    """Each exception is reported once, with the author's line and a caret, whatever method of whatever kind raises it."""

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize(("kind", "method"), METHODS)
    def test_raised_once_with_line_and_caret(self, server: Server, kind: str, method: str, way: str) -> None:
        intro, body = WAYS[way]
        code = CODE.format(kind=kind, method=method, intro=intro, body=body)
        plugin = server.tool(code) if kind == "Tools" else server.load(code, kind=kind)
        run(self.call(getattr(plugin, method)))
        record = server.only()
        where = "tool" if kind == "Tools" else kind.lower()
        assert (record["plugin"], record["kind"], record["method"]) == ("x", where, method)
        assert record["path"] == PATHS["tool:x" if kind == "Tools" else "function:x"]
        text = (PLUGIN + code).splitlines()[record["line"] - 1]
        assert record["source"] == text
        assert text[record["column"] - 1 : record["end_column"] - 1] == RAISES

    @pytest.mark.parametrize("kind", ["Pipe", "Filter", "Action", "Event", "Tools"])
    def test_constructor_is_watched(self, server: Server, kind: str) -> None:
        code = f"class {kind}:\n    def __init__(self):\n        {RAISES}\n"
        fails(lambda: server.tool(code) if kind == "Tools" else server.load(code, kind=kind))
        record = server.only()
        assert (record["method"], record["line"]) == ("__init__", 7)
        assert record["source"][record["column"] - 1 : record["end_column"] - 1] == RAISES

    async def call(self, method: Callable[[], Any]) -> None:
        """Call a method as the server does, read its whole result, and wait for what its task raises."""
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        with contextlib.suppress(ValueError):
            result = method()
            if inspect.isawaitable(result):
                result = await result
            if inspect.isasyncgen(result):
                async for _ in result:
                    pass
            elif inspect.isgenerator(result):
                list(result)
        await asyncio.sleep(60)  # a second report would come by now


class TestOddExceptions:
    def test_str_that_raises(self, server: Server) -> None:
        top = "class Odd(Exception):\n    def __str__(self): raise RuntimeError('no')\n"
        fails(server.load(pipe("raise Odd()", top=top)).pipe, Exception)
        assert server.only()["text"] == "<its str() raised RuntimeError>"

    @pytest.mark.parametrize(
        "top",
        [
            "class Odd(ValueError):\n    def __getattribute__(self, name): raise SystemExit(name)\n",
            "class Odd(ValueError):\n    __cause__ = __context__ = __traceback__ = property(lambda self: exit())\n",
            "class Meta(type):\n    def __getattribute__(kind, name): raise SystemExit(name)\n"
            "class Odd(ValueError, metaclass=Meta): pass\n",
            "class Odd(ValueError):\n    __slots__ = ()\n    __setattr__ = __eq__ = __hash__ = None\n",
            "class Odd(ExceptionGroup, ValueError):\n    exceptions = property(lambda self: exit())\n"
            "    def __new__(kind): return super().__new__(kind, 'odd', [KeyError(1)])\n    def __init__(self): pass\n",
        ],
        ids=["attributes", "causes", "metaclass", "slots", "group"],
    )
    def test_class_whose_attributes_raise(self, server: Server, top: str) -> None:
        fails(server.load(pipe("raise Odd()", top=top)).pipe)
        assert server.only()["type"] == "Odd"
        assert server.only()["source"].strip() == "raise Odd()"

    @pytest.mark.parametrize(
        "body",
        [
            "exec(compile('1/0', '<made>', 'exec'), globals())",
            "eval('1/0', globals())",
        ],
    )
    def test_of_generated_code_are_placed_in_a_file(self, server: Server, body: str) -> None:
        fails(server.load(pipe(body)).pipe, ZeroDivisionError)
        assert server.only()["path"] == "/home/me/plugins/x.py"
        assert server.only()["source"].strip() in body

    def test_notes_follow_the_text(self, server: Server) -> None:
        body = "error = ValueError('no')\nerror.add_note('try this')\nerror.add_note('or that')\nraise error"
        fails(server.load(pipe(body)).pipe)
        assert server.only()["text"] == "no\ntry this\nor that"

    @pytest.mark.parametrize("notes", ["5", "[5, 'one']", "['x' * 10_000] * 10_000", "'text'"])
    def test_odd_notes_do_not_hide_the_error(self, server: Server, notes: str) -> None:
        fails(server.load(pipe(f"error = ValueError('no')\nerror.__notes__ = {notes}\nraise error")).pipe)
        assert server.only()["text"].startswith("no")
        assert len(server.only()["text"]) < 20_000

    @pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "BaseException"])
    def test_base_exceptions_are_reported_too(self, server: Server, name: str) -> None:
        fails(server.load(pipe(f"raise {name}('x')")).pipe, BaseException)
        assert server.only()["type"] == name

    def test_cancellation_is_no_error(self, server: Server) -> None:
        plugin = server.load(pipe("import asyncio\nraise asyncio.CancelledError()"))
        fails(plugin.pipe, asyncio.CancelledError)
        assert server.raised == []

    def test_group_names_its_exceptions(self, server: Server) -> None:
        fails(server.load(pipe("raise ExceptionGroup('two', [ValueError('a'), KeyError('b')])")).pipe, ExceptionGroup)
        assert [cause["type"] for cause in server.only()["causes"]] == ["ValueError", "KeyError"]

    def test_recursion_is_cut(self, server: Server) -> None:
        fails(server.load(pipe("return deep()", top="def deep(): return deep()")).pipe, RecursionError)
        record = server.only()
        assert len(record["frames"]) == 40
        assert any(frame.get("left_out", 0) > 100 for frame in record["frames"])

    def test_cycle_of_causes_ends(self, server: Server) -> None:
        body = "a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a"
        fails(server.load(pipe(body)).pipe)
        assert [cause["text"] for cause in server.only()["causes"]] == ["b"]

    def test_exception_without_a_dict_of_its_own(self, server: Server) -> None:
        top = "class Odd(Exception):\n    __dict__ = property(lambda self: 1 / 0)\n"
        fails(server.load(pipe("raise Odd('x')", top=top)).pipe, Exception)
        assert server.only()["type"] == "Odd"


class TestSignatures:
    def test_stay_as_they_are(self, server: Server) -> None:
        code = "class Tools:\n    async def at(self, zone: str, count: int = 3, __user__: dict = {}) -> str:\n        '''Doc.'''\n"
        tools = server.tool(code)
        assert str(inspect.signature(tools.at)) == "(zone: 'str', count: 'int' = 3, __user__: 'dict' = {}) -> 'str'"
        assert inspect.iscoroutinefunction(tools.at)
        assert (tools.at.__doc__, tools.at.__name__) == ("Doc.", "at")

    def test_static_and_class_methods_work(self, server: Server) -> None:
        code = "class Tools:\n    @staticmethod\n    def a(x): return x\n    @classmethod\n    def b(cls): return cls.__name__\n"
        tools = server.tool(code)
        assert (tools.a(3), tools.b()) == (3, "Tools")

    def test_future_flags_of_the_server_hold(self, server: Server) -> None:
        """``exec`` of a text takes over the caller's; this file has ``annotations``."""
        tools = server.tool("class Tools:\n    def a(self, x: Undefined): pass\n")
        assert tools.a.__annotations__ == {"x": "Undefined"}

    def test_cost_of_a_call_is_below_50_us(self, server: Server) -> None:
        plugin = server.load(pipe("return 1"))
        calls = 2000
        best = min(_seconds(plugin.pipe, calls) for _ in range(5))
        assert best / calls < 50e-6


def _seconds(call: Callable[[], Any], times: int) -> float:
    """Return the processor time of this thread alone: others may keep the machine busy."""
    began = time.thread_time()
    for _ in range(times):
        call()
    return time.thread_time() - began


class TestThreads:
    @pytest.mark.usefixtures("installed")
    def test_what_ends_a_thread_is_reported(self, server: Server) -> None:
        plugin = server.load(pipe("import threading\nthreading.Thread(target=work).start()", top="def work(): 1 / 0"))
        before = set(threading.enumerate())
        plugin.pipe()
        for thread in set(threading.enumerate()) - before:
            thread.join()
        assert server.only()["line"] == 5

    def test_thread_of_an_earlier_save_is_outdated(self, server: Server) -> None:
        old = server.load(pipe("raise ValueError('x')"))
        new = server.load(pipe("return 1"))
        new.pipe()
        fails(old.pipe)
        assert server.only()["outdated"]

    def test_code_that_was_refused_outdates_nothing(self, server: Server) -> None:
        live = server.load(pipe("raise KeyError('x')"))
        fails(lambda: server.load("class Pipe:\n    def __init__(self): raise ValueError('x')"))
        server.sent.records.clear()
        fails(live.pipe, KeyError)
        assert not server.only()["outdated"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.usefixtures("installed")
class TestBlockedServer:
    def test_call_that_blocks_is_ended(self, server: Server) -> None:
        code = pipe("while True: body.set()")  # no sleep: one that begins just after the signal runs to its end
        entered = threading.Event()

        def interrupt() -> None:
            entered.wait(10)
            server.now += 1.5  # a call may take a second
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            fails(lambda: server.load(code).pipe(entered), asyncio.CancelledError)
        finally:
            thread.join()
        [record] = server.sent.records
        assert (record["record"], record["plugin"], record["method"]) == ("blocked", "x", "pipe")
        assert (record["path"], record["line"]) == (PATHS["function:x"], 8)

    def test_short_call_goes_on(self, server: Server) -> None:
        signal_itself = "import signal\nsignal.raise_signal(signal.SIGUSR1)\nreturn 'done'"
        assert server.load(pipe(signal_itself)).pipe() == "done"
        assert server.sent.records == []

    def test_server_without_a_call_goes_on(self, server: Server) -> None:
        signal.raise_signal(signal.SIGUSR1)
        assert server.sent.records == []


@contextmanager
def observed(server: Server) -> Iterator[None]:
    """Standard output as the server's; a fixture can't replace it, since pytest puts its own back for each test."""
    real, handlers = sys.stdout, logging.Logger.callHandlers
    errors, dunder = sys.stderr, (sys.__stdout__, sys.__stderr__)
    sys.stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    installed = Output(server.sent, server.registry)  # type: ignore[arg-type]
    installed.install()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = real, errors
        sys.__stdout__, sys.__stderr__ = dunder  # type: ignore[misc]
        logging.Logger.callHandlers = handlers  # type: ignore[method-assign]


class TestPrinted:
    def test_text_is_attributed_to_the_code_that_wrote(self, server: Server) -> None:
        with observed(server):
            server.load(pipe("print('hello')")).pipe()
            print("not a plugin's")
        assert "".join(text for _, text in server.sent.texts) == "hello\n"
        head = server.sent.texts[0][0]
        assert (head["plugin"], head["line"], head["method"], head["stream"]) == ("x", 8, "pipe", "stdout")

    def test_library_that_a_plugin_calls_writes_for_it(self, server: Server) -> None:
        with observed(server):
            server.load(pipe("import pprint\npprint.pprint({})")).pipe()
        assert "".join(text for _, text in server.sent.texts) == "{}\n"

    def test_standard_error_too(self, server: Server) -> None:
        with observed(server):
            server.load(pipe("import sys\nprint('x', file=sys.stderr)")).pipe()
        assert server.sent.texts[0][0]["stream"] == "stderr"

    def test_flood_is_capped_and_says_so(self, server: Server) -> None:
        with observed(server):
            server.load(pipe("for n in range(20_000): print(n)")).pipe()
        assert len(server.sent.texts) < 5_000
        assert any(record["record"] == "left_out" for record in server.sent.records)

    def test_endless_line_is_capped(self, server: Server) -> None:
        with observed(server):
            server.load(pipe("for _ in range(10_000): print('x' * 1_000, end='')")).pipe()
        assert sum(len(text) for _, text in server.sent.texts) < 60_000
        assert any(record["record"] == "left_out" for record in server.sent.records)

    def test_flood_of_one_plugin_silences_no_other(self, server: Server) -> None:
        with observed(server):
            server.load(pipe("for n in range(20_000): print(n)"), "loud").pipe()
            server.load(pipe("print('quiet')"), "calm").pipe()
        assert next(text for head, text in server.sent.texts if head["plugin"] == "calm") == "quiet"

    def test_thread_of_an_earlier_save_keeps_its_version(self, server: Server) -> None:
        with observed(server):
            old = server.load(pipe("print('old')"))
            server.tool("class Tools:\n    def a(self): print('other')\n").a()
            server.load(pipe("return 1"))
            old.pipe()
        outdated = {text: head["outdated"] for head, text in server.sent.texts if text.strip()}
        assert outdated == {"other": False, "old": True}

    def test_str_that_raises_is_still_logged(self, server: Server) -> None:
        top = "import logging\nclass Odd(Exception):\n    def __str__(self): raise RuntimeError('no')\n"
        body = "try: raise Odd()\nexcept Odd: logging.getLogger('mine').exception('oh')"
        with observed(server):
            server.load(pipe(body, top=top)).pipe()
        assert [text for _, text in server.sent.texts] == ["oh\n", "Odd: <its str() raised RuntimeError> (line 11)\n"]

    def test_ten_megabytes_in_one_write_are_cut(self, server: Server) -> None:
        with observed(server):
            server.load(pipe("print('x' * 10_000_000)")).pipe()
        assert sum(len(text) for _, text in server.sent.texts) < 20_000

    def test_log_record_has_level_and_logger(self, server: Server) -> None:
        top = "import logging\nlog = logging.getLogger('mine')"
        with observed(server):
            server.load(pipe("log.warning('no %s', 'x')", top=top)).pipe()
        [(head, text)] = server.sent.texts
        assert (head["level"], head["logger"], head["stream"], text) == ("WARNING", "mine", "log", "no x\n")

    def test_logged_exception_names_its_line(self, server: Server) -> None:
        top = "import logging\nlog = logging.getLogger('mine')"
        with observed(server):
            server.load(pipe("try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('oh')", top=top)).pipe()
        assert [text for _, text in server.sent.texts] == ["oh\n", "ZeroDivisionError: division by zero (line 10)\n"]

    def test_what_a_library_logs_is_not_the_plugins(self, server: Server) -> None:
        with observed(server):
            server.load(pipe("import asyncio\nasyncio.log.logger.warning('x')")).pipe()
        server.sent.texts.clear()
        library = types.ModuleType("library")
        exec("import logging\ndef say(): logging.getLogger('library').warning('x')", library.__dict__)
        with observed(server):
            server.load(pipe("body()")).pipe(library.__dict__["say"])
        assert server.sent.texts == []


class Owner:
    """owui-watch's end of a channel."""

    def __init__(self) -> None:
        import socket

        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def lines(self, count: int) -> list[Any]:
        connection, _ = self._listener.accept()
        connection.settimeout(5)
        with connection, connection.makefile("rb") as file, self._listener:
            assert file.readline() == b"secret\n"
            return [json.loads(file.readline()) for _ in range(count)]


class TestChannel:
    @pytest.mark.parametrize(
        ("written", "lines"),
        [
            (["one\ntwo\n"], ["one", "two"]),
            (["on", "e", "\n", "two\n"], ["one", "two"]),
            (["without an end"], ["without an end"]),
            (["x" * 5_000, "y" * 5_000, "\n", "next\n"], ["x" * 2_000, "next"]),
        ],
    )
    def test_sends_text_line_by_line(self, written: list[str], lines: list[str]) -> None:
        owner = Owner()
        channel = Channel(owner.port, "secret")
        for text in written:
            channel.write("key", {"record": "printed"}, text)
        assert [record["text"] for record in owner.lines(len(lines))] == lines
        channel.close()

    def test_never_blocks_without_a_reader(self) -> None:
        channel = Channel(1, "secret")
        for _ in range(20_000):
            channel.put({"record": "raised"})
        channel.close()
