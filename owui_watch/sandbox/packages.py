"""Open WebUI in the user's cache folder: installed once a version by uv, in a slim form, then only read."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from owui_watch.files import exclusive
from owui_watch.sandbox.uv import OFFLINE, Report, SandboxError, find_uv, is_offline, output, run_uv, succeeds

DEFAULT_VERSION = "0.12.4"
"""The newest Open WebUI that this project was tested with."""

# Hundreds of megabytes each, and never touched by the plugins' API (0.6.5 to 0.12.4 start without them).
_LEFT_OUT = (
    "torch",
    "transformers",
    "sentence-transformers",
    "accelerate",
    "faster-whisper",
    "rapidocr",
    "opencv-python-headless",
)
PYTHONS = ((3, 11), (3, 12))
"""What Open WebUI's own metadata asks for, in every release so far."""
_PYTHON_RANGE = ">=3.11,<3.13"
_VERSION = re.compile(r"\d+(\.\d+){1,3}((a|b|rc|\.dev|\.post)\d+)?")


@dataclass(frozen=True, slots=True)
class Installed:
    """An Open WebUI that is ready to run: ``packages`` is shared by all runs and must stay as it is."""

    version: str
    python: Path
    python_version: tuple[int, int, int]
    packages: Path


def cache_folder() -> Path:
    """Name the user's cache folder for owui-watch, as the platform wants it; it need not exist."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "owui-watch"


def install(
    version: str | None,
    cache: Path,
    report: Report,
    *,
    pythons: Collection[tuple[int, int]] = PYTHONS,
    uv: Callable[..., None] = run_uv,
) -> Installed:
    """Return VERSION (``None``: ``DEFAULT_VERSION``) from the cache; install it first where it isn't there.

    Works offline once it is installed. Safe for several processes at once: one installs, the others wait. ``pythons`` are
    the minor versions of this Python that fit; ``uv`` takes the place of ``run_uv`` for the installation.
    """
    version = (version or DEFAULT_VERSION).removeprefix("v")
    if not _VERSION.fullmatch(version):
        raise SandboxError(f"{version!r} is not a version of Open WebUI; one looks like {DEFAULT_VERSION}")
    shelf = cache / "sandbox"
    shelf.mkdir(parents=True, exist_ok=True)
    python, python_version = _find_python(shelf, report, pythons)
    # Down to the last number: what is installed depends on it (redis wants async-timeout below 3.11.3, say).
    name = f"{version}-py{'.'.join(map(str, python_version))}"
    found = Installed(version, python, python_version, packages=shelf / name)
    if not found.packages.is_dir():
        with exclusive(shelf / f"{name}.lock", busy=lambda: report("waiting for another installation …")):
            if not found.packages.is_dir():
                _install(found, report, uv)
    return found


def _install(wanted: Installed, report: Report, uv: Callable[..., None]) -> None:
    """Install into a folder beside the wanted one and rename it, so that a half-installed one is never seen."""
    shelf, name = wanted.packages.parent, wanted.packages.name
    for leftover in shelf.glob(f"{name}.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    report(f"installing Open WebUI {wanted.version} (only this once; takes 1 to 2 GB of disk) …")
    began = time.monotonic()
    fresh = Path(tempfile.mkdtemp(prefix=f"{name}.new-", dir=shelf))
    try:
        override = fresh / "override.txt"
        override.write_text("".join(f"{package}; sys_platform == 'never'\n" for package in _LEFT_OUT))
        # pip is for the plugins' `requirements`; --target because a folder of packages, unlike a venv, can be renamed.
        uv(
            [
                *("pip", "install", "--python", str(wanted.python), "--target", str(fresh / "packages")),
                *("--override", str(override), f"open-webui=={wanted.version}", "pip"),
            ],
            shelf,
            report,
            failed=f"Open WebUI {wanted.version} could not be installed",
            hint=partial(_no_version, wanted, shelf),
        )
        (fresh / "packages").rename(wanted.packages)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    report(f"installed in {time.monotonic() - began:.0f} s: {wanted.packages}")


def _no_version(wanted: Installed, folder: Path) -> str:
    """Say what can be done if the index has no such version: it may have no packages at all, as a login page."""
    if is_offline():
        return OFFLINE
    ask = ["pip", "install", "--dry-run", "--no-deps", "--python", str(wanted.python)]
    if succeeds([*ask, "--target", str(folder / "none"), "open-webui"], folder):
        return "Open WebUI's releases are listed at https://github.com/open-webui/open-webui/releases"
    return (
        "The package index has no Open WebUI at all: it may be a proxy's login page, or a mirror without it. Log in to "
        "the network with a browser, or set the index (pip's index-url, or UV_DEFAULT_INDEX)."
    )


def make_venv(of: Installed, folder: Path) -> Path:
    """Make a virtual environment that sees ``of.packages`` and has a place of its own for more; give its Python.

    pip counts the shared packages as installed, but as outside of its environment: it never changes them.
    One that is there already is kept where it is of the same make.
    """
    windows = sys.platform == "win32"
    python = folder / ("Scripts/python.exe" if windows else "bin/python")
    make, marker = f"{of.python}\n{of.packages}\n", folder / "made-of.txt"
    if python.exists() and marker.is_file() and marker.read_text(encoding="utf-8") == make:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    run_uv(
        ["venv", "--no-project", "--python", str(of.python), str(folder)],
        folder.parent,
        lambda _line: None,
        failed="the sandbox's virtual environment could not be created",
        hint=lambda: f"Is there space left in {folder.parent}?",
    )
    major, minor, _ = of.python_version
    library = Path("Lib") if windows else Path("lib") / f"python{major}.{minor}"
    link = folder / library / "site-packages" / "owui_watch_sandbox.pth"
    # addsitedir, not the bare path: .pth files among the packages have to work too.
    link.write_text(f"import site; site.addsitedir({str(of.packages)!r})\n", encoding="utf-8")
    marker.write_text(make, encoding="utf-8")
    return python


def _find_python(
    folder: Path, report: Report, pythons: Collection[tuple[int, int]]
) -> tuple[Path, tuple[int, int, int]]:
    """Find a Python that Open WebUI runs on: this one where it fits, else one that uv finds or downloads."""
    if sys.executable and sys.version_info[:2] in pythons:
        return Path(sys.executable), sys.version_info[:3]
    find = [find_uv(), "python", "find", "--no-project", _PYTHON_RANGE]
    if not (path := output(find, folder)):
        report("installing Python 3.12 (only this once) …")
        run_uv(
            ["python", "install", "3.12"],
            folder,
            report,
            failed="Open WebUI needs Python 3.11 or 3.12. There is none here, and uv could not download one",
            hint=str,
            instead="Or install Python 3.12 yourself (python.org, or your system's packages), then try again.",
        )
        path = output(find, folder)
    version = output([path, "-I", "-c", "import sys; print(*sys.version_info[:3])"], folder) if path else ""
    if not version:
        raise SandboxError(
            "Open WebUI needs Python 3.11 or 3.12, and uv finds none: install Python 3.12, then try again"
        )
    major, minor, micro = map(int, version.split())
    return Path(path), (major, minor, micro)
