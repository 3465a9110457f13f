"""Lists of plugins, read row by row: contents become digests, and a row that can't be used is skipped and reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from owui_watch.openwebui.json_stream import MAX_ROWS, JsonRows, Unreadable
from owui_watch.openwebui.remote import ListedPlugin, Remote, is_other_entry, json_size, read_plugin, without_content
from owui_watch.openwebui.responses import Delivery, Unavailable, shortened
from owui_watch.plugins.model import PluginKey, Space

MAX_LISTED_BYTES = 64 * 2**20
"""Bytes of names and metadata that a listing keeps."""
_MAX_PROBLEMS = 100
"""Unusable rows that are reported in one run."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The plugins of one space. ``skipped``: how many rows could not be used.

    ``keys_only`` are the keys of further plugins on the server, whose other fields the caller did not want.
    """

    plugins: Mapping[PluginKey, ListedPlugin]
    skipped: int = 0
    keys_only: Set[PluginKey] = frozenset()

    @property
    def proves_absence(self) -> bool:
        """Return whether a plugin that is not listed is certainly not on the server. If not, only a look can decide.

        An empty list proves nothing: with plugins switched off as a whole, lists are empty (0.11 and newer). Nor does
        a list with a skipped row, which may have been this plugin.
        """
        return bool(self.plugins or self.keys_only) and not self.skipped


@dataclass(frozen=True, slots=True)
class Contents:
    """The plugins of one space with their contents. ``skipped``: how many rows could not be used."""

    plugins: Mapping[PluginKey, Remote]
    skipped: int = 0


class OddRows:
    """Reports each row that can't be used once, by calling ``on_problem`` with an error and a hint.

    Rows without an id can't be told apart, as their numbers change with the list. For these, each reason is reported
    once.
    """

    def __init__(self, on_problem: Callable[[str, str], None]) -> None:
        self._on_problem = on_problem
        self._reported: set[str] = set()

    def report(self, space: Space, row: Any, number: int, reason: str) -> None:
        """Report row ``number`` of a list, unless it was reported before, or too many were."""
        name = row.get("id") if isinstance(row, dict) else None
        named = f"id {shortened(name, 100)!r}" if isinstance(name, str) else f"row {number}"
        problem = f"an entry in the server's list of {space} can't be used ({named}): {reason}"
        known = problem if isinstance(name, str) else f"{space}: {reason}"
        if known in self._reported or len(self._reported) >= _MAX_PROBLEMS:
            return
        self._reported.add(known)
        self._on_problem(problem, "it is skipped; all others are deployed as usual")


class ListReader:
    """Takes a list of one space as it arrives.

    ``on_plugin`` is called with each plugin, with its content if the list has it; ``on_odd_row`` with the space, each
    row that can't be used, its number from 1, and the reason. If ``is_wanted`` rejects a plugin, the listing
    keeps only its key.
    """

    content_type = "json"

    def __init__(
        self,
        space: Space,
        on_plugin: Callable[[Remote | ListedPlugin], None],
        on_odd_row: Callable[[Space, Any, int, str], None],
        is_wanted: Callable[[ListedPlugin], bool],
    ) -> None:
        self._space = space
        self._on_plugin = on_plugin
        self._on_odd_row = on_odd_row
        self._is_wanted = is_wanted
        self._rows = JsonRows(self._add)
        self._plugins: dict[PluginKey, ListedPlugin] = {}
        self._keys_only: set[PluginKey] = set()
        self._skipped = 0
        self._kept_bytes = 0

    def feed(self, data: bytes) -> bool:
        """Take the next part of the list; return whether more is wanted."""
        return self._rows.feed(data)

    def listing(self) -> Listing | Unavailable:
        """Return what was listed, now that the response has ended."""
        if self._rows.rows > MAX_ROWS:
            return self._unavailable(f"has more than {MAX_ROWS:,} entries")
        if self._kept_bytes > MAX_LISTED_BYTES:
            return self._unavailable(f"has more than {MAX_LISTED_BYTES >> 20} MB of metadata")
        if not self._rows.complete:
            return self._unavailable("is cut off, or is no list")
        return Listing(self._plugins, self._skipped, self._keys_only)

    def _add(self, row: Any) -> None:
        if is_other_entry(self._space, row):
            return
        plugin = read_plugin(self._space, row)
        if isinstance(plugin, Unreadable):
            self._skipped += 1
            self._on_odd_row(self._space, row, self._rows.rows, plugin.reason)
            return
        self._on_plugin(plugin)
        listed = without_content(plugin)
        if not self._is_wanted(listed):
            self._keys_only.add(listed.key)
            return
        self._kept_bytes += len(listed.name) + (json_size(listed.meta) or 0) + (json_size(listed.access) or 0)
        if self._kept_bytes <= MAX_LISTED_BYTES:
            self._plugins[listed.key] = listed

    def _unavailable(self, why: str) -> Unavailable:
        return Unavailable(f"its list of {self._space} {why}", delivery=Delivery.UNKNOWN)
