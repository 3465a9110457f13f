"""One call of a plugin, as Open WebUI would make it: ``owui-watch call`` and ``--call``.

In: words of the command line. Out: a ``called`` event. Read in this order: ``caller`` (from words to the event),
``arguments`` (of a tool's method, checked against the server's specification), ``kinds`` (the requests that call each kind),
``echo_model`` (what a filter or an action talks to in a sandbox), ``call_after_deploy`` (``--call``).
"""
