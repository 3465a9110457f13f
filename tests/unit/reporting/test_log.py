"""What a line says: the golden text of every outcome, for people and for programs, and what no line may hold."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.plugins.model import Diagnostic, Kind, Severity
from owui_watch.reporting import events
from owui_watch.reporting.console import duration, lines
from owui_watch.reporting.events import (
    Answer,
    AnswerFailed,
    Asking,
    BackedUp,
    Created,
    Differs,
    Disabled,
    Event,
    Finished,
    HandedOver,
    Held,
    Missing,
    Note,
    Planned,
    Queued,
    Reachable,
    Rejection,
    Renamed,
    Restored,
    Sandboxed,
    Skipped,
    Stopped,
    Stopping,
    Unchanged,
    Updated,
    Waiting,
    Warned,
    Watching,
    Working,
)
from owui_watch.reporting.log import Reporter, RequestLog

CWD = Path("/w")
FILE = CWD / "plugins" / "filters" / "mine.py"
URL = "http://localhost:3000"
CANARY = "sk-canary0123456789"
DEPLOYED = {"plugin": "mine", "kind": "filter", "path": "plugins/filters/mine.py"}


def diagnostic(**fields: object) -> dict[str, object]:
    """Return a diagnostic's fields in JSON."""
    absent = dict.fromkeys(("line", "column", "source", "hint", "path"))
    return {**absent, "severity": "error", "rule": "", **fields}


