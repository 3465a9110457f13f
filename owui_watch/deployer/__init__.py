"""Dirty plugins go in; the server then holds what their files hold, and events say so.

A save only marks a plugin dirty (``Deployer.mark``). Workers take dirty plugins from the queue and reconcile each: read
the newest content of its file, look at the server, plan a step, take it, look again.

Read in this order: ``queue`` (which plugins are dirty), ``deployer`` (the workers that empty the queue), ``reconcile``
(one plugin, one step at a time), ``plan`` (which step is next), ``recovery`` (what follows a request without a
response), ``refusals`` and ``results`` (what is said of it). Beside them: ``prefetch`` (looks begun early and shared),
``availability`` (waiting for the server), ``twins`` (the same plugin under another id), ``sync`` (what differs at
start, requests of a deploy beside a watch), ``follow_up`` (looks after a deploy), ``removals`` (files that went away),
``comparison`` (tree against server, for ``status`` and ``--dry-run``).

One reconcile, as ``plan`` decides it from a ``Progress``::

    look ── resume an unanswered request? ──► Postponed (the server may still be working on it)
     │
     ▼
    plan ◄───────────────────────────────────────────────────────────────┐
     │ not on the server, file can be sent ..... CREATE ─────────────────┤
     │ flags not as they must be ............... SWITCH_ACTIVE, _GLOBAL ─┤
     │ foreign content, not copied yet ......... BACK_UP ────────────────┤
     │ other content ........................... UPDATE ─────────────────┤   after each request: the response, or a
     │ our content, up to 0.11 ................. CHECK_VALVES ───────────┤   look, shows what the server holds now;
     │ refused, refused code runs .............. PUT_BACK ───────────────┤   without a response ``recover`` decides:
     │ create refused without a reason, 0.12 ... ASK_WHY ────────────────┘   go on, wait, or end
     │
     ├─ our content, flags right ─────► InSync       created, updated or unchanged
     ├─ refused, live plugin repaired ► Rejected     final until the file changes
     ├─ foreign, on_foreign = refuse ─► Rejected
     ├─ new, nobody admitted it ──────► NotAdmitted  set aside until the tree is quiet, then created or held
     ├─ new, its lines are another's ─► LooksLikeCopy  skipped: a copy of a file beside it
     ├─ no usable response ───────────► ServerAway   dirty again, once the server is available
     └─ may still be under way ───────► Postponed    dirty again, after a pause
"""

from __future__ import annotations

from collections.abc import Callable

from anyio.abc import TaskGroup

from owui_watch.deployer.availability import Availability
from owui_watch.deployer.deployer import Deployer, Limits
from owui_watch.deployer.prefetch import Prefetch
from owui_watch.deployer.reconcile import Context, Policy
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
) -> Deployer:
    """Wire a deployer. Run it and its ``availability``; looks at the server are begun in ``tasks``."""
    session.on_problem = lambda error, hint: report(Warned(error, hint))
    availability = Availability(
        session.url,
        session.probe,
        report,
        lambda: len(deployer.pending()),
        advise=session.explain_denied,
        key_changed=session.reload_key,
    )
    context = Context(
        session.server,
        journal,
        Prefetch(session.server, tasks),
        Policy(settings.enable_new, settings.global_new, settings.on_foreign),
        report,
        tree.paths_of,
        tree.original_of,
    )
    deployer = Deployer(
        tree, context, availability, Limits(settings.debounce, settings.max_new), session.reload_key_if_changed
    )
    return deployer
