"""What plugins do once they are live: reported as events, and called on request.

In: records of the sandbox's loader, a server's log, and the events of the watch (a follower takes each of them). Out:
events of ``reporting``. No plugin ever runs in this process.

Read in this order: ``listener`` and ``records`` (what plugins of a sandbox raise and write), ``server_log`` (errors from a
server's log), ``call`` (one call of any kind), ``ask`` and ``error_line`` (``--ask``), ``unblock`` (saves don't wait for a
plugin), ``open_chat`` (``owui-watch try``).
"""
