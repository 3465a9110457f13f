"""The plugins that ``owui-watch new`` writes. What they do on a real Open WebUI is tested with the server."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from owui_watch.plugins.checks import check
from owui_watch.plugins.frontmatter import header_diagnostics, parse_header
from owui_watch.plugins.ids import PluginId, plugin_id
from owui_watch.plugins.model import Kind
from owui_watch.plugins.starters import StarterError, starter, write_starter

EVERY_KIND = pytest.mark.parametrize("kind", list(Kind))
PROJECT = Path(__file__).parents[3]


class TestStarter:
    @EVERY_KIND
    def test_has_no_diagnostic(self, kind: Kind, tmp_path: Path) -> None:
        text = write_starter(kind, tmp_path / "my_first-one.py").read_text(encoding="utf-8")
        checked = check(text)
        assert (checked.kind, checked.diagnostics) == (kind, ())
        bound = {node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
        assert {other for other in Kind if other.class_name in bound} == {kind}

    @EVERY_KIND
    def test_header_is_complete(self, kind: Kind, tmp_path: Path) -> None:
        text = write_starter(kind, tmp_path / "my_first-one.py").read_text(encoding="utf-8")
        header = parse_header(text)
        expected = {"title", "author", "version", "description"}
        assert set(header) == expected | ({"required_open_webui_version"} if kind is Kind.EVENT else set())
        assert (header["title"], header["version"]) == ("My First One", "0.1.0")
        assert all(header.values())
        assert list(header_diagnostics(text, ast.parse(text))) == []

    @EVERY_KIND
    def test_has_an_explained_valve(self, kind: Kind) -> None:
        plugin = next(
            node
            for node in ast.parse(starter(kind, "T")).body
            if isinstance(node, ast.ClassDef) and node.name == kind.class_name
        )
        valves = next(node for node in plugin.body if isinstance(node, ast.ClassDef) and node.name == "Valves")
        [valve] = [node for node in valves.body if isinstance(node, ast.AnnAssign)]
        assert isinstance(valve.value, ast.Call)
        assert {keyword.arg for keyword in valve.value.keywords} >= {"default", "description"}

    @EVERY_KIND
    def test_needs_no_rewriting_and_no_packages(self, kind: Kind) -> None:
        text = starter(kind, "T")
        assert not any(f"from {name}" in text for name in ("utils", "apps", "main", "config"))
        modules = {
            (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) or ""
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert {module.partition(".")[0] for module in modules} <= sys.stdlib_module_names | {"pydantic"}

    def test_tool_documents_its_arguments(self) -> None:
        tools = next(
            node
            for node in ast.parse(starter(Kind.TOOL, "T")).body
            if isinstance(node, ast.ClassDef) and node.name == "Tools"
        )
        methods = [node for node in tools.body if isinstance(node, ast.AsyncFunctionDef)]
        assert len(methods) == 2
        for method in methods:
            docstring = ast.get_docstring(method)
            assert docstring is not None
            for argument in method.args.args[1:]:
                assert argument.annotation is not None
                assert f":param {argument.arg}: " in docstring

    def test_passes_ruff(self, tmp_path: Path) -> None:
        for kind in Kind:
            write_starter(kind, tmp_path)
        config = f"--config={PROJECT / 'pyproject.toml'}"
        # These four rules are about a docstring's first line; the server's header can't obey them.
        for command in (["check", "--ignore=D205,D212,D400,D415"], ["format", "--check"]):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--no-cache", config, str(tmp_path)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr

    @EVERY_KIND
    def test_is_utf8_with_unix_line_ends(self, kind: Kind, tmp_path: Path) -> None:
        raw = write_starter(kind, tmp_path / "größe.py").read_bytes()
        assert b"\r" not in raw
        assert raw.startswith('"""\ntitle: Größe\n'.encode())
        assert raw.endswith(b"\n")


