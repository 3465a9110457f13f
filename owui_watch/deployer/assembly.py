"""Puts the rooms together, the same way for a watch and for a command that runs once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from anyio.abc import TaskGroup

from owui_watch.deployer.availability import Gate
from owui_watch.deployer.deployer import Deployer, Limits
from owui_watch.deployer.deployment import Deployment
from owui_watch.deployer.means import Means, Policy
from owui_watch.deployer.prefetch import Looks
from owui_watch.openwebui.session import Session
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.events import Event, Warned
from owui_watch.settings import Settings
from owui_watch.state.journal import Journal

Report = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Assembly:
    """The rooms of one run, wired to each other; none of them runs yet."""

    tree: Tree
    journal: Journal
    gate: Gate
    deployer: Deployer


def assemble(settings: Settings, session: Session, journal: Journal, report: Report, tasks: TaskGroup) -> Assembly:
    """Build tree, gate and deployer. Looks are begun in ``tasks``."""
    tree = Tree(settings.roots, Ignore(settings.ignore), settings.ids, settings.base)
    looks = Looks(session.server, tasks)
    policy = Policy(settings.enable_new, settings.global_new, settings.on_foreign)

    session.on_problem = lambda error, hint: report(Warned(error, hint))

    def pending() -> int:
        return len(deployer.pending())

    gate = Gate(
        session.url, session.probe, report, pending, advise=session.explain_denied, key_changed=session.reload_key
    )
    deployer = Deployer(
        tree,
        Deployment(Means(session.server, journal, looks, policy, report, tree.paths_of)),
        looks,
        journal,
        gate,
        limits=Limits(settings.debounce, settings.max_new),
        report=report,
    )
    return Assembly(tree, journal, gate, deployer)
