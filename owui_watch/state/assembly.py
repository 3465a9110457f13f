"""Puts the rooms together, the same way for a watch and for a command that runs once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio.abc import TaskGroup

from owui_watch.deployer.availability import Gate
from owui_watch.deployer.deployer import Deployer, Limits
from owui_watch.deployer.deployment import Deployment
from owui_watch.deployer.means import Means, Policy
from owui_watch.deployer.prefetch import Looks
from owui_watch.openwebui.session import Session
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.events import Outcome
from owui_watch.settings import Settings, SettingsError
from owui_watch.state.journal import Journal
from owui_watch.state.overlaps import Overlaps, find_overlaps
from owui_watch.state.store import StateFolder

Tell = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Assembly:
    """The rooms of one run, wired to each other; none of them runs yet."""

    tree: Tree
    journal: Journal
    gate: Gate
    deployer: Deployer


def assemble(settings: Settings, session: Session, journal: Journal, tell: Tell, tasks: TaskGroup) -> Assembly:
    """Build tree, gate and deployer. Looks are begun in ``tasks``."""
    tree = Tree(settings.roots, Ignore(settings.ignore), settings.ids, settings.base)
    looks = Looks(session.server, tasks)
    policy = Policy(settings.enable_new, settings.global_new, settings.on_foreign)

    session.warn = tell

    def pending() -> int:
        return len(deployer.pending())

    gate = Gate(session.url, session.probe, tell, pending, advise=session.advise, key_changed=session.key_changed)
    deployer = Deployer(
        tree,
        Deployment(Means(session.server, journal, looks, policy, tell, tree.paths_of)),
        looks,
        journal,
        gate,
        limits=Limits(settings.debounce, settings.max_new),
        tell=tell,
    )
    return Assembly(tree, journal, gate, deployer)


class AlreadyRunningError(SettingsError):
    """Another run has the memory for this tree and server, or for a wider tree or a part of it: the one in ``home``."""

    def __init__(self, url: str, home: Path) -> None:
        super().__init__(f"another owui-watch keeps {url} in step with {home} already: end it first")
        self.home = home


@contextmanager
def own_journal(settings: Settings, session: Session) -> Iterator[Journal]:
    """Open the memory for this tree and server, for this run alone. Raises AlreadyRunningError where another has it.

    Each run holds its own memory, then asks whether one that overlaps is held: the later of two sees the earlier. That
    is asked before as well, so that a run that is refused leaves no memory behind.
    """
    overlaps = find_overlaps(settings.roots, Ignore(settings.ignore), settings.home)
    _refuse_held(overlaps, session.url)
    journal = Journal(settings.home, session.url)
    with ExitStack() as stack:
        try:
            stack.enter_context(journal.held())
        except TimeoutError:
            raise AlreadyRunningError(session.url, settings.home) from None
        _refuse_held(overlaps, session.url)
        journal.learn(_journals(overlaps.wider, session.url), ())
        journal.take_over(_journals(overlaps.parts, session.url))
        yield journal


def read_journal(settings: Settings, session: Session) -> Journal:
    """Open the memory for this tree and server to look into it: nothing is held, and nothing taken over."""
    overlaps = find_overlaps(settings.roots, Ignore(settings.ignore), settings.home)
    journal = Journal(settings.home, session.url)
    journal.learn(_journals(overlaps.wider, session.url), _journals(overlaps.parts, session.url))
    return journal


def _journals(homes: Sequence[Path], url: str) -> list[Journal]:
    return [Journal(home, url) for home in homes]


def _refuse_held(overlaps: Overlaps, url: str) -> None:
    for home in (*overlaps.wider, *overlaps.parts):
        if StateFolder(home).is_held(url):
            raise AlreadyRunningError(url, home)
