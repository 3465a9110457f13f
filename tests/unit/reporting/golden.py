"""Every event once or more: its lines on a terminal and its fields in JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from owui_watch.plugins.model import Diagnostic, Kind, Severity
from owui_watch.reporting.command_events import Finished, HandedOver, Planned, Sandboxed, SandboxedQuietly, Server
from owui_watch.reporting.events import (
    Affected,
    BackedUp,
    Created,
    Differs,
    Disabled,
    Event,
    Held,
    Missing,
    Note,
    Queued,
    Reachable,
    Rejection,
    Renamed,
    Restored,
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
from owui_watch.reporting.runtime_events import (
    Answer,
    AnswerFailed,
    Asking,
    Called,
    CallFailed,
    Cause,
    Frame,
    NewChat,
    Printed,
    Raised,
    Traceback,
)

CWD = Path("/w")
FILE = CWD / "plugins" / "filters" / "mine.py"
URL = "http://localhost:3000"
NOT_SHARED = {"through": None}
DEPLOYED = {"plugin": "mine", "kind": "filter", "path": "plugins/filters/mine.py"}


def diagnostic(**fields: object) -> dict[str, object]:
    """Return a diagnostic's fields in JSON."""
    absent = dict.fromkeys(("line", "column", "source", "hint", "path"))
    return {**absent, "severity": "error", "rule": "", **fields}


