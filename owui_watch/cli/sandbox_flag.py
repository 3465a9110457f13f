"""``--sandbox``: a throwaway Open WebUI for one run."""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from owui_watch.cli.errors import CommandError, print_to_stderr
from owui_watch.cli.settings_from_flags import NO_SERVER, settings_from
from owui_watch.cli.terminal import Terminal
from owui_watch.settings import Layer, SandboxServer, Secret, Settings, SettingsError, masked

_REQUESTS_EVERY = 0.5
"""Seconds between two looks at what other runs ask."""

if TYPE_CHECKING:
    from owui_watch.reporting.log import Reporter
    from owui_watch.sandbox import Debug, Sandbox
    from owui_watch.state import RunningSandbox


def wants_sandbox(arguments: argparse.Namespace) -> bool:
    """Return whether a command is to start a sandbox."""
    return arguments.sandbox is not None or arguments.sandbox_data is not None


@contextmanager
def server_for(arguments: argparse.Namespace) -> Iterator[Sandbox | None]:
    """Start the sandbox that ``--sandbox`` asks for; None without that flag.

    Raises SettingsError, and CommandError if the server does not start.
    """
    if not wants_sandbox(arguments):
        if getattr(arguments, "debug", None) is not None or getattr(arguments, "debug_wait", False):
            raise SettingsError("--debug is for a sandbox: add --sandbox")
        yield None
        return
    if arguments.url is not None:
        raise SettingsError("--sandbox starts a server of its own: remove --url")
    from owui_watch.sandbox import SandboxError, sandbox  # noqa: PLC0415

    # Report wrong settings before the long start. The server that they name does not matter here.
    settings = settings_from(arguments, os.environ, sandbox=NO_SERVER)
    data = Path(arguments.sandbox_data).expanduser() if arguments.sandbox_data else None
    try:
        with ExitStack() as stack:
            stack.enter_context(_stoppable(settings))
            started = sandbox(arguments.sandbox or None, data=data, report=print_to_stderr, debug=_debug(arguments))
            running = stack.enter_context(started)
            stack.enter_context(_announced(settings, running))
            yield running
    except SandboxError as error:
        raise CommandError(str(error)) from error


@contextmanager
def running_or_new_server_for(
    arguments: argparse.Namespace,
) -> Iterator[tuple[SandboxServer | None, Sandbox | None]]:
    """Do as ``server_for``, but take the sandbox that runs in another terminal, if the command may be for that.

    The second value is the sandbox that was started, None for one that ran already.
    """
    keeps_data = getattr(arguments, "sandbox_data", None) is not None
    found = None if keeps_data or arguments.url is not None else running_sandbox(arguments, must=False)
    if found is not None:
        yield _named(found), None
        return
    with server_for(arguments) as running:
        yield running.server if running is not None else None, running


@contextmanager
def _stoppable(settings: Settings) -> Iterator[None]:
    """Let ``owui-watch stop`` end this run as Ctrl-C does, also while its server is installed and started."""
    from owui_watch.concurrency import interrupt_main_thread, interruptible  # noqa: PLC0415
    from owui_watch.state import Requests, RunningWatch, StopRequest, announced_start  # noqa: PLC0415

    ended = threading.Event()

    def obey(requests: Requests) -> None:
        while not ended.wait(_REQUESTS_EVERY):
            if StopRequest() in requests.take(settings.roots):
                print_to_stderr("asked to stop by `owui-watch stop`")
                interrupt_main_thread()
                return

    with ExitStack() as stack:
        watch = RunningWatch(os.getpid(), time.time(), "a sandbox that starts", settings.roots)
        try:
            requests = stack.enter_context(announced_start(settings.require_state_dir(), watch))
        except OSError as error:
            print_to_stderr(f"`owui-watch stop` can't reach this run: {error}")
            yield
            return
        stack.enter_context(interruptible())
        thread = threading.Thread(target=obey, args=(requests,), name="owui-watch stop", daemon=True)
        stack.callback(thread.join)
        stack.callback(ended.set)
        thread.start()
        yield