class TestPath:
    @pytest.mark.parametrize(
        ("given", "written", "title"),
        [
            ("my_first-pipe.py", "my_first-pipe.py", "My First Pipe"),
            ("my_first_pipe", "my_first_pipe.py", "My First Pipe"),
            ("My.RAG pipe.py", "My.RAG pipe.py", "My RAG Pipe"),
            ("deep/down/echo", "deep/down/echo.py", "Echo"),
            ("pipes/my-rag/main.py", "pipes/my-rag/main.py", "My Rag"),
            ("_.py", "_.py", "_"),
            (".", "my_pipe.py", "My Pipe"),
        ],
    )
    def test_becomes_file_name_and_title(
        self, given: str, written: str, title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        file = write_starter(Kind.PIPE, Path(given))
        assert file == Path(written)
        assert file.is_file()
        assert parse_header(file.read_text(encoding="utf-8"))["title"] == title
        assert isinstance(plugin_id(file, {}), PluginId)

    @EVERY_KIND
    def test_folder_gets_a_file_named_by_the_kind(self, kind: Kind, tmp_path: Path) -> None:
        assert write_starter(kind, tmp_path) == tmp_path / f"my_{kind.value}.py"

    @pytest.mark.parametrize(
        ("given", "suggestion"),
        [
            ("3d.py", "my_3d.py"),
            ("3d", "my_3d.py"),
            ("what?!.py", "what.py"),
            ("c++ & go.py", "c_go.py"),
            ("???.py", "my_filter.py"),
            ("filter.py", "my_filter.py"),
            ("filters/main.py", "my_main.py"),
            ("notes.txt", "notes.py"),
            ("3d.txt", "my_3d.py"),
        ],
    )
    def test_that_makes_no_id_is_refused_with_another(
        self, given: str, suggestion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(StarterError) as caught:
            write_starter(Kind.FILTER, Path(given))
        assert given in str(caught.value)
        assert f" {suggestion}" in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    def test_refusal_in_full(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(StarterError) as caught:
            write_starter(Kind.TOOL, Path("3d.py"))
        assert str(caught.value) == (
            "3d.py: “3d” (the file's name) can't be an id: Open WebUI allows only letters, digits and _, "
            "and no digit at the start; name it my_3d.py, for example"
        )

    @pytest.mark.parametrize(
        ("given", "suggestion"),
        [
            ("test_echo.py", "echo.py"),
            ("plugins/echo_test", "echo.py"),
            ("test_pipe.py", "my_pipe.py"),
            ("test_test_.py", "test.py"),
            ("conftest.py", "my_conftest.py"),
            (".hidden.py", "hidden.py"),
            (".py", "py.py"),
        ],
    )
    def test_that_is_passed_over_is_refused_with_another(
        self, given: str, suggestion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(StarterError) as caught:
            write_starter(Kind.PIPE, Path(given))
        file = f"{given.removesuffix('.py')}.py" if given != ".py" else ".py.py"
        assert str(caught.value) == (
            f"{file}: owui-watch ignores files of this name (hidden files, tests, copies); name it {suggestion}, for example"
        )
        assert list(tmp_path.iterdir()) == []
        monkeypatch.chdir(tmp_path)
        assert write_starter(Kind.PIPE, Path(suggestion)).is_file()

    @pytest.mark.parametrize(
        ("given", "folder"),
        [("tests/echo.py", "tests"), ("plugins/.old/echo", ".old"), ("x/../.venv/lib/echo.py", ".venv")],
    )
    def test_in_an_ignored_folder_is_refused(
        self, given: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for path in (Path(given), tmp_path / given):
            with pytest.raises(StarterError) as caught:
                write_starter(Kind.PIPE, path)
            assert str(caught.value) == (
                f"{path.with_suffix('.py')}: owui-watch ignores the folder {folder} "
                "(hidden folders, tests and virtual environments); write it to plugins/echo.py, for example"
            )
        assert list(tmp_path.iterdir()) == []

    def test_above_the_current_folder_does_not_count(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        here, elsewhere = tmp_path / "tests" / "my-rag", tmp_path / ".hidden"
        here.mkdir(parents=True)
        monkeypatch.chdir(here)
        assert write_starter(Kind.PIPE, Path("echo.py")).is_file()
        assert write_starter(Kind.PIPE, elsewhere / "echo.py").is_file()
        with pytest.raises(StarterError, match="gives no id, and no folder above it does"):
            write_starter(Kind.PIPE, here / "main.py")

    def test_that_is_too_long_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(StarterError, match=r"can't be written: .*; choose another path"):
            write_starter(Kind.PIPE, tmp_path / f"{'a' * 300}.py")


class TestExisting:
    def test_file_is_left_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.py"
        file.write_text("precious")
        for given in (file, tmp_path / "mine"):
            with pytest.raises(StarterError) as caught:
                write_starter(Kind.PIPE, given)
            assert str(caught.value) == f"{file} exists already and was not changed: choose another name"
        assert file.read_text() == "precious"

    def test_dangling_link_is_left_alone(self, tmp_path: Path) -> None:
        link = tmp_path / "mine.py"
        link.symlink_to(tmp_path / "elsewhere.py")
        with pytest.raises(StarterError, match="exists already"):
            write_starter(Kind.PIPE, link)
        assert not (tmp_path / "elsewhere.py").exists()

    @pytest.mark.parametrize("below", ["mine.py", "deeper/mine.py"])
    def test_file_instead_of_a_folder_is_an_error(self, below: str, tmp_path: Path) -> None:
        (tmp_path / "plugins").write_text("a file")
        with pytest.raises(StarterError, match=r"can't be written: .*; choose another path"):
            write_starter(Kind.PIPE, tmp_path / "plugins" / below)
