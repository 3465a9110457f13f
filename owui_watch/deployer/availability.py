"""Is the server available? Whoever wants to send a request waits here while it is not."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable

import anyio

from owui_watch.concurrency import Wakeup
from owui_watch.openwebui.responses import Denied, KeyProblem, Unavailable
from owui_watch.reporting.events import Event, Reachable, Waiting

FIRST_DELAY = 0.5
LONGEST_DELAY = 5.0
"""Seconds between two probes while the server is away: the first, and the longest."""
LONGEST_RETRY_AFTER = 300.0
"""Seconds of a server's Retry-After that are obeyed at most."""
KEY_EVERY = 1.0
"""Seconds between two looks for a new key while the old one is refused."""
REFUSED_EVERY = 30.0
"""Seconds between two probes with a refused key that was accepted before: up to 0.6.43 Open WebUI refuses every key
while it can't read its database."""
_WAS_ACCEPTED = "the API key is refused, though it was accepted before"

Probe = Callable[[], Awaitable[Unavailable | Denied | None]]
"""Asks the server whether it is there and accepts the key; None means yes."""


class Availability:
    """Whether the server answers. Reports ``waiting`` once per outage and ``reachable`` once when it is over.

    After an outage of the whole server ``reachable`` is reported before the first deploy. If that deploy fails all the
    same, or if the server only refused deploys, the next ``reachable`` waits for a successful deploy, so that the two
    lines do not alternate.

    The backoff between probes doubles from 0.5 s to 5 s with jitter; ``retry_now`` (a new save) probes at once. After
    a refused key only ``retry_now`` or a new key ends the wait, unless the key was accepted before: then it is tried
    again every 30 s. ``advise`` returns an error and a hint for a refused key, ``key_changed`` reads the key again.
    ``available`` tells whether the server answered the last probe, and no request has failed since.
    """

    def __init__(
        self,
        url: str,
        probe: Probe,
        report: Callable[[Event], None],
        pending: Callable[[], int],
        *,
        advise: Callable[[Denied], tuple[str, str]],
        key_changed: Callable[[], bool],
    ) -> None:
        self._url = url
        self._probe = probe
        self._report = report
        self._pending = pending
        self._advise = advise
        self._key_changed = key_changed
        self.available = False
        self._probed = False
        self._accepted = False
        self._retry = False
        self._changed = Wakeup()
        self._failures = 0
        self._reported: set[str] = set()
        self._was_away = False
        self._unproven = False
        self._why: Unavailable | Denied | None = None

    @property
    def waiting(self) -> bool:
        """Whether ``waiting`` was reported, and ``reachable`` not yet."""
        return bool(self._reported)

    async def wait(self) -> None:
        """Wait until the server is available."""
        await self._changed.until(lambda: self.available)

    async def wait_probed(self) -> None:
        """Wait until the server was probed for the first time."""
        await self._changed.until(lambda: self._probed)

    def lost(self, why: Unavailable | Denied) -> None:
        """Note that a request got no usable response."""
        self._why = why
        if self.available:
            self.available = self._retry = False
            self._changed.notify()

    def confirm(self) -> None:
        """Note that a deploy went through: the outage is over.

        Ignored while the server is not available: that deploy ended before the failure.
        """
        if self.available:
            self._failures = 0
            self._unproven = False
            self._report_reachable()

    def retry_now(self) -> None:
        """Probe at once: something new was saved, or the key may have changed."""
        self._retry = True
        self._changed.notify()

    async def run(self) -> None:
        """Probe whenever the server is not available, until cancelled. The first probe is made at once."""
        while True:
            await self._changed.until(lambda: not self.available)
            if self._why is not None:
                await self._back_off(self._why)
            self._retry = False
            self._why = await self._probe()
            self._probed = True
            self.available = self._why is None
            self._accepted |= self.available
            self._changed.notify()
            if not self.available:
                self._was_away = True
                continue
            if not self._pending():
                self.confirm()
            elif self._was_away and not self._unproven:
                self._unproven = True
                self._report_reachable()

    async def _back_off(self, why: Unavailable | Denied) -> None:
        delay = self._delay(why)
        self._failures += 1
        self._report_waiting(why, delay)
        with anyio.move_on_after(delay):
            if isinstance(why, Denied):
                await self._new_key()
            await self._changed.until(lambda: self._retry)

    async def _new_key(self) -> None:
        while not self._retry and not self._key_changed():
            with anyio.move_on_after(KEY_EVERY):
                await self._changed.until(lambda: self._retry)
        self._retry = True

    def _delay(self, why: Unavailable | Denied) -> float:
        if isinstance(why, Denied):
            return REFUSED_EVERY if self._accepted else math.inf
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures, 10)) * random.uniform(0.75, 1.0)
        return max(delay, min(why.retry_after or 0.0, LONGEST_RETRY_AFTER))

    def _report_waiting(self, why: Unavailable | Denied, delay: float) -> None:
        error, hint = self._advise(why) if isinstance(why, Denied) else (why.error, why.hint)
        if self._accepted and why == Denied(KeyProblem.KEY_REFUSED):
            error = _WAS_ACCEPTED
        retry_in = None if delay == math.inf else round(delay, 1)
        # A server that is away for another reason than before is still away; but a new error that names something to
        # do is worth a line, once.
        kind = error if hint else "away"
        if kind not in self._reported:
            self._reported.add(kind)
            self._report(Waiting(self._url, error, self._pending(), retry_in, hint))

    def _report_reachable(self) -> None:
        if self._reported:
            self._reported.clear()
            self._was_away = False
            self._report(Reachable(self._url))
