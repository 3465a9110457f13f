"""Plugins to measure with: of a wanted size, and telling the moment at which the server runs them."""

from __future__ import annotations

from pathlib import Path

_METHOD = '''
    def method_{number}(self, first: int, second: int = {number}) -> int:
        """Add {number} to the sum of two numbers, as many a plugin's helper does."""
        total = first + second + {number}
        return total if total > {number} else -total
'''
_CLASS = """class Filter:
    def inlet(self, body):
        return body
"""


def sized(size: int, *, title: str, body: str = "") -> str:
    """Write a filter of about ``size`` bytes; ``body`` is run when the module is loaded."""
    head = f'"""\ntitle: {title}\nversion: 1.0.0\n"""\n{body}\n\n\n{_CLASS}'
    count = max(0, size - len(head)) // len(_METHOD.format(number=100))
    return head + "".join(_METHOD.format(number=number) for number in range(100, 100 + count))


def telling(size: int, nonce: str, log: Path) -> str:
    """Write a filter that adds its nonce and the clock to ``log`` as soon as the server runs it."""
    body = f'import time\nwith open({str(log)!r}, "a") as log:\n    log.write("{nonce} %d\\n" % time.monotonic_ns())'
    return sized(size, title="Telling", body=body)
