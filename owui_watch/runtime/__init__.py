"""What plugins do once they are live: reported as events, and called on request.

In: messages of the sandbox's server, a server's log, and the events of the watch (a follower takes each of them). Out:
events of ``reporting``. No plugin ever runs in this process.

Read in this order: ``sandbox_listener`` and ``sandbox_messages`` (what plugins of a sandbox raise and write),
``server_log`` (errors from a server's log), ``call`` (one call of any kind, ``--call``), ``ask_after_deploy`` and
``error_location`` (``--ask``), ``blocking_plugins`` (interrupt a plugin that blocks the sandbox's server while a save
waits), ``open_first_chat`` (``owui-watch try``).
"""
