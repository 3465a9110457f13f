"""The command line's grammar: every command, its flags and its one screen of help. Imports nothing heavy."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

from owui_watch import __version__
from owui_watch.plugins.model import Kind
from owui_watch.settings import OPTIONS, SettingsError, refuse_unknown_flags, without_keys

_WATCH_EXAMPLES = """\
examples:
  owui-watch plugins/ --sandbox         on a throwaway Open WebUI of its own
  owui-watch plugins/ --ask "Hello?"    read a pipe's answer after every save
"""
_ALL_EXAMPLES = """\
examples:
  owui-watch plugins/                        save a plugin, see it live on http://localhost:3000
  owui-watch plugins/ --sandbox              the same on a throwaway Open WebUI of its own
  owui-watch new pipe plugins/my_pipe.py     write a first plugin
  owui-watch COMMAND --help                  what a command does, and all its flags
"""
_CHECK_EXAMPLES = """\
examples:
  owui-watch check plugins/             no server and no key is needed
  owui-watch check --format github      annotations on a pull request's lines
  owui-watch check --json | jq '.[] | select(.faults != [])'
"""
_DEPLOY_EXAMPLES = """\
examples:
  owui-watch deploy plugins/ --dry-run       see what would change
  owui-watch deploy plugins/ --only my_pipe  deploy one plugin
  owui-watch deploy plugins/ --sandbox=0.9.6 do they load on that one?
"""
_STATUS_EXAMPLES = """\
examples:
  owui-watch status plugins/
  owui-watch status --json | jq -r '.[] | select(.state == "foreign").plugin'
"""
_PULL_EXAMPLES = """\
examples:
  owui-watch pull                       all that the server holds, into plugins/
  owui-watch pull my_filter --to work/  one, into work/filters/my_filter.py
  owui-watch pull my_filter --force     whatever the file holds now
"""
_NEW_EXAMPLES = """\
examples:
  owui-watch new pipe plugins/               writes plugins/my_pipe.py
  owui-watch new tool plugins/tools/clock.py
"""
_PATHS = "A PATH is a folder or a file (default: plugins/, else this folder)."
_FLAG = re.compile(r"(--[A-Za-z][\w-]*)(=.*)?|(-[A-Za-z])\S*", re.DOTALL)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line; ``command`` names the command.

    Exits (2) where it is wrong, and after ``--help`` (0). Raises SettingsError for a flag or a command that isn't
    there. What might be a key is not shown.
    """
    word, *arguments = _with_verb(argv)
    if word not in COMMANDS:
        return _overview().parse_args([word, *arguments])
    parser = _parser(word, COMMANDS[word])
    refuse_unknown_flags(_flags(arguments), parser.flags())
    return parser.parse_args(arguments)


def _with_verb(argv: Sequence[str]) -> list[str]:
    """Put ``watch`` where no verb is, and keep a bare ``--sandbox`` from taking the PATH behind it for a version."""
    arguments = ["--sandbox=" if argument == "--sandbox" else argument for argument in argv]
    if arguments and (arguments[0] in COMMANDS or arguments[0] in {"-h", "--help", "--version"}):
        return arguments
    if arguments:
        _refuse_misspelt_verb(arguments[0])
    return ["watch", *arguments]


def _refuse_misspelt_verb(word: str) -> None:
    if not word.isalpha() or os.path.lexists(word):
        return
    from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

    if close := get_close_matches(word.lower(), COMMANDS, n=1):
        raise SettingsError(f"{word}: there is no such command, file or folder: did you mean {close[0]}?")


def _flags(arguments: Sequence[str]) -> Iterator[str]:
    """Return the flags among ``arguments``, without their values."""
    for argument in arguments:
        if argument == "--":
            return
        if flag := _FLAG.fullmatch(argument):
            yield flag[1] or flag[3]


class _Command(NamedTuple):
    """How a command is used, what it does in one line, examples, and what adds its arguments."""

    usage: str
    doc: str
    examples: str
    add_arguments: Callable[[argparse.ArgumentParser], None]


class _Parser(argparse.ArgumentParser):
    def flags(self) -> list[str]:
        """Return all flags that it knows."""
        return list(self._option_string_actions)

    def error(self, message: str) -> NoReturn:
        """Exit with ``message``, which may quote what the user took a key for."""
        super().error(without_keys(message))