# An outcome, its level, its lines on a terminal, its fields in JSON.
GOLDEN: list[tuple[Event, str, list[str], dict[str, Any]]] = [
    (
        Watching(URL, (CWD / "plugins", FILE), 27, "0.12.4"),
        "info",
        ["watching  27 plugins in plugins, plugins/filters/mine.py → http://localhost:3000 (Open WebUI 0.12.4)"],
        {
            "url": URL,
            "path": ["plugins", "plugins/filters/mine.py"],
            "plugins": 27,
            "server_version": "0.12.4",
        },
    ),
    (
        Watching(URL, (Path("/elsewhere"),), 1, None),
        "info",
        ["watching  1 plugin in /elsewhere → http://localhost:3000 (not connected yet)"],
        {"url": URL, "path": ["/elsewhere"], "plugins": 1, "server_version": None},
    ),
    (
        Created("mine", Kind.FILTER, FILE, "1.0", None, 41, f"{URL}/edit", "not global: switch it on"),
        "info",
        [
            "created   filter  mine  1.0   41 ms",
            "                            http://localhost:3000/edit",
            "                            not global: switch it on",
        ],
        {
            **DEPLOYED,
            "version": "1.0",
            "previous_version": None,
            "ms": 41,
            "open": f"{URL}/edit",
            "attach": "not global: switch it on",
        },
    ),
    (
        Updated("mine", Kind.FILTER, FILE, "1.2.9", "1.2.8", 41),
        "info",
        ["updated   filter  mine  1.2.8 → 1.2.9   41 ms"],
        {**DEPLOYED, "version": "1.2.9", "previous_version": "1.2.8", "ms": 41},
    ),
    (
        Updated("mine", Kind.TOOL, FILE, "1.2.9", "1.2.9", 1240),
        "info",
        ["updated   tool    mine  1.2.9   1.2 s"],
        {**DEPLOYED, "kind": "tool", "version": "1.2.9", "previous_version": "1.2.9", "ms": 1240},
    ),
    (
        Unchanged("mine", Kind.FILTER, FILE, None, "1.0", 7),
        "info",
        ["unchanged filter  mine    7 ms"],
        {**DEPLOYED, "version": None, "previous_version": "1.0", "ms": 7},
    ),
    (
        Rejection(
            "mine",
            Kind.FILTER,
            FILE,
            "check",
            (
                Diagnostic("'(' was never closed", 812, 20, "    return self.fix(body", "checked with Python 3.11.7"),
                Diagnostic("no module named x", 3, hint="add it", path=FILE.parent / "x.py"),
                Diagnostic("its title is empty", severity=Severity.WARNING, rule="title"),
            ),
            live="1.2.9",
        ),
        "error",
        [
            "rejected  filter  mine  '(' was never closed",
            "                            plugins/filters/mine.py:812",
            "                              812 │     return self.fix(body",
            "                                  │                    ^",
            "                            checked with Python 3.11.7",
            "                            no module named x",
            "                            plugins/filters/x.py:3",
            "                            add it",
            "                            warning: its title is empty",
            "                            plugins/filters/mine.py",
            "                            the live 1.2.9 is untouched",
        ],
        {
            **DEPLOYED,
            "stage": "check",
            "diagnostics": [
                diagnostic(
                    error="'(' was never closed",
                    line=812,
                    column=20,
                    source="    return self.fix(body",
                    hint="checked with Python 3.11.7",
                ),
                diagnostic(error="no module named x", line=3, hint="add it", path="plugins/filters/x.py"),
                diagnostic(error="its title is empty", severity="warning", rule="title"),
            ],
            "line": 812,
            "error": "'(' was never closed",
            "hint": "checked with Python 3.11.7",
            "column": 20,
            "source": "    return self.fix(body",
            "live": "1.2.9",
        },
    ),
    (
        Rejection(None, None, FILE, "server", (Diagnostic("first\nsecond"),)),
        "error",
        [
            "rejected  first",
            "                    second",
            "                    plugins/filters/mine.py",
        ],
        {
            **DEPLOYED,
            "plugin": None,
            "kind": None,
            "stage": "server",
            "diagnostics": [diagnostic(error="first\nsecond")],
            "line": None,
            "error": "first\nsecond",
            "hint": None,
            "column": None,
            "source": None,
            "live": None,
        },
    ),
    (
        Warned("its version is lower", "is this the file you meant?", "mine", Kind.FILTER, FILE, 3),
        "warning",
        [
            "warning   filter  mine  its version is lower",
            "                            plugins/filters/mine.py:3",
            "                            is this the file you meant?",
        ],
        {**DEPLOYED, "error": "its version is lower", "hint": "is this the file you meant?", "line": 3},
    ),
    (
        Warned("the disk is full"),
        "warning",
        ["warning   the disk is full"],
        {"error": "the disk is full", "hint": None, "plugin": None, "kind": None, "path": None, "line": None},
    ),
    (
        Differs(("a", "b"), ("c",), 12, 2, 10),
        "info",
        [
            "differs   2 changed (a, b), 10 not on the server (c and 9 more)",
            "                    deployed when you save them; --sync deploys them at the start",
        ],
        {
            "changed": ["a", "b"],
            "absent": ["c"],
            "count": 12,
            "changed_count": 2,
            "absent_count": 10,
            "deploying": False,
        },
    ),
    (
        Held(tuple("abcdefghij")),
        "warning",
        [
            "held      10 new plugins at once, none created (a, b, c, d, e, f, g, h and 2 more)",
            "                    `owui-watch deploy` creates them, saving one creates that one; or raise max_new",
        ],
        {"plugins": list("abcdefghij")},
    ),
    (
        Restored("mine", Kind.FILTER, 950),
        "warning",
        ["restored  filter  mine  is live as before, after 950 ms"],
        {"plugin": "mine", "kind": "filter", "ms": 950},
    ),
    (
        BackedUp("mine", Kind.FILTER, CWD / ".owui-watch" / "backups" / "mine" / "1.py"),
        "info",
        [
            "backed_up filter  mine  owui-watch did not put there what stood on the server; a copy is in",
            "                            .owui-watch/backups/mine/1.py",
        ],
        {"plugin": "mine", "kind": "filter", "backup": ".owui-watch/backups/mine/1.py"},
    ),
    (
        Working("mine", Kind.FILTER, 12, "numpy"),
        "info",
        ["working   filter  mine  the server is still at it after 12 s; it may be installing numpy"],
        {"plugin": "mine", "kind": "filter", "seconds": 12, "requirements": "numpy"},
    ),
    (
        Working("mine", Kind.TOOL, 12, None),
        "info",
        ["working   tool    mine  the server is still at it after 12 s"],
        {"plugin": "mine", "kind": "tool", "seconds": 12, "requirements": None},
    ),
    (
        Skipped(FILE, "the file is empty"),
        "info",
        ["skipped   plugins/filters/mine.py  the file is empty"],
        {"path": "plugins/filters/mine.py", "reason": "the file is empty"},
    ),
    (
        Missing("mine", FILE, live=True),
        "warning",
        ["missing   mine  its file plugins/filters/mine.py is gone; the server's copy stays"],
        {"plugin": "mine", "path": "plugins/filters/mine.py", "live": True, "moved_to": None},
    ),
    (
        Missing("mine", FILE, live=False, moved_to="other"),
        "warning",
        [
            "missing   mine  its file plugins/filters/mine.py is gone",
            "                    it was renamed, and its id is other now: "
            "a line `id: mine` in its header keeps the old one",
        ],
        {"plugin": "mine", "path": "plugins/filters/mine.py", "live": False, "moved_to": "other"},
    ),
    (
        Renamed("mine", FILE, live=True, moved_to="other"),
        "warning",
        [
            "missing   mine  the id of plugins/filters/mine.py is other now; the server's copy of mine stays",
            "                    a line `id: mine` in its header keeps the old one",
        ],
        {"plugin": "mine", "path": "plugins/filters/mine.py", "live": True, "moved_to": "other"},
    ),
    (
        Disabled("mine", Kind.FILTER, f"{URL}/edit"),
        "warning",
        [
            "disabled  filter  mine  switched off on the server, since its file is gone (on_delete is disable)",
            "                            http://localhost:3000/edit",
        ],
        {"plugin": "mine", "kind": "filter", "open": f"{URL}/edit"},
    ),
    (
        HandedOver(()),
        "info",
        [
            "handed_over "
            "the owui-watch that runs here deploys what differs from the server: its lines tell what comes of it"
        ],
        {"plugins": []},
    ),
    (
        HandedOver(("a", "b")),
        "info",
        ["handed_over the owui-watch that runs here deploys a, b: its lines tell what comes of it"],
        {"plugins": ["a", "b"]},
    ),
    (
        Queued("markdown_normalizer"),
        "info",
        ["queued    markdown_normalizer  is deployed as soon as that is over"],
        {"plugin": "markdown_normalizer"},
    ),
    (
        Waiting(URL, "connection refused", 2, 2.0),
        "warning",
        ["waiting   http://localhost:3000: connection refused · 2 plugins pending · next try in 2 s"],
        {"url": URL, "error": "connection refused", "pending": 2, "retry_in": 2.0, "hint": None},
    ),
    (
        Waiting(URL, "the key is refused", 0, None, "make a new one\nin Settings → Account"),
        "warning",
        [
            "waiting   http://localhost:3000: the key is refused · until the key changes",
            "                    make a new one",
            "                    in Settings → Account",
        ],
        {
            "url": URL,
            "error": "the key is refused",
            "pending": 0,
            "retry_in": None,
            "hint": "make a new one\nin Settings → Account",
        },
    ),
    (Reachable(URL), "info", ["reachable http://localhost:3000"], {"url": URL}),
    (
        Stopping(("a", "b"), 5.0),
        "info",
        ["stopping  within 5 s; still to be deployed: a, b. Ctrl-C again ends at once"],
        {"pending": ["a", "b"], "drain": 5.0},
    ),
    (Stopped(()), "info", ["stopped   nothing is left to deploy"], {"pending": []}),
    (
        Stopped(tuple("abcdefghij")),
        "info",
        ["stopped   not deployed: a, b, c, d, e, f, g, h and 2 more"],
        {"pending": list("abcdefghij")},
    ),
    (
        Planned("mine", Kind.FILTER, FILE, "update", "1.1", "1.0", "-a\n+b"),
        "info",
        ["planned   update  filter mine  1.0 → 1.1"],
        {**DEPLOYED, "action": "update", "version": "1.1", "previous_version": "1.0", "diff": "-a\n+b"},
    ),
    (
        Finished(3, 2, 1, 1240),
        "info",
        ["finished  deployed 3, unchanged 2, rejected 1 in 1.2 s"],
        {"deployed": 3, "unchanged": 2, "rejected": 1, "ms": 1240, "dry_run": False},
    ),
    (
        Asking("mine", "pipe", "Who are\nyou?"),
        "info",
        ["asking    pipe    mine  “Who are you?”"],
        {"plugin": "mine", "kind": "pipe", "prompt": "Who are\nyou?"},
    ),
    (
        Answer("mine", "pipe", FILE, "I am\nyour pipe", 1240),
        "info",
        ["answer    pipe    mine   1.2 s", "                    I am", "                    your pipe"],
        {"plugin": "mine", "kind": "pipe", "path": "plugins/filters/mine.py", "text": "I am\nyour pipe", "ms": 1240}
        | {"line": None, "error": None, "hint": None, "source": None},
    ),
    (
        AnswerFailed("mine", "pipe", FILE, "I am", 41, 9, "name 'x' is not defined", "why?", "    return x"),
        "error",
        [
            "answer    pipe    mine  name 'x' is not defined",
            "                            plugins/filters/mine.py:9",
            "                              9 │     return x",
            "                            why?",
        ],
        {"plugin": "mine", "kind": "pipe", "path": "plugins/filters/mine.py", "text": "I am", "ms": 41}
        | {"line": 9, "error": "name 'x' is not defined", "hint": "why?", "source": "    return x"},
    ),
    (
        Note("saved", FILE),
        "debug",
        ["note      plugins/filters/mine.py  saved"],
        {"text": "saved", "path": "plugins/filters/mine.py"},
    ),
    (Note("a thing"), "debug", ["note      a thing"], {"text": "a thing", "path": None}),
    (
        Sandboxed(URL, "0.12.4", "a@b.example", "secret", None),
        "info",
        [
            "sandbox   Open WebUI 0.12.4 at http://localhost:3000, thrown away at the end",
            "                    e-mail a@b.example, password secret",
        ],
        {
            "url": URL,
            "version": "0.12.4",
            "email": "a@b.example",
            "password": "secret",
            "credentials": None,
            "kept": None,
        },
    ),
    (
        Sandboxed(URL, "0.12.4", "a@b.example", None, CWD / "data" / "credentials.json", CWD / "data"),
        "info",
        [
            "sandbox   Open WebUI 0.12.4 at http://localhost:3000, kept in data",
            "                    e-mail and password are in data/credentials.json",
        ],
        {
            "url": URL,
            "version": "0.12.4",
            "email": "a@b.example",
            "password": None,
            "credentials": "data/credentials.json",
            "kept": "data",
        },
    ),
    (
        Sandboxed(URL, "0.12.4", "a@b.example", None, CWD / "credentials.json"),
        "info",
        [
            "sandbox   Open WebUI 0.12.4 at http://localhost:3000, thrown away at the end",
            "                    e-mail and password are in credentials.json",
        ],
        {
            "url": URL,
            "version": "0.12.4",
            "email": "a@b.example",
            "password": None,
            "credentials": "credentials.json",
            "kept": None,
        },
    ),
]
EVERY = pytest.mark.parametrize(
    ("event", "level", "text", "fields"), GOLDEN, ids=lambda value: getattr(value, "event", "")
)