# An event, its lines on a terminal, its fields in JSON.
GOLDEN: list[tuple[Event, list[str], dict[str, Any]]] = [
    (
        Watching(URL, (CWD / "plugins", FILE), 27, "0.12.4"),
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
        ["watching  1 plugin in /elsewhere → http://localhost:3000 (not connected yet)"],
        {"url": URL, "path": ["/elsewhere"], "plugins": 1, "server_version": None},
    ),
    (
        Created("mine", Kind.FILTER, FILE, "1.0", None, 41, f"{URL}/edit", "not global: switch it on"),
        [
            "created   filter  mine  1.0   41 ms",
            "                            http://localhost:3000/edit",
            "                            not global: switch it on",
        ],
        {
            **DEPLOYED,
            **NOT_SHARED,
            "version": "1.0",
            "previous_version": None,
            "ms": 41,
            "open": f"{URL}/edit",
            "attach": "not global: switch it on",
        },
    ),
    (
        Updated("mine", Kind.FILTER, FILE, "1.2.9", "1.2.8", 41),
        ["updated   filter  mine  1.2.8 → 1.2.9   41 ms"],
        {**DEPLOYED, **NOT_SHARED, "version": "1.2.9", "previous_version": "1.2.8", "ms": 41, "disabled": False},
    ),
    (
        Updated("mine", Kind.TOOL, FILE, "1.2.9", "1.2.9", 1240),
        ["updated   tool    mine  1.2.9   1.2 s"],
        {
            **DEPLOYED,
            **NOT_SHARED,
            "kind": "tool",
            "version": "1.2.9",
            "previous_version": "1.2.9",
            "ms": 1240,
            "disabled": False,
        },
    ),
    (
        Updated("mine", Kind.FILTER, FILE, "1.2.9", "1.2.8", 41, disabled=True),
        ["updated   filter  mine  1.2.8 → 1.2.9   41 ms  (off on the server)"],
        {**DEPLOYED, **NOT_SHARED, "version": "1.2.9", "previous_version": "1.2.8", "ms": 41, "disabled": True},
    ),
    (
        Unchanged("mine", Kind.FILTER, FILE, None, "1.0", 7),
        ["unchanged filter  mine    7 ms"],
        {**DEPLOYED, **NOT_SHARED, "version": None, "previous_version": "1.0", "ms": 7},
    ),
    (
        Updated("mine", Kind.FILTER, FILE, "1.0", "1.0", 41, through=CWD / "plugins" / "shared" / "text.py"),
        ["updated   filter  mine  1.0   41 ms  with plugins/shared/text.py"],
        {
            **DEPLOYED,
            "version": "1.0",
            "previous_version": "1.0",
            "ms": 41,
            "through": "plugins/shared/text.py",
            "disabled": False,
        },
    ),
    (
        Affected(CWD / "plugins" / "shared" / "text.py", 40),
        ["affected  40 plugins with plugins/shared/text.py"],
        {"path": "plugins/shared/text.py", "plugins": 40},
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
        [
            "warning   filter  mine  its version is lower",
            "                            plugins/filters/mine.py:3",
            "                            is this the file you meant?",
        ],
        {**DEPLOYED, "error": "its version is lower", "hint": "is this the file you meant?", "line": 3},
    ),
    (
        Warned("the disk is full"),
        ["warning   the disk is full"],
        {"error": "the disk is full", "hint": None, "plugin": None, "kind": None, "path": None, "line": None},
    ),
    (
        Differs(("a", "b"), ("c",), 12, 2, 10),
        [
            "differs   2 plugins differ from the server (a, b), 10 are not on the server (c and 9 more)",
            "                    save a file to deploy it; start with --sync to deploy them all",
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
        Differs((), ("a",), 1, 0, 1, deploying=True),
        ["differs   1 plugin is not on the server (a)", "                    deploying it now"],
        {"changed": [], "absent": ["a"], "count": 1, "changed_count": 0, "absent_count": 1, "deploying": True},
    ),
    (
        Held(tuple("abcdefghij")),
        [
            "held      10 new plugins at once, none created (a, b, c, d, e, f, g, h and 2 more)",
            "                    to create one, save it again; to create all, run `owui-watch deploy`; "
            "`max_new` sets the limit",
        ],
        {"plugins": list("abcdefghij")},
    ),
    (
        Restored("mine", Kind.FILTER, 950),
        ["restored  filter  mine  live again as before the refused save, after 950 ms"],
        {"plugin": "mine", "kind": "filter", "ms": 950},
    ),
    (
        BackedUp("mine", Kind.FILTER, CWD / ".owui-watch" / "backups" / "mine" / "1.py"),
        [
            "backed_up filter  mine  the server's copy was edited elsewhere; backed up to",
            "                            .owui-watch/backups/mine/1.py",
        ],
        {"plugin": "mine", "kind": "filter", "backup": ".owui-watch/backups/mine/1.py", "replaced": None},
    ),
    (
        BackedUp("mine", Kind.TOOL, CWD / ".owui-watch" / "backups" / "mine" / "1.py", "name “Mine”"),
        [
            "backed_up tool    mine  the server's copy was edited elsewhere (name “Mine”); backed up to",
            "                            .owui-watch/backups/mine/1.py",
        ],
        {"plugin": "mine", "kind": "tool", "backup": ".owui-watch/backups/mine/1.py", "replaced": "name “Mine”"},
    ),
    (
        Working("mine", Kind.FILTER, 12, "numpy"),
        ["working   filter  mine  no answer from the server after 12 s; it may be installing numpy"],
        {"plugin": "mine", "kind": "filter", "seconds": 12, "requirements": "numpy"},
    ),
    (
        Working("mine", Kind.TOOL, 12, None),
        ["working   tool    mine  no answer from the server after 12 s"],
        {"plugin": "mine", "kind": "tool", "seconds": 12, "requirements": None},
    ),
    (
        Skipped(FILE, "the file is empty"),
        ["skipped   plugins/filters/mine.py  the file is empty"],
        {"path": "plugins/filters/mine.py", "reason": "the file is empty"},
    ),
    (
        Missing("mine", FILE, live=True),
        ["missing   mine  its file plugins/filters/mine.py is gone; the server keeps its copy"],
        {"plugin": "mine", "path": "plugins/filters/mine.py", "live": True, "moved_to": None, "gone": True},
    ),
    (
        Missing("mine", FILE, live=False, moved_to="other"),
        [
            "missing   mine  its file plugins/filters/mine.py is gone",
            "                    the file was renamed, so its id is other now; "
            "to keep the old id, add a line `id: mine` to its header",
        ],
        {"plugin": "mine", "path": "plugins/filters/mine.py", "live": False, "moved_to": "other", "gone": True},
    ),
    (
        Renamed("mine", FILE, live=True, moved_to="other"),
        [
            "missing   mine  no file has this id any more; the server keeps its copy",
            "                    the id of plugins/filters/mine.py is other now; "
            "to keep the old id, add a line `id: mine` to its header",
        ],
        {"plugin": "mine", "path": "plugins/filters/mine.py", "live": True, "moved_to": "other", "gone": False},
    ),
    (
        Disabled("mine", Kind.FILTER, f"{URL}/edit"),
        [
            "disabled  filter  mine  disabled on the server, because its file is gone (on_delete is “disable”)",
            "                            http://localhost:3000/edit",
        ],
        {"plugin": "mine", "kind": "filter", "open": f"{URL}/edit"},
    ),
    (
        HandedOver(()),
        ["handed_over the running watch deploys everything that differs from the server; see its output"],
        {"plugins": []},
    ),
    (
        HandedOver(("a", "b")),
        ["handed_over the running watch deploys a, b; see its output"],
        {"plugins": ["a", "b"]},
    ),
    (
        Queued("markdown_normalizer"),
        ["queued    markdown_normalizer  saved; deployed as soon as the server can be reached"],
        {"plugin": "markdown_normalizer"},
    ),
    (
        Waiting(URL, "connection refused", 2, 2.0),
        ["waiting   http://localhost:3000: connection refused · 2 plugins pending · next try in 2 s"],
        {"url": URL, "error": "connection refused", "pending": 2, "retry_in": 2.0, "hint": None},
    ),
    (
        Waiting(URL, "the key is refused", 0, None, "make a new one\nin Settings → Account"),
        [
            "waiting   http://localhost:3000: the key is refused · waiting for another key",
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
    (Reachable(URL), ["reachable http://localhost:3000"], {"url": URL}),
    (
        Stopping(("a", "b"), 5.0),
        ["stopping  deploying for at most 5 s more: a, b. Ctrl-C again stops at once"],
        {"pending": ["a", "b"], "drain": 5.0},
    ),
    (Stopped(()), ["stopped   nothing is left to deploy"], {"pending": []}),
    (
        Stopped(tuple("abcdefghij")),
        ["stopped   not deployed: a, b, c, d, e, f, g, h and 2 more"],
        {"pending": list("abcdefghij")},
    ),
    (
        Planned("mine", Kind.FILTER, FILE, "update", "1.1", "1.0", "-a\n+b"),
        ["planned   update  filter mine  1.0 → 1.1"],
        {**DEPLOYED, "action": "update", "version": "1.1", "previous_version": "1.0", "diff": "-a\n+b"},
    ),
    (
        Server(URL, "environment OPENWEBUI_URL"),
        ["server    http://localhost:3000 (environment OPENWEBUI_URL)"],
        {"url": URL, "source": "environment OPENWEBUI_URL"},
    ),
    (Server(URL, None), ["server    http://localhost:3000 (the default)"], {"url": URL, "source": None}),
    (
        Finished(3, 2, 1, 1240),
        ["finished  deployed 3, unchanged 2, rejected 1 in 1.2 s"],
        {"deployed": 3, "unchanged": 2, "rejected": 1, "ms": 1240, "dry_run": False},
    ),
    (
        Asking("mine", "pipe", "Who are\nyou?"),
        ["asking    pipe    mine  “Who are you?”"],
        {"plugin": "mine", "kind": "pipe", "prompt": "Who are\nyou?", "model": None},
    ),
    (
        Answer("mine", "pipe", FILE, "I am\nyour pipe", 1240),
        ["answer    pipe    mine   1.2 s", "                    I am", "                    your pipe"],
        {"plugin": "mine", "kind": "pipe", "path": "plugins/filters/mine.py", "text": "I am\nyour pipe", "ms": 1240}
        | {"line": None, "error": None, "hint": None, "source": None, "model": None},
    ),
    (
        AnswerFailed("mine", "pipe", FILE, "I am", 41, 9, "name 'x' is not defined", "why?", "    return x"),
        [
            "answer    pipe    mine  name 'x' is not defined",
            "                            plugins/filters/mine.py:9",
            "                              9 │     return x",
            "                            why?",
        ],
        {"plugin": "mine", "kind": "pipe", "path": "plugins/filters/mine.py", "text": "I am", "ms": 41}
        | {"line": 9, "error": "name 'x' is not defined", "hint": "why?", "source": "    return x", "model": None},
    ),
    (
        Note("saved", FILE),
        ["note      plugins/filters/mine.py  saved"],
        {"text": "saved", "path": "plugins/filters/mine.py"},
    ),
    (Note("a thing"), ["note      a thing"], {"text": "a thing", "path": None}),
    (
        Sandboxed(URL, "0.12.4", "a@b.example", "secret", None),
        [
            "sandbox   Open WebUI 0.12.4; its data is deleted at the end",
            "                    address  http://localhost:3000",
            "                    e-mail   a@b.example",
            "                    password secret",
        ],
        {
            "url": URL,
            "version": "0.12.4",
            "email": "a@b.example",
            "password": "secret",
            "credentials": None,
            "kept": None,
            "log": None,
            "debugger": None,
        },
    ),
    (
        Sandboxed(
            URL,
            "0.12.4",
            "a@b.example",
            None,
            CWD / "data" / "credentials.json",
            CWD / "data",
            CWD / "data" / "server.log",
            5678,
        ),
        [
            "sandbox   Open WebUI 0.12.4; its data is kept in data",
            "                    address  http://localhost:3000",
            "                    e-mail   a@b.example",
            "                    password is in data/credentials.json",
            "                    its log is data/server.log",
            "                    debugger: attach to 127.0.0.1:5678 (`owui-watch help debugging`)",
        ],
        {
            "url": URL,
            "version": "0.12.4",
            "email": "a@b.example",
            "password": None,
            "credentials": "data/credentials.json",
            "kept": "data",
            "log": "data/server.log",
            "debugger": 5678,
        },
    ),
    (
        Sandboxed(URL, "0.12.4", "a@b.example", None, CWD / "credentials.json"),
        [
            "sandbox   Open WebUI 0.12.4; its data is deleted at the end",
            "                    address  http://localhost:3000",
            "                    e-mail   a@b.example",
            "                    password is in credentials.json",
        ],
        {
            "url": URL,
            "version": "0.12.4",
            "email": "a@b.example",
            "password": None,
            "credentials": "credentials.json",
            "kept": None,
            "log": None,
            "debugger": None,
        },
    ),
    (
        SandboxedQuietly(URL, "0.12.4", "a@b.example", None, CWD / "credentials.json"),
        [
            "sandbox   Open WebUI 0.12.4; its data is deleted at the end",
            "                    address  http://localhost:3000",
            "                    e-mail   a@b.example",
            "                    password is in credentials.json",
        ],
        {
            "url": URL,
            "version": "0.12.4",
            "email": "a@b.example",
            "password": None,
            "credentials": "credentials.json",
            "kept": None,
            "log": None,
            "debugger": None,
        },
    ),
]

FRAME = Frame(FILE, 9, "inlet", author=True, source="    return helper(body)", column=12)
_FRAME = {"path": "plugins/filters/mine.py", "line": 9, "function": "inlet", "author": True}
_FRAME |= {"source": "    return helper(body)", "column": 12, "end_column": None}

GOLDEN += [
    (
        Raised(
            "mine",
            Kind.FILTER,
            "inlet",
            FILE,
            3,
            "KeyError: 'x'",
            (FRAME,),
            (Cause("cause", "ValueError: y", (FRAME,)),),
            source="    return a[x]",
            column=12,
            version="1.2.0",
            outdated=True,
            note="the line is a guess",
        ),
        [
            "raised    filter  mine.inlet  KeyError: 'x'",
            "                            plugins/filters/mine.py:3",
            "                              3 │     return a[x]",
            "                                │            ^",
            "                            called from plugins/filters/mine.py:9 in inlet  │ return helper(body)",
            "                            caused by ValueError: y",
            "                            plugins/filters/mine.py:9",
            "                              9 │     return helper(body)",
            "                                │            ^",
            "                            raised by the code of an earlier save, version 1.2.0",
            "                            the line is a guess",
        ],
        {
            **DEPLOYED,
            "method": "inlet",
            "line": 3,
            "error": "KeyError: 'x'",
            "frames": [_FRAME],
            "causes": [{"relation": "cause", "error": "ValueError: y", "frames": [_FRAME]}],
            "column": 12,
            "end_column": None,
            "source": "    return a[x]",
            "version": "1.2.0",
            "outdated": True,
            "note": "the line is a guess",
        },
    ),
    (
        Traceback(frames=(FRAME,)),
        [
            "traceback all 1 frames, innermost last:",
            f"{' ' * 20}plugins/filters/mine.py:9 in inlet  │ return helper(body)",
        ],
        {"text": "all frames", "path": None, "frames": [_FRAME]},
    ),
    (
        Printed("mine", Kind.FILTER, "inlet", FILE, 3, "hello", "stderr", "WARNING", "app", "1.0", True, True),
        ["printed   filter  mine  WARNING  hello…  (plugins/filters/mine.py:3, earlier save 1.0)"],
        {**DEPLOYED, "method": "inlet", "line": 3, "text": "hello", "stream": "stderr", "log_level": "WARNING"}
        | {"logger": "app", "version": "1.0", "outdated": True, "cut": True},
    ),
    (
        NewChat("mine", Kind.PIPE, f"{URL}/?models=mine"),
        ["chat      pipe    mine  talk to it: http://localhost:3000/?models=mine"],
        {"plugin": "mine", "kind": "pipe", "url": f"{URL}/?models=mine"},
    ),
    (
        Called("mine", "filter", "", "some\nwords", ('{"type": "status"}',), ("inlet:", "+a"), 41, unseen="more"),
        [
            "called    filter  mine  41 ms",
            "                            inlet:",
            "                            +a",
            '                            emitted {"type": "status"}',
            "                            some",
            "                            words",
            "                            more",
        ],
        {"plugin": "mine", "kind": "filter", "method": "", "result": "some\nwords", "emitted": ['{"type": "status"}']}
        | {"changes": ["inlet:", "+a"], "ms": 41, "error": None, "hint": None, "unseen": "more"},
    ),
    (
        CallFailed("clock", "tool", "now", None, (), (), 41, "ValueError: x", "why?"),
        [
            "called    tool    clock.now  ValueError: x",
            "                            why?",
        ],
        {"plugin": "clock", "kind": "tool", "method": "now", "result": None, "emitted": [], "changes": [], "ms": 41}
        | {"error": "ValueError: x", "hint": "why?", "unseen": None},
    ),
]
