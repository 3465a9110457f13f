"""Plugins to measure with: of a wanted size, and telling the moment at which the server runs them."""

from __future__ import annotations

import re
from pathlib import Path

PACKAGE_FILES = 40
_NONCE = "NONCE"
_OLD_NONCE = re.compile(r"^NONCE = .*$", re.MULTILINE)
_TELL = """    import time
    with open({log!r}, "a") as log:
        log.write(f"{{NONCE}} {{time.monotonic_ns()}}\\n")"""
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


def package_of(size: int, log: Path, folder: Path) -> list[Path]:
    """Write a filter of ``size`` bytes in 40 files that the filter's own file imports; return all of them.

    Each file adds its nonce and the clock to ``log`` when the server runs it, once it has one.
    """
    modules = [folder / f"part{number % 3}" / f"module{number}.py" for number in range(PACKAGE_FILES - 1)]
    body = f"{_NONCE} = None\nif {_NONCE}:\n{_TELL.format(log=str(log))}"
    for module in modules:
        module.parent.mkdir(parents=True, exist_ok=True)
        text = sized(size // PACKAGE_FILES, title="Part", body=body).replace("class Filter", "class Part")
        module.write_text(text, encoding="utf-8")
    imports = "".join(
        f"from .{module.parent.name}.{module.stem} import Part as Part{module.stem}\n" for module in modules
    )
    main = folder / "main.py"
    main.write_text(sized(size // PACKAGE_FILES, title="Packaged", body=imports + body), encoding="utf-8")
    return [main, *modules]


def packaged(path: Path, nonce: str) -> str:
    """Return the text of one of these files with another nonce."""
    return _OLD_NONCE.sub(f"{_NONCE} = {nonce!r}", path.read_text("utf-8"), count=1)
