"""The command line: arguments come in, text and an exit code go out.

``main`` is the entry point and the one error boundary. ``arguments`` parses a command line; ``grammar`` has one entry a
command, with its flags, help and examples. ``commands`` has one module a command, with ``run(arguments, terminal)``.
What they share: ``terminal`` (output, secrets, colours), ``run_settings`` (from flags to settings), ``named_paths`` (an
answer for each PATH), ``sandboxed`` (a server for this run), ``survey`` (tree and server side by side), ``deploy_once``,
``hand_over`` (to a running watch), ``after_deploy`` (hooks, answers, calls), ``errors``. ``lean_imports`` keeps rich out
of a watch.
"""
