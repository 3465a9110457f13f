"""``owui-watch try``: where to talk to the first pipe that is live."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from urllib.parse import quote

import anyio

from owui_watch.concurrency import in_thread
from owui_watch.plugins.model import Kind
from owui_watch.reporting.events import Created, Event, Unchanged, Updated, Warned
from owui_watch.reporting.runtime_events import NewChat


class OpenFirstChat:
    """Reports the address of a new chat, once, and opens it in a browser if ``opens``."""

    def __init__(self, url: str, report: Callable[[Event], None], *, opens: bool) -> None:
        self._url = url
        self._report = report
        self._opens = opens
        self._chat: NewChat | None = None
        self._found = anyio.Event()

    def heard(self, event: Event) -> None:
        """Take the first pipe that is live."""
        if isinstance(event, Created | Updated | Unchanged) and event.kind == Kind.PIPE and self._chat is None:
            self._chat = NewChat(event.plugin, event.kind, f"{self._url}/?models={quote(event.plugin)}")
            self._report(self._chat)
            self._found.set()

    async def finished(self) -> None:
        """Return at once: nothing waits for a browser."""

    async def run(self) -> None:
        """Open the chat when there is one."""
        await self._found.wait()
        if not self._opens or self._chat is None:
            return
        url = self._chat.url
        if not await in_thread(lambda: webbrowser.open(url)):
            self._report(Warned("no browser could be opened", f"open {url} yourself"))
