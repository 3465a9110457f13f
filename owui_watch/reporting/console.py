"""How each outcome reads on a terminal: a head line, and below it what belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import singledispatch
from pathlib import Path

from owui_watch.files.regular import is_folder
from owui_watch.plugins.model import Severity
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
from owui_watch.reporting.runtime_events import Raised

Shown = Callable[[Path], str]
"""Turns a path into what an editor opens from where owui-watch was started."""

MOST_NAMED = 8
LONGEST = 100
"""Characters shown of a source line on either side of the caret."""


@singledispatch
def lines(outcome: Event, shown: Shown) -> Iterator[str]:
    """Return the text after the event's name, then the lines below it."""
    raise NotImplementedError(type(outcome))


def margin(outcome: Event) -> int:
    """Return the columns that the lines below the head are set in: what belongs to a plugin stands under its name."""
    return (
        8
        if isinstance(outcome, Created | Rejection | Warned | BackedUp | Disabled | AnswerFailed | Raised)
        and outcome.plugin
        else 0
    )


@lines.register(Watching)
def _(o: Watching, shown: Shown) -> Iterator[str]:
    server = f"Open WebUI {o.server_version}" if o.server_version else "not connected yet"
    places = ", ".join(f"{shown(path)}/" if is_folder(path) else shown(path) for path in o.path)
    yield f"{_count(o.plugins, 'plugin')} in {places} → {o.url} ({server})"


@lines.register(Created)
def _(o: Created, shown: Shown) -> Iterator[str]:
    yield _deployed(o)
    yield o.open
    if o.attach:
        yield o.attach


@lines.register(Updated)
@lines.register(Unchanged)
def _(o: Updated | Unchanged, shown: Shown) -> Iterator[str]:
    yield _deployed(o)


@lines.register(Rejection)
def _(o: Rejection, shown: Shown) -> Iterator[str]:
    name = f"{o.kind or 'plugin':<7} {o.plugin}  " if o.plugin else ""
    for number, diagnostic in enumerate(o.diagnostics[:MOST_NAMED]):
        first, *rest = diagnostic.error.splitlines() or [""]
        severity = "warning: " if diagnostic.severity is Severity.WARNING else ""
        yield (name if number == 0 else severity) + first
        yield from rest
        yield place(diagnostic.path or o.path, diagnostic.line, shown)
        yield from source_lines(diagnostic.line, diagnostic.column, diagnostic.source)
        if diagnostic.hint:
            yield diagnostic.hint
    if (more := len(o.diagnostics) - MOST_NAMED) > 0:
        yield f"{more} more: `owui-watch check {shown(o.path)}` shows all"
    if o.live:
        yield f"the live {o.live} is untouched"


@lines.register(Warned)
def _(o: Warned, shown: Shown) -> Iterator[str]:
    first, *rest = o.error.splitlines() or [""]
    yield (f"{o.kind or 'plugin':<7} {o.plugin}  " if o.plugin else "") + first
    yield from rest
    if o.path:
        yield place(o.path, o.line, shown)
    if o.hint:
        yield o.hint


@lines.register(Differs)
def _(o: Differs, shown: Shown) -> Iterator[str]:
    parts = []
    if o.changed:
        parts.append(f"{o.changed_count} changed ({named(o.changed, o.changed_count)})")
    if o.absent:
        parts.append(f"{o.absent_count} not on the server ({named(o.absent, o.absent_count)})")
    yield ", ".join(parts)
    yield "deploying now" if o.deploying else "deployed when you save them; --sync deploys them at the start"


@lines.register(Held)
def _(o: Held, shown: Shown) -> Iterator[str]:
    names = named(o.plugins[:MOST_NAMED], len(o.plugins))
    yield f"{_count(len(o.plugins), 'new plugin')} at once, none created ({names})"
    yield "`owui-watch deploy` creates them, saving one creates that one; or raise max_new"


@lines.register(Restored)
def _(o: Restored, shown: Shown) -> Iterator[str]:
    yield f"{o.kind:<7} {o.plugin}  is live as before, after {duration(o.ms)}"


@lines.register(BackedUp)
def _(o: BackedUp, shown: Shown) -> Iterator[str]:
    yield f"{o.kind:<7} {o.plugin}  owui-watch did not put there what stood on the server; a copy is in"
    yield shown(o.backup)


@lines.register(Working)
def _(o: Working, shown: Shown) -> Iterator[str]:
    doing = f"; it may be installing {o.requirements}" if o.requirements else ""
    yield f"{o.kind:<7} {o.plugin}  the server is still at it after {o.seconds} s{doing}"


@lines.register(Skipped)
def _(o: Skipped, shown: Shown) -> Iterator[str]:
    yield f"{shown(o.path)}  {o.reason}"


@lines.register(Missing)
def _(o: Missing, shown: Shown) -> Iterator[str]:
    yield f"{o.plugin}  its file {shown(o.path)} is gone" + ("; the server's copy stays" if o.live else "")
    if o.moved_to:
        yield f"it was renamed, and its id is {o.moved_to} now: a line `id: {o.plugin}` in its header keeps the old one"


