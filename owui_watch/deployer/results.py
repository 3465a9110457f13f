"""How a reconcile can end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from owui_watch.deployer.plan import Progress
from owui_watch.deployer.refusals import no_right
from owui_watch.openwebui.releases import Release
from owui_watch.openwebui.responses import Denied, Unavailable, Unusable
from owui_watch.plugins.model import Diagnostic, Plugin


@dataclass(frozen=True, slots=True)
class InSync:
    """The server holds the plugin."""

    progress: Progress
    release: Release


@dataclass(frozen=True, slots=True)
class Rejected:
    """The plugin can't be deployed as it is."""

    progress: Progress
    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True)
class ServerAway:
    """The server gave no usable response; the plugin stays dirty."""

    why: Unavailable | Denied


@dataclass(frozen=True, slots=True)
class Postponed:
    """The server may still be working on what was sent: try again in ``seconds``."""

    progress: Progress
    seconds: float


@dataclass(frozen=True, slots=True)
class Troubled:
    """One plugin alone could not be deployed now, for a reason that may pass: back off and try again."""

    progress: Progress
    error: str


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    """The plugin isn't on the server, and nobody has allowed it to be created."""


@dataclass(frozen=True, slots=True)
class LooksLikeCopy:
    """The new ``plugin`` is not created: it looks like a copy of the file at ``original``."""

    plugin: Plugin
    original: Path


Result = InSync | Rejected | ServerAway | Postponed | Troubled | NotAdmitted | LooksLikeCopy


class EndError(Exception):
    """A reconcile ends here with ``result``."""

    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.result = result


def not_shown(progress: Progress, response: object) -> EndError:
    """Return how the reconcile ends after a look whose response does not show the plugin.

    The server is away, the response makes no sense, or the key lacks the right.
    """
    if isinstance(response, Unavailable | Denied):
        return EndError(ServerAway(response))
    if isinstance(response, Unusable):
        return EndError(Troubled(progress, response.error))
    return EndError(Rejected(progress, no_right()))
