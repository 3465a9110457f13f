"""What differs between the tree and the server: reported at start, and deployed if a flag or another run asks for it."""

from __future__ import annotations

from collections.abc import Callable, Collection

import anyio

from owui_watch.deployer.comparison import compare
from owui_watch.deployer.deployer import Deployer
from owui_watch.openwebui.responses import Forbidden
from owui_watch.openwebui.session import Session
from owui_watch.plugins.model import Kind, PluginKey
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.events import Created, Differs, Event, Unchanged, Updated, Warned
from owui_watch.state import DeployRequest, Everything, Journal, Only, Requests, StopRequest

EVERYTHING = Everything()
REQUESTS_EVERY = 2.5
"""Seconds between two looks for a request of an ``owui-watch deploy`` beside this watch."""
NAMED = 8
"""Ids that ``differs`` names of each sort."""


def left_by_last_run(tree: Tree, journal: Journal) -> set[PluginKey]:
    """Return plugins with an unanswered request, and managed ones whose file changed while no watch ran."""
    digests = tree.digests()
    changed = {key for key in digests.keys() & journal.managed() if journal.record(key).digest != digests[key]}
    return changed | journal.unfinished()


class Sync:
    """Compares the tree with the server. ``live`` holds the versions of what is on the server.

    ``compared`` is set once everything that differs is dirty.
    """

    def __init__(self, session: Session, tree: Tree, deployer: Deployer, report: Callable[[Event], None]) -> None:
        self._session = session
        self._tree = tree
        self._deployer = deployer
        self._report = report
        self._deployed: set[PluginKey] = set()
        self.live: dict[PluginKey, str | None] = {}
        self.compared = anyio.Event()

    def deployed(self, event: Created | Updated | Unchanged) -> None:
        """Note what was deployed."""
        key = PluginKey(Kind(event.kind).space, event.plugin)
        self.live[key] = event.version
        self._deployed.add(key)

    def live_name(self, key: PluginKey | None) -> str | None:
        """Return the version that is live; None if nothing is known to be."""
        return (self.live[key] or "version") if key in self.live else None

    async def serve_requests(self, requests: Requests, stop: Callable[[], None]) -> None:
        """Do what other runs ask of this watch, until cancelled; ``stop`` ends the watch."""
        while True:
            await anyio.sleep(REQUESTS_EVERY)
            for request in requests.take(self._tree.roots):
                match request:
                    case DeployRequest(plugins):
                        await self.run(deploy=True, plugins=plugins)
                    case StopRequest():
                        stop()

    async def run(self, *, deploy: bool, plugins: Everything | Only = EVERYTHING) -> None:
        """Report which of ``plugins`` differ from the server; with ``deploy``, deploy them."""
        await self._deployer.availability.wait()
        self._deployed.clear()
        comparison, refusals = await compare(self._session.server, self._tree, self._deployer.is_deployed)
        if any(isinstance(refusal, Forbidden) for refusal in refusals):
            rights = "Functions need an administrator's key; tools need a user with the permission for workspace tools."
            hint = f"{rights} {self._session.key_renewal_hint}"
            self._report(Warned("this key is not an administrator's", hint))
        for key, remote in comparison.remotes.items():
            self.live.setdefault(key, remote.version)
        # What was deployed while the server was listed is newer than the list.
        ours = {key for key in self._tree.plugins() if isinstance(plugins, Everything) or key in plugins.plugins}
        ours -= self._deployed
        self._report_differences(comparison.changed, comparison.absent, ours - self._deployer.pending(), deploy=deploy)
        if deploy:
            for key in (*comparison.changed, *comparison.absent, *comparison.unseen):
                if key in ours:
                    self._deployer.mark(key, anyio.current_time(), admitted=True, insist=isinstance(plugins, Only))
            self.compared.set()

    def _report_differences(
        self,
        changed: Collection[PluginKey],
        absent: Collection[PluginKey],
        among: Collection[PluginKey],
        *,
        deploy: bool,
    ) -> None:
        changed = [key for key in changed if key in among]
        absent = [key for key in absent if key in among]
        if absent or changed:
            self._report(
                Differs(
                    changed=tuple(key.id for key in changed[:NAMED]),
                    absent=tuple(key.id for key in absent[:NAMED]),
                    count=len(absent) + len(changed),
                    changed_count=len(changed),
                    absent_count=len(absent),
                    deploying=deploy,
                )
            )
