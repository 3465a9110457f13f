"""Deploys one plugin and tells what came of it."""

from __future__ import annotations

import anyio

from owui_watch.deployer.advice import advice
from owui_watch.deployer.course import Course
from owui_watch.deployer.means import EndError, Means, TryLaterError
from owui_watch.openwebui.responses import Denied, Remote, Unavailable
from owui_watch.plugins.content import digest
from owui_watch.plugins.model import Diagnostic, Kind, Plugin, PluginKey
from owui_watch.reporting.events import Created, Disabled, Event, Rejection, Unchanged, Updated, Warned
from owui_watch.reporting.runtime_events import Sending


class Deployment:
    """Deploys one plugin at a time for as long as it is kept; several may run at once for different plugins."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._journal = means.journal
        self._report = means.report
        self._warned: dict[PluginKey, tuple[Diagnostic, ...]] = {}

    async def deploy(self, plugin: Plugin, saved_at: float, *, may_create: bool) -> bool:
        """Bring ``plugin`` onto the server and tell what came of it. True where the server holds it now.

        ``saved_at`` is the moment of the last write on anyio's clock, in seconds. Raises TryLaterError, PostponedError,
        and NewPluginError where it isn't there and ``may_create`` is false.
        """
        course = Course(self._means, plugin.key, plugin, may_create=may_create)
        self._report(Sending(path=plugin.path, plugin=plugin.id, kind=plugin.kind))
        try:
            await course.run()
        except EndError as end:
            self._warn(plugin, plugin.warnings)
            self._reject(course, plugin, end.diagnostic)
            return False
        self._journal.settle(plugin.key, digest(plugin.content))
        self._warn(plugin, (*plugin.warnings, *advice(plugin, course.first, course.release.version)))
        self._report(self._deployed(course, plugin, saved_at))
        return True

    async def make_sure(self, plugin: Plugin, now: float) -> None:
        """Deploy ``plugin`` again where an older content of ours came after it; what someone else put there stays."""
        there = await self._means.looks.take(plugin.key)
        if isinstance(there, Unavailable | Denied):
            raise TryLaterError(there)
        held = digest(there.content or "") if isinstance(there, Remote) else None
        if held is not None and held in self._journal.ours(plugin.key) - {digest(plugin.content)}:
            await self.deploy(plugin, now, may_create=False)

    async def mend(self, key: PluginKey) -> None:
        """Finish what was begun for a plugin whose file can't be sent now. Raises TryLaterError and PostponedError."""
        course = Course(self._means, key, None, may_create=False)
        try:
            await course.run()
        except EndError as end:
            if course.remote is not None and course.hurt:
                self._report(Warned(end.diagnostic.error, end.diagnostic.hint, key.id, course.remote.kind))
        intent = course.attempt.intent
        if not course.hurt:
            self._journal.settle(key, intent.sent if intent is not None and course.sent else None)

    async def retire(self, key: PluginKey) -> None:
        """Switch a function off whose file was deleted. Raises TryLaterError."""
        course = Course(self._means, key, None, may_create=False)
        try:
            if await course.retire() and course.remote is not None:
                self._report(Disabled(key.id, course.remote.kind, self._means.server.editor(key)))
        except EndError as end:
            self._report(Warned(end.diagnostic.error, end.diagnostic.hint, key.id))

    def _reject(self, course: Course, plugin: Plugin, diagnostic: Diagnostic) -> None:
        if not course.hurt:
            self._journal.settle(plugin.key, None)
        live = course.remote.live_name if course.remote and not course.hurt else None
        self._report(Rejection.of(plugin, [diagnostic], live, stage="server"))

    def _warn(self, plugin: Plugin, diagnostics: tuple[Diagnostic, ...]) -> None:
        """Tell the warnings of this content, but not those that its last save told already."""
        if self._warned.get(plugin.key) == diagnostics:
            return
        self._warned[plugin.key] = diagnostics
        for diagnostic in diagnostics:
            self._report(
                Warned(diagnostic.error, diagnostic.hint, plugin.id, plugin.kind, plugin.path, diagnostic.line)
            )

    def _deployed(self, course: Course, plugin: Plugin, saved_at: float) -> Event:
        ms = round((anyio.current_time() - saved_at) * 1000)
        previous = course.first.version if course.first else None
        fields = (plugin.id, plugin.kind, plugin.path, plugin.version, previous, ms)
        if course.created:
            attach = _attach(plugin.kind, course.remote)
            return Created(*fields, open=self._means.server.editor(plugin.key), attach=attach)
        return Updated(*fields) if course.sent else Unchanged(*fields)


def _attach(kind: Kind, remote: Remote | None) -> str | None:
    if remote is None or remote.is_global or kind not in {Kind.FILTER, Kind.ACTION}:
        return None
    return f"not global: switch it on for a model (Workspace → Models → {kind.capitalize()}s), or set global_new"