def told(*events: Event, json: bool = False, colours: bool = False, **options: Any) -> str:
    stream = io.StringIO()
    reporter = Reporter(stream, json=json, colours=colours, threshold=options.pop("threshold", 10), cwd=CWD, **options)
    for event in events:
        reporter.report(event)
    return stream.getvalue()


def test_every_outcome_has_its_golden_lines() -> None:
    declared = {kind for kind in vars(events).values() if isinstance(kind, type) and "event" in vars(kind)}
    assert {type(event) for event, *_ in GOLDEN} == declared


@EVERY
def test_the_lines_of_a_terminal(event: Event, level: str, text: list[str], fields: dict[str, Any]) -> None:
    shown = told(event)
    assert re.match(r"\d\d:\d\d:\d\d  ", shown)
    assert shown[10:] == "\n".join(text) + "\n"


@EVERY
def test_the_object_of_a_program(event: Event, level: str, text: list[str], fields: dict[str, Any]) -> None:
    shown = told(event, json=True)
    assert shown.isascii()
    assert shown.count("\n") == 1
    found = json.loads(shown)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", found.pop("timestamp"))
    assert found == {"event": event.event, "level": level, **fields}


@EVERY
def test_a_pipe_gets_no_colours(event: Event, level: str, text: list[str], fields: dict[str, Any]) -> None:
    assert "\x1b" not in told(event) + told(event, json=True)


