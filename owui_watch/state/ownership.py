"""Which run owns the state of a tree and a server: one at a time, also when watched folders overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from owui_watch.plugins.ignore import Ignore
from owui_watch.settings import Settings, SettingsError
from owui_watch.state.journal import Journal
from owui_watch.state.overlaps import Overlaps, find_overlaps
from owui_watch.state.store import StateFolder


class AlreadyRunningError(SettingsError):
    """Another run has the memory for this tree and server, or for a wider tree or a part of it: the one in ``home``."""

    def __init__(self, url: str, home: Path) -> None:
        super().__init__(f"another owui-watch keeps {url} in step with {home} already: end it first")
        self.home = home


@contextmanager
def own_journal(settings: Settings, url: str) -> Iterator[Journal]:
    """Open the memory for this tree and server, for this run alone. Raises AlreadyRunningError where another has it.

    Each run holds its own memory, then asks whether one that overlaps is held: the later of two sees the earlier. That
    is asked before as well, so that a run that is refused leaves no memory behind.
    """
    overlaps = find_overlaps(settings.roots, Ignore(settings.ignore), settings.home)
    _refuse_held(overlaps, url)
    journal = Journal(settings.home, url)
    with ExitStack() as stack:
        try:
            stack.enter_context(journal.held())
        except TimeoutError:
            raise AlreadyRunningError(url, settings.home) from None
        _refuse_held(overlaps, url)
        journal.learn(_journals(overlaps.wider, url), ())
        journal.take_over(_journals(overlaps.parts, url))
        yield journal


def read_journal(settings: Settings, url: str) -> Journal:
    """Open the memory for this tree and server to look into it: nothing is held, and nothing taken over."""
    overlaps = find_overlaps(settings.roots, Ignore(settings.ignore), settings.home)
    journal = Journal(settings.home, url)
    journal.learn(_journals(overlaps.wider, url), _journals(overlaps.parts, url))
    return journal


def _journals(homes: Sequence[Path], url: str) -> list[Journal]:
    return [Journal(home, url) for home in homes]


def _refuse_held(overlaps: Overlaps, url: str) -> None:
    for home in (*overlaps.wider, *overlaps.parts):
        if StateFolder(home).is_held(url):
            raise AlreadyRunningError(url, home)
