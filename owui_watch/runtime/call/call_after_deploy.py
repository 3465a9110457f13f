"""``--call``: call a plugin each time that it was deployed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio

from owui_watch.concurrency import Wakeup, guarded
from owui_watch.reporting.events import Created, Event, Saved, Stopped, Unchanged, Updated, Warned, as_warnings
from owui_watch.reporting.runtime_events import Called
from owui_watch.runtime.call.caller import CallError, PluginCaller, Wanted

QUIET = 0.3
"""Seconds without another deploy before a plugin is called."""


class CallAfterDeploy:
    """Calls what is ``wanted`` after each deploy of its plugin, the newest code alone.

    A call that is under way is given up when its file is saved anew: nobody waits for its result any more.
    """

    def __init__(self, caller: PluginCaller, wanted: Wanted, report: Callable[[Event], None]) -> None:
        self._caller = caller
        self._wanted = wanted
        self._report = report
        self._deployed = False
        self._busy = False
        self._path: Path | None = None
        self._calling: anyio.CancelScope | None = None
        self._changed = Wakeup()

    def heard(self, event: Event) -> None:
        """Take an event."""
        match event:
            case Created() | Updated() | Unchanged() if event.plugin == self._wanted.plugin:
                self._path = event.path
                self._give_up()
                self._deployed = self._busy = True
                self._changed.notify()
            case Saved() if event.path == self._path:
                self._give_up()
            case Stopped():
                self._give_up()

    def _give_up(self) -> None:
        """End the call that is under way, if there is one."""
        if self._calling is not None:
            self._calling.cancel()

    async def finished(self) -> None:
        """Wait until nothing is left to be called."""
        await self._changed.until(lambda: not self._busy)

    async def run(self) -> None:
        """Call until cancelled."""
        while True:
            await self._changed.until(lambda: self._deployed)
            while self._deployed:
                self._deployed = False
                with anyio.move_on_after(QUIET):
                    await self._changed.until(lambda: self._deployed)
            with guarded(f"calling {self._wanted.name}", as_warnings(self._report)):
                with anyio.CancelScope() as self._calling:
                    await self._call()
            self._calling = None
            if not self._deployed:
                self._busy = False
                self._changed.notify()

    async def _call(self) -> None:
        try:
            for event in await self._caller.call(self._wanted):
                if isinstance(event, Called):  # what the plugin raises is reported by itself
                    self._report(event)
        except CallError as error:
            self._report(Warned(f"--call {self._wanted.name}: {error}"))
