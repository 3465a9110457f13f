"""From a command line to its parsed arguments. The flags of each command are in ``command_flags``. Imports nothing heavy."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from typing import NoReturn

from owui_watch import __version__
from owui_watch.cli.command_flags import COMMANDS, Command
from owui_watch.settings import OPTIONS, SettingsError, refuse_unknown_flags, without_keys

__all__ = ["COMMANDS", "TextRequested", "help_of", "parse"]

_EXAMPLES = """\
examples:
  owui-watch plugins/                        save a plugin, see it live on http://localhost:3000
  owui-watch plugins/ --sandbox              the same on a throwaway Open WebUI
  owui-watch new pipe plugins/my_pipe.py     write a first plugin
  owui-watch COMMAND --help                  what a command does, and all its flags
  owui-watch help                            the topics of the reference
"""
_PATHS = "A PATH is a folder or a file (default: plugins/, else this folder)."
_BARE = ("--sandbox", "--debug")
"""Flags whose value can only be written after a ``=``."""
_MAY_BE_BLANK = {*OPTIONS, "sandbox", "debug", "arguments"}
"""Settings have messages of their own, a bare flag has no value, and a plugin may be called with any text."""
_FLAG = re.compile(r"(--[A-Za-z][\w-]*)(=.*)?|(-[A-Za-z])\S*", re.DOTALL)


class TextRequested(Exception):  # noqa: N818 - no error
    """``--help`` or ``--version``: ``text`` is what to print instead of running a command."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of a command line; ``command`` is the command's name.

    Raises SettingsError if they are wrong, without showing what might be a key, and TextRequested for ``--help``.
    """
    name, *arguments = _with_command(argv)
    if name not in COMMANDS:
        return _overview().parse_args([name, *arguments])
    parser = _parser(name, COMMANDS[name])
    refuse_unknown_flags(_flags(arguments), parser.flags())
    parsed = parser.parse_args(arguments)
    parser.refuse_blank(parsed)
    return parsed


def help_of(name: str) -> str:
    """Return the help of a command."""
    return _parser(name, COMMANDS[name]).format_help()


def _with_command(argv: Sequence[str]) -> list[str]:
    """Insert ``watch`` if no command is named, and keep a bare flag of ``_BARE`` from taking the PATH behind it."""
    arguments = [f"{argument}=" if argument in _BARE else argument for argument in argv]
    if arguments and (arguments[0] in COMMANDS or arguments[0] in {"-h", "--help", "--version"}):
        return arguments
    if arguments:
        _refuse_misspelt_command(arguments[0])
    return ["watch", *arguments]


def _refuse_misspelt_command(word: str) -> None:
    if not word.isalpha() or os.path.lexists(word):
        return
    from difflib import get_close_matches  # noqa: PLC0415 - only if something is wrong

    if close := get_close_matches(word.lower(), COMMANDS, n=1):
        raise SettingsError(f"{word}: there is no such command, file or folder: did you mean {close[0]}?")


def _flags(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the flags among ``arguments``, without their values."""
    for argument in arguments:
        if argument == "--":
            return
        if flag := _FLAG.fullmatch(argument):
            yield flag[1] or flag[3]


class _Parser(argparse.ArgumentParser):
    """A parser that neither prints nor exits: the error boundary does both."""

    def flags(self) -> list[str]:
        """Return all flags of the command."""
        return list(self._option_string_actions)

    def refuse_blank(self, parsed: argparse.Namespace) -> None:
        """Raise SettingsError for a blank value: a variable that a script did not set must not select the default."""
        for action in self._actions:
            given = getattr(parsed, action.dest, None)
            values = given if isinstance(given, list) else [given]
            if action.dest not in _MAY_BE_BLANK and any(isinstance(each, str) and not each.strip() for each in values):
                name = f"flag {action.option_strings[-1]}" if action.option_strings else action.metavar
                raise SettingsError(f"{name}: needs a value")

    def error(self, message: str) -> NoReturn:
        """Raise SettingsError with ``message``, which may quote a key."""
        raise SettingsError(f"{without_keys(message)}\nSee `{self.prog} --help`.")

    def print_help(self, file: object = None) -> NoReturn:  # noqa: ARG002 - argparse passes none
        """Raise TextRequested with the help."""
        raise TextRequested(self.format_help())


class _Version(argparse.Action):
    def __call__(self, *_: object) -> NoReturn:
        raise TextRequested(f"owui-watch {__version__}\n")


def _overview() -> _Parser:
    """Return the parser of ``--help`` and ``--version``."""
    parser = _Parser(
        prog="owui-watch",
        description="Save an Open WebUI plugin, see it live.",
        usage="owui-watch [watch] [PATH ...] [options]\n       owui-watch COMMAND [options]",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version of owui-watch")
    commands = parser.add_subparsers(title="commands", metavar="", required=True)
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.summary)
    return parser


def _parser(name: str, command: Command) -> _Parser:
    """Return the parser of one command."""
    shown = "[watch]" if name == "watch" else name
    paths = f"\n{_PATHS}" if "PATH ..." in command.usage else ""
    parser = _Parser(
        prog=f"owui-watch {name}",
        description=f"{command.summary[0].upper()}{command.summary[1:]}.{paths}",
        usage=f"owui-watch {shown} {command.usage}",
        epilog=command.examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,  # one line less: whoever reads it has found it
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    parser.set_defaults(command=name)
    command.add_arguments(parser)
    return parser
