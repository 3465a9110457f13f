"""From events to lines: the golden texts, structlog's event dicts, and what no line may hold."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from owui_watch.plugins.model import Diagnostic, Kind
from owui_watch.reporting import command_events, events, runtime_events
from owui_watch.reporting.console import duration, render
from owui_watch.reporting.events import Created, Event, Missing, Note, Rejection, Waiting, Warned, Watching
from owui_watch.reporting.log import RequestLog, start_reporting
from owui_watch.reporting.redaction import Secrets
from tests.unit.reporting.golden import CWD, FILE, GOLDEN, URL
from tests.unit.reporting.outputs import Recorded

CANARY = "sk-canary0123456789"
LEVELS = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR]
_IDS = [event.event for event, *_ in GOLDEN]
EVERY = pytest.mark.parametrize("event", [event for event, *_ in GOLDEN], ids=_IDS)
EVERY_TEXT = pytest.mark.parametrize(("event", "text"), [(event, text) for event, text, _ in GOLDEN], ids=_IDS)
EVERY_OBJECT = pytest.mark.parametrize(("event", "fields"), [(event, fields) for event, _, fields in GOLDEN], ids=_IDS)
WIDTHS = pytest.mark.parametrize("width", [40, 60, 80, 120])


def said(
    *events: Event,
    json: bool = False,
    colours: bool = False,
    threshold: int = logging.DEBUG,
    secrets: tuple[str, ...] = (),
    width: int | None = None,
) -> str:
    """Return what a reporter writes for these events."""
    output = Recorded(width)
    reporter = start_reporting(
        output, json=json, colours=colours, threshold=threshold, cwd=CWD, secrets=Secrets(secrets)
    )
    for event in events:
        reporter.report(event)
    return output.text()


class TestEventDicts:
    """What the reporter gives to structlog."""

    def dicts(self, *events: Event) -> list[Any]:
        reporter = start_reporting(Recorded(), json=False, colours=False, threshold=10, cwd=CWD)
        with capture_logs() as logs:
            for event in events:
                reporter.report(event)
        return list(logs)

    def test_created_has_all_its_fields(self) -> None:
        created = Created("mine", Kind.FILTER, FILE, "1.0", None, 41, f"{URL}/edit", "not global")
        assert self.dicts(created) == [
            {
                "event": "created",
                "log_level": "info",
                "plugin": "mine",
                "kind": "filter",
                "path": FILE,
                "version": "1.0",
                "previous_version": None,
                "ms": 41,
                "through": None,
                "open": f"{URL}/edit",
                "attach": "not global",
            }
        ]

    def test_waiting_has_all_its_fields(self) -> None:
        assert self.dicts(Waiting(URL, "connection refused", 2, 2.0, "start it")) == [
            {
                "event": "waiting",
                "log_level": "warning",
                "url": URL,
                "error": "connection refused",
                "pending": 2,
                "retry_in": 2.0,
                "hint": "start it",
            }
        ]

    def test_rejection_has_first_diagnostic_and_all(self) -> None:
        rejection = Rejection("x", Kind.PIPE, FILE, "check", (Diagnostic("a", 3, 4, "src", "do"), Diagnostic("b")))
        [line] = self.dicts(rejection)
        assert {name: line[name] for name in ("error", "line", "column", "source", "hint")} == {
            "error": "a",
            "line": 3,
            "column": 4,
            "source": "src",
            "hint": "do",
        }
        assert [diagnostic["error"] for diagnostic in line["diagnostics"]] == ["a", "b"]
        assert line["log_level"] == "error"

    def test_every_event_has_its_level_and_fields(self) -> None:
        for event, _, fields in GOLDEN:
            [line] = self.dicts(event)
            assert line.keys() == {"event", "log_level", *fields}
            assert (line["event"], line["log_level"]) == (event.event, event.level)


class TestEveryEvent:
    def test_has_golden_lines(self) -> None:
        classes = [*vars(events).values(), *vars(command_events).values(), *vars(runtime_events).values()]
        declared = {kind for kind in classes if isinstance(kind, type) and "event" in vars(kind)}
        assert {type(event) for event, *_ in GOLDEN} == declared

    @EVERY_TEXT
    def test_on_a_terminal_without_limits(self, event: Event, text: list[str]) -> None:
        shown = said(event)
        assert re.match(r"\d\d:\d\d:\d\d  ", shown)
        assert shown[10:] == "\n".join(text) + "\n"

    @EVERY_OBJECT
    def test_in_json(self, event: Event, fields: dict[str, Any]) -> None:
        shown = said(event, json=True)
        assert shown.isascii()
        assert shown.count("\n") == 1
        found = json.loads(shown)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", found.pop("timestamp"))
        assert found == {"event": event.event, "level": event.level, **fields}

    @WIDTHS
    @EVERY_TEXT
    def test_fits_a_terminal(self, event: Event, text: list[str], width: int) -> None:
        shown = said(event, width=width).rstrip("\n").split("\n")
        assert [line for line in shown if len(line) > width and len(line.split()) > 1 and " " in line.strip()] == []
        if event.event not in {"rejected", "raised", "answer"}:  # these show source, which is cut
            assert " ".join("\n".join(shown).split())[9:] == " ".join("\n".join(text).split())

    @WIDTHS
    @EVERY
    def test_is_one_json_line_at_any_width(self, event: Event, width: int) -> None:
        assert said(event, width=width, json=True).count("\n") == 1

    @EVERY
    def test_has_no_colours_in_a_pipe(self, event: Event) -> None:
        assert "\x1b" not in said(event) + said(event, json=True)

    @EVERY_TEXT
    def test_differs_by_colours_alone(self, event: Event, text: list[str]) -> None:
        coloured = said(event, colours=True)
        assert coloured.count("\x1b[0m") == 2
        assert re.sub(r"\x1b\[\d+m", "", coloured)[10:] == "\n".join(text) + "\n"

    @EVERY
    def test_is_left_out_below_the_threshold(self, event: Event) -> None:
        number = getattr(logging, event.level.upper())
        assert [bool(said(event, threshold=level)) for level in LEVELS] == [level <= number for level in LEVELS]


class TestTexts:
    def test_levels_have_colours(self) -> None:
        first = {event.event: said(event, colours=True) for event, *_ in GOLDEN}
        assert "\x1b[31mrejected" in first["rejected"]
        assert "\x1b[33mwaiting" in first["waiting"]
        assert "\x1b[32mcreated" in first["created"]
        assert "\x1b[32mupdated" in first["updated"]
        assert "\x1b[1munchanged" in first["unchanged"]

    def test_a_watched_folder_ends_in_a_slash(self, tmp_path: Path) -> None:
        assert f"1 plugin in {tmp_path.as_posix()}/ →" in said(Watching(URL, (tmp_path,), 1, None))

    def test_an_unknown_event_has_no_lines(self) -> None:
        with pytest.raises(KeyError):
            list(render("odd", {}, str))

    @pytest.mark.parametrize(("ms", "text"), [(0, "0 ms"), (999, "999 ms"), (1000, "1.0 s"), (61_500, "61.5 s")])
    def test_durations_are_rounded_for_readers(self, ms: int, text: str) -> None:
        assert duration(ms) == text

    def test_twenty_diagnostics_name_the_command_for_the_rest(self) -> None:
        missing = tuple(Diagnostic(f"No module named 'm{number}'", number) for number in range(20))
        shown = said(Rejection("mine", Kind.FILTER, FILE, "check", missing))
        assert shown.count("No module named") == 8
        assert "12 more: run `owui-watch check plugins/filters/mine.py`" in shown

    def test_a_request_hides_user_and_password(self) -> None:
        notes: list[Event] = []
        record = logging.LogRecord("httpx", logging.INFO, "", 0, "HTTP Request: GET %s", ("http://u:p@h/x",), None)
        RequestLog(notes.append).emit(record)
        assert notes == [Note("HTTP Request: GET http://***@h/x")]


NASTY = "a\x1b[2Jb\x07c\rd\x00e\x9bf\u202eg\u2028h\x7fi\tj"
ANY_TEXT = st.one_of(st.text(max_size=40), st.text(alphabet="\x1b\x07\x9b\r\n\u2028\u202e\x00\tab", max_size=20))


def with_text(event: Event, text: str) -> Event:
    """Put ``text`` wherever a server or a plugin has a word in ``event``."""
    changed: dict[str, object] = {}
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        if isinstance(value, str):
            changed[field.name] = text
        elif isinstance(value, Path):
            changed[field.name] = CWD / (text.replace("\0", "").replace("/", "") or "x")
        elif isinstance(value, tuple) and value and isinstance(value[0], Diagnostic):
            changed[field.name] = tuple(Diagnostic(text, 1, 2, text, text, rule=text) for _ in value)
        elif isinstance(value, tuple) and value and isinstance(value[0], str):
            changed[field.name] = (text, text)
    return dataclasses.replace(event, **changed)


class TestUntrustedText:
    @EVERY
    def test_controls_no_terminal(self, event: Event) -> None:
        for width in (None, 40):
            shown = said(with_text(event, NASTY), width=width)
            assert all(char.isprintable() for char in shown.replace("\n", "")), shown
        found = json.loads(said(with_text(event, NASTY), json=True))
        for name, value in found.items():
            # A path is what a program opens: it is exact, and escaped.
            if isinstance(value, str) and not isinstance(getattr(event, name, None), Path):
                assert value.replace("\n", "").replace("\t", "").isprintable()

    @given(st.sampled_from([event for event, *_ in GOLDEN]), ANY_TEXT, st.sampled_from([None, 40, 80]))
    def test_stays_in_its_place(self, event: Event, text: str, width: int | None) -> None:
        changed = with_text(event, text)
        head, *below = said(changed, width=width).rstrip("\n").split("\n")
        assert head[10:].startswith(event.event)
        assert all(line == "" or line.startswith(" " * (4 if width == 40 else 20)) for line in below)
        assert isinstance(json.loads(said(changed, json=True)), dict)

    def test_surrogate_in_a_file_name_can_be_written(self) -> None:
        missing = Missing("mine", CWD / "gr\udcfcn.py", live=True)
        assert "gr\ufffdn.py" in said(missing).encode().decode()
        assert json.loads(said(missing, json=True))["path"].startswith("gr")

    @pytest.mark.parametrize("as_json", [False, True])
    def test_is_cut_if_it_is_megabytes(self, as_json: bool) -> None:
        huge = "word " * 400_000
        rejection = Rejection("x", Kind.PIPE, FILE, "server", (Diagnostic(huge, hint=huge),))
        for event in (rejection, Warned(huge, huge), Waiting(URL, huge, 0, None, huge)):
            text = said(event, json=as_json, width=80)
            assert len(text) < 100_000
            assert "1,990,000 more characters" in text

    def test_is_cut_after_secrets_were_hidden(self) -> None:
        shown = said(Warned("x" * 9_990 + CANARY + "y" * 100), secrets=(CANARY,))
        assert not any(CANARY[at : at + 8] in shown for at in range(len(CANARY) - 8))


class TestSecrets:
    @EVERY
    def test_are_never_shown(self, event: Event) -> None:
        for where in (CANARY, f"x{CANARY}y\n{CANARY}", f"{'a' * 95}{CANARY}{'b' * 95}", f"\t{CANARY}"):
            for form in ({"json": True}, {"colours": True}, {"width": 40}, {}):
                shown = said(with_text(event, where), secrets=(CANARY,), **form)
                assert not any(CANARY[at : at + 8] in shown for at in range(len(CANARY) - 8)), shown

    def test_with_a_blank_are_hidden_in_a_path(self) -> None:
        shown = said(Warned("odd", path=CWD / "two words" / "x.py"), secrets=("two words",), width=40)
        assert "words" not in shown

    @pytest.mark.parametrize("as_json", [False, True])
    def test_that_become_known_later_are_hidden_then(self, as_json: bool) -> None:
        output = Recorded()
        reporter = start_reporting(output, json=as_json, colours=False, threshold=10, cwd=CWD)
        reporter.hide("canary0123")
        reporter.hide("")
        reporter.report(Note("canary0123abc"))
        assert "***abc" in output.text()

    def test_that_begin_alike_are_hidden_whole(self) -> None:
        for secrets in (("zk-ab", "zk-abcdef"), ("zk-abcdef", "zk-ab")):
            assert said(Note("it is zk-abcdef."), secrets=secrets)[10:] == "note      it is ***.\n"

    def test_a_caret_never_points_beside_a_hidden_key(self) -> None:
        source = f'key = "{CANARY}"; call('
        rejection = Rejection("x", Kind.PIPE, FILE, "check", (Diagnostic("odd", 1, len(source), source),))
        assert "^" not in said(rejection)
        assert "***" in said(rejection)


class TestBugs:
    def broken_at(self, step: int, *, json: bool) -> str:
        """Report two events with a processor that raises for the first one; return what was written."""
        output = Recorded()
        reporter = start_reporting(output, json=json, colours=False, threshold=10, cwd=CWD)
        steps = structlog.get_config()["processors"]

        def raising(logger: object, name: str, event: Any) -> Any:
            if "first" in repr(event):
                raise ZeroDivisionError("no such thing")
            return whole(logger, name, event)

        whole = steps[step]
        structlog.configure(processors=[*steps[:step], raising, *steps[step + 1 :]])
        reporter.report(Warned("first"))
        reporter.report(Warned("second"))
        return output.text()

    @pytest.mark.parametrize("as_json", [False, True])
    @pytest.mark.parametrize("step", range(7))
    def test_in_a_processor_cost_one_line_only(self, step: int, as_json: bool) -> None:
        text = self.broken_at(step, json=as_json)
        assert "bug in owui-watch: showing a line of the event" in text
        assert "ZeroDivisionError: no such thing" in text
        assert "`owui-watch help bugs`" in text
        assert "second" in text
        assert "first" not in text

    def test_that_hits_every_line_is_still_reported(self) -> None:
        output = Recorded()
        reporter = start_reporting(output, json=False, colours=False, threshold=10, cwd=CWD)
        structlog.configure(processors=[lambda *_: 1 / 0])  # type: ignore[list-item]
        reporter.hide("division")
        reporter.report(Warned("x"))
        assert "warning: bug in owui-watch: showing a line of the event “warning” failed with" in output.text()
        assert "*** by zero" in output.text()

    def test_an_event_without_renderer_is_a_bug(self) -> None:
        class Odd(Event):
            event = "odd"

        assert "KeyError: 'odd'" in said(Odd())


class TestLostLines:
    def test_are_reported_before_the_next_line(self) -> None:
        output = Recorded()
        reporter = start_reporting(output, json=True, colours=False, threshold=10, cwd=CWD)
        output.lose(3, "No space left on device")
        reporter.report(Note("on"))
        reporter.report(Note("and on"))
        warning, *rest = [json.loads(line) for line in output.text().splitlines()]
        assert warning["error"] == "3 lines of this output could not be written: No space left on device"
        assert [line["text"] for line in rest] == ["on", "and on"]
