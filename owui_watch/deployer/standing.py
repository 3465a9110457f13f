"""How a plugin stands: the file against the server's copy."""

from __future__ import annotations

from enum import StrEnum

from owui_watch.openwebui.responses import Remote
from owui_watch.plugins.content import digest
from owui_watch.plugins.model import BrokenPlugin, Plugin, PluginKey
from owui_watch.state.journal import Journal


class Standing(StrEnum):
    """What ``status`` says of a plugin; the names belong to the interface.

    ``disabled``: in sync, but switched off. ``foreign``: it differs, and owui-watch did not put there what is there.
    """

    IN_SYNC = "in_sync"
    DIFFERS = "differs"
    NOT_ON_SERVER = "not_on_server"
    ONLY_ON_SERVER = "only_on_server"
    DISABLED = "disabled"
    FOREIGN = "foreign"


def standing(reading: Plugin | BrokenPlugin | None, remote: Remote | None, journal: Journal) -> Standing:
    """Compare one file with the server's copy; a file that can't be sent differs from whatever is there."""
    if remote is None:
        return Standing.NOT_ON_SERVER
    if reading is None:
        return Standing.ONLY_ON_SERVER
    held = digest(remote.content or "")
    if isinstance(reading, Plugin) and digest(reading.content) == held:
        return Standing.DISABLED if remote.active is False else Standing.IN_SYNC
    return Standing.DIFFERS if is_ours(remote.key, held, journal) else Standing.FOREIGN


def is_ours(key: PluginKey, held: str, journal: Journal) -> bool:
    """Return whether owui-watch put the content with this digest there, as far as it knows."""
    intent = journal.intent(key)
    return journal.put(key) == held or (intent is not None and intent.sent == held)
