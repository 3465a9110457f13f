"""Files in odd states: each has its line, and none ends the daemon, blocks it, or keeps a good one from going live."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project, make_project
from tests.live.harness import Line, until
from tests.live.samples import source
from tests.live.server import Server
from tests.live.test_editors import needs

NOBODY = 65534
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="made of what POSIX has")


@dataclass
class Odd:
    """A project under watch with one plugin live: it must go on working whatever lies beside it."""

    project: Project
    server: Server

    def __post_init__(self) -> None:
        self.run = self.project.watch()
        self._beats = 0

    @property
    def plugins(self) -> Path:
        return self.project.plugins

    def beats(self) -> None:
        """Hold that a save still goes live, in time."""
        self._beats += 1
        self.project.save("heart.py", source(mark=f"beat {self._beats}"))
        self.run.wait_for("created" if self._beats == 1 else "updated", plugin="heart")

    def line(self, event: str, **fields: Any) -> Line:
        found = self.run.wait_for(event, **fields)
        self.beats()
        return found


@pytest.fixture
def odd(project: Project, server: Server) -> Iterator[Odd]:
    watched = Odd(project, server)
    with watched.run:
        watched.beats()
        yield watched
        watched.beats()
        watched.run.stop()


class TestLink:
    @posix_only
    def test_that_dangles_goes_live_with_its_target(self, odd: Odd) -> None:
        (odd.plugins / "link.py").symlink_to("shared.txt")
        assert odd.line("skipped", path="plugins/link.py")["reason"] == "it is a symlink that leads nowhere"
        odd.project.save("shared.txt", source())
        odd.line("created", plugin="link")

    @posix_only
    def test_to_itself_is_reported(self, odd: Odd) -> None:
        (odd.plugins / "link.py").symlink_to("link.py")
        rejected = odd.line("rejected", path="plugins/link.py")
        assert rejected["error"] == "cannot be read: Too many levels of symbolic links"

    @posix_only
    def test_out_of_the_tree_is_never_followed(self, odd: Odd) -> None:
        outside = odd.project.folder / "secret.py"
        outside.write_text(source(), "utf-8")
        (odd.plugins / "link.py").symlink_to(outside)
        skipped = odd.line("skipped", path="plugins/link.py")
        problem = "it is a symlink that leads out of the watched folder"
        assert skipped["reason"] == f"{problem}: put the file itself there, or watch its folder"
        assert odd.server.ids() == {"heart"}

    @posix_only
    def test_inside_the_tree_is_a_plugin(self, odd: Odd) -> None:
        odd.project.save("shared.txt", source())
        (odd.plugins / "notes.py").symlink_to("shared.txt")
        odd.line("created", plugin="notes")


class TestNoFile:
    def test_folder_named_like_a_plugin_is_reported(self, odd: Odd) -> None:
        odd.project.save("folder.py/notes.py", source())
        odd.line("created", plugin="notes", path="plugins/folder.py/notes.py")
        skipped = odd.line("skipped", path="plugins/folder.py")
        assert skipped["reason"] == "it is not a regular file, and no plugin imports it"

    def test_plugin_that_becomes_a_folder_stays_live(self, odd: Odd) -> None:
        path = odd.project.save("notes.py", source())
        odd.line("created", plugin="notes")
        path.unlink()
        path.mkdir()
        assert odd.line("rejected", plugin="notes")["error"] == "no plugin any more: it is not a regular file"

    @posix_only
    def test_fifo_is_never_waited_for(self, odd: Odd) -> None:
        os.mkfifo(odd.plugins / "fifo.py")
        skipped = odd.line("skipped", path="plugins/fifo.py")
        assert skipped["reason"] == "it is not a regular file, and no plugin imports it"


@pytest.fixture
def someone(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project of someone who may not read everything: root may."""
    with tempfile.TemporaryDirectory() as above:
        project = make_project(Path(above))
        project.use(server.url, server.key)
        if os.geteuid() == 0:
            python = Path(above, "python")
            become = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups"
            python.write_text(f'#!/bin/sh\nexec {become} {sys.executable} "$@"\n', "utf-8")
            for path in (python, Path(above)):
                path.chmod(0o755)
            for folder in (project.folder, project.plugins):
                os.chown(folder, NOBODY, NOBODY)
            if subprocess.run(
                [python, "-c", "import owui_watch.cli.main"], check=False, capture_output=True
            ).returncode:
                pytest.skip("this Python can't be run as someone who may not read everything")
            monkeypatch.setattr(sys, "executable", str(python))
        yield project


