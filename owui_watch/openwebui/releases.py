"""What differs from one Open WebUI release to the next, as data. No other module compares version numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

_MAX_TEXT = 100


class Sharing(Enum):
    """The field in which a release keeps who may use a tool."""

    NONE = None
    CONTROL = "access_control"
    GRANTS = "access_grants"


@dataclass(frozen=True, slots=True)
class Release:
    """How one Open WebUI release behaves. Facts measured on 0.3.35 to 0.12.4.

    ``refusal_harms``: a refused update switches a live function off and can leave a tool's new code in memory (≤ 0.11).
    ``update_tells_why``: an update of an absent function still runs its code and says what fails (0.12).
    ``checks_valves``: code that the stored valves don't fit is refused (0.12), not broken at every use.
    ``tools_compare``: an instance whose tool differs from the database loads it anew (0.9.3 and newer).
    ``tools_list_reloads``: listing the tools loads them all anew on the instance that answers (0.6.33 to 0.8.0).
    ``history``: a save takes a commit message (0.12 and newer). ``events``: there are Event functions (0.10 and newer).
    """

    version: str
    sharing: Sharing
    refusal_harms: bool
    update_tells_why: bool
    checks_valves: bool
    tools_compare: bool
    tools_list_reloads: bool
    history: bool
    events: bool


def release(version: str) -> Release:
    """Return the behaviour of the release ``version``; one newer than all known counts as 0.12.4."""
    number = version_number(version)
    return Release(
        version=version,
        sharing=_sharing(number),
        refusal_harms=number < (0, 12),
        update_tells_why=number >= (0, 12),
        checks_valves=number >= (0, 12),
        tools_compare=number >= (0, 9, 3),
        tools_list_reloads=(0, 6, 33) <= number <= (0, 8, 0),
        history=number >= (0, 12),
        events=number >= (0, 10),
    )


def version_number(text: str) -> tuple[int, ...]:
    """Return ``(1, 2, 3)`` for ``v1.2.3-rc1``; ``()`` for a text without a number in front."""
    match = re.match(r"\s*v?(\d{1,20}(?:\.\d{1,20})*)", text[:_MAX_TEXT], re.IGNORECASE)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def is_older(version: str, than: str) -> bool:
    """Return whether ``version`` is lower: 1.2 equals 1.2.0, and a text that is no version is never lower or higher."""
    ours, theirs = version_number(version), version_number(than)
    width = max(len(ours), len(theirs))
    padded = [number + (0,) * (width - len(number)) for number in (ours, theirs)]
    return bool(ours and theirs) and padded[0] < padded[1]


def _sharing(number: tuple[int, ...]) -> Sharing:
    if number < (0, 4):
        return Sharing.NONE
    return Sharing.CONTROL if number < (0, 8) else Sharing.GRANTS
