"""One module a command, each with ``run(arguments, terminal)``, which returns the exit code.

``dry_run`` and ``deploy_through_watch`` are parts of ``deploy``; ``pull_target``, ``pull_files``, ``pull_modules`` and
``pull_export`` are parts of ``pull``.
"""