class TestUnreadable:
    @posix_only
    def test_file_goes_live_once_readable(self, someone: Project, server: Server) -> None:
        with someone.watch() as run:
            path = someone.save("notes.py", source())
            run.wait_for("created", plugin="notes")
            locked = someone.folder / "locked.py"
            locked.write_text(source(mark="two"), "utf-8")
            locked.chmod(0)
            locked.replace(path)
            assert run.wait_for("rejected", plugin="notes")["error"] == "cannot be read: Permission denied"
            path.chmod(0o644)
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert server.content(Kind.PIPE, "notes") == source(mark="two")

    @posix_only
    def test_folder_goes_live_once_readable(self, someone: Project, server: Server) -> None:
        with someone.watch() as run:
            path = someone.save("sub/notes.py", source())
            run.wait_for("created", plugin="notes")
            path.parent.chmod(0)
            assert run.wait_for("rejected", plugin="notes")["error"] == "cannot be read: Permission denied"
            path.parent.chmod(0o755)
            run.wait_for("unchanged", plugin="notes")
            path.write_text(source(mark="two"), "utf-8")
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert run.of("missing") == []

    @posix_only
    def test_watched_folder_counts_as_gone(self, someone: Project, server: Server) -> None:
        with someone.watch() as run:
            path = someone.save("notes.py", source())
            run.wait_for("created", plugin="notes")
            someone.folder.chmod(0)
            until(
                lambda: [line for line in run.of("warning") if "plugins is gone" in line["error"]], "the line about it"
            )
            someone.folder.chmod(0o755)
            path.write_text(source(mark="two"), "utf-8")
            run.wait_for("updated", plugin="notes")
            run.stop()
        assert run.of("missing", "rejected") == []


class TestContent:
    def test_that_stays_unfinished_is_reported_at_last(self, odd: Odd) -> None:
        odd.project.save("notes.py", source(mark="one"))
        odd.line("created", plugin="notes")
        odd.project.save("notes.py", source(mark="two")[:-30])
        rejected = odd.line("rejected", plugin="notes", stage="check")
        assert (rejected["live"], odd.server.content(Kind.PIPE, "notes")) == ("version", source(mark="one"))

    def test_written_without_end_goes_live(self, odd: Odd) -> None:
        enough = threading.Event()

        def write() -> None:
            with (odd.plugins / "notes.py").open("w", encoding="utf-8") as file:
                file.write(source())
                while not enough.wait(0.02):
                    file.write("# more\n")
                    file.flush()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            odd.line("created", plugin="notes")
        finally:
            enough.set()
            writer.join()

    def test_of_fifty_megabytes_is_not_read(self, odd: Odd) -> None:
        with (odd.plugins / "large.py").open("wb") as file:
            file.write(source().encode())
            file.truncate(50 * 2**20)
        rejected = odd.line("rejected", plugin="large")
        assert (rejected["stage"], rejected["error"]) == ("check", "the file is larger than 640 kB")

    def test_with_nul_bytes_names_their_line(self, odd: Odd) -> None:
        (odd.plugins / "notes.py").write_bytes(source().encode() + b"x = '\0'\n")
        rejected = odd.line("rejected", plugin="notes")
        assert (rejected["stage"], rejected["line"]) == ("check", source().count("\n") + 1)
        assert "NUL" in rejected["error"].upper()

    def test_that_is_no_utf_8_names_the_line(self, odd: Odd) -> None:
        (odd.plugins / "notes.py").write_bytes(source().encode() + "x = 'é'\n".encode("latin-1"))
        rejected = odd.line("rejected", plugin="notes")
        assert (rejected["stage"], rejected["line"]) == ("check", source().count("\n") + 1)

    def test_in_latin_1_with_coding_line_goes_live(self, odd: Odd) -> None:
        text = f"# -*- coding: latin-1 -*-\n{source()}x = 'é'\n"
        (odd.plugins / "notes.py").write_bytes(text.encode("latin-1"))
        odd.line("created", plugin="notes")
        assert "x = 'é'" in odd.server.content(Kind.PIPE, "notes")

    def test_with_crlf_and_byte_order_mark_goes_live(self, odd: Odd) -> None:
        text = source().replace("\n", "\r\n")
        (odd.plugins / "notes.py").write_bytes(b"\xef\xbb\xbf" + text.encode())
        odd.line("created", plugin="notes")
        assert odd.server.content(Kind.PIPE, "notes") == text

    @pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n"])
    def test_without_code_is_no_plugin(self, content: str, odd: Odd) -> None:
        odd.project.save("notes.py", content)
        odd.line("skipped", path="plugins/notes.py")


