"""Looks at the server after a deploy.

``LateContent``: has an older request replaced the newest content? ``OverwrittenEdits``: did the deploy replace an edit?
``SwitchedOff``: is a function off that was on? ``Reverted``: does the server hold older content again? ``NewPipes``:
the server lists its models anew. ``FollowUp`` is all of them.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import anyio
from anyio.abc import TaskGroup

from owui_watch.concurrency import ReportProblem, Wakeup, guarded, supervise
from owui_watch.deployer.overwritten_edits import OverwrittenEdits
from owui_watch.deployer.plan import Progress
from owui_watch.deployer.recovery import LATE_LOOKS
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.listing import Listing
from owui_watch.openwebui.remote import ListedPlugin, Remote
from owui_watch.plugins.model import Kind, PluginKey, Space
from owui_watch.reporting.events import Event, Warned
from owui_watch.state.journal import Journal
from owui_watch.state.record import Record

LATER_LOOKS = (5.0, 60.0, 300.0)
"""Seconds after the deploy of an active function at which the server is looked at again."""
DUE_TOGETHER = 1.0
"""Functions that are due within so many seconds share one listing."""
LISTING_FACTOR = 20
LEAST_PAUSE = 5.0
"""The pause after a listing: as many times as long as the listing took, and at least so many seconds. Without it,
thousands of deploys in a row would ask for a listing every second."""
REVERTED_EVERY = 60.0
"""Seconds between two searches for older content."""


@dataclass(frozen=True, slots=True)
class _ActiveFunction:
    """A function that was on when it was deployed. ``looks``: how often the server was looked at since."""

    kind: Kind
    deployed_at: float
    updated_at: int | None
    looks: int = 0

    @property
    def due(self) -> float:
        return self.deployed_at + LATER_LOOKS[self.looks]


class FollowUp:
    """All looks after the deploys of one run.

    ``is_pending`` returns whether a plugin is dirty anyway, ``look`` makes it dirty for a look alone, ``changed`` waits
    until something becomes dirty or is done.
    """

    def __init__(
        self,
        server: OpenWebUI,
        journal: Journal,
        *,
        is_pending: Callable[[PluginKey], bool],
        look: Callable[[PluginKey], None],
        changed: Callable[[], Awaitable[None]],
        report: Callable[[Event], None],
        report_problem: ReportProblem,
    ) -> None:
        self._report_problem = report_problem
        self.late_content = LateContent(journal, is_pending, look, changed, report_problem)
        self.overwritten = OverwrittenEdits(server, journal, report)
        self.reverted = Reverted(server, journal, is_pending)
        self._switched_off = SwitchedOff(server, journal, is_pending, report)
        self._new_pipes = NewPipes(server)
        self._looks_later = False

    def start(self, tasks: TaskGroup) -> None:
        """Look later at the functions deployed from now on, in ``tasks``."""
        self._looks_later = True
        what = "looking at the server after a deploy"
        tasks.start_soon(supervise, what, self._switched_off.run, self._report_problem)

    def note(self, progress: Progress) -> None:
        """Note a deploy for the looks that follow it."""
        self.overwritten.note(progress.key)
        if self._looks_later:
            self._switched_off.note(progress)
        self._new_pipes.note(progress)

    async def finish(self) -> None:
        """Do what the last deploys still need: search for overwritten edits, refresh the list of models."""
        await self.overwritten.check()
        await self._new_pipes.check()


class LateContent:
    """Looks whether an older request, which the server may still carry out, has replaced the newest content.

    One series of looks per plugin; a newer deploy begins another one.
    """

    def __init__(
        self,
        journal: Journal,
        is_pending: Callable[[PluginKey], bool],
        look: Callable[[PluginKey], None],
        changed: Callable[[], Awaitable[None]],
        report_problem: ReportProblem,
    ) -> None:
        self._journal = journal
        self._report_problem = report_problem
        self._is_pending = is_pending
        self._look = look
        self._changed = changed
        self._series: dict[PluginKey, object] = {}

    def begin(self, key: PluginKey, tasks: TaskGroup) -> None:
        """Look at ``key`` again and again until no older request can be under way."""
        self._series[key] = series = object()
        tasks.start_soon(self._guarded_run, key, series)

    async def _guarded_run(self, key: PluginKey, series: object) -> None:
        with guarded(f"looking at {key.id} after a deploy", self._report_problem):
            await self._run(key, series)

    async def _run(self, key: PluginKey, series: object) -> None:
        began = anyio.current_time()
        for seconds in LATE_LOOKS:
            await anyio.sleep(began + seconds - anyio.current_time())
            if self._series.get(key) is not series:
                return
            if not self._is_pending(key):
                self._look(key)
        while self._is_pending(key):  # the last look itself
            await self._changed()
        if self._series.get(key) is series:
            del self._series[key]
            self._journal.expect_nothing_late(key)


class SwitchedOff:
    """Finds functions that were on after their deploy and are off a while later, and reports each once.

    If another instance of the server can't load a function, for example for want of a package, it switches the function
    off for all instances. One listing without contents serves all functions that are due.
    """

    def __init__(
        self,
        server: OpenWebUI,
        journal: Journal,
        is_pending: Callable[[PluginKey], bool],
        report: Callable[[Event], None],
    ) -> None:
        self._server = server
        self._journal = journal
        self._is_pending = is_pending
        self._report = report
        self._changed = Wakeup()
        self._deployed: dict[PluginKey, _ActiveFunction] = {}

    def note(self, progress: Progress) -> None:
        """Remember a function that is on after its deploy; one that is off is not looked at."""
        remote = progress.remote
        self._deployed.pop(progress.key, None)
        if remote is not None and remote.active:
            self._deployed[progress.key] = _ActiveFunction(remote.kind, anyio.current_time(), remote.updated_at)
            self._changed.notify()

    async def run(self) -> None:
        """Look whenever a function is due, until cancelled."""
        while True:
            await self._changed.until(lambda: bool(self._deployed))
            await anyio.sleep_until(min(function.due for function in self._deployed.values()))
            began = anyio.current_time()
            await self._look_at_due()
            took = anyio.current_time() - began
            await anyio.sleep(max(LEAST_PAUSE, LISTING_FACTOR * took))

    async def _look_at_due(self) -> None:
        now = anyio.current_time() + DUE_TOGETHER
        due = {key: function for key, function in self._deployed.items() if function.due <= now}
        listing = await self._server.list_states(Space.FUNCTIONS, lambda listed: listed.key in due)
        for key, function in due.items():
            if self._deployed.get(key) is function:  # else it was deployed again, or switched off, during the listing
                self._look(key, function, listing.plugins.get(key) if isinstance(listing, Listing) else None)

    def _look(self, key: PluginKey, function: _ActiveFunction, listed: ListedPlugin | None) -> None:
        off = listed is not None and listed.active is False and not self._is_pending(key)
        if off and not self._journal.record(key).disabled and listed is not None:
            seconds = round(anyio.current_time() - function.deployed_at)
            if listed.updated_at is not None and function.updated_at is not None:
                seconds = min(seconds, max(0, listed.updated_at - function.updated_at))
            error = (
                f"switched off {seconds} s after the deploy: an instance of the server could not load it, "
                "or somebody switched it off"
            )
            hint = "are its requirements installed on every instance? The server's log has the error"
            self._report(Warned(error, hint, key.id, function.kind))
        if off or function.looks + 1 == len(LATER_LOOKS):
            del self._deployed[key]
        else:
            self._deployed[key] = replace(function, looks=function.looks + 1)


class Reverted:
    """Finds plugins of which the server holds older content again, as after a backup was restored.

    At most once a minute, one listing without contents per space is compared with the time of the last deploy.
    """

    def __init__(self, server: OpenWebUI, journal: Journal, is_pending: Callable[[PluginKey], bool]) -> None:
        self._server = server
        self._journal = journal
        self._is_pending = is_pending
        self._next = -math.inf

    def expect(self) -> None:
        """Let the next check take place at once: the server was away."""
        self._next = -math.inf

    async def check(self) -> set[PluginKey]:
        """Return the plugins whose content went back; nothing if the last check was less than a minute ago."""
        if anyio.current_time() < self._next:
            return set()
        self._next = anyio.current_time() + REVERTED_EVERY
        known = {key: record for key in self._journal.managed() if (record := self._journal.record(key)).updated_at}
        found: set[PluginKey] = set()
        for space in {key.space for key in known} if len(known) > 1 else ():
            found |= await self._went_back(space, {key: known[key] for key in known if key.space is space})
        return found

    async def _went_back(self, space: Space, known: Mapping[PluginKey, Record]) -> set[PluginKey]:
        def is_older(listed: ListedPlugin) -> bool:
            deployed_at = known[listed.key].updated_at if listed.key in known else None
            return listed.updated_at is not None and deployed_at is not None and listed.updated_at < deployed_at

        listing = await self._server.list_states(space, is_older)
        if not isinstance(listing, Listing):
            return set()
        found = set()
        for key in listing.plugins:
            look = await self._server.look(key)
            if isinstance(look, Remote) and look.digest != known[key].digest and not self._is_pending(key):
                found.add(key)
        # A restored backup also lacks what was created after it. If no plugin went back, a missing one was deleted.
        gone = known.keys() - listing.plugins.keys() - listing.keys_only if found and listing.proves_absence else set()
        return found | {key for key in gone if not self._is_pending(key)}


class NewPipes:
    """Makes the server list its models anew after a deploy that added a pipe: until then it does not find its models."""

    def __init__(self, server: OpenWebUI) -> None:
        self._server = server
        self._added = False

    def note(self, progress: Progress) -> None:
        """Remember that a pipe was created, was switched on, or was a function of another kind before."""
        first = progress.first
        was_pipe = not progress.created and first is not None and first.kind is Kind.PIPE and first.active
        is_pipe = progress.remote is not None and progress.remote.kind is Kind.PIPE and progress.remote.active
        self._added |= bool(is_pipe and not was_pipe)

    async def check(self) -> None:
        """Refresh the list of models on each instance that can be reached, if a pipe was added."""
        if self._added:
            self._added = False
            await self._server.chat.refresh_models()