@lines.register(Renamed)
def _(o: Renamed, shown: Shown) -> Iterator[str]:
    yield f"{o.plugin}  the id of {shown(o.path)} is {o.moved_to} now; the server's copy of {o.plugin} stays"
    yield f"a line `id: {o.plugin}` in its header keeps the old one"


@lines.register(Disabled)
def _(o: Disabled, shown: Shown) -> Iterator[str]:
    yield f"{o.kind:<7} {o.plugin}  switched off on the server, since its file is gone (on_delete is disable)"
    yield o.open


@lines.register(Queued)
def _(o: Queued, shown: Shown) -> Iterator[str]:
    yield f"{o.plugin}  is deployed as soon as that is over"


@lines.register(Waiting)
def _(o: Waiting, shown: Shown) -> Iterator[str]:
    parts = [f"{o.url}: {o.error}"]
    if o.pending:
        parts.append(f"{_count(o.pending, 'plugin')} pending")
    parts.append("until the key changes" if o.retry_in is None else f"next try in {o.retry_in:g} s")
    yield " · ".join(parts)
    if o.hint:
        yield from o.hint.splitlines()


@lines.register(Reachable)
def _(o: Reachable, shown: Shown) -> Iterator[str]:
    yield o.url


@lines.register(Stopping)
def _(o: Stopping, shown: Shown) -> Iterator[str]:
    names = named(o.pending[:MOST_NAMED], len(o.pending))
    yield f"within {o.drain:g} s; still to be deployed: {names}. Ctrl-C again ends at once"


@lines.register(Stopped)
def _(o: Stopped, shown: Shown) -> Iterator[str]:
    names = named(o.pending[:MOST_NAMED], len(o.pending))
    yield f"not deployed: {names}" if o.pending else "nothing is left to deploy"


@lines.register(Planned)
def _(o: Planned, shown: Shown) -> Iterator[str]:
    yield f"{o.action}  {o.kind} {o.plugin}  {_versions(o.version, o.previous_version)}".rstrip()


@lines.register(Finished)
def _(o: Finished, shown: Shown) -> Iterator[str]:
    deployed = "would deploy" if o.dry_run else "deployed"
    yield f"{deployed} {o.deployed}, unchanged {o.unchanged}, rejected {o.rejected} in {o.ms / 1000:.1f} s"


@lines.register(HandedOver)
def _(o: HandedOver, shown: Shown) -> Iterator[str]:
    what = ", ".join(o.plugins) or "what differs from the server"
    yield f"the owui-watch that runs here deploys {what}: its lines tell what comes of it"


@lines.register(Asking)
def _(o: Asking, shown: Shown) -> Iterator[str]:
    yield f"{o.kind:<7} {o.plugin}  “{' '.join(o.prompt.split())}”"


@lines.register(Answer)
def _(o: Answer, shown: Shown) -> Iterator[str]:
    yield f"{o.kind:<7} {o.plugin}  {duration(o.ms):>6}"
    yield from o.text.splitlines()


@lines.register(AnswerFailed)
def _(o: AnswerFailed, shown: Shown) -> Iterator[str]:
    first, *rest = (o.error or "").splitlines() or [""]
    yield f"{o.kind:<7} {o.plugin}  {first}"
    yield from rest
    yield place(o.path, o.line, shown)
    yield from source_lines(o.line, None, o.source)
    if o.hint:
        yield o.hint


@lines.register(Note)
def _(o: Note, shown: Shown) -> Iterator[str]:
    yield f"{shown(o.path)}  {o.text}" if o.path else o.text


@lines.register(Sandboxed)
def _(o: Sandboxed, shown: Shown) -> Iterator[str]:
    yield f"Open WebUI {o.version} at {o.url}, {f'kept in {shown(o.kept)}' if o.kept else 'thrown away at the end'}"
    if o.credentials:
        yield f"e-mail and password are in {shown(o.credentials)}"
    else:
        yield f"e-mail {o.email}, password {o.password}"


def place(path: Path, line: int | None, shown: Shown) -> str:
    """Return ``path:line`` as editors open it."""
    return f"{shown(path)}:{line}" if line else shown(path)


def source_lines(line: int | None, column: int | None, source: str | None) -> Iterator[str]:
    """Show a source line with its number, and a caret below ``column`` (from 1); of a very long one what is near it."""
    if line is None or source is None:
        return
    before, after = (part.expandtabs(4) for part in (source[: (column or 1) - 1], source[(column or 1) - 1 :]))
    if len(before) > LONGEST:
        before = "…" + before[-LONGEST:]
    if len(after) > LONGEST:
        after = after[:LONGEST] + "…"
    yield f"  {line} │ {before}{after.rstrip()}"
    if column:
        yield f"  {' ' * len(str(line))} │ {' ' * len(before)}^"


def duration(ms: int) -> str:
    """Return milliseconds as a person says them."""
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def _deployed(o: Created | Updated | Unchanged) -> str:
    versions = _versions(o.version, o.previous_version)
    return "  ".join(part for part in (f"{o.kind:<7} {o.plugin}", versions, f"{duration(o.ms):>6}") if part)


def _versions(version: str | None, previous: str | None) -> str:
    return f"{previous} → {version}" if previous and version and previous != version else version or ""


def named(names: Sequence[str], count: int) -> str:
    """List ``names``, and how many more there are where they are the first ones of ``count``."""
    more = count - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