@contextmanager
def _announced(settings: Settings, running: Sandbox) -> Iterator[None]:
    """Let commands in other terminals find the sandbox for as long as it runs."""
    from owui_watch.state import RunningSandbox, announced_sandbox  # noqa: PLC0415

    entry = RunningSandbox(
        os.getpid(),
        time.time(),
        running.url,
        running.version,
        Secret(running.token),
        running.email,
        Secret(running.password),
        running.log.parent,
        Secret(running.channel.token),
    )
    with ExitStack() as stack:
        try:
            stack.enter_context(announced_sandbox(settings.require_state_dir(), entry))
        except OSError as error:
            print_to_stderr(f"other terminals can't find this sandbox: {error}")
        yield


def running_sandbox(
    arguments: argparse.Namespace, *, paths: Sequence[str] | None = None, must: bool = True
) -> RunningSandbox | None:
    """Return the running sandbox that a command is for: with ``--sandbox``, or if nothing names a server.

    Raises CommandError if ``--sandbox`` is given and none runs, but one ``must``.
    """
    from owui_watch.state import running_sandboxes  # noqa: PLC0415

    wanted = getattr(arguments, "sandbox", None)
    # With --sandbox, the server that the settings name does not matter.
    settings = settings_from(arguments, os.environ, paths=paths, sandbox=None if wanted is None else NO_SERVER)
    if wanted is None and settings.url_source.layer is not Layer.DEFAULT:
        return None
    state_dir = settings.require_state_dir()
    found = next((one for one in running_sandboxes(state_dir) if not wanted or one.version == wanted), None)
    if found is None and wanted is not None and must:
        which = f"of Open WebUI {wanted} " if wanted else ""
        raise CommandError(f"no sandbox {which}runs: start one with `owui-watch plugins/ --sandbox`")
    return found


def on_running_sandbox(
    arguments: argparse.Namespace, *, paths: Sequence[str] | None = None, must: bool = True
) -> tuple[SandboxServer | None, RunningSandbox | None]:
    """Return the running sandbox that a command is for, if any, and its server for the settings; see ``running_sandbox``.

    The sandbox is named on stderr first: the command may change it. Raises SettingsError and CommandError.
    """
    found = running_sandbox(arguments, paths=paths, must=must)
    return (_named(found), found) if found is not None else (None, None)


def _named(sandbox: RunningSandbox) -> SandboxServer:
    print_to_stderr(f"on the running sandbox, Open WebUI {sandbox.version} at {sandbox.url}")
    return SandboxServer(sandbox.url, sandbox.key)


def _debug(arguments: argparse.Namespace) -> Debug | None:
    """Return how a debugger gets into the sandbox. Raises SettingsError for a port that is none."""
    from owui_watch.sandbox import Debug  # noqa: PLC0415

    wanted, wait = getattr(arguments, "debug", None), getattr(arguments, "debug_wait", False)
    if wanted is None and not wait:
        return None
    if wanted and not (wanted.isdecimal() and 1024 <= int(wanted) <= 65535):
        raise SettingsError(f"--debug={wanted}: a port is a number from 1024 to 65535")
    return Debug(int(wanted) if wanted else None, wait=wait)


def report_sandbox(
    reporter: Reporter, running: Sandbox, data: str | None, *, json: bool, quiet: bool, terminal: Terminal
) -> None:
    """Report the sandbox's address and account, also with ``-q``. Only a terminal shows the password, and only here."""
    from owui_watch.reporting.command_events import Sandboxed, SandboxedQuietly  # noqa: PLC0415

    shown = terminal.output.isatty() and not json
    if not shown:
        reporter.hide(running.password)
    report = SandboxedQuietly if quiet else Sandboxed
    reporter.report(
        report(
            running.url,
            running.version,
            running.email,
            running.password if shown else None,
            None if shown else running.log.parent / "credentials.json",
            running.log.parent if data else None,
            running.log,
            running.debugger,
        )
    )
    for secret in running.secrets:
        reporter.hide(secret)


def forget_sandbox(arguments: argparse.Namespace, settings: Settings) -> None:
    """Delete what was recorded about a throwaway server: another one may have its address tomorrow."""
    from owui_watch.state import forget  # noqa: PLC0415

    if arguments.sandbox_data is None:
        forget(settings, masked(settings.url))
