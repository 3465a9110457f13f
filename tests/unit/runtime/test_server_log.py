"""Errors of plugins from a server's log: what is found in it, whose line it is, and that no input breaks the watch."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.reporting.runtime_events import Raised
from owui_watch.runtime.server_log.attribution import Source, SourceFile, raised_by
from owui_watch.runtime.server_log.tail import file_lines, stream_lines
from owui_watch.runtime.server_log.tracebacks import LoggedError, LogParser

PLUGIN = """class Filter:
    def inlet(self, body):
        return helper(body)

def helper(body):
    raise ValueError("no such thing")
"""
HEAD = "2026-11-27 10:00:00.000 | ERROR    | open_webui.utils.filter:process:204 - Error in inlet filter my_filter"
STACK = """Traceback (most recent call last):
  File "/app/open_webui/utils/filter.py", line 199, in process_filter_function
    form_data = await run_filter_handler(handler, params)
                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
> File "/app/open_webui/utils/filter.py", line 161, in run_filter_handler
    return handler(**params)
  File "<string>", line 3, in inlet
  File "<string>", line 6, in helper
ValueError: no such thing"""
NEXT = "2026-11-27 10:00:01.000 | INFO     | uvicorn:send:482 - GET /health HTTP/1.1 200"


def errors(text: str) -> list[LoggedError]:
    parser = LogParser()
    found = [error for line in text.split("\n") for error in parser.feed(line)]
    return [*found, *parser.flush()]


def source(
    plugin: str = "my_filter", content: str = PLUGIN, *, kind: str = "filter", deployed: bool | None = True
) -> Source:
    path = Path(f"/p/{plugin}.py")
    return Source(plugin, kind, path, {None: SourceFile(path, content)}, "1.0", deployed)


def only(text: str, *sources: Source) -> Raised:
    [error] = errors(text)
    raised = raised_by(error, sources or [source()])
    assert raised is not None
    return raised


class TestFormats:
    def test_exception_in_text_is_read(self) -> None:
        raised = only("\n".join((HEAD, STACK, NEXT)))
        assert (raised.plugin, raised.kind, raised.method, raised.line) == ("my_filter", "filter", "inlet", 6)
        assert (raised.error, raised.source) == ("ValueError: no such thing", '    raise ValueError("no such thing")')
        assert [frame.line for frame in raised.frames] == [3, 6]
        assert raised.note is None

    def test_exception_in_json_is_read(self) -> None:
        entry = {"level": "error", "msg": "Error in inlet filter my_filter", "caller": "open_webui.utils.filter:x:1"}
        line = json.dumps({**entry, "error": {"type": "ValueError", "stacktrace": STACK}})
        assert only(f"{line}\n{NEXT}").line == 6

    @pytest.mark.parametrize(
        "margin", ["open-webui-1  | ", "Nov 27 10:00:00 host open-webui[4711]: ", "2026-11-27T10:00:00Z stdout F "]
    )
    def test_what_tools_put_before_each_line(self, margin: str) -> None:
        lines = "\n".join((HEAD, STACK, NEXT)).split("\n")
        assert only("\n".join(margin + line for line in lines)).line == 6

    def test_servers_python_dash_c_is_no_frame(self) -> None:
        stack = STACK.replace("call last):\n", 'call last):\n  File "<string>", line 1, in <module>\n')
        assert [frame.line for frame in only(f"{HEAD}\n{stack}").frames] == [3, 6]

    def test_chain_is_one_error(self) -> None:
        first = STACK.replace("ValueError: no such thing", "KeyError: 'x'")
        text = f"{first}\n\nDuring handling of the above exception, another exception occurred:\n\n{STACK}\n{NEXT}"
        raised = only(text)
        assert raised.error == "ValueError: no such thing"
        assert [cause.error for cause in raised.causes] == ["KeyError: 'x'"]

    def test_traceback_of_the_server_itself_is_none(self) -> None:
        assert errors('Traceback (most recent call last):\n  File "/app/x.py", line 3, in y\nValueError: x\n') == []


class TestWhose:
    def test_log_without_a_plugin_goes_by_the_code(self) -> None:
        other = source("other", "def other():\n    pass\n")
        assert only(STACK, other, source()).plugin == "my_filter"

    def test_name_in_the_log_decides_between_equals(self) -> None:
        assert only(f"{HEAD}\n{STACK}", source("twin"), source()).plugin == "my_filter"

    def test_doubt_is_said(self) -> None:
        assert only(STACK, source("a"), source("b")).note == "it may also be b: the log does not name the plugin"

    def test_module_name_names_the_plugin(self) -> None:
        head = f"| ERROR | function_my_filter_{'0' * 32}:act:22 - Task exception was never retrieved\nfuture: <Task x>"
        assert only(f"{head}\n{STACK}", source("twin"), source()).plugin == "my_filter"

    def test_changed_file_says_so(self) -> None:
        assert "has changed since it was deployed" in (only(STACK, source(deployed=False)).note or "")

    def test_plugin_that_is_not_ours_says_so(self) -> None:
        assert "did not deploy" in (only(STACK, source(deployed=None)).note or "")

    def test_file_without_such_lines_has_no_line(self) -> None:
        raised = only(f"{HEAD}\n{STACK}", source(content="class Filter:\n    pass\n"))
        assert raised.line is None
        assert "the server runs other code" in (raised.note or "")

    def test_error_of_a_plugin_elsewhere_reports_nothing(self) -> None:
        [error] = errors(STACK)
        assert raised_by(error, [source("other", "x = 1\n")]) is None


class TestPluginsOfManyFiles:
    HELPER = "import json\n\n\ndef read(text):\n    return json.loads(text)\n"
    MAIN = "from .helper import read\n\n\nclass Filter:\n    def inlet(self, body):\n        return read('{')\n"
    STACK = """Traceback (most recent call last):
  File "/app/open_webui/utils/filter.py", line 199, in process_filter_function
    form_data = await run_filter_handler(handler, params)
  File "many/main.py", line 6, in inlet
    return read('{')
  File "many/helper.py", line 5, in read
    return json.loads(text)
  File "/usr/lib/python3.11/json/__init__.py", line 346, in loads
    return _default_decoder.decode(s)
