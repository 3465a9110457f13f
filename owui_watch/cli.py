"""The command line: arguments, commands, the one error boundary, exit codes."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owui_watch import __version__
from owui_watch.plugin import Kind
from owui_watch.settings import OPTIONS, LogFormat, Settings, SettingsError, load

if TYPE_CHECKING:
    from owui_watch.report import Report
    from owui_watch.sandbox import Sandbox

_VERBS = ("watch", "new")
_EXAMPLES = """\
examples:
  owui-watch plugins/                        save a plugin, see it live on http://localhost:3000
  owui-watch plugins/ --sandbox              the same on a throwaway Open WebUI of its own
  owui-watch plugins/ --url https://ai.example.com --sync
  owui-watch new pipe plugins/my_pipe.py     write a first plugin
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run owui-watch; give the exit code.

    0: all is well. 1: a plugin could not be deployed, or is pending at the end. 2: the command line or the settings are
    wrong. 130: interrupted twice, or before there was anything to finish.
    """
    arguments = _parser().parse_args(_with_verb(sys.argv[1:] if argv is None else argv))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return int(arguments.command(arguments))
    except SettingsError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our lines is gone; Python must not try to flush to them once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _fail(message: str) -> int:
    print(f"owui-watch: {message}", file=sys.stderr)  # noqa: T201
    return 2


def _watch(arguments: argparse.Namespace) -> int:
    from owui_watch.sandbox import SandboxError  # noqa: PLC0415 - only a sandbox needs it

    try:
        with _server(arguments) as (environ, running):
            settings = _settings(arguments, environ, in_sandbox=running is not None)
            return _run(settings, environ, running)
    except SandboxError as error:
        return _fail(str(error))


def _run(settings: Settings, environ: Mapping[str, str], running: Sandbox | None) -> int:
    # Imported here: a wrong command line is answered without them.
    import anyio  # noqa: PLC0415

    from owui_watch.session import Session  # noqa: PLC0415
    from owui_watch.watch import watch  # noqa: PLC0415

    report = _report(settings)
    session_secrets = [settings.require_key().reveal()]
    for secret in session_secrets:
        report.hide(secret)
    if running is not None:
        _tell_sandbox(report, running, settings)

    async def run() -> int:
        return await watch(settings, Session(settings, environ), report.tell)

    return anyio.run(run)


def _new(arguments: argparse.Namespace) -> int:
    from owui_watch.starters import StarterError, write_starter  # noqa: PLC0415

    path = Path(arguments.path)
    try:
        if str(arguments.path).endswith(("/", os.sep)):
            path.mkdir(parents=True, exist_ok=True)
        written = write_starter(Kind(arguments.kind), path)
    except (StarterError, OSError) as error:
        return _fail(str(error))
    print(f"wrote {written}")  # noqa: T201
    return 0


@contextmanager
def _server(arguments: argparse.Namespace) -> Iterator[tuple[Mapping[str, str], Sandbox | None]]:
    """Give the environment to read settings from; with ``--sandbox`` one that names a server started for this run."""
    if arguments.sandbox is None:
        if arguments.sandbox_data is not None:
            raise SettingsError("--sandbox-data goes with --sandbox")
        yield os.environ, None
        return
    if arguments.url is not None:
        raise SettingsError("--sandbox starts a server of its own: leave --url out")
    from owui_watch.sandbox import sandbox  # noqa: PLC0415

    _settings(arguments, os.environ, in_sandbox=True)  # what is wrong with them is said before the long start
    data = Path(arguments.sandbox_data).expanduser() if arguments.sandbox_data else None
    with sandbox(arguments.sandbox or None, data=data, tell=_progress) as running:
        ours = {"OPENWEBUI_URL": running.url, "OPENWEBUI_API_KEY": running.token}
        yield {**{k: v for k, v in os.environ.items() if k != "OPENWEBUI_BASE_URL"}, **ours}, running


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def _settings(arguments: argparse.Namespace, environ: Mapping[str, str], *, in_sandbox: bool) -> Settings:
    given = {name: getattr(arguments, name) for name in (*OPTIONS, "api_key") if hasattr(arguments, name)}
    flags: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    flags["sync"] = arguments.sync or in_sandbox
    flags["verbosity"] = -1 if arguments.quiet else arguments.verbose
    if in_sandbox:
        flags.setdefault("global_new", True)
    return load(
        [Path(path) for path in arguments.paths],
        flags,
        environ=environ,
        cwd=Path.cwd(),
        config=Path(arguments.config) if arguments.config else None,
        env_file=Path(arguments.env_file) if arguments.env_file else None,
    )


def _report(settings: Settings) -> Report:
    from owui_watch.report import Report, RequestLog  # noqa: PLC0415

    json = settings.log_format is LogFormat.JSON
    threshold = {-1: logging.WARNING, 0: logging.INFO}.get(settings.verbosity, logging.DEBUG)
    report = Report(
        sys.stdout,
        json=json,
        colours=not json and _colours(),
        threshold=threshold,
        cwd=Path.cwd(),
    )
    if settings.verbosity > 1:
        requests = logging.getLogger("httpx")
        requests.setLevel(logging.INFO)
        requests.addHandler(RequestLog(report.tell))
        requests.propagate = False
    return report


def _colours() -> bool:
    """See no-color.org and force-color.org: a variable that is set and not empty decides."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")


