"""Every command: its usage, summary, examples and flags. A new command is one function here and a module in commands."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from typing import NamedTuple

from owui_watch.plugins.model import Kind
from owui_watch.settings import OPTIONS

AddArguments = Callable[[ArgumentParser], None]


class Command(NamedTuple):
    """How a command is used, what it does in one line, examples for its help, and a function that adds its flags."""

    usage: str
    summary: str
    examples: str
    add_arguments: AddArguments


COMMANDS: dict[str, Command] = {}
"""All commands by name, in the order in which ``--help`` lists them."""


def _command(name: str, usage: str, summary: str, *examples: str) -> Callable[[AddArguments], AddArguments]:
    """Register a command. The function below adds its arguments to a parser."""

    def register(add_arguments: AddArguments) -> AddArguments:
        text = "".join(f"  {line}\n" for line in examples)
        COMMANDS[name] = Command(usage, summary, f"examples:\n{text}", add_arguments)
        return add_arguments

    return register


@_command(
    "watch",
    "[PATH ...] [options]",
    "deploy every save (the default command)",
    "owui-watch plugins/ --sandbox         on a throwaway Open WebUI",
    'owui-watch plugins/ --ask "Hello?"    show a pipe\'s answer after every save',
)
def _watch(parser: ArgumentParser) -> None:
    _add_paths(parser)
    parser.add_argument("--sync", action="store_true", help="deploy at the start what differs from the server")
    _add_server(parser)
    _add_sandbox(parser)
    _add_debugger(parser)
    parser.add_argument("--server-log", metavar="FILE", help="report errors of plugins from this log; - is stdin")
    _add_setting(parser, "debounce", "SECONDS")
    _add_creation(parser)
    _add_setting(parser, "max_new", "N")
    _add_setting(parser, "on_delete", "WHAT")
    _add_setting(parser, "poll", "SECONDS")
    _add_setting(parser, "drain", "SECONDS")
    _add_after_deploy(parser)
    _add_setting(parser, "log_format", "FORMAT")
    _add_verbosity(parser)


@_command(
    "try",
    "[--open] [options]",
    "write a first plugin, and watch it with a sandbox",
    "owui-watch try                        prints the address of a chat with it",
    "owui-watch try --open                 opens that chat in a browser",
)
def _try(parser: ArgumentParser) -> None:
    parser.add_argument("--open", action="store_true", help="open the new chat in a browser")
    _add_sandbox(parser)
    _add_debugger(parser)
    _add_after_deploy(parser)
    _add_setting(parser, "log_format", "FORMAT")
    _add_verbosity(parser)


@_command(
    "check",
    "[PATH ...] [options]",
    "find problems in plugins, without a server",
    "owui-watch check plugins/             needs no server and no key",
    "owui-watch check --format github      annotations on lines of a pull request",
    "owui-watch check --json | jq '.[] | select(.faults != [])'",
)
def _check(parser: ArgumentParser) -> None:
    _add_paths(parser)
    parser.add_argument("--config", metavar="FILE", help="the owui-watch.toml to read")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=("text", "json", "github"), default="text", help="text, json or github")
    form.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    parser.add_argument("-q", "--quiet", action="store_true", help="list only plugins with problems")


@_command(
    "deploy",
    "[PATH ...] [--only ID ...] [options]",
    "deploy once what differs from the server, then exit",
    "owui-watch deploy plugins/ --dry-run       show what would change",
    "owui-watch deploy plugins/ --only my_pipe  deploy one plugin",
    "owui-watch deploy plugins/ --sandbox=0.9.6 does every plugin load there?",
)
def _deploy(parser: ArgumentParser) -> None:
    _add_paths(parser)
    parser.add_argument("--only", metavar="ID", nargs="+", action="extend", help="deploy only these plugins")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and send nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of text")
    _add_server(parser)
    _add_sandbox(parser)
    _add_creation(parser)
    _add_after_deploy(parser)
    _add_verbosity(parser)


@_command(
    "status",
    "[PATH ...] [options]",
    "compare the plugins with the server",
    "owui-watch status plugins/",
    "owui-watch status --json | jq -r '.[] | select(.state == \"foreign\").plugin'",
)
def _status(parser: ArgumentParser) -> None:
    _add_paths(parser)
    parser.add_argument("--json", action="store_true", help="an array of objects instead of a table")
    _add_server(parser)
    _add_running_sandbox(parser)


@_command(
    "pull",
    "[ID ...] [FILE.json ...] [options]",
    "write functions and tools of a server into files",
    "owui-watch pull                       all functions and tools, into plugins/",
    "owui-watch pull my_filter --to work/  one, into work/filters/my_filter.py",
    "owui-watch pull my_filter --force     also over a file that was changed",
    "owui-watch pull export.json           unpack an export, without a server",
)
def _pull(parser: ArgumentParser) -> None:
    parser.add_argument("plugins", nargs="*", metavar="ID", help="plugins to write (default: all)")
    parser.add_argument("--to", metavar="FOLDER", default="plugins", help="folder to write into (default: plugins/)")
    parser.add_argument("--force", action="store_true", help="overwrite local changes too, and keep a copy of them")
    _add_setting(parser, "ignore", "GLOB", repeatable=True)
    _add_server(parser)
    _add_running_sandbox(parser)


@_command(
    "call",
    "PLUGIN [ARGUMENT ...] [options]",
    "call a plugin of any kind and print the result",
    "owui-watch call my_pipe Hello!         send a message through a pipe or filter",
    "owui-watch call clock                  show a tool's methods",
    "owui-watch call clock.now zone=UTC     run a tool's method, in a sandbox",
    "owui-watch call my_pipe Hi --sandbox   deploy it to a sandbox, and call it",
)
def _call(parser: ArgumentParser) -> None:
    parser.add_argument("plugin", metavar="PLUGIN", help="the plugin's id, with .METHOD for a tool")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="a message, name=text or name:=JSON")
    parser.add_argument("--json", dest="arguments_json", metavar="OBJECT", help="the arguments as one JSON object")
    parser.add_argument("--model", metavar="ID", help="the model behind a filter or an action")
    _add_server(parser)
    parser.add_argument("--sandbox", metavar="[=VERSION]", help="use the running sandbox, or start one")
    parser.set_defaults(sandbox_data=None)
    _add_setting(parser, "log_format", "FORMAT")
    _add_verbosity(parser)


@_command(
    "stop",
    "[PATH ...] [options]",
    "ask the watch that runs on these files to end",
    "owui-watch stop plugins/",
)
def _stop(parser: ArgumentParser) -> None:
    _add_paths(parser)
    _add_server(parser)


@_command(
    "bundle",
    "PATH [-o FILE | --check FILE] [options]",
    "print a plugin of many files as the one file it is sent as",
    "owui-watch bundle plugins/many/                  print it",
    "owui-watch bundle plugins/many/ -o many.py       write it",
    "owui-watch bundle plugins/many/ --check many.py  exit with 1 if it is stale",
)
def _bundle(parser: ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="the plugin's file, or the folder that holds just this one")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("-o", "--output", metavar="FILE", help="write to FILE")
    form.add_argument("--check", metavar="FILE", help="exit with 1 if FILE is not what would be written")
    parser.add_argument("--config", metavar="FILE", help="the owui-watch.toml to read")
    _add_setting(parser, "libraries", "FOLDER", repeatable=True)
    _add_setting(parser, "ignore", "GLOB", repeatable=True)


@_command(
    "new",
    "KIND PATH [--package]",
    "write a small working plugin to start from",
    "owui-watch new pipe plugins/                 writes plugins/my_pipe.py",
    "owui-watch new tool plugins/tools/clock.py",
    "owui-watch new pipe plugins/many --package   several files, and a test",
)
def _new(parser: ArgumentParser) -> None:
    parser.add_argument("kind", choices=[kind.value for kind in Kind], metavar="KIND", help=", ".join(Kind))
    parser.add_argument("path", metavar="PATH", help="file to write, or folder to write it in")
    parser.add_argument("--package", action="store_true", help="write a package: the plugin, a module and a test")


@_command(
    "help",
    "[TOPIC]",
    "show a page of the reference",
    "owui-watch help                       the list of topics",
    "owui-watch help settings              every setting and where it comes from",
)
def _help(parser: ArgumentParser) -> None:
    parser.add_argument("topic", nargs="?", metavar="TOPIC", help="a topic, or the name of a command")


def _add_paths(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help=SUPPRESS)
    _add_setting(parser, "ignore", "GLOB", repeatable=True)


def _add_server(parser: ArgumentParser) -> None:
    _add_setting(parser, "url", "URL")
    parser.add_argument("--env-file", metavar="FILE", help="the .env to read")
    parser.add_argument("--config", metavar="FILE", help="the owui-watch.toml to read")
    _add_setting(parser, "ca_file", "FILE")
    _add_setting(parser, "state_dir", "FOLDER")


def _add_sandbox(parser: ArgumentParser) -> None:
    parser.add_argument("--sandbox", metavar="[=VERSION]", help="start a throwaway Open WebUI for this run")
    parser.add_argument("--sandbox-data", metavar="DIR", help="keep the sandbox's data in DIR")


def _add_running_sandbox(parser: ArgumentParser) -> None:
    parser.add_argument("--sandbox", metavar="[=VERSION]", help="use the sandbox that runs in another terminal")


def _add_debugger(parser: ArgumentParser) -> None:
    parser.add_argument("--debug", metavar="[=PORT]", help="let a debugger attach; --debug-wait waits for it")
    parser.add_argument("--debug-wait", action="store_true", help=SUPPRESS)


def _add_creation(parser: ArgumentParser) -> None:
    for name in ("enable_new", "global_new"):
        flag = name.replace("_", "-")
        parser.add_argument(f"--{flag}", action="store_true", default=None, help=f"{OPTIONS[name].doc} (or --no-…)")
        parser.add_argument(f"--no-{flag}", dest=name, action="store_false", default=None, help=SUPPRESS)
    _add_setting(parser, "on_foreign", "WHAT")


def _add_after_deploy(parser: ArgumentParser) -> None:
    parser.add_argument("--ask", metavar="PROMPT", help="send PROMPT to each deployed pipe, show the answer")
    parser.add_argument("--call", metavar="CALL", help="call a plugin after each deploy (help runtime)")
    parser.add_argument("--on-deploy", metavar="COMMAND", help="run COMMAND after every deploy (OWUI_PLUGIN, …)")
    parser.add_argument("--on-reject", metavar="COMMAND", help="run COMMAND after every rejection (OWUI_ERROR, …)")


def _add_verbosity(parser: ArgumentParser) -> None:
    parser.add_argument("-v", "--verbose", action="count", default=0, help="show more; -vv shows requests too")
    parser.add_argument("-q", "--quiet", action="store_true", help="show only problems")


def _add_setting(parser: ArgumentParser, name: str, metavar: str, *, repeatable: bool = False) -> None:
    """Add the flag of a setting, with the setting's own help. ``repeatable``: each use adds one more value."""
    action = "append" if repeatable else "store"
    parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=OPTIONS[name].doc, action=action)
