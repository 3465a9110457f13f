"""What owui-watch says. Events come in; lines for people, JSON for programs and the user's own commands come out.

Read in this order: ``events`` (what can happen to a plugin; one dataclass an event), ``console`` (the words of each event
on a terminal), the same for commands (``command_events``, ``command_lines``) and for running plugins
(``runtime_events``, ``runtime_lines``), ``layout`` (indentation and wrapping), ``log`` (the reporter and structlog's
processors), ``redaction`` (secrets and control characters), ``output`` (a stream that may be slow, full or closed).
``hooks`` runs the user's commands after a deploy or a rejection, ``streaming`` shows a pipe's answer as it arrives,
``progress`` shows how far a deploy of many is, ``tables`` draws with rich.
"""