owui_filter_0.many.helper.WrongError: Expecting value"""

    def source(self, folder: str = "/p", *, helper: str = HELPER) -> Source:
        files: dict[str | None, SourceFile] = {
            "many/main.py": SourceFile(Path(folder, "many/main.py"), self.MAIN),
            "many/helper.py": SourceFile(Path(folder, "many/helper.py"), helper),
        }
        return Source("many", "filter", files["many/main.py"].path, files, "1.0", deployed=True)

    def test_frames_are_in_the_helpers(self) -> None:
        raised = only(f"{HEAD}\n{self.STACK}\n{NEXT}", source(), self.source())
        assert (raised.plugin, raised.method) == ("many", "inlet")
        assert (raised.path, raised.line, raised.source) == (
            Path("/p/many/helper.py"),
            5,
            "    return json.loads(text)",
        )
        assert [(frame.path.name, frame.line) for frame in raised.frames] == [("main.py", 6), ("helper.py", 5)]

    def test_exception_in_json_names_its_module(self) -> None:
        line = json.dumps({"level": "error", "msg": "x", "caller": "y", "error": {"stacktrace": self.STACK}})
        assert only(line, self.source()).path == Path("/p/many/helper.py")

    def test_the_loaders_frames_are_left_out(self) -> None:
        stack = self.STACK.replace(
            '  File "many/main', '  File "<string>", line 900, in import_\n    x\n  File "many/main'
        )
        assert [frame.line for frame in only(stack, source(), self.source()).frames] == [6, 5]

    def test_exceptions_class_has_its_authors_name(self) -> None:
        stack = self.STACK.replace("owui_filter_0.", f"owui_function_many_{'0' * 10}.")
        assert only(stack, self.source()).error == "many.helper.WrongError: Expecting value"

    def test_a_loggers_name_names_the_plugin(self) -> None:
        other = replace(self.source("/other"), plugin="other")
        head = f"| ERROR | owui_function_many_{'0' * 10}x.many.helper:read:5 - it failed"
        raised = only(f"{head}\n{self.STACK}", other, self.source())
        assert (raised.plugin, raised.note) == ("many", None)

    def test_other_code_than_the_file(self) -> None:
        raised = only(f"| ERROR | function_many:x:1 - failed\n{self.STACK}", self.source(helper="x = 1\n"))
        assert (raised.line, raised.path) == (None, Path("/p/many/main.py"))
        assert "many/helper.py, line 5 of the traceback does not match it" in (raised.note or "")


class TestOddInput:
    @given(st.lists(st.sampled_from([*STACK.split("\n"), HEAD, "", "{", '{"error": 3}', "\x00\xff", "|"])))
    def test_no_order_of_lines_breaks_it(self, lines: list[str]) -> None:
        for error in errors("\n".join(lines)):
            raised_by(error, [source()])

    def test_traceback_that_never_ends_is_left(self) -> None:
        endless = "Traceback (most recent call last):\n" + "  more\n" * 5_000
        [error] = errors(f"{endless}{NEXT}\n{HEAD}\n{STACK}")
        assert error.error == "ValueError: no such thing"

    def test_endless_line_on_standard_input_is_bounded(self) -> None:
        read, write = os.pipe()

        def fill() -> None:
            with os.fdopen(write, "wb") as stream:
                for _ in range(50):
                    stream.write(b"x" * 100_000)
                stream.write(b"\nlast\n")

        writer = threading.Thread(target=fill)
        writer.start()
        with os.fdopen(read, "rb") as stream:
            lines = [line for line in stream_lines(stream, lambda _: None) if line is not None]
        writer.join()
        assert lines[-1] == "last"
        assert len(lines[0]) <= 200_000


def _end_after(lines: Iterator[str | None], count: int) -> list[str]:
    """Return the first lines; the iterator's own ``ended`` bounds the wait."""
    found: list[str] = []
    for line in lines:
        if line is not None:
            found.append(line)
        if len(found) == count:
            break
    return found


