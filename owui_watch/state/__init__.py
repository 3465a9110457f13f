"""What owui-watch did on which server, kept in the user's state folder and never in the watched tree.

In: the settings' roots and state folder, and a server's URL. Out: the journal of a run, the requests of other runs to
it, and which runs and sandboxes there are. Problems with the files are texts for the user, not exceptions.

Below the state folder::

    trees/NAME/tree.json                a watched folder: its real path, device and inode
    trees/NAME/SERVER/journal.jsonl     the log of entries for one server
    trees/NAME/SERVER/backups/ID/       copies of what was replaced
    trees/NAME/SERVER/lock              held by the run that owns this state
    trees/NAME/SERVER/watch.json        which run that is
    trees/NAME/SERVER/requests/         what other runs ask of it
    sandboxes/                          the sandboxes that run, with their keys
    starting/NAME/                      a run that started a sandbox: as above, who it is and what is asked of it

Read in this order: ``folder`` (a private folder), ``store`` (the log and the backups), ``record`` (what the log keeps of
one plugin), ``journal`` (all records), ``requests``, ``running``, ``ownership`` (records of trees, locks, overlaps).
"""

from owui_watch.state.folder import StateFolder
from owui_watch.state.journal import Journal
from owui_watch.state.ownership import AlreadyRunningError, Owned, forget, own, read_journal, running_watches
from owui_watch.state.record import Intent, Naming, Record
from owui_watch.state.requests import DeployRequest, Everything, Only, Request, Requests, SentRequest, StopRequest
from owui_watch.state.running import (
    RunningSandbox,
    RunningWatch,
    announced_sandbox,
    announced_start,
    running_sandboxes,
    starting_watches,
)
from owui_watch.state.store import Store

__all__ = [
    "AlreadyRunningError",
    "DeployRequest",
    "Everything",
    "Intent",
    "Journal",
    "Naming",
    "Only",
    "Owned",
    "Record",
    "Request",
    "Requests",
    "RunningSandbox",
    "RunningWatch",
    "SentRequest",
    "StateFolder",
    "StopRequest",
    "Store",
    "announced_sandbox",
    "announced_start",
    "forget",
    "own",
    "read_journal",
    "running_sandboxes",
    "running_watches",
    "starting_watches",
]
