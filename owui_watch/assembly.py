"""Puts the rooms together, the same way for a watch and for a command that runs once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from anyio.abc import TaskGroup

from owui_watch.deployer import Deployer, Limits
from owui_watch.deployment import Deployment
from owui_watch.gate import Gate
from owui_watch.ignore import Ignore
from owui_watch.journal import Journal
from owui_watch.looks import Looks
from owui_watch.means import Means, Policy
from owui_watch.outcome import Outcome
from owui_watch.session import Session
from owui_watch.settings import Settings, SettingsError
from owui_watch.tree import Tree
from owui_watch.value import Value

Tell = Callable[[Outcome], None]


class Assembly(Value):
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
    """Another run has the memory for this tree and server."""


@contextmanager
def own_journal(settings: Settings, session: Session) -> Iterator[Journal]:
    """Open the memory for this tree and server, for this run alone. Raises AlreadyRunningError where another has it."""
    journal = Journal(settings.home, session.url)
    with ExitStack() as stack:
        try:
            stack.enter_context(journal.held())
        except TimeoutError:
            raise AlreadyRunningError(
                f"another owui-watch keeps {session.url} in step with {settings.home} already: end it first"
            ) from None
        yield journal
