"""From a record of the sandbox to the line that a person reads. A plugin may have written the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.reporting.events import Event, Warned
from owui_watch.reporting.log import start_reporting
from owui_watch.reporting.redaction import Secrets
from owui_watch.reporting.runtime_events import Printed, Raised, Traceback
from owui_watch.runtime.sandbox_messages import events_of
from tests.unit.reporting.outputs import Recorded

FRAME = {"path": "/p/x.py", "line": 3, "function": "helper", "author": True, "source": "    return a[b]", "column": 12}
RAISED = {
    "record": "raised",
    "plugin": "x",
    "space": "function",
    "kind": "pipe",
    "method": "pipe",
    "path": "/p/x.py",
    "line": 3,
    "column": 12,
    "source": "    return a[b]",
    "type": "KeyError",
    "text": "'b'",
    "frames": [{**FRAME, "line": 9, "function": "Pipe.pipe", "source": "helper()"}, FRAME],
}
PRINTED = {"record": "printed", "plugin": "x", "kind": "pipe", "path": "/p/x.py", "line": 3, "stream": "stdout"}


def events(record: dict[str, Any]) -> list[Event]:
    return events_of(json.dumps(record).encode(), lambda _space, _plugin: None)


def shown(*told: Event, secrets: tuple[str, ...] = (), json: bool = False) -> str:
    stream = Recorded()
    reporter = start_reporting(stream, json=json, colours=False, threshold=10, cwd=Path("/p"), secrets=Secrets(secrets))
    for event in told:
        reporter.report(event)
    return stream.text()


class TestRaised:
    def test_line_has_place_source_and_caret(self) -> None:
        text = shown(*events(RAISED))
        assert text.splitlines()[0][10:] == "raised    pipe    x.pipe  KeyError: 'b'"
        assert [line.strip() for line in text.splitlines()[1:]] == [
            "x.py:3",
            "3 │     return a[b]",
            "│            ^",
            "called from x.py:9 in Pipe.pipe  │ helper()",
        ]

    def test_json_has_the_frames(self) -> None:
        line = json.loads(shown(*events(RAISED), json=True))
        assert (line["event"], line["path"], line["line"], line["error"]) == ("raised", "x.py", 3, "KeyError: 'b'")
        assert [frame["line"] for frame in line["frames"]] == [9, 3]

    def test_frames_of_the_server_are_for_verbose(self) -> None:
        server = {**FRAME, "author": False, "path": "/usr/lib/starlette.py"}
        raised, traceback = events({**RAISED, "frames": [server, FRAME]})
        assert isinstance(raised, Raised)
        assert len(raised.frames) == 1
        assert isinstance(traceback, Traceback)
        assert (traceback.level, len(traceback.frames)) == ("debug", 2)

    def test_outdated_code_says_so(self) -> None:
        text = shown(*events({**RAISED, "outdated": True, "version": "1.2"}))
        assert "raised by the code of an earlier save, version 1.2" in text

    def test_causes_are_shown(self) -> None:
        cause = {"relation": "cause", "type": "OSError", "text": "gone", "frames": [{**FRAME, "line": 5}]}
        text = shown(*events({**RAISED, "causes": [cause]}))
        assert "caused by OSError: gone" in text
        assert "x.py:5" in text

    def test_secret_in_a_frame_is_hidden(self) -> None:
        secret = "sk-very-secret"
        frame = {**FRAME, "line": 9, "source": f"key = '{secret}'"}
        for form in (True, False):
            assert secret not in shown(*events({**RAISED, "frames": [frame, FRAME]}), secrets=(secret,), json=form)


class TestPrinted:
    def test_line_has_text_and_place(self) -> None:
        assert shown(*events({**PRINTED, "text": "hello"}))[10:] == "printed   pipe    x  hello  (x.py:3)\n"

    def test_escape_codes_are_not_written(self) -> None:
        assert "\x1b" not in shown(*events({**PRINTED, "text": "\x1b[31mred\x07\r\x1b]0;title\x07"}))

    def test_cut_line_ends_in_an_ellipsis(self) -> None:
        assert "hello…" in shown(*events({**PRINTED, "text": "hello", "cut": True}))

    def test_log_record_shows_its_level(self) -> None:
        assert "x  ERROR  oh" in shown(*events({**PRINTED, "text": "oh", "level": "ERROR", "logger": "mine"}))


SECRET = "a-password-of-the-sandbox"


class TestSecrets:
    """A plugin can read its server's environment and its requests: what it says of them is hidden."""

    @pytest.mark.parametrize("form", [True, False])
    @pytest.mark.parametrize(
        "record",
        [
            {**RAISED, "text": f"no access with {SECRET}"},
            {**RAISED, "type": f"Error_{SECRET}"},
            {**RAISED, "source": f"    key = '{SECRET}'"},
            {**RAISED, "method": SECRET},
            {**RAISED, "path": f"/p/{SECRET}.py"},
            {**RAISED, "frames": [{**FRAME, "source": f"open('{SECRET}')", "function": SECRET}, FRAME]},
            {**RAISED, "causes": [{"relation": "group", "type": "OSError", "text": SECRET, "frames": [FRAME]}]},
            {**PRINTED, "text": f"the password is {SECRET}!"},
            {**PRINTED, "text": f"{'x' * 3_000} {SECRET[:12]}", "cut": True},
            {**PRINTED, "text": f"\x1b[31m{SECRET}\x1b[0m"},
            {**PRINTED, "text": "x", "logger": SECRET, "level": "INFO"},
            {**PRINTED, "text": "x", "method": SECRET},
        ],
    )
    def test_are_hidden_wherever_they_stand(self, record: dict[str, Any], form: bool) -> None:
        text = shown(*events(record), secrets=(SECRET,), json=form)
        assert SECRET[:12] not in text
        assert text.strip()