def _tell_sandbox(report: Report, running: Sandbox, settings: Settings) -> None:
    from owui_watch.outcome import Sandboxed  # noqa: PLC0415

    on_terminal = sys.stdout.isatty() and settings.log_format is LogFormat.CONSOLE
    password = running.password if on_terminal else None
    if not on_terminal:
        report.hide(running.password)
    credentials = None if on_terminal else running.log.parent / "credentials.json"
    report.tell(Sandboxed(running.url, running.version, running.email, password, credentials))


def _with_verb(argv: Sequence[str]) -> list[str]:
    """Put ``watch`` where no verb is, and keep a bare ``--sandbox`` from taking the PATH behind it for a version."""
    arguments = ["--sandbox=" if argument == "--sandbox" else argument for argument in argv]
    if arguments and (arguments[0] in _VERBS or arguments[0] in {"-h", "--help", "--version"}):
        return arguments
    return ["watch", *arguments]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="owui-watch",
        description="Save an Open WebUI plugin, see it live.",
        usage="owui-watch [watch] [PATH ...] [options]\n       owui-watch new KIND PATH",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"owui-watch {__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="")
    _add_watch(verbs)
    new = verbs.add_parser("new", help="write a small, working plugin to start from", allow_abbrev=False)
    new.add_argument("kind", choices=[kind.value for kind in Kind], metavar="KIND", help=", ".join(Kind))
    new.add_argument("path", metavar="PATH", help="file to write, or folder to write it in")
    new.set_defaults(command=_new)
    return parser


def _add_watch(verbs: Any) -> None:
    watch = verbs.add_parser(
        "watch",
        help="deploy every save (what owui-watch does without a command)",
        usage="owui-watch [watch] [PATH ...] [options]",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    watch.add_argument("paths", nargs="*", metavar="PATH", help="folder or file (default: plugins/, else this folder)")
    watch.add_argument("--url", help=OPTIONS["url"].doc)
    watch.add_argument("--sync", action="store_true", help="deploy at the start what differs from the server")
    watch.add_argument("--sandbox", metavar="VERSION", help="start a throwaway Open WebUI for this run [=VERSION]")
    watch.add_argument("--sandbox-data", metavar="DIR", help="keep the sandbox's data in DIR")
    watch.add_argument("--env-file", metavar="FILE", help="the .env to read")
    watch.add_argument("--config", metavar="FILE", help="the owui-watch.toml to read")
    watch.add_argument("--debounce", metavar="SECONDS", help=OPTIONS["debounce"].doc)
    watch.add_argument("--ignore", action="append", metavar="GLOB", help=OPTIONS["ignore"].doc)
    for name in ("enable_new", "global_new"):
        flag = f"--{name.replace('_', '-')}"
        watch.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=OPTIONS[name].doc)
    watch.add_argument("--max-new", metavar="N", help=OPTIONS["max_new"].doc)
    watch.add_argument("--on-foreign", metavar="WHAT", help=OPTIONS["on_foreign"].doc)
    watch.add_argument("--on-delete", metavar="WHAT", help=OPTIONS["on_delete"].doc)
    watch.add_argument("--poll", metavar="SECONDS", help=OPTIONS["poll"].doc)
    watch.add_argument("--drain", metavar="SECONDS", help=OPTIONS["drain"].doc)
    watch.add_argument("--ca-file", metavar="FILE", help=OPTIONS["ca_file"].doc)
    watch.add_argument("--log-format", metavar="FORMAT", help=OPTIONS["log_format"].doc)
    watch.add_argument("--api-key", "--key", "--token", dest="api_key", help=argparse.SUPPRESS)
    watch.add_argument("-v", "--verbose", action="count", default=0, help="say more; -vv shows requests too")
    watch.add_argument("-q", "--quiet", action="store_true", help="say only what went wrong")
    watch.set_defaults(command=_watch)
