"""Small tools for tasks, threads and signals. Know nothing of plugins or servers.

``wakeup``: wake the tasks that wait for a change. ``threads``: blocking work off the event loop. ``supervisor``: report
a bug in one unit of work, or one task, and go on. ``signals``: SIGINT and SIGTERM as something to wait for.

The modules import asyncio and anyio where they use them: that takes 50 ms, and ``check``, which has no event loop, imports
this package too.
"""

from owui_watch.concurrency.signals import Signals, interrupt_main_thread, interruptible, killable, second_ends, signals
from owui_watch.concurrency.supervisor import REPORT_BUG, ReportProblem, describe_bug, guarded, supervise
from owui_watch.concurrency.threads import Post, RunInThread, in_thread, post_to_loop
from owui_watch.concurrency.wakeup import Wakeup

__all__ = [
    "REPORT_BUG",
    "Post",
    "ReportProblem",
    "RunInThread",
    "Signals",
    "Wakeup",
    "describe_bug",
    "guarded",
    "in_thread",
    "interrupt_main_thread",
    "interruptible",
    "killable",
    "post_to_loop",
    "second_ends",
    "signals",
    "supervise",
]
