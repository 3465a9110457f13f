"""What plugins write to stdout and stderr, and their logging records. The code that wrote decides whose text it is."""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from types import FrameType
from typing import Any

from .channel import Channel
from .current_call import method_of
from .errors import has_author, text_of
from .modules import Loaded, Registry, callers, is_authors, is_ours, owner

_BURST = 40_000
_PER_SECOND = 4_000
_A_WRITE = 40
"""Characters that a plugin may write at once, and in every later second; each write counts 40 characters more."""
_MOST_IN_ONE_WRITE = 16_000
_MOST_FRAMES = 200
# Text that these write is the server's own log, also if a plugin's call led to it.
_SERVERS = ("open_webui", "logging", "uvicorn")


class Output:
    """Sends what plugins write. ``install`` puts it in the place of stdout and stderr."""

    def __init__(self, channel: Channel, registry: Registry) -> None:
        self._channel = channel
        self._registry = registry

    def install(self) -> None:
        """Replace stdout and stderr, and see every logging record."""
        for name in ("stdout", "stderr"):
            real = getattr(sys, name)
            if not isinstance(real, io.TextIOWrapper):
                continue
            encoding, errors = real.encoding, real.errors
            stream = _Stream(real.detach(), encoding=encoding, errors=errors, write_through=True)
            stream.watch(name, self)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        call_handlers = logging.Logger.callHandlers

        def observed(logger: logging.Logger, record: logging.LogRecord) -> None:
            self._log(record)
            call_handlers(logger, record)

        logging.Logger.callHandlers = observed  # type: ignore[method-assign,assignment]

    def wrote(self, stream: str, text: str) -> bool:
        """Send a plugin's text; return False if it is more than a plugin may write."""
        try:
            writer = _writer()
            if writer is None:
                return True
            loaded, frame = writer
            if not self._allowed(loaded, text):
                return False
            head = self._head(loaded, frame, stream)
            self._channel.write((loaded.generation, stream, threading.get_ident()), head, text[:_MOST_IN_ONE_WRITE])
            return len(text) <= _MOST_IN_ONE_WRITE
        except Exception:
            return True

    def _log(self, record: logging.LogRecord) -> None:
        try:
            frame = _logged_from()
            loaded = owner(frame.f_globals) if frame is not None else None
            if frame is None or loaded is None:
                return
            text = record.getMessage()
            if record.exc_info and isinstance(error := record.exc_info[1], BaseException):
                at = _place(error, loaded)
                text += f"\n{type(error).__name__}: {text_of(error)}{at}"
            if self._allowed(loaded, text):
                head = self._head(loaded, frame, "log")
                head |= {"level": record.levelname, "logger": record.name}
                for line in text[:_MOST_IN_ONE_WRITE].splitlines() or [""]:
                    self._channel.write((object(),), head, f"{line}\n")
        except Exception:
            return

    def _head(self, loaded: Loaded, frame: FrameType, stream: str) -> dict[str, Any]:
        return {
            "record": "printed",
            "space": loaded.space,
            "plugin": loaded.plugin,
            "kind": loaded.kind,
            "version": loaded.version,
            "outdated": self._registry.is_outdated(loaded),
            "method": method_of(loaded) or frame.f_code.co_name,
            "path": frame.f_code.co_filename,
            "line": frame.f_lineno,
            "stream": stream,
        }

    def _allowed(self, loaded: Loaded, text: str) -> bool:
        """Take the text's size from what the plugin may still write. Once nothing is left, wait for half a burst."""
        now = time.monotonic()
        grown = loaded.allowance + (now - loaded.refilled) * _PER_SECOND
        loaded.allowance, loaded.refilled = min(grown, _BURST), now
        if loaded.left_out and loaded.allowance < _BURST / 2:
            loaded.left_out += 1
            return False
        if loaded.left_out:
            self._left_out(loaded)
        if loaded.allowance <= 0:
            loaded.left_out = 1
            self._left_out(loaded, begins=True)
            return False
        loaded.allowance -= min(len(text), _MOST_IN_ONE_WRITE) + _A_WRITE
        return True

    def _left_out(self, loaded: Loaded, *, begins: bool = False) -> None:
        count, loaded.left_out = loaded.left_out, int(begins)
        head = {"record": "left_out", "space": loaded.space, "plugin": loaded.plugin, "kind": loaded.kind}
        self._channel.put({**head, "count": 0 if begins else count})


class _Stream(io.TextIOWrapper):
    """A standard stream whose writes are observed. A plugin's text in excess is not written to the log either."""

    _output: Output | None = None
    _stream_name = ""

    def watch(self, name: str, output: Output) -> None:
        """Let ``output`` see every write."""
        self._stream_name, self._output = name, output

    def write(self, text: str) -> int:
        if self._output is not None and isinstance(text, str) and not self._output.wrote(self._stream_name, text):
            return len(text)
        return super().write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)


def _writer() -> tuple[Loaded, FrameType] | None:
    """Return the plugin's frame that a text comes from: no frame of the server may be between it and the write."""
    for step, frame in enumerate(callers()):
        if step > _MOST_FRAMES:
            return None
        if (loaded := owner(frame.f_globals)) is not None and is_authors(loaded, frame.f_code.co_filename):
            return loaded, frame
        if str(frame.f_globals.get("__name__")).partition(".")[0] in _SERVERS:
            return None
    return None


def _logged_from() -> FrameType | None:
    """Return the frame that called ``logging``. What a library logs in a plugin's call is not the plugin's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_ours(frame):
        frame = frame.f_back
    while frame is not None and frame.f_globals.get("__name__") == "logging":
        frame = frame.f_back
    return frame


def _place(error: BaseException, loaded: Loaded) -> str:
    if has_author(error) is not loaded:
        return ""
    traceback, place = error.__traceback__, ""
    while traceback is not None:
        if owner(traceback.tb_frame.f_globals) is loaded:
            place = f" (line {traceback.tb_lineno})"
        traceback = traceback.tb_next
    return place


def new_allowance(loaded: Loaded) -> None:
    """Let a plugin that was just loaded write."""
    loaded.allowance, loaded.refilled = _BURST, time.monotonic()