class TestFile:
    def follow(self, path: Path, act: list[Callable[[], object]], count: int) -> list[str]:
        """Read ``path``, with one action at each pause."""
        pauses = iter(act)
        left = [200]

        def pause(_seconds: float) -> None:
            left[0] -= 1
            next(pauses, lambda: None)()

        return _end_after(file_lines(path, lambda: left[0] < 0, pause), count)

    def test_only_what_is_added_is_read(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        log.write_text("old\n")
        assert self.follow(log, [lambda: log.write_text("old\nnew\n")], 1) == ["new"]

    def test_rotated_file_is_read_from_its_start(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        log.write_text("old\n")

        def rotate() -> None:
            log.rename(tmp_path / "log.1")
            log.write_text("first\n")

        assert self.follow(log, [rotate], 1) == ["first"]

    def test_truncated_file_is_read_from_its_start(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        log.write_text("a long old line\n")
        assert self.follow(log, [lambda: log.write_text("x\n")], 1) == ["x"]

    def test_file_may_come_later(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        first: list[Callable[[], object]] = [lambda: log.write_text(""), lambda: log.write_text("x\n")]
        assert self.follow(log, first, 1) == ["x"]

    def test_binary_is_text_with_marks(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        log.write_bytes(b"")
        assert self.follow(log, [lambda: log.write_bytes(b"\xff\xfe\n")], 1) == ["\ufffd\ufffd"]
