"""Keeps the processors of a virtual machine from being lent to others between a request and its answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SPIN = """\
import os, sys
parent, processor = map(int, sys.argv[1:])
os.sched_setaffinity(0, {processor})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == parent:
    sum(range(10_000))
"""
"""Whatever else wants to run takes the processor from this at once."""


@contextmanager
def awake() -> Iterator[None]:
    """Keep every processor busy with what gives way to all else, on Linux; floor and owui-watch are measured alike.

    A processor that idles is given to another machine, and comes back milliseconds later: of 500 saves the slowest had
    20 to 60 ms of stolen time in them (``steal`` in /proc/stat), the quickest none. Under a quota of processor time,
    as a container may have one, it would take from what is measured.
    """
    processors = os.sched_getaffinity(0) if sys.platform == "linux" else set[int]()
    commands = [[sys.executable, "-c", _SPIN, str(os.getpid()), str(processor)] for processor in processors]
    spinning = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in commands]
    try:
        yield
        assert all(each.poll() is None for each in spinning), "a processor was left to idle"
    finally:
        for each in spinning:
            each.kill()
            each.wait()
