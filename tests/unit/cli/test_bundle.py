"""``owui-watch bundle`` and ``new --package``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.runs import Run

PIPE = "from .helper import X\n\n\nclass Pipe:\n    def pipe(self, body):\n        return X\n"


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    """The current folder, with a plugin of two files and no other."""
    shutil.rmtree(tmp_path / "plugins")
    package = tmp_path / "plugins" / "many"
    package.mkdir(parents=True)
    (package / "main.py").write_text(PIPE)
    (package / "helper.py").write_text("X = 1\n")
    return tmp_path


class TestBundle:
    def test_prints_the_same_from_everywhere(self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        code, out, err = run("bundle", "plugins/many")
        assert (code, err) == (0, "")
        assert 'FILES["many/helper.py"]' in out
        monkeypatch.chdir(folder / "plugins")
        assert run("bundle", "many/main.py") == (0, out, "")
        monkeypatch.chdir(folder.parent)
        assert run("bundle", str(folder)) == (0, out, "")

    def test_writes_and_checks(self, run: Run, folder: Path) -> None:
        assert run("bundle", "plugins/many", "-o", "out.py") == (0, "wrote out.py\n", "")
        assert (folder / "out.py").read_text() == run("bundle", "plugins/many")[1]
        assert run("bundle", "plugins/many", "--check", "out.py") == (0, "out.py is up to date\n", "")
        (folder / "plugins/many/helper.py").write_text("X = 2\n")
        code, out, err = run("bundle", "plugins/many", "--check", "out.py")
        assert code == 1
        assert err == "owui-watch: out.py is stale: run `owui-watch bundle plugins/many/main.py -o out.py`\n"
        assert out.startswith("--- out.py/many/helper.py\n+++ plugins/many/main.py/many/helper.py\n")

    @pytest.mark.parametrize(
        "output", ["plugins/many/main.py", "plugins/many/helper.py", "plugins/../plugins/many/main.py"]
    )
    def test_overwrites_no_source(self, output: str, run: Run, folder: Path) -> None:
        before = (folder / output).read_text()
        code, out, err = run("bundle", "plugins/many", "-o", output)
        assert (code, out) == (2, "")
        assert "is one of the files that the plugin is made of: name another file with -o" in err
        assert (folder / output).read_text() == before

    @pytest.mark.usefixtures("folder")
    def test_check_without_one_names_what_writes_it(self, run: Run) -> None:
        assert run("bundle", "plugins/many", "--check", "out.py") == (
            1,
            "",
            "owui-watch: out.py is missing: run `owui-watch bundle plugins/many/main.py -o out.py`\n",
        )

    def test_plugin_of_one_file_is_printed_unchanged(self, run: Run, folder: Path) -> None:
        text = "class Pipe:\r\n    def pipe(self, body):\r\n        return 1\r\n"
        (folder / "one.py").write_text(text, newline="")
        run("bundle", "one.py", "-o", "out.py")
        assert (folder / "out.py").read_bytes() == text.encode()

    def test_names_the_place_of_an_error(self, run: Run, folder: Path) -> None:
        (folder / "plugins/many/helper.py").write_text("X = (\n")
        code, out, err = run("bundle", "plugins/many")
        assert (code, out) == (1, "")
        assert err.startswith("owui-watch: plugins/many/helper.py:1: '(' was never closed\n")

    def test_one_plugin_at_a_time(self, run: Run, folder: Path) -> None:
        (folder / "plugins/one.py").write_text(PIPE.replace("from .helper import X", "X = 1"))
        code, _, err = run("bundle", "plugins")
        assert code == 2
        assert err == (
            "owui-watch: plugins holds 2 plugins; name the file of one:\n  plugins/many/main.py\n  plugins/one.py\n"
        )
        (folder / "empty").mkdir()
        assert run("bundle", "empty")[0] == 2


class TestNewPackage:
    def test_its_test_passes_under_plain_pytest(self, run: Run, tmp_path: Path) -> None:
        code, out, _ = run("new", "pipe", "plugins/many", "--package")
        assert code == 0
        assert "wrote plugins/many/tests/test_many.py" in out
        pytest_run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "plugins/many"]
        plain = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(pytest_run, cwd=tmp_path, env=plain, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stdout
        assert run("bundle", "plugins/many")[0] == 0

    def test_nothing_is_overwritten(self, run: Run) -> None:
        run("new", "pipe", "many", "--package")
        code, _, err = run("new", "pipe", "many", "--package")
        assert (code, err) == (
            2,
            "owui-watch: many/main.py exists already and was not changed: choose another folder\n",
        )

    def test_its_name_is_a_python_name(self, run: Run) -> None:
        code, _, err = run("new", "pipe", "my-many", "--package")
        assert (code, err) == (
            2,
            "owui-watch: my-many: a package's name is a Python name; name it my_many, for example\n",
        )
