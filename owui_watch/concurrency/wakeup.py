"""A signal between tasks of one event loop: wake everyone who waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anyio


class Wakeup:
    """Wakes all waiting tasks at each ``notify``. A ``notify`` that nobody waits for is forgotten.

    The state that the tasks wait for is kept elsewhere; ``until`` checks it before and after each wait. No change is
    lost as long as every change is followed by ``notify`` in the same event loop.
    """

    def __init__(self) -> None:
        from anyio import Event  # noqa: PLC0415 - see the package's docstring

        self._make: type[anyio.Event] = Event
        self._event = Event()

    def notify(self) -> None:
        """Wake every task that waits now. Call it in the event loop only."""
        event, self._event = self._event, self._make()
        event.set()

    async def wait(self) -> None:
        """Wait for the next ``notify``."""
        await self._event.wait()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds. It is checked at once and after each ``notify``."""
        while not condition():
            await self._event.wait()
