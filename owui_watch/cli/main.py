"""The entry point: choose the command, catch its errors, return its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword

from owui_watch.cli.arguments import TextRequested, parse
from owui_watch.cli.errors import EXPECTED, bug_report, leaves, print_error
from owui_watch.cli.terminal import Terminal
from owui_watch.concurrency import second_ends
from owui_watch.reporting.output import Output
from owui_watch.reporting.redaction import Secrets

LAST_OUTPUT = 0.5
"""Seconds that an interrupted run waits for stdout before it ends."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run owui-watch and return the exit code.

    0: all is well. 1: a plugin could not be deployed or checked, is pending at the end, or output was lost. 2: the
    command line or the settings are wrong or, for a command that runs once, the server can't be reached or refuses the
    key. 130: interrupted twice, or before there was anything to finish.
    """
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    terminal = Terminal(Output(sys.stdout), Secrets([os.environ.get("OPENWEBUI_API_KEY", "")]))
    error = None
    with second_ends():
        try:
            code, error = _run(sys.argv[1:] if argv is None else argv, terminal)
            lost = terminal.output.close()
        except KeyboardInterrupt:
            code, lost = 130, terminal.output.close(LAST_OUTPUT)
    if error is not None:
        print_error(error, terminal.secrets)
    if lost is None or lost.closed:
        return code
    print_error(f"{lost} of the output could not be written: {lost.reason}", terminal.secrets)
    return code or 1


def _run(argv: Sequence[str], terminal: Terminal) -> tuple[int, str | None]:
    """Return the exit code, and the error to print."""
    try:
        arguments = parse(argv)
        # Load the module of this command only: `check` must not wait for an HTTP client.
        module = f"{arguments.command}_" if iskeyword(arguments.command) else arguments.command
        command = import_module(f"owui_watch.cli.commands.{module}")
        return int(command.run(arguments, terminal)), None
    except TextRequested as requested:
        terminal.output.write(requested.text)
        return 0, None
    except BaseException as error:
        return _failure(argv, error)


def _failure(argv: Sequence[str], error: BaseException) -> tuple[int, str | None]:
    """Return exit code and text for what ended a command. Raises KeyboardInterrupt and SystemExit again."""
    errors = list(leaves(error))
    if ends := [each for each in errors if not isinstance(each, Exception)]:
        raise ends[0]
    bugs = [each for each in errors if isinstance(each, Exception) and not isinstance(each, EXPECTED)]
    if bugs:
        return 1, bug_report(f"`{' '.join(['owui-watch', *argv[:1]])}`", bugs[0])
    return 2, str(errors[0])


def _open_closed_streams() -> None:
    """Connect a standard stream that was closed to the null device, or the next file opened would take its place."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
