"""What a deployment works with, and the ways in which it can end early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from owui_watch.deployer.prefetch import Looks
from owui_watch.deployer.refusals import no_right
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.responses import Denied, Remote, Response, Unavailable
from owui_watch.plugins.model import Diagnostic, Kind, PluginKey
from owui_watch.reporting.events import Event
from owui_watch.settings import OnForeign
from owui_watch.state.journal import Journal


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say about plugins that are new, or that someone else changed."""

    enable_new: bool
    global_new: bool
    on_foreign: OnForeign

    def flags(self, kind: Kind) -> tuple[bool | None, bool | None]:
        """Tell how ``active`` and ``is_global`` of a new plugin shall stand: None for a tool, which has no flags."""
        if kind is Kind.TOOL:
            return None, None
        return self.enable_new, self.global_new and kind in {Kind.FILTER, Kind.ACTION}


@dataclass(frozen=True, slots=True)
class Means:
    """What a course works with. ``files_of`` tells where a plugin stands in the tree."""

    server: OpenWebUI
    journal: Journal
    looks: Looks
    policy: Policy
    report: Callable[[Event], None]
    files_of: Callable[[PluginKey], Sequence[Path]]


class TryLaterError(Exception):
    """The server gave no usable answer; the plugin stays dirty. ``why`` is for the gate."""

    def __init__(self, why: Unavailable | Denied) -> None:
        super().__init__(why)
        self.why = why


class PostponedError(Exception):
    """The server may still be at what was sent: look again in ``seconds``, before anything is sent anew."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class NewPluginError(Exception):
    """The plugin isn't on the server, and nobody has said yet that it may be created."""


class EndError(Exception):
    """Nothing more can be done for this save; ``fault`` says why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.error)
        self.diagnostic = diagnostic


def early_end(answer: Remote | Response) -> TryLaterError | EndError:
    """Return the error for an answer that doesn't tell what was asked: it may do so later, or the key lacks a right."""
    return TryLaterError(answer) if isinstance(answer, Unavailable | Denied) else EndError(no_right())
