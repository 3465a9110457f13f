"""Real editors and git, fifty saves each: none is lost, and none is deployed more than once.

Each save ends with a mark of its own, and the next one follows as soon as the server holds it.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.harness import Run, until
from tests.live.samples import source
from tests.live.server import Server
from tests.live.test_editors import Repository, needs

SAVES = 50
BEGINNING = source() + "\n# mark: 0"
VIM = ("vim", "-Es", "-u", "NONE", "-i", "NONE", "-N")


@contextmanager
def nano(path: Path) -> Iterator[Callable[[int], None]]:
    """Sit in one session of nano, at the end of the file: each save types over the mark, then ^O and Enter."""
    import pty

    screen, keyboard = pty.openpty()
    command = ["nano", "--ignorercfiles", "--nonewlines", "+9999,9999", str(path)]
    editor = subprocess.Popen(
        command, stdin=keyboard, stdout=keyboard, stderr=keyboard, env={**os.environ, "TERM": "xterm"}
    )
    os.close(keyboard)

    def drain(seconds: float) -> None:
        with suppress(OSError):  # that is how a terminal ends whose program has ended
            while select.select([screen], [], [], seconds)[0]:
                os.read(screen, 65536)

    def save(number: int) -> None:
        drain(0.2 if number == 1 else 0.02)
        os.write(screen, b"\x7f" * len(str(number - 1)) + str(number).encode() + b"\x0f\r")

    try:
        yield save
        drain(0.1)
        os.write(screen, b"\x18")
        drain(0.1)
    finally:
        editor.terminate()
        editor.wait(10)
        os.close(screen)


def by_command(*command: str) -> Callable[[Path, int], None]:
    """Save by running a command; {file}, {n} (the mark), {new} (all the content, elsewhere) and {out} are filled in."""

    def save(path: Path, number: int) -> None:
        new = path.parents[1] / "new.py"
        new.write_text(marked(number), encoding="utf-8")
        values = {"{file}": str(path), "{n}": str(number), "{new}": str(new), "{out}": str(path.parents[1] / "backups")}
        filled = list(command)
        for name, value in values.items():
            filled = [part.replace(name, value) for part in filled]
        subprocess.run(filled, check=True, stdin=subprocess.DEVNULL, capture_output=True)

    return save


def vim(*settings: str) -> Callable[[Path, int], None]:
    options = tuple(part for setting in settings for part in ("-c", f"set {setting}"))
    return by_command(*VIM, *options, "-c", "$s/mark: .*/mark: {n}/", "-c", "set noeol nofixeol", "-c", "wq", "{file}")


EMACS = '(progn (goto-char (point-max)) (delete-region (line-beginning-position) (point-max)) (insert "# mark: {n}"))'
IN_EMACS = ("--eval", "(setq require-final-newline nil)", "--eval", EMACS, "-f", "save-buffer")
EDITORS = {
    "vim backupcopy=yes": vim("backupcopy=yes"),
    "vim backupcopy=no": vim("backupcopy=no"),
    "vim backupcopy=auto": vim("backupcopy=auto"),
    "vim backup elsewhere": vim("backupcopy=no", "backup", "backupdir={out}"),
    "emacs": by_command("emacs", "-Q", "--batch", "{file}", *IN_EMACS),
    "sed -i": by_command("sed", "-i", "s/mark: .*/mark: {n}/", "{file}"),
    "rsync": by_command("rsync", "--checksum", "{new}", "{file}"),
}


def marked(number: int) -> str:
    return BEGINNING.replace("mark: 0", f"mark: {number}")


def each_is_deployed(run: Run, server: Server, save: Callable[[int], None], saves: int = SAVES) -> None:
    """Save again and again; each save is live before the next, and deployed once."""
    for number in range(1, saves + 1):
        save(number)
        run.wait_for("updated", plugin="edited")
        assert server.content(Kind.PIPE, "edited").rstrip("\n") == marked(number)
    run.stop()
    # Emacs opens the file a second time after it has written it: on a busy machine, once the save has settled.
    told = [event for event in run.deploys("edited") if event != "unchanged"]
    assert told == ["created"] + ["updated"] * saves
    assert server.saves(Kind.PIPE, "edited") == saves + 1


@pytest.mark.skipif(sys.platform == "win32", reason="editors of POSIX")
@pytest.mark.parametrize("name", EDITORS)
def test_fifty_saves_of_an_editor(name: str, project: Project, server: Server) -> None:
    needs(name.split(maxsplit=1)[0])
    (project.folder / "backups").mkdir()
    with project.watch() as run:
        path = project.save("edited.py", BEGINNING)
        run.wait_for("created", plugin="edited")
        each_is_deployed(run, server, lambda number: EDITORS[name](path, number))


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of POSIX")
def test_fifty_saves_in_one_session_of_nano(project: Project, server: Server) -> None:
    needs("nano")
    with project.watch() as run:
        path = project.save("edited.py", BEGINNING)
        run.wait_for("created", plugin="edited")
        with nano(path) as save:
            each_is_deployed(run, server, save)


def test_fifty_checkouts_of_git(project: Project, server: Server) -> None:
    needs("git")
    path = project.save("edited.py", BEGINNING)
    git = Repository(project)
    git("branch", "at-0")
    for number in range(1, SAVES + 1):
        path.write_text(marked(number), encoding="utf-8")
        git.commit()
        git("branch", f"at-{number}")
    git("checkout", "-q", "at-0")
    with project.watch("--sync") as run:
        run.wait_for("created", plugin="edited")
        each_is_deployed(run, server, lambda number: git("checkout", "-q", f"at-{number}"))


def test_fifty_saves_by_stash_and_pop(project: Project, server: Server) -> None:
    needs("git")
    path = project.save("edited.py", BEGINNING)
    git = Repository(project)
    with project.watch("--sync") as run:
        run.wait_for("created", plugin="edited")
        path.write_text(marked(1), encoding="utf-8")
        run.wait_for("updated", plugin="edited")
        for _ in range(SAVES // 2):
            for command, mark in (("push", 0), ("pop", 1)):
                git("stash", command, "-q")
                run.wait_for("updated", plugin="edited")
                assert server.content(Kind.PIPE, "edited") == marked(mark)
        run.stop()
        assert run.deploys("edited") == ["created"] + ["updated"] * (SAVES + 1)


def test_fifty_rebases_deploy_their_last_state(project: Project, server: Server) -> None:
    """A rebase writes the file several times in a moment: what counts is how it ends."""
    needs("git")
    path = project.save("edited.py", BEGINNING)
    other = project.save("other.txt", "0\n")
    git = Repository(project)
    git("checkout", "-q", "-b", "topic")
    path.write_text(marked(1), encoding="utf-8")
    git.commit()
    with project.watch("--sync") as run:
        run.wait_for("created", plugin="edited")
        for number in range(1, SAVES + 1):
            git("checkout", "-q", "main")
            other.write_text(f"{number}\n", encoding="utf-8")
            path.write_text(BEGINNING.replace("class Pipe", f"# base {number}\nclass Pipe"), encoding="utf-8")
            git.commit()
            git("checkout", "-q", "topic")
            git("rebase", "-q", "main")
            content = path.read_text(encoding="utf-8")
            assert (f"# base {number}\n" in content, content.endswith("mark: 1")) == (True, True)
            until(lambda content=content: server.content(Kind.PIPE, "edited") == content, f"rebase {number} is live")  # type: ignore[misc]
        run.stop()
        assert run.of("rejected") == []
