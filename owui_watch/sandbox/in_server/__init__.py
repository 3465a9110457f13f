"""Runs inside the sandbox's Open WebUI, and reports what plugins raise and write. Standard library only.

In: the plugins that the server loads. Out: records, one JSON object a line, to owui-watch's port on loopback.
Read ``modules`` (whose code is this), ``current_call`` (the call that runs), ``methods`` (what is raised), ``errors``
(how it is described), ``output`` (what is written), ``channel`` (the way out), then ``trace`` and ``calls`` (for
``owui-watch call``).

The server is started by ``START``, a program for ``python -c``. Its environment holds OWUI_WATCH_PORT, OWUI_WATCH_TOKEN
and OWUI_WATCH_PATHS (see ``modules.Registry``), which plugins and their processes don't see; for a debugger also
OWUI_WATCH_DEBUGPY (the path of debugpy's package), OWUI_WATCH_DEBUG (its port) and OWUI_WATCH_DEBUG_WAIT.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

START = """
import importlib.util as u, sys
s = u.spec_from_file_location("owui_watch_in_server", {path!r}, submodule_search_locations=[{folder!r}])
m = sys.modules[s.name] = u.module_from_spec(s)
s.loader.exec_module(m)
m.main()
"""
_TAKEN = "OWUI_WATCH_"


def start_program() -> str:
    """Return the program for ``python -c`` that starts the server with this package in it."""
    return START.format(path=__file__, folder=os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120


def main() -> None:
    """Prepare the server, then run it with the command line's arguments."""
    options = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(_TAKEN)}
    install(options)
    from open_webui import app  # noqa: PLC0415

    app()


def install(options: dict[str, str]) -> None:
    """Observe the standard streams; once the server is imported, replace ``exec`` where it loads plugins."""
    from .calls import Calls  # noqa: PLC0415 - the package's own docstring comes first
    from .channel import Channel  # noqa: PLC0415
    from .methods import Methods  # noqa: PLC0415
    from .modules import Registry  # noqa: PLC0415
    from .output import Output  # noqa: PLC0415

    token = options["OWUI_WATCH_TOKEN"]
    channel, registry = Channel(int(options["OWUI_WATCH_PORT"]), token), Registry(options["OWUI_WATCH_PATHS"])
    methods = Methods(registry, channel.put)
    methods.install()
    Output(channel, registry).install()

    def loaded(server: ModuleType) -> None:
        plugin = importlib.import_module("open_webui.utils.plugin")
        plugin.exec = replacement(registry, methods)  # type: ignore[attr-defined]
        server.app.add_middleware(Calls, token=token)
        if debugpy := options.get("OWUI_WATCH_DEBUGPY"):
            _debug(debugpy, int(options["OWUI_WATCH_DEBUG"]), wait="OWUI_WATCH_DEBUG_WAIT" in options)

    # Open WebUI's `serve` sets what its modules need, and then imports this one: no earlier import is possible.
    sys.meta_path.insert(0, _AfterImport("open_webui.main", loaded))


class _AfterImport(MetaPathFinder):
    """Calls ``then`` with a module once it has been imported."""

    def __init__(self, name: str, then: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._then = then

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Find the module as all other finders do, and have its loader call ``then``."""
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._then(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def replacement(registry: Any, methods: Any) -> Callable[[str, dict[str, Any]], None]:
    """Return what stands for ``exec`` in the server's loader of plugins."""
    from .modules import MARK, author_compile, class_of, identify  # noqa: PLC0415
    from .output import new_allowance  # noqa: PLC0415

    def run(content: str, namespace: dict[str, Any]) -> None:
        caller = sys._getframe(1)
        space, plugin = identify(caller, namespace["__name__"])
        loaded, code = registry.prepare(space, plugin, content, caller.f_code.co_flags)
        namespace[MARK] = loaded
        if loaded.files:
            namespace["compile"] = author_compile(loaded)
        new_allowance(loaded)
        try:
            exec(code, namespace)
        except BaseException as error:
            methods.failed(error, loaded, "<module>", 1)
            raise
        if (kind := class_of(namespace, space)) is not None:
            methods.wrap(kind, loaded)

    return run


def _debug(package: str, port: int, *, wait: bool) -> None:
    """Listen for a debugger on loopback."""
    folder = os.path.dirname(package)  # noqa: PTH120
    spec = importlib.util.spec_from_file_location("debugpy", package, submodule_search_locations=[folder])
    if spec is None or spec.loader is None:
        return
    debugpy = sys.modules["debugpy"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(debugpy)
    debugpy.configure({"subProcess": False})  # pip, for a plugin's requirements, is none of the author's code
    debugpy.listen(("127.0.0.1", port))
    if wait:
        print(f"waiting for a debugger on port {port}", flush=True)  # noqa: T201
        debugpy.wait_for_client()
