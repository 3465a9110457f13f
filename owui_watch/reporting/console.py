"""How each event reads on a terminal: a head, and below it the lines that belong to it.

A renderer takes the fields of one event and returns text without time, indentation and colours; ``layout`` adds those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owui_watch.files import is_folder
from owui_watch.plugins.model import Severity

Fields = Mapping[str, Any]
Shown = Callable[[Path], str]
"""Returns a path as an editor opens it from the folder where owui-watch was started."""

MOST_NAMED = 8
"""Ids, and diagnostics, that one line names at most."""
GLUE = "\0"
"""Stands for a blank at which a line must not be broken."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A line of source with its number and a caret below ``column`` (from 1; None: no caret). It is cut, not wrapped."""

    line: int
    column: int | None
    source: str


Lines = Iterator[str | Excerpt]
Renderer = Callable[[Fields, Shown], Lines]
_RENDERERS: dict[str, Renderer] = {}
_INDENTED: set[str] = set()


def renders(*events: str, indented: bool = False) -> Callable[[Renderer], Renderer]:
    """Register a function as the renderer of ``events``. ``indented``: further lines begin below the plugin's id."""

    def register(renderer: Renderer) -> Renderer:
        _RENDERERS.update(dict.fromkeys(events, renderer))
        if indented:
            _INDENTED.update(events)
        return renderer

    return register


def render(event: str, fields: Fields, shown: Shown) -> Lines:
    """Return the text after the event's name, then the lines below it. Raises KeyError for an unknown event."""
    return _RENDERERS[event](fields, shown)


def margin(event: str, fields: Fields) -> int:
    """Return the additional columns by which the lines below are indented."""
    details = event in _INDENTED or (event == "answer" and fields["error"] is not None)
    return 8 if details and fields.get("plugin") else 0


@renders("watching")
def _(o: Fields, shown: Shown) -> Lines:
    server = f"Open WebUI {o['server_version']}" if o["server_version"] else "not connected yet"
    paths = ", ".join(f"{unbroken(shown(path))}/" if is_folder(path) else unbroken(shown(path)) for path in o["path"])
    yield f"{_count(o['plugins'], 'plugin')} in {paths} → {o['url']} ({server})"


@renders("created", indented=True)
def _(o: Fields, shown: Shown) -> Lines:
    yield _deployed(o, shown)
    yield unbroken(o["open"])
    if o["attach"]:
        yield o["attach"]


@renders("updated", "unchanged")
def _(o: Fields, shown: Shown) -> Lines:
    off = "  (off on the server)" if o.get("disabled") else ""
    yield _deployed(o, shown) + off


@renders("affected")
def _(o: Fields, shown: Shown) -> Lines:
    yield f"{_count(o['plugins'], 'plugin')} with {unbroken(shown(o['path']))}"


@renders("rejected", indented=True)
def _(o: Fields, shown: Shown) -> Lines:
    for number, diagnostic in enumerate(o["diagnostics"][:MOST_NAMED]):
        severity = "warning: " if diagnostic["severity"] == Severity.WARNING else ""
        first, *rest = diagnostic["error"].splitlines() or [""]
        yield (kind_and_id(o) if number == 0 else severity) + first
        yield from rest
        yield place(diagnostic["path"] or o["path"], diagnostic["line"], shown)
        yield from excerpt(diagnostic["line"], diagnostic["column"], diagnostic["source"])
        if diagnostic["hint"]:
            yield from diagnostic["hint"].splitlines()
    if (more := len(o["diagnostics"]) - MOST_NAMED) > 0:
        yield f"{more} more: run `owui-watch check {unbroken(shown(o['path']))}`"
    if o["live"]:
        yield f"the live {o['live']} is untouched"


@renders("warning", indented=True)
def _(o: Fields, shown: Shown) -> Lines:
    first, *rest = o["error"].splitlines() or [""]
    yield kind_and_id(o) + first
    yield from rest
    if o["path"]:
        yield place(o["path"], o["line"], shown)
    if o["hint"]:
        yield from o["hint"].splitlines()


@renders("differs")
def _(o: Fields, shown: Shown) -> Lines:
    parts = []
    if o["changed"]:
        verb = "differs" if o["changed_count"] == 1 else "differ"
        names = named(o["changed"], o["changed_count"])
        parts.append(f"{_count(o['changed_count'], 'plugin')} {verb} from the server ({names})")
    if o["absent"]:
        verb = "is" if o["absent_count"] == 1 else "are"
        subject = f"{o['absent_count']}" if parts else _count(o["absent_count"], "plugin")
        parts.append(f"{subject} {verb} not on the server ({named(o['absent'], o['absent_count'])})")
    yield ", ".join(parts)
    them = "it" if o["changed_count"] + o["absent_count"] == 1 else "them"
    yield (
        f"deploying {them} now" if o["deploying"] else "save a file to deploy it; start with --sync to deploy them all"
    )


@renders("held")
def _(o: Fields, shown: Shown) -> Lines:
    names = named(o["plugins"][:MOST_NAMED], len(o["plugins"]))
    yield f"{_count(len(o['plugins']), 'new plugin')} at once, none created ({names})"
    yield "to create one, save it again; to create all, run `owui-watch deploy`; `max_new` sets the limit"


