"""debugpy in the sandbox's server: a debugger can attach to it, from this computer alone."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from owui_watch.sandbox.server import free_port, is_free
from owui_watch.sandbox.uv import SandboxError


@dataclass(frozen=True, slots=True)
class Debug:
    """Where a debugger attaches: ``port`` of loopback, None for any free one. ``wait``: the server starts after that."""

    port: int | None
    wait: bool = False


@dataclass(frozen=True, slots=True)
class Debugger:
    """How ``in_server`` starts debugpy. ``package`` is the path of debugpy's ``__init__.py`` in our own environment."""

    port: int
    package: str
    wait: bool

    def environ(self) -> dict[str, str]:
        """Return the environment variables from which ``in_server`` reads all this."""
        variables = {"OWUI_WATCH_DEBUGPY": self.package, "OWUI_WATCH_DEBUG": str(self.port)}
        return variables | ({"OWUI_WATCH_DEBUG_WAIT": "1"} if self.wait else {})


def find_debugger(debug: Debug) -> Debugger:
    """Find debugpy and a port. Raises SandboxError if there is no debugpy, or the port is taken."""
    found = importlib.util.find_spec("debugpy")
    if found is None or found.origin is None:
        raise SandboxError(
            "--debug needs debugpy, which is not installed: run `pip install debugpy` in owui-watch's environment, or "
            "install owui-watch with its extra [debug]"
        )
    if debug.port is not None and not is_free(debug.port):
        raise SandboxError(f"--debug={debug.port}: another program has this port; choose another, or leave it out")
    return Debugger(debug.port or free_port(), found.origin, debug.wait)