class TestName:
    def test_beyond_ascii_is_an_id(self, odd: Odd) -> None:
        odd.project.save("größe.py", source())
        odd.line("created", plugin="größe", path="plugins/größe.py")
        assert odd.server.content(Kind.PIPE, "größe") == source()

    @posix_only
    def test_that_is_no_unicode_is_reported(self, odd: Odd) -> None:
        path = os.fsencode(odd.plugins) + b"/gr\xf6\xdfe.py"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        except OSError:
            pytest.skip("this file system takes only Unicode names")
        assert odd.line("skipped")["reason"] == "the file is empty, and no plugin imports it"

    def test_that_is_very_long_is_reported_clearly(self, odd: Odd) -> None:
        name = "n" * 240
        odd.project.save(f"{name}.py", source())
        until(lambda: odd.run.of("created", "rejected", plugin=name), "a line about it")
        odd.beats()

    @posix_only
    def test_differing_only_in_case_is_refused(self, odd: Odd) -> None:
        odd.project.save("Notes.py", source(mark="one"))
        if (odd.plugins / "notes.py").exists():
            pytest.skip("on this file system they are one file")
        odd.line("created", plugin="notes")
        odd.project.save("notes.py", source(mark="two"))
        assert "Notes.py has the same id" in odd.line("rejected", path="plugins/notes.py")["error"]
        assert "notes.py has the same id" in odd.line("rejected", path="plugins/Notes.py")["error"]
        (odd.plugins / "Notes.py").unlink()
        odd.line("updated", plugin="notes", path="plugins/notes.py")


class TestOldTimes:
    @pytest.mark.parametrize("command", [("cp", "-p"), ("rsync", "-t"), ("rsync", "-t", "--inplace"), ("mv",)])
    def test_save_with_one_goes_live(self, command: tuple[str, ...], odd: Odd, tmp_path: Path) -> None:
        needs(command[0])
        path = odd.project.save("notes.py", source(mark="one"))
        odd.line("created", plugin="notes")
        old = tmp_path / "old.py"
        old.write_text(source(mark="two"), "utf-8")  # as long as what it replaces
        os.utime(old, (10**9, 10**9))
        subprocess.run([*command, old, path], check=True, timeout=30)
        odd.line("updated", plugin="notes")
        assert int(path.stat().st_mtime) == 10**9

    def test_checkout_by_git_goes_live_both_ways(self, odd: Odd) -> None:
        needs("git")

        def git(*arguments: str) -> None:
            command = ["git", *arguments]
            subprocess.run(command, cwd=odd.project.folder, env=odd.project.environ, check=True, timeout=30)

        odd.project.save("notes.py", source(mark="one"))
        odd.line("created", plugin="notes")
        git("init", "-q", "-b", "main")
        for mark in ("one", "two"):
            odd.project.save("notes.py", source(mark=mark))
            git("add", "plugins/notes.py")
            git("commit", "-q", "-m", mark)
        odd.line("updated", plugin="notes")
        for revision, mark in (("HEAD~1", "one"), ("main", "two")):
            git("checkout", "-q", revision)
            odd.line("updated", plugin="notes")
            assert odd.server.content(Kind.PIPE, "notes") == source(mark=mark)
