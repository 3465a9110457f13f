"""Runs uv, which installs Open WebUI and Python, and says what the user can do about its failures."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from owui_watch.sandbox.environ import uv_environ

_LINES_SHOWN = 12
_LONGEST = 500
_PROGRESS = re.compile(r"\s*(Resolved|Downloading|Building|Prepared|Installed)\b")
Report = Callable[[str], None]
"""Takes one line of progress."""


class SandboxError(Exception):
    """Why there is no sandbox, in words for its user: what happened, where, and what to do."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failure of uv: the ``pattern`` of its output, and what the user can do about it."""

    pattern: re.Pattern[str]
    advice: str


def _failure(pattern: str, advice: str) -> _Failure:
    return _Failure(re.compile(pattern, re.IGNORECASE), advice)


OFFLINE = "UV_OFFLINE is set: unset it, and try again."
# The texts are those of uv 0.8 to 0.12 and of the operating systems. The first match decides.
_FAILURES = (
    _failure(
        r"no space left|not enough space|os error 28\b|os error 112\b|disk quota",
        "The disk is full. Open WebUI takes 1 to 2 GB in {folder}: free some space, or set XDG_CACHE_HOME to a folder on "
        "another disk.",
    ),
    _failure(r"network (connectivity )?(was|is) disabled|--offline|offline mode", OFFLINE),
    _failure(
        r"invalid peer certificate: \S*(expired|notvalidyet)|certificate has expired",
        "The server's TLS certificate is out of date, or this computer's clock is wrong: check the date.",
    ),
    _failure(
        r"invalid peer certificate|certificate verify failed|self.signed certificate|unable to get local issuer",
        "The server's TLS certificate is not trusted. If your network has an authority of its own, set SSL_CERT_FILE to "
        "the file with its certificate (PEM).",
    ),
    _failure(
        r"407 proxy|proxy authentication|proxy authorization required",
        "The proxy needs a user name and a password: set HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT.",
    ),
    _failure(
        r"40[13] (unauthorized|forbidden)",
        "The package index refuses access: check its address and the name and password in it (pip's settings, or "
        "UV_DEFAULT_INDEX).",
    ),
    _failure(
        r"tunnel error: unsuccessful",
        "The proxy refuses to connect to that server: check HTTPS_PROXY (or pip's proxy), log in to the network with a "
        "browser, or set an index that the proxy allows (pip's index-url, or UV_DEFAULT_INDEX).",
    ),
    _failure(
        r"received corrupt message|received fatal alert|peer is incompatible|wrong version number",
        "That server, or a proxy in its place, does not speak HTTPS: check HTTPS_PROXY (or pip's proxy) and the address of "
        "the index, or log in to the network with a browser.",
    ),
    _failure(
        r"unsupported `content-type`|expected json or html|511 network authentication"
        r"|invalid gzip header|invalid tar file|failed to extract archive",
        "The server does not answer with packages; it may be a proxy's login page. Log in to the network with a browser, "
        "or set the index (pip's index-url, or UV_DEFAULT_INDEX).",
    ),
    _failure(
        r"dns error|failed to lookup|name resolution|connection refused|network is unreachable|timed? ?out"
        r"|error sending request|connection reset|no route to host",
        "That server can't be reached. Is this computer online? Behind a proxy, set HTTPS_PROXY; for an index of "
        "your own, set pip's index-url or UV_DEFAULT_INDEX.",
    ),
    _failure(r"5\d\d (service|internal|bad gateway|gateway)", "The package index fails: try again later."),
    _failure(
        r"permission denied|os error 13\b|read-only file system",
        "{folder} can't be written: set XDG_CACHE_HOME to a folder that can.",
    ),
)


def find_uv() -> str:
    """Return the uv of the ``[sandbox]`` extra, else one on the path. Raises SandboxError if there is none."""
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - an extra that need not be installed

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if not found:
        raise SandboxError(
            "a sandbox needs uv, which is not installed: run `pip install uv`, or install owui-watch with its extra "
            "[sandbox]"
        )
    return found


def output(command: list[str], folder: Path) -> str:
    """Return what a command prints, stripped; empty if it fails."""
    done = subprocess.run(
        command, cwd=folder, env=uv_environ(), capture_output=True, text=True, encoding="utf-8", check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def succeeds(arguments: list[str], folder: Path) -> bool:
    """Return whether uv carries out a command."""
    command = [find_uv(), *arguments]
    return subprocess.run(command, cwd=folder, env=uv_environ(), capture_output=True, check=False).returncode == 0


def run_uv(
    arguments: list[str], folder: Path, report: Report, *, failed: str, hint: Callable[[], str], instead: str = ""
) -> None:
    """Run uv in ``folder``, where it finds no project's settings, and report its progress.

    Raises SandboxError: ``failed``, uv's last lines, and what to do. For an unknown failure, ``hint`` returns what to do;
    ``instead`` is what the user can do in any case.
    """
    command = [find_uv(), *arguments, "--color", "never", "--no-progress"]
    last: deque[str] = deque(maxlen=_LINES_SHOWN)
    with subprocess.Popen(
        command,
        cwd=folder,
        env=uv_environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as uv:
        try:
            for line in uv.stderr or ():
                if "UV_NATIVE_TLS" in line:  # newer releases warn of the name that older ones need
                    continue
                last.append(_without_password(line.rstrip())[:_LONGEST])
                if _PROGRESS.match(line):
                    report(line.strip())
        except BaseException:
            uv.kill()
            raise
    if uv.returncode:
        said = "\n".join(f"    {line}" for line in last)
        advice = [explain(list(last), folder) or hint(), instead]
        raise SandboxError("\n".join(filter(None, [f"{failed}; uv says:\n{said}", *advice])))


def explain(lines: list[str], folder: Path) -> str | None:
    """Return what the user can do about a failure of uv; None if its last lines are of no known kind."""
    text = "\n".join(lines)
    known = next((failure for failure in _FAILURES if failure.pattern.search(text)), None)
    return known.advice.format(folder=folder) if known else None


def is_offline() -> bool:
    """Return whether uv is to use only its cache; a list of releases there may be older than the wanted one."""
    return uv_environ().get("UV_OFFLINE", "").lower() in {"1", "true", "t", "yes", "y", "on"}


def _without_password(line: str) -> str:
    return re.sub(r"//[^/\s@]+@", "//***@", line)
