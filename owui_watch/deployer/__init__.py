"""Dirty plugins go in; the server then holds what their files hold, and events say so.

A save only marks a plugin dirty (``Deployer.mark``). Workers take dirty plugins from the queue and reconcile each: read
the newest content of its file, look at the server, plan a step, take it, look again.

Read in this order: ``queue`` (which plugins are dirty), ``deployer`` (the workers that empty the queue), ``attempt`` (one
plugin: reconcile, write down, report), ``reconcile`` (one step at a time, with a ``reconcile_context``), ``plan``
(which step is next, from a ``Progress``), ``actual_state`` (what the server holds after a look or a request),
``admission`` (may a new plugin be created), ``recovery`` (what follows a request without a response), ``refusals`` and
``results`` (how a reconcile ends), ``retries`` (plugins that wait for another try). Beside them:
``prefetch`` (looks begun early and shared), ``availability`` (waiting for the server), ``remote_duplicates`` (the same
plugin on the server under another id), ``follow_up`` and ``overwritten_edits`` (looks after a deploy), ``sync`` (what
differs at start, requests of a deploy beside a watch), ``removals`` (files that went away), ``comparison`` (tree against
server, for ``status``).

One reconcile, as ``plan`` decides it from a ``Progress``::

    look ── resume an unanswered request? ──► Postponed (the server may still be working on it)
     │
     ▼
    plan ◄───────────────────────────────────────────────────────────────┐
     │ about to change what was seen too long ago  LOOK ─────────────────┤
     │ not on the server, file can be sent ....... CREATE ───────────────┤
     │ flags not as they must be ......... SWITCH_ACTIVE, SWITCH_GLOBAL ─┤   after each request: the response, or a
     │ foreign content or name, not copied yet ... BACK_UP ──────────────┤   look, shows what the server holds now;
     │ other content ............................. UPDATE ───────────────┤   without a response ``recover`` decides:
     │ our content, up to 0.11 ................... CHECK_VALVES ─────────┤   go on, wait, or end
     │ refused, refused code runs ................ PUT_BACK ─────────────┤
     │ create refused without a reason, 0.12 ..... ASK_WHY ──────────────┘
     │
     ├─ our content, flags right ─────► InSync       created, updated or unchanged
     ├─ refused, live plugin repaired ► Rejected     final until the file changes
     ├─ foreign, on_foreign = refuse ─► Rejected
     ├─ new, nobody admitted it ──────► NotAdmitted  set aside until all saved with it are known, then created or held
     ├─ new, its lines are another's ─► LooksLikeCopy  skipped: a copy of a file beside it
     ├─ no usable response ───────────► ServerAway   dirty again, once the server is available
     ├─ may still be under way ───────► Postponed    dirty again, after a pause
     └─ trouble of this plugin alone ─► Troubled     dirty again, with backoff; after ten minutes rejected

One danger remains: an update can't be made conditional. So an update overwrites an edit that somebody makes between the
last look and the update. That is 50 ms and the time of the request at most; in a storm half a second, or twenty times
what a listing takes. On Open WebUI 0.12 and newer ``overwritten_edits`` finds such an edit in the history and copies
it.
"""

from __future__ import annotations

from collections.abc import Callable

from anyio.abc import TaskGroup

from owui_watch.deployer.attempt import Files
from owui_watch.deployer.availability import Availability
from owui_watch.deployer.deployer import Deployer, Limits
from owui_watch.deployer.plan import Policy
from owui_watch.deployer.prefetch import Prefetch
from owui_watch.deployer.reconcile_context import ReconcileContext
from owui_watch.deployer.recovery import PATIENCE
from owui_watch.files import exists
from owui_watch.openwebui.remote import ListedPlugin
from owui_watch.openwebui.session import Session
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.events import Event, Warned
from owui_watch.settings import Settings
from owui_watch.state.journal import Journal

__all__ = ["Deployer", "create_deployer"]


def create_deployer(
    settings: Settings,
    session: Session,
    journal: Journal,
    tree: Tree,
    report: Callable[[Event], None],
    tasks: TaskGroup,
    *,
    files: Files | None = None,
    patience: float = PATIENCE,
) -> Deployer:
    """Wire a deployer. Run it and its ``availability``; looks at the server are begun in ``tasks``.

    It reads plugins from ``files``, by default from ``tree``. ``patience`` is in seconds, see ``Limits``.
    """
    session.on_problem = lambda error, hint: report(Warned(error, hint))
    availability = Availability(
        session.url,
        session.probe,
        report,
        lambda: len(deployer.pending()),
        advise=session.explain_denied,
        key_changed=session.reload_key,
    )

    def is_settled(listed: ListedPlugin) -> bool:
        """Return whether the server holds the last deployed content of a plugin whose file exists and that is not dirty."""
        is_ours = listed.digest is not None and listed.digest == journal.record(listed.key).digest
        return is_ours and not deployer.is_pending(listed.key) and any(map(exists, tree.paths_of(listed.key)))

    context = ReconcileContext(
        session.server,
        journal,
        Prefetch(session.server, tasks, is_settled),
        Policy(settings.enable_new, settings.global_new, settings.on_foreign),
        report,
        tree.paths_of,
        tree.original_of,
    )
    deployer = Deployer(
        files or tree,
        context,
        availability,
        Limits(settings.debounce, settings.max_new, patience),
        session.reload_key_if_changed,
    )
    return deployer
