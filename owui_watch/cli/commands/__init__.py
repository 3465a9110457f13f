"""One module a command, each with ``run(arguments, terminal)``, which returns the exit code."""
