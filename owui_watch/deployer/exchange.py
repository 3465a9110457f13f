"""The calls for one plugin, one after the other: what each leaves on the server is known before the next is made."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import anyio

from owui_watch.deployer.means import EndError, Means, PostponedError, TryLaterError, early_end
from owui_watch.deployer.patience import SLOW, patiently, pause_after
from owui_watch.deployer.plan import Attempt
from owui_watch.deployer.recovery import FAILS, Failure, Recovery, noted, recovery
from owui_watch.deployer.refusals import blocked
from owui_watch.openwebui.responses import Absent, Denied, Forbidden, Remote, Response, Unavailable
from owui_watch.plugins.content import digest
from owui_watch.plugins.model import Kind, Plugin, PluginKey
from owui_watch.reporting.events import Working
from owui_watch.state.journal import Intent


class Exchange:
    """What is known so far: ``remote``, the server's copy, and the ``attempt``.

    Whatever takes an answer raises TryLaterError where it tells nothing now, and EndError where it never will.
    ``plugin`` is None where its file can't be sent now.
    """

    def __init__(self, means: Means, key: PluginKey, plugin: Plugin | None) -> None:
        self._server = means.server
        self._journal = means.journal
        self._report = means.report
        self._key = key
        self._plugin = plugin
        self.remote: Remote | None = None
        self.attempt = Attempt(self._journal.intent(key), self._journal.ours(key), self._journal.retired(key))
        self._failures = 0
        self._slow = False

    def learn(self, **done: Any) -> None:
        """Change these fields of the attempt. Raises TypeError for one that it hasn't."""
        self.attempt = replace(self.attempt, **done)

    def begin(self, intent: Intent) -> None:
        """Write ``intent`` down."""
        self._journal.intend(intent)
        self.learn(intent=intent)

    def see(self, look: Remote | Response) -> None:
        """Take what a look shows."""
        match look:
            case Remote(content=str()):
                self.remote = look
            case Absent():
                self.remote = None
            case _:
                raise early_end(look)

    def holds(self, sent: str) -> bool:
        """Return whether the server holds the content with this digest."""
        return self.remote is not None and digest(self.remote.content or "") == sent

    async def patiently(self, call: Awaitable[Remote | Response], kind: Kind) -> Remote | Response:
        """Wait for an answer as long as it takes, and say now and then that the server is still at it."""
        requirements = self._plugin.header.get("requirements") if self._plugin else None
        answer, seconds = await patiently(
            call, lambda so_far: self._report(Working(self._key.id, kind, so_far, requirements or None))
        )
        self._slow = seconds > SLOW
        return answer

    async def take_in(self, answer: Remote | Response) -> None:
        """Take the server's copy from an answer, or look where it does not hold one. Raises PostponedError too."""
        match answer:
            case Remote(content=str()):
                self.remote = answer
            case Unavailable():
                await self._recover(answer)
            case Denied() | Forbidden():
                raise early_end(answer)
            case _:
                self.see(await self._server.look(self._key))

    def await_end(self) -> None:
        """Postpone all else while the server may still be at what was sent, unless it holds it or it is outdated."""
        intent = self.attempt.intent
        if intent is None or self.holds(intent.sent):
            return
        self._journal.doubt(self._key, intent.sent)
        newer = self._plugin is not None and digest(self._plugin.content) != intent.sent
        pause = None if newer else pause_after(intent.under_way)
        self.begin(replace(intent, under_way=0 if pause is None else intent.under_way + 1))
        if pause is not None:
            raise PostponedError(pause)

    async def _recover(self, why: Unavailable) -> None:
        """Look what became of a call that got no answer; the plan goes on from there, and nothing is sent blindly."""
        self._failures += 1
        look = await self._server.look(self._key)
        gone, undoing = isinstance(look, Unavailable), self.attempt.refusal is not None
        failure = Failure(why, self._failures, slow=self._slow, gone=gone, undoing=undoing)
        if (intent := noted(self.attempt.intent, failure)) is not None:
            self.begin(intent)
        self.see(look)
        match recovery(failure):
            case Recovery.TRY_AGAIN:
                await anyio.sleep(failure.pause)
            case Recovery.TRY_LATER:
                raise TryLaterError(why)
            case Recovery.AWAIT_END:
                self.await_end()
            case Recovery.REFUSE:
                self.learn(refusal=FAILS, creating=self.remote is None)
            case Recovery.GIVE_UP:
                raise EndError(blocked(why))