def _overview() -> _Parser:
    """Make what answers ``--help`` and ``--version``."""
    parser = _Parser(
        prog="owui-watch",
        description="Save an Open WebUI plugin, see it live.",
        usage="owui-watch [watch] [PATH ...] [options]\n       owui-watch COMMAND [options]",
        epilog=_ALL_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"owui-watch {__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="", required=True)
    for name, command in COMMANDS.items():
        verbs.add_parser(name, help=command.doc)
    return parser


def _parser(name: str, command: _Command) -> _Parser:
    """Make the grammar of one command."""
    shown = "[watch]" if name == "watch" else name
    paths = f"\n{_PATHS}" if "PATH ..." in command.usage else ""
    parser = _Parser(
        prog=f"owui-watch {name}",
        description=f"{command.doc[0].upper()}{command.doc[1:]}.{paths}",
        usage=f"owui-watch {shown} {command.usage}",
        epilog=command.examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,  # one line less: who reads it has found it
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    parser.set_defaults(command=name)
    command.add_arguments(parser)
    return parser


def _add_watch(watch: argparse.ArgumentParser) -> None:
    _add_paths(watch)
    watch.add_argument("--sync", action="store_true", help="deploy at the start what differs from the server")
    _add_server(watch)
    _add_sandbox(watch)
    _add_setting(watch, "debounce", "SECONDS")
    _add_creation(watch)
    _add_setting(watch, "max_new", "N")
    _add_setting(watch, "on_delete", "WHAT")
    _add_setting(watch, "poll", "SECONDS")
    _add_setting(watch, "drain", "SECONDS")
    _add_followers(watch)
    _add_setting(watch, "log_format", "FORMAT")
    _add_verbosity(watch)


def _add_check(check: argparse.ArgumentParser) -> None:
    _add_paths(check)
    check.add_argument("--config", metavar="FILE", help="the owui-watch.toml to read")
    form = check.add_mutually_exclusive_group()
    form.add_argument("--format", choices=("text", "json", "github"), default="text", help="text, json or github")
    form.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    check.add_argument("-q", "--quiet", action="store_true", help="leave plugins without faults out of the text")


def _add_deploy(deploy: argparse.ArgumentParser) -> None:
    _add_paths(deploy)
    deploy.add_argument("--only", metavar="ID", nargs="+", action="extend", help="deploy these plugins alone")
    deploy.add_argument("--dry-run", action="store_true", help="show what would change, and send nothing")
    deploy.add_argument("--json", action="store_true", help="one JSON object a line instead of text")
    _add_server(deploy)
    _add_sandbox(deploy)
    _add_creation(deploy)
    _add_followers(deploy)
    _add_verbosity(deploy)


def _add_status(status: argparse.ArgumentParser) -> None:
    _add_paths(status)
    status.add_argument("--json", action="store_true", help="an array of objects instead of a table")
    _add_server(status)


def _add_pull(pull: argparse.ArgumentParser) -> None:
    pull.add_argument("plugins", nargs="*", metavar="ID", help="plugins to take (default: all that the server holds)")
    pull.add_argument("--to", metavar="FOLDER", default="plugins", help="folder to write into (default: plugins/)")
    pull.add_argument("--force", action="store_true", help="overwrite local changes too; a copy of them is kept")
    _add_setting(pull, "ignore", "GLOB", action="append")
    _add_server(pull)


def _add_new(new: argparse.ArgumentParser) -> None:
    new.add_argument("kind", choices=[kind.value for kind in Kind], metavar="KIND", help=", ".join(Kind))
    new.add_argument("path", metavar="PATH", help="file to write, or folder to write it in")


def _add_paths(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help=argparse.SUPPRESS)
    _add_setting(parser, "ignore", "GLOB", action="append")


def _add_server(parser: argparse.ArgumentParser) -> None:
    _add_setting(parser, "url", "URL")
    parser.add_argument("--env-file", metavar="FILE", help="the .env to read")
    parser.add_argument("--config", metavar="FILE", help="the owui-watch.toml to read")
    _add_setting(parser, "ca_file", "FILE")


def _add_sandbox(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sandbox", metavar="[=VERSION]", help="start a throwaway Open WebUI for this run")
    parser.add_argument("--sandbox-data", metavar="DIR", help="keep the sandbox's data in DIR")


def _add_creation(parser: argparse.ArgumentParser) -> None:
    for name in ("enable_new", "global_new"):
        flag = name.replace("_", "-")
        parser.add_argument(f"--{flag}", action="store_true", default=None, help=f"{OPTIONS[name].doc} (or --no-…)")
        parser.add_argument(f"--no-{flag}", dest=name, action="store_false", default=None, help=argparse.SUPPRESS)
    _add_setting(parser, "on_foreign", "WHAT")


def _add_followers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ask", metavar="PROMPT", help="send this through a deployed pipe, show the answer")
    parser.add_argument("--on-deploy", metavar="COMMAND", help="run this after every deploy (OWUI_PLUGIN, …)")
    parser.add_argument("--on-reject", metavar="COMMAND", help="run this after every rejection (OWUI_ERROR, …)")


def _add_verbosity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say more; -vv shows requests too")
    parser.add_argument("-q", "--quiet", action="store_true", help="say only what went wrong")


def _add_setting(parser: argparse.ArgumentParser, name: str, metavar: str, **more: Any) -> None:
    """Add the flag of a setting, with the setting's own words."""
    parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=OPTIONS[name].doc, **more)


COMMANDS = {
    "watch": _Command(
        "[PATH ...] [options]",
        "deploy every save (what owui-watch does without a command)",
        _WATCH_EXAMPLES,
        _add_watch,
    ),
    "check": _Command(
        "[PATH ...] [options]", "find what is wrong with plugins, without a server", _CHECK_EXAMPLES, _add_check
    ),
    "deploy": _Command(
        "[PATH ...] [--only ID ...] [options]",
        "deploy once what differs from the server, then exit",
        _DEPLOY_EXAMPLES,
        _add_deploy,
    ),
    "status": _Command("[PATH ...] [options]", "compare the plugins with the server", _STATUS_EXAMPLES, _add_status),
    "pull": _Command(
        "[ID ...] [options]", "write the server's functions and tools into files", _PULL_EXAMPLES, _add_pull
    ),
    "new": _Command("KIND PATH", "write a small, working plugin to start from", _NEW_EXAMPLES, _add_new),
}