@EVERY
def test_colours_are_all_that_a_terminal_gets_beyond(
    event: Event, level: str, text: list[str], fields: dict[str, Any]
) -> None:
    coloured = told(event, colours=True)
    assert coloured.count("\x1b[0m") == 2
    assert re.sub(r"\x1b\[\d+m", "", coloured)[10:] == "\n".join(text) + "\n"


@EVERY
def test_each_level_is_left_out_above_its_threshold(
    event: Event, level: str, text: list[str], fields: dict[str, Any]
) -> None:
    number = getattr(logging, level.upper())
    assert told(event, threshold=number)
    assert told(event, threshold=number + 1) == ""


def test_the_level_has_its_colour() -> None:
    first = {event.event: told(event, colours=True) for event, *_ in GOLDEN}
    assert "\x1b[31mrejected" in first["rejected"]
    assert "\x1b[33mwaiting" in first["waiting"]
    assert "\x1b[32mcreated" in first["created"]
    assert "\x1b[32mupdated" in first["updated"]
    assert "\x1b[1munchanged" in first["unchanged"]


def test_a_watched_folder_ends_in_a_slash(tmp_path: Path) -> None:
    assert f"1 plugin in {tmp_path.as_posix()}/ →" in told(Watching(URL, (tmp_path,), 1, None))


