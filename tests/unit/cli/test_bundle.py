"""``owui-watch bundle`` and ``new --package``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PIPE = "from .helper import X\n\n\nclass Pipe:\n    def pipe(self, body):\n        return X\n"


def owui(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "owui_watch", *arguments], cwd=folder, capture_output=True, encoding="utf-8", check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    package = tmp_path / "plugins" / "many"
    package.mkdir(parents=True)
    (package / "main.py").write_text(PIPE)
    (package / "helper.py").write_text("X = 1\n")
    return tmp_path


class TestBundle:
    def test_prints_the_same_from_everywhere(self, folder: Path) -> None:
        code, out, err = owui(folder, "bundle", "plugins/many")
        assert (code, err) == (0, "")
        assert 'FILES["many/helper.py"]' in out
        assert owui(folder / "plugins", "bundle", "many/main.py") == (0, out, "")
        assert owui(folder.parent, "bundle", str(folder)) == (0, out, "")

    def test_writes_and_checks(self, folder: Path) -> None:
        assert owui(folder, "bundle", "plugins/many", "-o", "out.py") == (0, "wrote out.py\n", "")
        assert (folder / "out.py").read_text() == owui(folder, "bundle", "plugins/many")[1]
        assert owui(folder, "bundle", "plugins/many", "--check", "out.py") == (0, "out.py is up to date\n", "")
        (folder / "plugins/many/helper.py").write_text("X = 2\n")
        code, out, err = owui(folder, "bundle", "plugins/many", "--check", "out.py")
        assert code == 1
        assert err == "owui-watch: out.py is stale: run `owui-watch bundle plugins/many/main.py -o out.py`\n"
        assert out.startswith("--- out.py/many/helper.py\n+++ plugins/many/main.py/many/helper.py\n")

    def test_a_plugin_of_one_file_is_printed_as_it_is(self, folder: Path) -> None:
        text = "class Pipe:\r\n    def pipe(self, body):\r\n        return 1\r\n"
        (folder / "one.py").write_text(text, newline="")
        owui(folder, "bundle", "one.py", "-o", "out.py")
        assert (folder / "out.py").read_bytes() == text.encode()

    def test_names_the_place_of_an_error(self, folder: Path) -> None:
        (folder / "plugins/many/helper.py").write_text("X = (\n")
        code, out, err = owui(folder, "bundle", "plugins/many")
        assert (code, out) == (1, "")
        assert err.startswith("owui-watch: plugins/many/helper.py:1: '(' was never closed\n")

    def test_one_plugin_at_a_time(self, folder: Path) -> None:
        (folder / "plugins/one.py").write_text(PIPE.replace("from .helper import X", "X = 1"))
        code, _, err = owui(folder, "bundle", "plugins")
        assert code == 2
        assert err == (
            "owui-watch: plugins holds 2 plugins; name the file of one:\n  plugins/many/main.py\n  plugins/one.py\n"
        )
        (folder / "empty").mkdir()
        assert owui(folder, "bundle", "empty")[0] == 2


class TestNewPackage:
    def test_its_test_passes_under_plain_pytest(self, tmp_path: Path) -> None:
        code, out, _ = owui(tmp_path, "new", "pipe", "plugins/many", "--package")
        assert code == 0
        assert "wrote plugins/many/tests/test_many.py" in out
        pytest_run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "plugins"]
        done = subprocess.run(pytest_run, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stdout
        assert owui(tmp_path, "bundle", "plugins/many")[0] == 0

    def test_nothing_is_overwritten(self, tmp_path: Path) -> None:
        owui(tmp_path, "new", "pipe", "many", "--package")
        code, _, err = owui(tmp_path, "new", "pipe", "many", "--package")
        assert (code, err) == (
            2,
            "owui-watch: many/main.py exists already and was not changed: choose another folder\n",
        )

    def test_its_name_is_a_python_name(self, tmp_path: Path) -> None:
        code, _, err = owui(tmp_path, "new", "pipe", "my-many", "--package")
        assert (code, err) == (
            2,
            "owui-watch: my-many: a package's name is a Python name; name it my_many, for example\n",
        )