class TestWarnings:
    def test_of_a_blocked_server_name_the_line(self) -> None:
        place = {"path": "/p/x.py", "line": 7, "method": "pipe", "seconds": 12}
        [event] = events({"record": "blocked", "plugin": "x", "kind": "pipe", **place})
        assert isinstance(event, Warned)
        assert event.error == "pipe blocked Open WebUI for 12 s; its call was ended, because a save waits"
        assert (event.plugin, event.path, event.line) == ("x", Path("/p/x.py"), 7)

    def test_of_text_left_out_count_the_writes(self) -> None:
        [event] = events({"record": "left_out", "plugin": "x", "kind": "pipe", "count": 1234})
        assert isinstance(event, Warned)
        assert event.error == "1,234 more writes were left out"


_VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()) | st.just({"a": 1})


class TestRecords:
    @pytest.mark.parametrize("line", [b"", b"[]", b"{", b"null", b"[" * 100_000, b"\xff\xfe", b'{"record": "other"}'])
    def test_that_are_none_report_nothing(self, line: bytes) -> None:
        assert events_of(line, lambda _space, _plugin: None) == []

    @given(st.sampled_from([RAISED, PRINTED]), st.sampled_from(sorted(RAISED)), _VALUES)
    def test_with_a_field_of_another_type_break_nothing(self, record: dict[str, Any], name: str, value: Any) -> None:
        told = events({**record, name: value})
        shown(*told)
        shown(*told, json=True)
        assert all(isinstance(event, Raised | Printed | Traceback | Warned) for event in told)


class TestPluginsOfManyFiles:
    def test_frame_in_a_helper_names_the_authors_file(self, tmp_path: Path) -> None:
        helper = tmp_path / "pipes" / "many" / "helper.py"
        helper.parent.mkdir(parents=True)
        helper.write_text("1 / 0\n")
        frame = {"path": "many/helper.py", "line": 1, "function": "divide", "author": True}
        record = {"record": "raised", "space": "function", "plugin": "many", "path": "many/helper.py", "line": 1}
        line = json.dumps(record | {"frames": [frame], "type": "ZeroDivisionError"}).encode()
        [raised] = events_of(line, lambda _space, _plugin: helper.with_name("main.py"))
        assert isinstance(raised, Raised)
        assert (raised.path, raised.line, raised.frames[0].path) == (helper, 1, helper)
