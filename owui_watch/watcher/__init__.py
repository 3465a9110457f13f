"""File-system events come in, settled paths go out. The save of a settled path is complete.

Read ``watcher`` first: it joins the parts. ``observer`` (on Linux with ``inotify``) turns the platform's events into
paths; ``debounce`` decides when a save is complete; ``snapshot`` finds changes that no event reported;
``watched_folders`` knows whether the watched folders themselves are there. Nothing here knows what a plugin is: any
``.py`` file below a root that isn't ignored matters, and the data files that the daemon names.
"""

from owui_watch.watcher.debounce import CAP, Settled
from owui_watch.watcher.watcher import REAL_PLATFORM, Platform, Watcher

__all__ = ["CAP", "REAL_PLATFORM", "Platform", "Settled", "Watcher"]