def test_what_is_no_known_outcome_is_a_mistake() -> None:
    class Odd(Event):
        pass

    with pytest.raises(NotImplementedError):
        next(iter(lines(Odd(), str)))


@pytest.mark.parametrize(("ms", "text"), [(0, "0 ms"), (999, "999 ms"), (1000, "1.0 s"), (61_500, "61.5 s")])
def test_durations(ms: int, text: str) -> None:
    assert duration(ms) == text


# What no line may hold


NASTY = "a\x1b[2Jb\x07c\rd\x00e\x9bf\u202eg\u2028h\x7fi\tj"
ANY_TEXT = st.one_of(st.text(max_size=40), st.text(alphabet="\x1b\x07\x9b\r\n\u2028\u202e\x00\tab", max_size=20))


def with_text(event: Event, text: str) -> Event:
    """Put ``text`` wherever a server or a plugin has a word in ``outcome``."""
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


@EVERY
def test_no_control_character_reaches_a_terminal(
    event: Event, level: str, text: list[str], fields: dict[str, Any]
) -> None:
    for shown in (told(with_text(event, NASTY)), told(with_text(event, NASTY), json=True)):
        assert all(char.isprintable() for char in shown.replace("\n", "")), shown
    found = json.loads(told(with_text(event, NASTY), json=True))
    for name, value in found.items():
        # A path is what a program opens: it is exact, and escaped.
        if isinstance(value, str) and not isinstance(getattr(event, name, None), Path):
            assert value.replace("\n", "").isprintable()


@given(st.sampled_from([event for event, *_ in GOLDEN]), ANY_TEXT)
def test_no_text_breaks_a_line_out_of_its_place(event: Event, text: str) -> None:
    changed = with_text(event, text)
    head, *below = told(changed).rstrip("\n").split("\n")
    assert head[10:].startswith(event.event)
    assert all(line == "" or line.startswith(" " * 20) for line in below)
    assert isinstance(json.loads(told(changed, json=True)), dict)


@EVERY
def test_a_secret_is_never_shown(event: Event, level: str, text: list[str], fields: dict[str, Any]) -> None:
    for where in (CANARY, f"x{CANARY}y\n{CANARY}", f"{'a' * 95}{CANARY}{'b' * 95}", f"\t{CANARY}"):
        for as_json in (False, True):
            for colours in (False, True):
                shown = told(with_text(event, where), json=as_json, colours=colours, secrets=[CANARY])
                assert not any(CANARY[at : at + 8] in shown for at in range(len(CANARY) - 8)), shown


@pytest.mark.parametrize("as_json", [False, True])
def test_a_secret_that_becomes_known_later_is_hidden_from_then_on(as_json: bool) -> None:
    stream = io.StringIO()
    reporter = Reporter(stream, json=as_json, colours=False, threshold=10, cwd=CWD)
    reporter.hide(CANARY)
    reporter.hide("")
    reporter.report(Note(f"{CANARY}abc"))
    assert "***abc" in stream.getvalue()


def test_of_two_secrets_that_begin_alike_the_longer_is_hidden_whole() -> None:
    for secrets in (["sk-ab", "sk-abcdef"], ["sk-abcdef", "sk-ab"]):
        assert told(Note("it is sk-abcdef."), secrets=secrets)[10:] == "note      it is ***.\n"


def test_a_request_that_is_logged_hides_who_asks() -> None:
    notes: list[Event] = []
    record = logging.LogRecord("httpx", logging.INFO, "", 0, "HTTP Request: GET %s", ("http://u:p@h/x",), None)
    RequestLog(notes.append).emit(record)
    assert notes == [Note("HTTP Request: GET http://***@h/x")]


def test_a_surrogate_in_a_file_name_can_be_written() -> None:
    missing = Missing("mine", CWD / "gr\udcfcn.py", live=True)
    assert "gr\ufffdn.py" in told(missing).encode().decode()
    assert json.loads(told(missing, json=True))["path"].startswith("gr")
