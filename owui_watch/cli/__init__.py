"""The command line: arguments come in, text and an exit code go out.

``main`` is the entry point and the one error boundary. ``arguments`` parses a command line; ``command_flags`` has one
entry a command, with its flags, help and examples. ``commands`` has one module a command, with ``run(arguments, terminal)``.
What they share: ``terminal`` (output, secrets, colours), ``settings_from_flags``, ``selected_plugins`` (which plugins
PATHs and ``--only`` name), ``sandbox_flag`` (the server of ``--sandbox``), ``local_and_remote`` (all plugins, in files
and on the server), ``deploy_once``, ``after_deploy`` (hooks, ``--ask``, ``--call``, ``--server-log``), ``errors``. ``without_rich`` keeps
rich out of a watch.
"""
