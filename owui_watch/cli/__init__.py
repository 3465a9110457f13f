"""The command line: arguments come in, text and an exit code go out.

``main`` is the entry point and the one error boundary. ``arguments`` parses a command line; ``grammar`` has one entry a
command, with its flags, help and examples. ``commands`` has one module a command, with ``run(arguments, terminal)``.
What they share: ``terminal`` (output, secrets, colours), ``settings_from_flags``, ``named_paths`` (an answer for each
PATH), ``sandbox_flag`` (the server of ``--sandbox``), ``files_and_server`` (both side by side), ``deploy_once``,
``hand_over`` (to a running watch), ``after_deploy`` (hooks, answers, calls), ``errors``. ``without_rich`` keeps rich out of
a watch.
"""
