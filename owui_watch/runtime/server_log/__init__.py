"""``--server-log``: errors of plugins, found in the log of a server of one's own.

In: lines of a log. Out: ``raised`` events. Read in this order: ``tail`` (lines as they are written), ``tracebacks``
(which errors they hold), ``attribution`` (the plugin and the line that an error is about), ``follow`` (the three, for as
long as the watch runs).
"""