@renders("restored")
def _(o: Fields, shown: Shown) -> Lines:
    yield f"{kind_and_id(o)}live again as before the refused save, after {duration(o['ms'])}"


@renders("backed_up", indented=True)
def _(o: Fields, shown: Shown) -> Lines:
    what = f" ({o['replaced']})" if o["replaced"] else ""
    yield f"{kind_and_id(o)}the server's copy was edited elsewhere{what}; backed up to"
    yield unbroken(shown(o["backup"]))


@renders("working")
def _(o: Fields, shown: Shown) -> Lines:
    cause = f"; it may be installing {o['requirements']}" if o["requirements"] else ""
    yield f"{kind_and_id(o)}no answer from the server after {o['seconds']} s{cause}"


@renders("skipped")
def _(o: Fields, shown: Shown) -> Lines:
    yield f"{unbroken(shown(o['path']))}  {o['reason']}"


@renders("missing")
def _(o: Fields, shown: Shown) -> Lines:
    path, copy = unbroken(shown(o["path"])), "; the server keeps its copy" if o["live"] else ""
    if o["gone"]:
        yield f"{unbroken(o['plugin'])}  its file {path} is gone{copy}"
        moved = "the file was renamed, so its id"
    else:
        yield f"{unbroken(o['plugin'])}  no file has this id any more{copy}"
        moved = f"the id of {path}"
    if o["moved_to"]:
        yield f"{moved} is {unbroken(o['moved_to'])} now; to keep the old id, add a line `id: {o['plugin']}` to its header"


@renders("disabled", indented=True)
def _(o: Fields, shown: Shown) -> Lines:
    yield f"{kind_and_id(o)}disabled on the server, because its file is gone (on_delete is “disable”)"
    yield unbroken(o["open"])


@renders("queued")
def _(o: Fields, shown: Shown) -> Lines:
    yield f"{unbroken(o['plugin'])}  saved; deployed as soon as the server can be reached"


@renders("waiting")
def _(o: Fields, shown: Shown) -> Lines:
    parts = [f"{unbroken(o['url'])}: {o['error']}"]
    if o["pending"]:
        parts.append(f"{_count(o['pending'], 'plugin')} pending")
    parts.append("waiting for another key" if o["retry_in"] is None else f"next try in {o['retry_in']:g} s")
    yield " · ".join(parts)
    if o["hint"]:
        yield from o["hint"].splitlines()


@renders("reachable")
def _(o: Fields, shown: Shown) -> Lines:
    yield unbroken(o["url"])


@renders("stopping")
def _(o: Fields, shown: Shown) -> Lines:
    names = named(o["pending"][:MOST_NAMED], len(o["pending"]))
    yield f"deploying for at most {o['drain']:g} s more: {names}. Ctrl-C again stops at once"


@renders("stopped")
def _(o: Fields, shown: Shown) -> Lines:
    names = named(o["pending"][:MOST_NAMED], len(o["pending"]))
    yield f"not deployed: {names}" if o["pending"] else "nothing is left to deploy"


@renders("note")
def _(o: Fields, shown: Shown) -> Lines:
    yield f"{unbroken(shown(o['path']))}  {o['text']}" if o["path"] else o["text"]


def shown_path(path: Path, cwd: Path) -> str:
    """Return ``path`` relative to ``cwd`` if it lies below, else absolute; always with ``/``."""
    return path.relative_to(cwd).as_posix() if path.is_relative_to(cwd) else path.as_posix()


def duration(ms: int) -> str:
    """Return milliseconds as text: ``41 ms``, ``1.2 s``."""
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def named(names: Sequence[str], count: int) -> str:
    """List ``names``; if they are the first ones of ``count``, add how many more there are."""
    more = count - len(names)
    return ", ".join(map(unbroken, names)) + (f" and {more} more" if more > 0 else "")


def kind_and_id(o: Fields) -> str:
    """Return kind and id as a line begins with them; empty if the event has no plugin."""
    return f"{o['kind'] or 'plugin':<7} {unbroken(o['plugin'])}  " if o["plugin"] else ""


def place(path: Path, line: int | None, shown: Shown) -> str:
    """Return ``path:line`` as editors open it."""
    return unbroken(f"{shown(path)}:{line}" if line else shown(path))


def excerpt(line: int | None, column: int | None, source: str | None) -> Lines:
    """Yield the source line of a diagnostic, if there is one."""
    if line is not None and source is not None:
        yield Excerpt(line, None if "***" in source else column, source)  # a hidden key moves what is behind it


def unbroken(text: str) -> str:
    """Return a text that is never broken into two lines: an id, a path, a URL, a password."""
    return text.replace(" ", GLUE)


def versions(version: str | None, previous: str | None) -> str:
    """Return the version before and after a deploy as text; empty without one."""
    return f"{previous} → {version}" if previous and version and previous != version else version or ""


def _deployed(o: Fields, shown: Shown) -> str:
    change = versions(o["version"], o["previous_version"])
    name = f"{o['kind']:<7} {unbroken(o['plugin'])}"
    through = f"with {unbroken(shown(o['through']))}" if o["through"] else ""
    return "  ".join(part for part in (name, change, f"{duration(o['ms']):>6}", through) if part)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
