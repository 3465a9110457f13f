"""What the server holds for a plugin now: learned from looks, and from the responses to requests."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from itertools import chain, repeat

import anyio

from owui_watch.deployer.plan import Progress
from owui_watch.deployer.prefetch import LOOK_AGE, Look
from owui_watch.deployer.reconcile_context import ReconcileContext
from owui_watch.deployer.recovery import BackOff, Failure, GiveUp, GoOn, Postpone, Recovery, TryLater, recover
from owui_watch.deployer.refusals import blocked, no_right
from owui_watch.deployer.results import EndError, Postponed, Rejected, ServerAway, Troubled, not_shown
from owui_watch.openwebui.remote import AnyCopy, ListedPlugin, Remote
from owui_watch.openwebui.responses import Absent, Denied, Forbidden, Refused, Response, Unavailable, Unusable
from owui_watch.plugins.model import Kind
from owui_watch.reporting.events import Working

FIRST_WORKING = 5.0
NEXT_WORKING = 30.0
"""Seconds without a response before a line says so, and between two more such lines."""


class ActualState:
    """Puts what the server shows into the progress of a reconcile.

    The methods return the progress to plan the next step from. They raise EndError if there is nothing to plan: the
    server is away, may still be working on a request, or refuses for good.
    """

    def __init__(self, context: ReconcileContext) -> None:
        self._prefetch = context.prefetch
        self._journal = context.journal
        self._report = context.report

    async def first_look(self, progress: Progress) -> Progress:
        """Look at the plugin, or use a look that was begun early."""
        return self._see(progress, await self._prefetch.take(progress.key))

    async def look(self, progress: Progress) -> Progress:
        """Look at the plugin now."""
        return self._see(progress, await self._prefetch.look(progress.key))

    async def wait_for(
        self, progress: Progress, call: Awaitable[AnyCopy | Response], kind: Kind
    ) -> tuple[AnyCopy | Response, float]:
        """Wait for a response as long as it takes; return it and the seconds it took.

        The server may be installing ``requirements``, so a line now and then reports that the server is still working.
        """
        began = anyio.current_time()
        requirements = progress.plugin.header.get("requirements") if progress.plugin else None

        async def report_working() -> None:
            for pause in chain([FIRST_WORKING], repeat(NEXT_WORKING)):
                await anyio.sleep(pause)
                so_far = round(anyio.current_time() - began)
                self._report(Working(progress.key.id, kind, so_far, requirements or None))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(report_working)
            response = await call
            tasks.cancel_scope.cancel()
        return response, anyio.current_time() - began

    async def accept(self, progress: Progress, response: AnyCopy | Response, seconds: float) -> Progress:
        """Take the server's copy from the response to a request, or look if the response does not hold it."""
        match response:
            case Remote():
                self._answered(progress)
                return replace(progress, remote=response, good_until=anyio.current_time() + LOOK_AGE)
            case Unavailable() | Unusable() | Refused(database=True):
                look = await self._prefetch.look(progress.key)
                assert not isinstance(look.response, ListedPlugin), "a look shows the content"
                recovery = recover(progress, Failure(response, seconds, look.response))
                progress = replace(self.follow(progress, recovery), good_until=look.good_until)
                if isinstance(recovery, GoOn):
                    await anyio.sleep(recovery.pause)
                return progress
            case Denied() | Forbidden():
                raise not_shown(progress, response)
            case _:
                self._answered(progress)
                return await self.look(progress)

    def follow(self, before: Progress, recovery: Recovery) -> Progress:
        """Record the intent as ``recovery`` changed it. Raise EndError unless the plan goes on."""
        progress = recovery.progress
        if progress.intent is not None and progress.intent != before.intent:
            self._journal.begin(progress.intent)
        if progress.late:
            self._journal.expect_late(progress.key)
            progress = replace(progress, late=False, ours=self._journal.ours(progress.key))
        match recovery:
            case TryLater(why=why):
                raise EndError(ServerAway(why))
            case Postpone(seconds=seconds):
                raise EndError(Postponed(progress, seconds))
            case BackOff(error=error):
                raise EndError(Troubled(progress, error))
            case GiveUp(why=Unavailable() as why):
                raise EndError(Rejected(progress, blocked(why)))
            case GiveUp():
                raise EndError(Rejected(progress, no_right()))
        return progress

    def _see(self, progress: Progress, look: Look) -> Progress:
        """Take the server's copy from a look. Until something is sent, this copy also counts as ``first``."""
        match look.response:
            case Remote() | ListedPlugin() as seen:
                remote: AnyCopy | None = seen
            case Absent():
                remote = None
            case _:
                raise not_shown(progress, look.response)
        first = progress.first if progress.sent or progress.created else remote
        return replace(progress, remote=remote, good_until=look.good_until, first=first)

    def _answered(self, progress: Progress) -> None:
        if progress.intent is not None:
            self._journal.answered(progress.key, progress.intent.sent)
