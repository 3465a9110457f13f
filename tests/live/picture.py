"""Records a real session on a sandbox for the README: ``python -m tests.live.picture`` writes the picture and the text.

A person's day in seconds: a first plugin, a save, a slip, the fix, an import that the server lacks.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import threading
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from owui_watch.sandbox import sandbox
from tests.documents import ROOT, write_block
from tests.live.harness import clean_environ

PICTURE = ROOT / ".github" / "session.svg"
PLUGIN = '''"""
title: Greeter
version: 1.0.0
"""


class Pipe:
    def pipe(self, body: dict) -> str:
        name = body["user"]["name"]
        return f"Hello {name}!"
'''
BROKEN = PLUGIN.replace('f"Hello {name}!"', '(f"Hello {name}!"')
NEWER = PLUGIN.replace("1.0.0", "1.1.0").replace("Hello", "Good day")
LACKING = NEWER.replace("\n\nclass", "\nimport inflect\n\n\nclass").replace("1.1.0", "1.2.0")
NEWEST = NEWER.replace("1.1.0", "1.2.0").replace("day", "evening")


def record() -> str:
    """Run owui-watch on a project, save, and give all that it said, colours included."""
    with tempfile.TemporaryDirectory() as name, sandbox() as server:
        folder = Path(name)
        plugin = folder / "plugins" / "greeter.py"
        plugin.parent.mkdir()
        environ = clean_environ(folder) | {
            "OPENWEBUI_URL": server.url,
            "OPENWEBUI_API_KEY": server.token,
            "FORCE_COLOR": "1",
        }
        watch = subprocess.Popen(
            [sys.executable, "-m", "owui_watch", "plugins/"], cwd=folder, env=environ, stdout=subprocess.PIPE, text=True
        )
        said: list[str] = []
        heard = threading.Condition()

        def read() -> None:
            assert watch.stdout is not None
            for line in watch.stdout:
                with heard:
                    said.append(line)
                    heard.notify_all()

        reader = threading.Thread(target=read)
        reader.start()

        def wait_for(text: str, times: int = 1) -> None:
            with heard:
                assert heard.wait_for(lambda: "".join(said).count(text) >= times, 30), "".join(said)

        wait_for("watching")
        for content, text in (
            (PLUGIN, "created"),
            (BROKEN, "is untouched"),
            (NEWER, "updated"),
            (LACKING, "add `requirements"),
        ):
            plugin.write_text(content, encoding="utf-8")
            wait_for(text)
        plugin.write_text(NEWEST, encoding="utf-8")
        wait_for("updated", 2)
        watch.send_signal(signal.SIGINT)
        watch.wait(30)
        reader.join()
        return "".join(said).replace(server.url, "http://localhost:3000")


def main() -> None:
    said = record()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
    console = Console(record=True, width=100, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(f"$ owui-watch plugins/\n{said.rstrip()}"))
    PICTURE.parent.mkdir(exist_ok=True)
    console.save_svg(str(PICTURE), title="owui-watch")
    write_block("session", f"```\n$ owui-watch plugins/\n{plain}```\n")


if __name__ == "__main__":
    main()
