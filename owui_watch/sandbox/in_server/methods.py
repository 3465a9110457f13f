"""Wraps the methods that the server calls, so that what they raise is seen. Signatures stay: the server reads them.

What a plugin starts and nobody waits for is seen through its task, its thread or its event loop.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import signal
import sys
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from types import AsyncGeneratorType, FrameType, FunctionType, GeneratorType
from typing import Any

from . import trace
from .current_call import Call, current, enter, inside, leave, method_of
from .errors import authors_frame, describe, has_author, own_attribute
from .modules import Loaded, Registry, owner

_METHODS = {
    "Pipe": ("pipe", "pipes"),
    "Filter": ("inlet", "outlet", "stream"),
    "Action": ("action",),
    "Event": ("event",),
}
_SEEN = "__owui_watch_seen__"
_UNAWAITED_SECONDS = 0.1
"""How long a failed task may wait for somebody who takes its exception."""
_BLOCKED_SECONDS = 1.0
"""How long a call may block the server although a save waits."""
_NO_ERRORS = (asyncio.CancelledError, GeneratorExit)
Report = Callable[[dict[str, Any]], None]


class Methods:
    """Wraps plugins' classes. ``report`` gets a record for every exception, once. ``clock`` gives seconds."""

    def __init__(self, registry: Registry, report: Report, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._report = report
        self._clock = clock
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    def wrap(self, kind: type, loaded: Loaded) -> None:
        """Wrap the constructor and all methods of a plugin's class that the server may call."""
        loaded.kind = "tool" if kind.__name__ == "Tools" else kind.__name__.lower()
        names = _METHODS.get(kind.__name__) or [name for name in dir(kind) if not name.startswith("__")]
        for name in names:
            found = inspect.getattr_static(kind, name, None)
            if isinstance(found, staticmethod | classmethod) and isinstance(found.__func__, FunctionType):
                setattr(kind, name, type(found)(self._wrapped(found.__func__, loaded, name)))
            elif isinstance(found, FunctionType):
                setattr(kind, name, self._wrapped(found, loaded, name))
        self._wrap_constructor(kind, loaded)

    def failed(self, error: BaseException, loaded: Loaded, method: str, line: int, root: object = None) -> None:
        """Report an exception, unless it has been or is none."""
        if issubclass(type(error), _NO_ERRORS) or _seen(error, root):
            return
        try:
            described = describe(error)
            at = authors_frame(described, loaded) or {"path": loaded.path, "line": line, "column": None}
            place = {name: at.get(name) for name in ("path", "line", "column", "end_column", "source")}
            record = {
                "record": "raised",
                "space": loaded.space,
                "plugin": loaded.plugin,
                "kind": loaded.kind,
                "version": loaded.version,
                "outdated": self._registry.is_outdated(loaded),
                "method": method,
                **place,
                **described,
            }
            self._report(record)
            trace.raised(record)
        except Exception as failure:
            print(f"owui-watch: can't report an exception: {failure!r}", file=sys.stderr)  # noqa: T201

    def install(self) -> None:
        """See what ends a thread, and what is raised where no caller is."""
        thread_hook, unraisable_hook = threading.excepthook, sys.unraisablehook

        def on_thread(args: threading.ExceptHookArgs) -> None:
            self._stray(args.exc_value)
            thread_hook(args)

        def on_unraisable(args: Any) -> None:
            self._stray(args.exc_value)
            unraisable_hook(args)

        threading.excepthook, sys.unraisablehook = on_thread, on_unraisable
        if sys.platform != "win32" and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, self._unblock)

    def _unblock(self, _number: int, frame: FrameType | None) -> None:
        """End the call that blocks the server's event loop, as if its client had gone. A save waits for the server.

        A constructor may take long: it is part of a deploy.
        """
        call = current.get()
        if call is None or call.method == "__init__" or self._clock() - call.began < _BLOCKED_SECONDS:
            return
        while frame is not None and owner(frame.f_globals) is None:
            frame = frame.f_back
        if frame is None:
            return
        place = {"path": frame.f_code.co_filename, "line": frame.f_lineno, "method": call.method}
        loaded = call.loaded
        head = {"record": "blocked", "space": loaded.space, "plugin": loaded.plugin, "kind": loaded.kind}
        self._report({**head, **place, "seconds": round(self._clock() - call.began)})
        raise asyncio.CancelledError

    def watch_loop(self) -> None:
        """See the failed tasks of the running event loop that nobody waits for."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if loop in self._loops:
            return
        self._loops.add(loop)
        make, handle = loop.get_task_factory(), loop.get_exception_handler()

        def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
            task = make(loop, coroutine, **options) if make else asyncio.Task(coroutine, loop=loop, **options)
            if current.get() is not None or _owner_of(coroutine) is not None:
                task.add_done_callback(self._task_done)
            return task

        def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            self._stray(context.get("exception"))
            if handle is not None:
                handle(loop, context)
            else:
                loop.default_exception_handler(context)

        loop.set_task_factory(factory)
        loop.set_exception_handler(handler)

    def _task_done(self, task: Any) -> None:
        # Reading the exception would count as taking it, and the loop would not log it any more.
        if getattr(task, "_log_traceback", False):
            task.get_loop().call_later(_UNAWAITED_SECONDS, self._task_unawaited, task)

    def _task_unawaited(self, task: Any) -> None:
        if getattr(task, "_log_traceback", False):
            self._stray(getattr(task, "_exception", None))

    def _stray(self, error: BaseException | None) -> None:
        if error is not None and (loaded := has_author(error)) is not None:
            described = describe(error)
            at = authors_frame(described, loaded)
            self.failed(error, loaded, method_of(loaded) or (at["function"] if at else ""), 1)

    def _wrap_constructor(self, kind: type, loaded: Loaded) -> None:
        construct = kind.__init__  # type: ignore[misc]

        @functools.wraps(construct)
        def make(made: Any, *args: Any, **kwargs: Any) -> None:
            call, token = enter(loaded, "__init__", self._clock())
            try:
                construct(made, *args, **kwargs)
            except BaseException as error:
                self.failed(error, loaded, "__init__", _line_of(construct), call.root)
                raise
            finally:
                leave(token)
            if type(made) is kind:
                self._registry.publish(loaded)

        kind.__init__ = make  # type: ignore[misc]

    def _wrapped(self, function: FunctionType, loaded: Loaded, method: str) -> Callable[..., Any]:
        line = _line_of(function)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if inside(loaded):
                return function(*args, **kwargs)
            self.watch_loop()
            made, token = enter(loaded, method, self._clock())
            step = trace.begin(loaded, method, args, kwargs)
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                self.failed(error, loaded, method, line, made.root)
                raise
            finally:
                leave(token)
            return self._watched(trace.end(step, result), made, line)

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            if inside(loaded):
                return await function(*args, **kwargs)
            self.watch_loop()
            made, token = enter(loaded, method, self._clock())
            step = trace.begin(loaded, method, args, kwargs)
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                self.failed(error, loaded, method, line, made.root)
                raise
            finally:
                leave(token)
            return self._watched(trace.end(step, result), made, line)

        return call_async if inspect.iscoroutinefunction(function) else call

    def _watched(self, result: Any, call: Call, line: int) -> Any:
        """Watch what is raised while the server reads a result piece by piece."""
        if isinstance(result, GeneratorType):
            return self._generate(result, call, line)
        if isinstance(result, AsyncGeneratorType):
            return self._generate_async(result, call, line)
        if isinstance(getattr(result, "body_iterator", None), AsyncGeneratorType):
            result.body_iterator = self._generate_async(result.body_iterator, call, line)
        return result

    def _generate(self, generator: Generator[Any, Any, Any], call: Call, line: int) -> Generator[Any, Any, Any]:
        step = functools.partial(next, generator)
        while True:
            token = current.set(call)  # in each step: between two of them other code runs
            try:
                item = step()
            except StopIteration as end:
                return end.value
            except BaseException as error:
                self.failed(error, call.loaded, call.method, line, call.root)
                raise
            finally:
                leave(token)
            try:
                step = functools.partial(generator.send, (yield item))
            except GeneratorExit:
                generator.close()
                raise
            except BaseException as thrown:
                step = functools.partial(generator.throw, thrown)

    async def _generate_async(
        self, generator: AsyncGenerator[Any, Any], call: Call, line: int
    ) -> AsyncGenerator[Any, Any]:
        step = generator.__anext__
        try:
            while True:
                token = current.set(call)
                try:
                    item = await step()
                except StopAsyncIteration:
                    return
                except BaseException as error:
                    self.failed(error, call.loaded, call.method, line, call.root)
                    raise
                finally:
                    leave(token)
                try:
                    step = functools.partial(generator.asend, (yield item))
                except GeneratorExit:
                    raise
                except BaseException as thrown:
                    step = functools.partial(generator.athrow, thrown)
        finally:
            await generator.aclose()


def _seen(error: BaseException, root: object) -> bool:
    """Return whether the exception was reported in the call ``root``, and mark it; without a root, whether ever."""
    try:
        attributes = own_attribute(error, "__dict__")
        known = attributes.get(_SEEN)
        attributes[_SEEN] = root or True
    except Exception:
        return False
    return known is not None and (root is None or known is root or known is True)


def _owner_of(coroutine: Any) -> Loaded | None:
    frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
    return owner(frame.f_globals) if frame is not None else None


def _line_of(function: Any) -> int:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_firstlineno if code is not None else 1
