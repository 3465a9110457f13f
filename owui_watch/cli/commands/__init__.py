"""One small room a command. Each has ``run(arguments)``, which gives the exit code."""
