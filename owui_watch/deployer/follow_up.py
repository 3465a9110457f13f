"""Looks at the server after a deploy, when an older request for the same plugin may still be carried out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from owui_watch.deployer.recovery import LATE_LOOKS
from owui_watch.plugins.model import PluginKey
from owui_watch.state.journal import Journal


class FollowUps:
    """One series of looks per plugin; a newer deploy begins another one.

    ``is_pending`` returns whether a plugin is dirty anyway, ``look`` makes it dirty for a look alone, ``changed`` waits
    until something becomes dirty or is done.
    """

    def __init__(
        self,
        journal: Journal,
        is_pending: Callable[[PluginKey], bool],
        look: Callable[[PluginKey], None],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._is_pending = is_pending
        self._look = look
        self._changed = changed
        self._series: dict[PluginKey, object] = {}

    def begin(self, key: PluginKey, tasks: TaskGroup) -> None:
        """Look at ``key`` again and again until no older request can be under way."""
        self._series[key] = series = object()
        tasks.start_soon(self._run, key, series)

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
