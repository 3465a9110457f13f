"""Is the server there? Everyone who wants to talk to it waits here while it is not."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable

import anyio

from owui_watch.openwebui.responses import Denied, Unavailable
from owui_watch.reporting.events import Event, Reachable, Waiting

FIRST_DELAY = 0.5
LONGEST_DELAY = 5.0
"""Seconds between two tries while the server is away: the first, and the longest."""
LONGEST_ASKED = 300.0
"""Seconds that a server's Retry-After is obeyed at the most."""
KEY_EVERY = 1.0
"""Seconds between two looks for a new key while the old one is refused."""

Probe = Callable[[], Awaitable[Unavailable | Denied | None]]
"""Asks the server whether it is there and lets the key in; None means yes."""


class Gate:
    """Open while the server answers. Says ``waiting`` once when it closes and ``reachable`` once when it has opened.

    Where it was away as a whole, that it is back is said before the first deploy; where that fails all the same, and
    where it only took no deploys, the next deploy that goes through must prove it, so that no line flaps.
    Backoff doubles from 0.5 s to 5 s with jitter; a new save (``hurry``) tries at once. A refused key closes it until
    ``hurry``: no waiting makes a key good. ``advise`` turns a refusal of the key into what the user can do
    about it, ``key_changed`` reads the key again.
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
        self._probed = anyio.Event()
        self._opened = anyio.Event()
        self._closed = anyio.Event()
        self._closed.set()
        self._hurried = anyio.Event()
        self._failures = 0
        self._said: set[str] = set()
        self._was_away = False
        self._doubted = False
        self._why: Unavailable | Denied | None = None

    @property
    def is_open(self) -> bool:
        """Whether the server answered when it was last asked."""
        return self._opened.is_set()

    @property
    def is_waiting(self) -> bool:
        """Whether it was told that the server is away, and not yet that it is back."""
        return bool(self._said)

    async def passage(self) -> None:
        """Wait until the gate is open."""
        await self._opened.wait()

    async def probed(self) -> None:
        """Wait until the server was asked for the first time."""
        await self._probed.wait()

    def close(self, why: Unavailable | Denied) -> None:
        """Tell that a call got no usable answer."""
        self._why = why
        if self._opened.is_set():
            self._opened = anyio.Event()
            self._hurried = anyio.Event()
            self._closed.set()

    def proven(self) -> None:
        """Tell that a deploy went through: the server is well, and what was said of it is over.

        While the gate is closed this is older news than what closed it.
        """
        if self.is_open:
            self._failures = 0
            self._doubted = False
            self._say_reachable()

    def hurry(self) -> None:
        """Try at once: something new was saved, or the key may have changed."""
        self._hurried.set()

    async def run(self) -> None:
        """Watch over the gate until cancelled. The first probe is made at once."""
        while True:
            await self._closed.wait()
            if self._why is not None:
                await self._wait_out(self._why)
            self._hurried = anyio.Event()
            self._why = await self._probe()
            self._probed.set()
            if self._why is None:
                self._closed = anyio.Event()
                self._opened.set()
                if not self._pending():
                    self.proven()
                elif self._was_away and not self._doubted:
                    self._doubted = True  # until a deploy goes through
                    self._say_reachable()
            else:
                self._was_away = True

    async def _wait_out(self, why: Unavailable | Denied) -> None:
        delay = self._delay(why)
        self._failures += 1
        self._say_waiting(why, delay)
        with anyio.move_on_after(delay):
            if isinstance(why, Denied):
                await self._new_key()
            await self._hurried.wait()

    async def _new_key(self) -> None:
        while not self._hurried.is_set() and not self._key_changed():
            with anyio.move_on_after(KEY_EVERY):
                await self._hurried.wait()
        self._hurried.set()

    def _delay(self, why: Unavailable | Denied) -> float:
        if isinstance(why, Denied):
            return math.inf
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures, 10)) * random.uniform(0.75, 1.0)
        return max(delay, min(why.retry_after or 0.0, LONGEST_ASKED))

    def _say_waiting(self, why: Unavailable | Denied, delay: float) -> None:
        error, hint = self._advise(why) if isinstance(why, Denied) else (why.error, why.hint)
        retry_in = None if isinstance(why, Denied) else round(delay, 1)
        # A server that goes from one way of being away to another is still away, but a new kind of trouble with
        # something to do about it is news, once.
        said = error if hint else "away"
        if said in self._said:
            return
        self._said.add(said)
        self._report(Waiting(self._url, error, self._pending(), retry_in, hint))

    def _say_reachable(self) -> None:
        if self._said:
            self._said.clear()
            self._was_away = False
            self._report(Reachable(self._url))
